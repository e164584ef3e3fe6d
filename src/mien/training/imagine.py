"""Fitting the density of faces that `mien imagine` draws from (``generators/imagine/density.py``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.attributes import GROUPS, NAMES
from mien.core.checkpoints import save_weights
from mien.core.config import Config
from mien.core.errors import TrainingError
from mien.core.progress import OnProgress
from mien.core.seeding import stream
from mien.generators.imagine.density import AGE, Components, FaceDensity, Float64Array, Frame, Probes
from mien.generators.imagine.weights import MODEL, to_tensors
from mien.training.codes import LabelledRow
from mien.training.probes import balanced_weights, ridge

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

# Years that an age word certainly means, and beyond which it certainly does not; between them nothing is known.
AGE_WORDS: Mapping[str, tuple[float, float, float, float]] = {
    "Baby": (0, 0, 2, 4),
    "Child": (2, 4, 11, 14),
    "Youth": (12, 15, 28, 35),
    "Middle Aged": (34, 40, 58, 64),
    "Senior": (58, 64, 120, 120),
}
RACES = ("Asian", "White", "Black", "Indian")
# Without "No Beard" are those with a beard and all of whom its source is unsure: which share of them surely lacks it.
SURELY_WITHOUT = {"No Beard": 0.15}
BLOCK = 2048
LEADING = 24


class ImagineConfig(Config):
    """Everything that decides what is fitted."""

    axes: int = 192
    components: int = 6
    rounds: int = 20
    shrink: float = 0.1  # share of the covariance of all faces in that of a component ...
    shrink_faces: float = 200.0  # ... and more of it where a component has few faces
    penalty: float = 0.05  # of the probes
    seed: int = 0


def known_labels(face: LabelledRow) -> tuple[BoolArray, BoolArray]:
    """(present, known) of ``NAMES``: from the attributes of a source, and from sex, age and race.

    In a group of which every face has one, an unmarked group is unknown (the sources mark only what is sure).
    """
    present = {name: True for name in face.attributes_present if name != "Male"}
    if face.attributes_present or face.attributes_absent:
        for group in GROUPS:
            if group.none is not None or any(name in present for name in group.members):
                present |= {name: name in present for name in group.members}
    present.pop("Male", None)
    if face.sex is not None:
        present["Male"] = face.sex == "male"
    if face.race is not None:
        present |= {name: face.race == name for name in RACES}
    if face.age_years is not None:
        for name, (out, low, high, beyond) in AGE_WORDS.items():
            if low <= face.age_years <= high:
                present[name] = True
            elif face.age_years < out or face.age_years > beyond:
                present[name] = False
    return (
        np.array([present.get(name, False) for name in NAMES]),
        np.array([name in present for name in NAMES]),
    )


def shares(weights: FloatArray) -> Float64Array:
    """Weights N -> their shares of the sum."""
    wide = weights.astype(np.float64)
    return np.asarray(wide / wide.sum())


def fit_frame(features: npt.NDArray[Any], weights: FloatArray, axes: int) -> Frame:
    """The principal axes of features N F, face n counted ``weights[n]`` times."""
    share = shares(weights)
    width = features.shape[1]
    mean = np.zeros(width)
    products = np.zeros((width, width))
    for start in range(0, len(features), BLOCK):  # float32 products of a block, float64 sums
        mean += share[start : start + BLOCK] @ features[start : start + BLOCK].astype(np.float64)
    for start in range(0, len(features), BLOCK):
        off = (features[start : start + BLOCK] - mean).astype(np.float32)
        off *= np.sqrt(share[start : start + BLOCK, None]).astype(np.float32)
        products += off.T @ off
    deviation = np.sqrt(np.diag(products)).clip(1e-6)
    spread, directions = np.linalg.eigh(products / np.outer(deviation, deviation))
    spread, directions = spread[::-1].clip(1e-8), directions[:, ::-1]
    rest = float(spread[axes:].mean()) if width > axes else 1e-6
    return Frame(mean, deviation, directions[:, :axes].copy(), np.sqrt(spread[:axes]), max(rest, 1e-6))


def fit_probes(codes: Float64Array, faces: Sequence[LabelledRow], config: ImagineConfig) -> Probes:
    """Scores of ``NAMES`` and of the age from codes N K, with their levels."""
    values = codes.astype(np.float32)
    labels = [known_labels(face) for face in faces]
    present, known = np.stack([p for p, _ in labels]), np.stack([k for _, k in labels])
    empty = [name for name, p, k in zip(NAMES, present.T, known.T, strict=True) if not p.any() or not (k & ~p).any()]
    names = tuple(name for name in NAMES if name not in empty)
    if not names:
        raise TrainingError("imagine: no attribute has faces with and without it; a dataset with attributes is wanted")
    keep = [NAMES.index(name) for name in names]
    present, known = present[:, keep], known[:, keep]
    signs = np.where(present, 1.0, -1.0).astype(np.float32)
    found = ridge(values, signs, balanced_weights(present, known), config.penalty)
    scores = values @ found[:-1] + found[-1]
    with_it = [float(scores[present[:, k] & known[:, k], k].mean()) for k in range(len(names))]
    without = [level_without(name, scores[~present[:, k] & known[:, k], k]) for k, name in enumerate(names)]
    ages = np.array([np.nan if face.age_years is None else face.age_years / 100 for face in faces], np.float32)
    aged = np.isfinite(ages)
    if aged.any():
        column = ridge(values[aged], ages[aged, None], np.ones((int(aged.sum()), 1), np.float32), 0.01)
        found, names = np.concatenate([found, column], 1), (*names, AGE)
        with_it, without = [*with_it, 1.0], [*without, 0.0]
    wide = found.astype(np.float64)
    return Probes(names, wide[:-1], wide[-1], np.array(with_it), np.array(without))


def level_without(name: str, scores: npt.NDArray[np.floating[Any]]) -> float:
    """What faces without an attribute score: all of them, or only those who surely lack it (``SURELY_WITHOUT``)."""
    surely = SURELY_WITHOUT.get(name, 1.0)
    least = np.sort(scores)[: max(1, round(surely * len(scores)))]
    return float(least.mean())


def fit_components(
    codes: Float64Array,
    weights: FloatArray,
    config: ImagineConfig,
    on_progress: OnProgress | None = None,
) -> Components:
    """C Gaussians by expectation and maximisation, their covariances shrunk to that of all faces."""
    count = len(codes)
    share = shares(weights)
    centre = share @ codes
    pooled = (codes - centre).T @ ((codes - centre) * share[:, None])
    belongs = _begun(codes, share, config)
    found = Components(np.ones(1), centre[None], pooled[None])
    for number in range(config.rounds if config.components > 1 else 0):
        mass = (belongs * share[:, None]).sum(0).clip(1e-9)
        means, covariances = [], []
        for k in range(config.components):
            weight = belongs[:, k] * share / mass[k]
            mean = weight @ codes
            own = (codes - mean).T @ ((codes - mean) * weight[:, None])
            few = config.shrink_faces / (mass[k] * count + config.shrink_faces)
            lean = config.shrink + (1 - config.shrink) * few
            means.append(mean)
            covariances.append((1 - lean) * own + lean * pooled)
        found = Components(mass / mass.sum(), np.stack(means), np.stack(covariances))
        each = found.log_each(codes)
        peak = each.max(1, keepdims=True)
        belongs = np.exp(each - peak)
        belongs /= belongs.sum(1, keepdims=True)
        if on_progress is not None:
            on_progress(number + 1, config.rounds)
    return found


def _begun(codes: Float64Array, share: Float64Array, config: ImagineConfig) -> Float64Array:
    """N C: each face with the nearest of C seeds, each drawn far from those before it (Arthur and Vassilvitskii, 2007).

    On the leading axes only: along the others everybody is alike but for noise.
    """
    leading = codes[:, :LEADING]
    draws = stream(config.seed, "components")
    far, distances = np.full(len(codes), np.inf), []
    chance = share
    for _ in range(config.components):
        seed = leading[int(draws.choice(len(codes), p=chance / chance.sum()))]
        distances.append(((leading - seed) ** 2).sum(1))
        far = np.minimum(far, distances[-1])
        chance = share * far + 1e-300
    return np.asarray(np.eye(config.components)[np.stack(distances, 1).argmin(1)])


def fit_density(
    features: npt.NDArray[Any],
    faces: Sequence[LabelledRow],
    weights: FloatArray,
    config: ImagineConfig,
    on_progress: OnProgress | None = None,
) -> FaceDensity:
    """Axes, probes and Gaussians of features N F of ``faces``."""
    if len(features) <= config.axes or len(features) < 2 * config.components:
        raise TrainingError(
            f"imagine: {len(features)} faces given; more than {config.axes} are needed for as many axes"
        )
    frame = fit_frame(features, weights, config.axes)
    codes = frame.codes(features)
    probes = fit_probes(codes, faces, config)
    components = fit_components(codes, weights, config, on_progress)
    return FaceDensity(frame, components, probes)


def export_density(path: Path, density: FaceDensity, about: Mapping[str, Any]) -> None:
    """Write a density as float16 weights; ``about`` (``model``, ``version`` ...) goes into the metadata.

    A version that is not given is made: a digest of what is written.
    """
    tensors, described = to_tensors(density)
    written = {name: tensor.to(torch.float16) for name, tensor in tensors.items()}
    version = f"{MODEL}-{digest(written, described)}"
    save_weights(path, tensors, {"version": version, **described, **about}, dtype=torch.float16)


def digest(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of tensors, by name, and of the metadata that decides what is drawn from them."""
    found = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
