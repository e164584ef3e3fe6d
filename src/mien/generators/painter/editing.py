"""A photograph with somebody changed in it: what another code and other conditions change, laid over its own pixels.

FlowEdit (Kulikov et al., *Inversion-Free Text-Based Editing Using Pre-Trained Flow Models*, 2024): a picture x goes
with the difference of two flows, both begun from it and the same noise n (algorithm 1; t is 0 for noise, 1 for clean):

    x_t = t x + (1 - t) n,   z_t = z + x_t - x,   dz = (v(z_t, after) - v(x_t, before)) dt,   z = x at the start.

Departures: ``before`` takes the place of "nothing known" in the guidance of ``after``, so that only what differs
is exaggerated (theirs raised contrast, too); several strengths are made at once; and not z but z - x is kept:
the painter holds 128 px, the photograph more, so hair, background and light stay as they were photographed. Details
that the painter does not hold go where much changes: teeth would shine through lips.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core.images import resize, to_tensor, to_values
from mien.core.memory import keep_freed_memory
from mien.core.records import Float32Array, UInt8Image
from mien.core.seeding import stream
from mien.faces import align
from mien.generators.painter.network import Given, Painter
from mien.generators.painter.renderer import LARGEST, PainterRenderer

STEPS, START = 12, 0.15  # later starts keep more of the photograph, and age nobody
STRENGTHS = (1.0, 1.7, 2.6)  # of guidance; more draws caricatures
CHROMA, SKIN_CHROMA = 0.6, 0.3  # of a change: exaggerated colour is blotches on skin before it is as old as was asked
MUCH, SPREAD = 50.0, 0.02  # a change, of 255, beyond which details of the photograph go; seen through such a blur
# Where a change counts, in shares of the aligned crop: an ellipse, whole inside the first and gone outside the second.
CENTRE, HALF = (0.50, 0.48), (0.40, 0.50)
WHOLE, GONE = 0.80, 1.15
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
SKIN = (0.26, 0.34)  # half axes of the ellipse whose mean colour stays
# Of the head: half axes within which all of it is person, more likely person, and outside of which nothing is.
SURE, LIKELY, BEYOND = (0.24, 0.34), (0.34, 0.46), (0.46, 0.575)
HEAD_PX, HEAD_ROUNDS, HEAD_EDGE_PX = 128, 3, 1.5


@torch.no_grad()
def edited_tokens(
    painter: Painter,
    tokens: Tensor,
    before: Given,
    after: Given,
    strengths: Sequence[float],
    draws: np.random.Generator,
    *,
    steps: int = STEPS,
    start: float = START,
) -> Tensor:
    """Tokens (1 T C) of a picture -> the same edited by each of K strengths (K T C).

    ``before`` says what the picture shows, ``after`` what it is to show (one row each). Strength 1 follows ``after``.
    """
    count = len(strengths)
    by = tokens.new_tensor(strengths)[:, None, None]
    asked = Given.concatenated([before] * (1 + count) + [after] * count)
    edited = tokens.expand(count, -1, -1)
    grid = torch.linspace(start, 1, steps + 1).tolist()
    for here, there in itertools.pairwise(grid):
        noise = torch.from_numpy(draws.standard_normal(tokens.shape)).to(tokens)
        noisy = here * tokens + (1 - here) * noise
        own = edited + noisy - tokens
        clean = painter(torch.cat([noisy, own, own]), tokens.new_full((1 + 2 * count,), here), asked)
        plain, opposite, toward = clean[:1], clean[1 : count + 1], clean[count + 1 :]
        wanted = opposite + by * (toward - opposite)
        edited = edited + (there - here) / (1 - here) * ((wanted - own) - (plain - noisy))
    return edited


def told(renderer: PainterRenderer, features: npt.ArrayLike, conditions: Mapping[str, float]) -> Given:
    """One person's features (F) and the conditions that are known of the photograph, as the painter is told them."""
    code, config = renderer.codes(np.asarray(features)[None]), renderer.painter.config
    values, known, one = torch.zeros(1, config.conditions), torch.zeros(1, config.conditions), torch.ones(1, 1)
    for name, value in conditions.items():
        if name in renderer.conditions:
            mean, deviation = renderer.scale[name]
            place = renderer.conditions.index(name)
            values[0, place], known[0, place] = float(np.clip((value - mean) / deviation, -LARGEST, LARGEST)), 1.0
    open_look = torch.full((1,), config.sources)
    given = Given(code, one, 0 * one, values, known, open_look, torch.ones(1, config.tokens), one)
    return given.to(renderer.device)


def changes(
    renderer: PainterRenderer, crop: UInt8Image, before: Given, after: Given, strengths: Sequence[float] = STRENGTHS
) -> Float32Array:
    """What each of K strengths changes in an aligned crop (S S 3): K S S 3, added to values of 0 to 255.

    The mean colour of the face stays, and what is no part of the head: light is no matter of who somebody is.
    """
    keep_freed_memory()
    side, size = renderer.basis.size_px, len(crop)
    plain = renderer.basis.encode(to_tensor(resize(crop, side, side)).to(renderer.device))
    edited = edited_tokens(renderer.painter, plain, before, after, strengths, stream(0, "edit"))
    pictures = renderer.basis.decode(torch.cat([plain, edited]))
    if renderer.finisher is not None:
        pictures = renderer.finisher.enlarge(pictures)
    first, *others = (cv2.resize(one, (size, size), interpolation=cv2.INTER_CUBIC) for one in to_values(pictures))
    grown = np.stack(others) - first  # K S S 3
    grey = grown @ LUMA
    much = np.stack([cv2.GaussianBlur(np.abs(one), (0, 0), SPREAD * size) for one in grey])
    stays = np.exp(-np.square(much / MUCH))[..., None]  # of the photograph's own details
    skin = ellipse(size, SKIN, 0.9, 1.1)[..., None]
    grown = grey[..., None] + (CHROMA + skin * (SKIN_CHROMA - CHROMA)) * (grown - grey[..., None])
    tone = (grown * skin).sum((1, 2), keepdims=True) / skin.sum()
    grown = grown - (1 - stays) * (crop.astype(np.float32) - first)
    return np.asarray((grown - tone) * (ellipse(size, HALF, WHOLE, GONE) * head(crop))[..., None], np.float32)


def head(crop: UInt8Image) -> Float32Array:
    """(S S) of an aligned crop (S S 3): 1 on the person, 0 beside, soft between; else old hair shines on a background.

    GrabCut (Rother, Kolmogorov and Blake, 2004), begun with where heads are in the crop.
    """
    small = np.ascontiguousarray(resize(crop, HEAD_PX, HEAD_PX))
    marks = np.full((HEAD_PX, HEAD_PX), cv2.GC_BGD, np.uint8)
    for half, mark in ((BEYOND, cv2.GC_PR_BGD), (LIKELY, cv2.GC_PR_FGD), (SURE, cv2.GC_FGD)):
        marks[ellipse(HEAD_PX, half, 1, 1 + 1e-6) > 0] = mark
    cv2.setRNGSeed(0)  # its clusters begin at random
    cv2.grabCut(small, marks, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), HEAD_ROUNDS, cv2.GC_INIT_WITH_MASK)
    person = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    soft = cv2.GaussianBlur(person, (0, 0), HEAD_EDGE_PX)
    return np.asarray(cv2.resize(soft, (len(crop), len(crop)), interpolation=cv2.INTER_LINEAR), np.float32)


def ellipse(size: int, half: tuple[float, float], whole: float, gone: float) -> Float32Array:
    """(S S) weights: 1 within ``whole`` of an ellipse around the face, 0 beyond ``gone`` of it, smooth between."""
    down, across = (np.mgrid[0:size, 0:size] + 0.5) / size
    distance = np.hypot((across - CENTRE[0]) / half[0], (down - CENTRE[1]) / half[1])
    share = np.clip((gone - distance) / (gone - whole), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def laid_over(photo: UInt8Image, change: Float32Array, transform: npt.NDArray[np.float64]) -> UInt8Image:
    """A photo (H W 3) with a change (S S 3, of 255) added where ``transform`` (photo px -> crop px) says it lies."""
    size, unit = len(change), 1 / float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    if unit < 1:  # the face is smaller than the crop: averaged first, so that nothing aliases
        small = max(round(size * unit), 1)
        transform = align.rescaled(transform, size, small)
        change = np.asarray(cv2.resize(change, (small, small), interpolation=cv2.INTER_AREA), np.float32)
        size = small
    corners = align.apply(align.invert(transform), np.array([[-1, -1], [size, -1], [-1, size], [size, size]]))
    low = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(0)).astype(int) + 1, [photo.shape[1], photo.shape[0]])
    if (high <= low).any():
        return photo.copy()
    shifted = transform.copy()
    shifted[:, 2] += transform[:, :2] @ low
    width, height = (high - low).tolist()
    added = cv2.warpAffine(change, shifted, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    result, part = photo.copy(), photo[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    result[low[1] : high[1], low[0] : high[0]] = np.clip(part + added + 0.5, 0, 255).astype(np.uint8)
    return result
