"""An invisible watermark: "this picture was made by mien", readable after compression, rescaling and cropping.

A spread-spectrum mark (Cox, Kilian, Leighton, Shamoon 1997) in luma: one fixed square tile of ``TILE_PX`` with
random phases in a band of low frequencies, repeated over the whole picture, stronger where the picture is busy. The
tile may start anywhere, so the embedder chooses the start where the picture itself already looks most like the tile
(informed embedding: Cox, Miller, Bloom, *Digital Watermarking*, ch. 5). The reader folds the picture into one tile and
compares phases alone (Kuglin and Hines 1975), which finds every start at once and whose score is standard normal where
there is no mark, whatever the picture; a search over tile sizes finds rescaled pictures.

It carries one bit and no key: it tells honest copies apart and is no proof against somebody who wants it gone.
Departure from the sources: no secret key, since anybody may verify.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.images import grey, resize
from mien.core.records import Float32Array, UInt8Image
from mien.core.seeding import stream

TILE_PX = 64
BAND_CYCLES = (3.0, 17.0)  # of frequencies, in cycles a tile: periods of 21 to 4 px
STRENGTH = 1.25  # grey levels (of 255), root mean square, in a flat, bright picture of TILE_PX; larger ones need less
WEAKEST = 0.8
BUSY = 0.11  # a grey level of local deviation makes the mark that share stronger ...
BUSIEST = 3.0  # ... up to this factor
DARK = (0.55, 150.0)  # black takes that share of the mark; a full mark from (1 - 0.55) x 150 grey levels on
STARTS = 2  # px between the starts that the embedder tries
LEAST_PX = 32  # the shorter side of a picture that may carry a mark

THRESHOLD = 7.0  # standard deviations (docs/provenance.md has the false alarms on real photographs)
CERTAIN = 11.0  # no better scale is looked for
WINDOW_PX = 256  # side of the searched squares, in px of the tile's own scale
STEP = 1.012  # between the scales that are tried, 0.40 to 2.1; those near LIKELY first
LIKELY = (1.0, 0.5, 0.75, 1.5, 2.0)
SCALES = tuple(sorted((STEP**k for k in range(-76, 63)), key=lambda scale: min(abs(scale - s) / s for s in LIKELY)))

Complex = npt.NDArray[np.complexfloating[Any, Any]]


@dataclass(frozen=True, slots=True)
class Watermark:
    """What was read: whether there is a mark, its score (standard deviations) and the scale it was found at."""

    found: bool
    score: float
    scale: float  # 0.5: the picture was halved since


def mark(photo: UInt8Image) -> UInt8Image:
    """A copy of a photo (H W 3 uint8 RGB) that carries the mark; one under ``LEAST_PX`` comes back as it is."""
    height, width = photo.shape[:2]
    if min(height, width) < LEAST_PX:
        return photo
    luma = grey(photo).astype(np.float32)
    surface = _correlation(_phases(luma))[::STARTS, ::STARTS]
    down, across = np.unravel_index(int(np.argmax(surface)), surface.shape)
    tile = np.roll(_tile(), (int(down) * STARTS, int(across) * STARTS), (0, 1))
    repeats = (-(-height // TILE_PX), -(-width // TILE_PX))
    plane = np.tile(tile, repeats)[:height, :width] * _strength(luma)
    marked = photo + cv2.merge((plane, plane, plane))  # numpy would add them three by three
    marked += 0.5
    return np.asarray(np.clip(marked, 0, 255, out=marked), np.uint8)


def find(photo: UInt8Image) -> Watermark:
    """Look for the mark in a photo (H W 3 uint8 RGB); in one whose shorter side is under ``LEAST_PX`` none is found."""
    luma = grey(photo)
    best = Watermark(False, 0.0, 1.0)
    for scale in SCALES if min(luma.shape) >= LEAST_PX else ():
        for window in _windows(luma, scale):
            score = float(_correlation(_phases(window)).max())
            if score > best.score:
                best = Watermark(score >= THRESHOLD, score, scale)
        if best.score >= CERTAIN:
            break
    return best


def _windows(luma: UInt8Image, scale: float) -> Iterator[Float32Array]:
    """The picture brought back from ``scale``, or squares of it: one size error must not smear a large picture."""
    side = round(WINDOW_PX * scale)
    down, across = _cuts(luma.shape[0], side), _cuts(luma.shape[1], side)
    corners = [(rows, columns) for rows in down[1:] or down for columns in across[1:] or across]
    for rows, columns in dict.fromkeys(((down[0], across[0]), *corners)):
        part = luma[slice(*rows), slice(*columns)]
        height, width = (max(1, round(length / scale)) for length in part.shape)
        yield resize(part, height, width).astype(np.float32)


def _cuts(length: int, side: int) -> list[tuple[int, int]]:
    """The whole of a short side; the middle, the first and the last ``side`` px of a long one."""
    if length <= side * 1.25:
        return [(0, length)]
    return [(start, start + side) for start in ((length - side) // 2, 0, length - side)]


def _phases(luma: Float32Array) -> Complex:
    """Luma H W -> phases (unit complex numbers, TILE_PX x TILE_PX/2+1) of the picture folded into one tile."""
    detail = luma - cv2.blur(luma, (17, 17), borderType=cv2.BORDER_REFLECT)
    spread = np.sqrt(np.maximum(cv2.blur(detail * detail, (17, 17), borderType=cv2.BORDER_REFLECT), 0))
    detail /= spread + 2.0  # edges count no more than skin
    height, width = detail.shape
    down, across = -(-height // TILE_PX), -(-width // TILE_PX)
    page = np.zeros((down * TILE_PX, across * TILE_PX), np.float32)
    page[:height, :width] = detail
    folded = page.reshape(down, TILE_PX, across, TILE_PX).sum((0, 2))
    values = np.fft.rfft2(folded)
    return values / (np.abs(values) + 1e-9)


def _correlation(phases: Complex) -> npt.NDArray[np.float64]:
    """Score of the mark for each start (TILE_PX x TILE_PX): standard normal where the phases are chance."""
    weights, tile_phases = _band()
    shares = phases * tile_phases.conj() * (weights > 0)
    summed = np.fft.irfft2(shares, (TILE_PX, TILE_PX)) * TILE_PX**2
    return np.asarray(summed / math.sqrt(weights.sum()), np.float64)


@cache
def _band() -> tuple[npt.NDArray[np.float64], Complex]:
    """(how often a bin of the half spectrum counts, the tile's phases), each TILE_PX x TILE_PX/2+1."""
    down = np.fft.fftfreq(TILE_PX, 1 / TILE_PX)[:, None]
    across = np.fft.rfftfreq(TILE_PX, 1 / TILE_PX)[None]
    radius = np.hypot(down, across)
    inside = (radius >= BAND_CYCLES[0]) & (radius <= BAND_CYCLES[1])
    noise = np.fft.rfft2(stream(0, "watermark", 1).standard_normal((TILE_PX, TILE_PX)))
    return inside * np.where(across == 0, 1.0, 2.0), noise / np.abs(noise)


@cache
def _tile() -> Float32Array:
    """The tile: TILE_PX x TILE_PX, mean 0, root mean square 1."""
    weights, phases = _band()
    tile = np.fft.irfft2(phases * (weights > 0), (TILE_PX, TILE_PX))
    return np.asarray(tile / tile.std(), np.float32)


def _strength(luma: Float32Array) -> Float32Array:
    """Grey levels of the mark at each pixel (H W)."""
    mean = cv2.blur(luma, (9, 9), borderType=cv2.BORDER_REFLECT)
    square = cv2.blur(luma * luma, (9, 9), borderType=cv2.BORDER_REFLECT)
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    busy = np.minimum(1 + BUSY * deviation, BUSIEST)
    bright = np.minimum(DARK[0] + mean / DARK[1], 1)
    level = min(max(STRENGTH * (min(luma.shape) / TILE_PX) ** -0.2, WEAKEST), STRENGTH)
    return np.asarray(level * busy * bright, np.float32)
