"""The cloth behind a sitter: what is painted there is mottled where a studio's is even, so it is evened."""

from __future__ import annotations

import cv2
import numpy as np

from mien.core.records import UInt8Image
from mien.generators.portrait.silhouette import person_mask

EVEN_SHARE = 0.086  # deviation of the blur, in shares of the picture's side
SURELY = 0.9  # of the background: pixels that say what its colour is
LEAST = 1e-3


def evened(picture: UInt8Image) -> UInt8Image:
    """A frontal face (S S 3) in mien's crop, its background replaced by what it is on average around each place."""
    picture = np.ascontiguousarray(picture)
    behind = np.clip(1 - person_mask(picture), 0, 1)[..., None]  # S S 1
    sure = (behind > SURELY).astype(np.float32)
    if not sure.any():
        return picture
    deviation, pixels = EVEN_SHARE * picture.shape[0], picture.astype(np.float32)
    colour = cv2.GaussianBlur(pixels * sure, (0, 0), deviation)
    weight = cv2.GaussianBlur(sure, (0, 0), deviation)[..., None]
    share = behind * np.clip(weight / LEAST, 0, 1)  # far from anything sure it stays as it is
    cloth = colour / np.maximum(weight, LEAST)
    return np.asarray(np.clip(pixels * (1 - share) + cloth * share + 0.5, 0, 255), np.uint8)
