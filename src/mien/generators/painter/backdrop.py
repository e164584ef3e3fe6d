"""The cloth behind a sitter: what is painted there is mottled where a studio's is even, so it is evened."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from mien.core.images import from_values, to_photos, to_values
from mien.core.records import Float32Array, UInt8Image
from mien.generators.portrait.silhouette import person_mask

EVEN_SHARE = 0.086  # deviation of the blur, in shares of the picture's side
SURELY = 0.9  # of the background: pixels that say what its colour is
LEAST = 1e-3


def evened(pictures: Tensor) -> Tensor:
    """Frontal faces (N 3 S S) in mien's crop, their background replaced by what it is on average around each place."""
    return from_values(np.stack([_evened(*one) for one in zip(to_values(pictures), to_photos(pictures), strict=True)]))


def _evened(pixels: Float32Array, photo: UInt8Image) -> Float32Array:
    """``photo`` (S S 3), the rounded ``pixels``, says what is background."""
    behind = np.clip(1 - person_mask(photo), 0, 1)[..., None]  # S S 1
    sure = (behind > SURELY).astype(np.float32)
    if not sure.any():
        return pixels
    deviation = EVEN_SHARE * len(pixels)
    colour = cv2.GaussianBlur(pixels * sure, (0, 0), deviation)
    weight = cv2.GaussianBlur(sure, (0, 0), deviation)[..., None]
    share = behind * np.clip(weight / LEAST, 0, 1)  # far from anything sure it stays as it is
    cloth = colour / np.maximum(weight, LEAST)
    return np.asarray(pixels * (1 - share) + cloth * share, np.float32)
