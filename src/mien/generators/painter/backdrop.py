"""The cloth behind a sitter: what is painted there is mottled where a studio's is even, so it is evened.

A cloth that is wholly even is one that no camera saw: it gets the grain that photographs have there.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor

from mien.core.images import from_values, to_photos, to_values
from mien.core.records import Float32Array, UInt8Image
from mien.generators.portrait.silhouette import person_mask

EVEN_SHARE = 0.086  # deviation of the blur, in shares of the picture's side
SURELY = 0.9  # of the background: pixels that say what its colour is
MOTTLED, OTHER = 25.0, 50.0  # levels off the cloth: up to here it is evened, from here on it is hair or clothes
NEAR_SHARE = 0.005  # deviation of the blur of that difference, in shares of the picture's side
LEAST = 1e-3
GRAIN, GRAIN_FACTOR = 1.1, 1.5  # levels, and by what they differ from picture to picture; more looks like canvas
GRAIN_SHARE = 0.002  # deviation of its blur, in shares of the picture's side


def evened(pictures: Tensor, draws: Sequence[np.random.Generator]) -> Tensor:
    """Frontal faces (N 3 S S) in mien's crop, their background replaced by what it is on average around each place.

    ``draws``: each picture's own chance, of which its grain is made.
    """
    rows = zip(to_values(pictures), to_photos(pictures), draws, strict=True)
    return from_values(np.stack([_evened(*one) for one in rows]))


def _evened(pixels: Float32Array, photo: UInt8Image, draws: np.random.Generator) -> Float32Array:
    """``photo`` (S S 3), the rounded ``pixels``, says what is background; what differs from the cloth stays.

    A mask by colour takes hair for background now and then.
    """
    behind = np.clip(1 - person_mask(photo), 0, 1)[..., None]  # S S 1
    sure = (behind > SURELY).astype(np.float32)
    if not sure.any():
        return pixels
    cloth, _ = _around(pixels, sure)
    cloth, weight = _around(pixels, sure * (_apart(pixels, cloth) < MOTTLED))
    like = np.clip((OTHER - _apart(pixels, cloth)) / (OTHER - MOTTLED), 0, 1)
    share = behind * like * np.clip(weight / LEAST, 0, 1)  # far from anything sure it stays as it is
    grain = _grain(len(pixels), draws) * (1 + share) / 2  # what is painted of a person has half of it already
    return np.asarray(pixels * (1 - share) + cloth * share + grain, np.float32)


def _grain(size: int, draws: np.random.Generator) -> Float32Array:
    """S S 1: levels, of deviation ``GRAIN`` times or divided by about ``GRAIN_FACTOR``, the same in all channels."""
    level = GRAIN * GRAIN_FACTOR ** draws.standard_normal()
    grain = cv2.GaussianBlur(draws.standard_normal((size, size), np.float32), (0, 0), GRAIN_SHARE * size)
    return np.asarray(level * grain / grain.std())[..., None]


def _around(pixels: Float32Array, sure: Float32Array) -> tuple[Float32Array, Float32Array]:
    """The mean colour (S S 3) of sure pixels around each place, and how many there are of them (S S 1)."""
    deviation = EVEN_SHARE * len(pixels)
    weight = cv2.GaussianBlur(sure, (0, 0), deviation)[..., None]
    return np.asarray(cv2.GaussianBlur(pixels * sure, (0, 0), deviation) / np.maximum(weight, LEAST)), weight


def _apart(pixels: Float32Array, cloth: Float32Array) -> Float32Array:
    """S S 1: levels between pixels and cloth, in the channel in which they differ most."""
    return np.asarray(cv2.GaussianBlur(np.abs(pixels - cloth).max(2), (0, 0), NEAR_SHARE * len(pixels)))[..., None]
