"""The inner square of the aligned crop: the part that is photograph in nearly every source.

UTKFace is cut so tightly that two thirds of each of its crops are a mirrored border. Judges that looked there would
compare mirrors. Measured on every 20th UTKFace photo (1,086), the share of photos that hold a given line of the crop:
x = 0.19: 0.75, 0.22: 0.98, 0.78: 0.99, 0.81: 0.81; y = 0.22: 0.26, 0.25: 0.98, 0.81: 1.00, 0.84: 0.94, 0.88: 0.57.
So the square from (0.20, 0.25) to (0.80, 0.85) is kept: brows, eyes, nose, mouth, cheeks and, of most faces, the chin.
"""

from __future__ import annotations

from torch import Tensor

from mien.faces.align import window

INNER_X, INNER_Y, INNER_SIDE = 0.20, 0.25, 0.60  # left, top and side, in shares of the crop's side


def inner_square(crops: Tensor, size: int) -> Tensor:
    """Aligned crops (N 3 S S) -> their inner squares (N 3 size size). Differentiable."""
    return window(crops, INNER_X, INNER_Y, INNER_SIDE, size)


def grey_outside(crops: Tensor) -> Tensor:
    """Aligned crops (N 3 S S, tensor convention) with everything outside the inner square set to middle grey (0)."""
    size = crops.shape[-1]
    left, top = round(INNER_X * size), round(INNER_Y * size)
    right, bottom = round((INNER_X + INNER_SIDE) * size), round((INNER_Y + INNER_SIDE) * size)
    kept = crops.new_zeros(crops.shape)
    kept[..., top:bottom, left:right] = crops[..., top:bottom, left:right]
    return kept
