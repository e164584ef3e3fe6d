"""One crop convention for every source (picture: docs/pictures/crop-convention.png).

A crop is a square turned so that the eyes are level. With the *face unit* ``u`` = the mean of (distance of the outer
eye corners / 0.36) and (distance from the eyes to the mouth / (0.36 x 0.72)), all in photo pixels, the square's side
is ``u`` and the midpoint of the outer eye corners lies at x = 0.50, y = 0.42 of it. Using both distances keeps the
scale when the head turns (the first shrinks) or nods (the second shrinks).

Coordinates are pixels with (0, 0) the *centre* of the top left pixel, in photo and crop alike: a place at the share
``f`` of a crop of ``size`` pixels is at ``f * size - 0.5``. So a crop of 256 px halved by area is the crop of 128 px.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core.errors import PhotoError
from mien.core.records import Float32Array, UInt8Image

Float64Array = npt.NDArray[np.float64]

# Vertices of the 468-point mesh; left and right are those of the image.
EYE_LEFT_OUTER, EYE_RIGHT_OUTER = 33, 263
MOUTH_LEFT, MOUTH_RIGHT = 61, 291

EYE_DISTANCE = 0.36  # outer corners, of the side of the crop
MOUTH_DISTANCE_IN_EYE_DISTANCES = 0.72  # eyes to mouth, of an average upright face
EYE_X, EYE_Y = 0.50, 0.42  # midpoint of the outer eye corners, of the side of the crop

ENCODER_EYE_DISTANCE = 0.43  # the same two in the window that the face encoder reads (FaceNet's own framing)
ENCODER_EYE_Y = 0.40
ENCODER_PX = 160
ENCODER_SIDE = EYE_DISTANCE / ENCODER_EYE_DISTANCE
ENCODER_WINDOW = (EYE_X - ENCODER_SIDE / 2, EYE_Y - ENCODER_EYE_Y * ENCODER_SIDE, ENCODER_SIDE)  # left, top, side

LARGEST_PADDED_PX = 200e6  # beyond it the border is not laid on first; only nonsense transforms get there


def crop_transform(mesh_points: npt.ArrayLike, size: int) -> Float64Array:
    """Mesh points (468 2 or 468 3, photo px) -> the similarity 2 x 3 that takes photo px to crop px. No reflection.

    Raises ``PhotoError`` (reason ``bad_landmarks``) when the points do not span a face.
    """
    points = np.asarray(mesh_points, np.float64)[:, :2]
    left, right = points[EYE_LEFT_OUTER], points[EYE_RIGHT_OUTER]
    eyes = (left + right) / 2
    along = right - left
    unit = face_unit(points)
    length = float(np.hypot(*along))
    if not np.isfinite(unit) or length < 1e-6:
        raise PhotoError("bad_landmarks", "the landmarks do not span a face (the eyes coincide)")
    scale = size / unit
    cos, sin = along / length * scale
    rotation = np.array([[cos, sin], [-sin, cos]])
    target = np.array([EYE_X, EYE_Y]) * size - 0.5
    return np.column_stack([rotation, target - rotation @ eyes])


def face_unit(mesh_points: npt.ArrayLike) -> float:
    """The side of the crop's square in photo pixels."""
    points = np.asarray(mesh_points, np.float64)[:, :2]
    left, right = points[EYE_LEFT_OUTER], points[EYE_RIGHT_OUTER]
    mouth = (points[MOUTH_LEFT] + points[MOUTH_RIGHT]) / 2
    by_eyes = np.hypot(*(right - left)) / EYE_DISTANCE
    by_mouth = np.hypot(*(mouth - (left + right) / 2)) / (EYE_DISTANCE * MOUTH_DISTANCE_IN_EYE_DISTANCES)
    return float(by_eyes + by_mouth) / 2


def apply(transform: Float64Array, points: npt.ArrayLike) -> Float64Array:
    """Points (n 2) through a 2 x 3 transform."""
    return np.asarray(points, np.float64)[..., :2] @ transform[:, :2].T + transform[:, 2]


def invert(transform: Float64Array) -> Float64Array:
    """The transform back: crop px -> photo px."""
    inverse = np.linalg.inv(transform[:, :2])
    return np.column_stack([inverse, -inverse @ transform[:, 2]])


def warp(photo: UInt8Image, transform: Float64Array, size: int, *, border: int = cv2.BORDER_REFLECT_101) -> UInt8Image:
    """The crop (size size 3): bilinear where it grows, box-filtered where it shrinks, mirrored beyond the photo's edge.

    Shrinking by ``f`` samples ``ceil(f)`` times finer and averages, so that nothing aliases at any rotation.
    """
    factor = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    finer = max(int(np.ceil(1 / factor - 1e-3)), 1)
    photo, moved = _around(photo, transform, size, border)
    if finer > 1:  # crop px -> finer px: x' = (x + 0.5) * finer - 0.5
        moved = moved * finer
        moved[:, 2] += (finer - 1) / 2
    fine = cv2.warpAffine(photo, moved, (size * finer, size * finer), flags=cv2.INTER_LINEAR, borderMode=border)
    if finer > 1:
        fine = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(fine, np.uint8)


def _around(photo: UInt8Image, transform: Float64Array, size: int, border: int) -> tuple[UInt8Image, Float64Array]:
    """The part of a photo that a crop reads, its border already laid on, and the transform from there.

    Laying the border on first is three times faster than asking ``warpAffine`` for it pixel by pixel, and a part of a
    photo that is longer than the 32,767 px which ``warpAffine`` can count fits.
    """
    height, width = photo.shape[:2]
    corners = apply(invert(transform), np.array([[-1, -1], [size, -1], [-1, size], [size, size]]))
    low, high = np.floor(corners.min(0)).astype(int) - 2, np.ceil(corners.max(0)).astype(int) + 3
    end = np.array([width, height])
    before, after = np.maximum(-low, 0), np.maximum(high - end, 0)  # how far the crop reaches over the photo
    if np.prod(np.maximum(high - low, 1).astype(float)) > LARGEST_PADDED_PX:
        return photo, transform
    # What is mirrored lies as far inside the photo as the crop reaches outside.
    x0, y0 = np.clip(np.minimum(low, end - 1 - after), 0, end - 1)
    x1, y1 = np.clip(np.maximum(high, before + 1), 1, end)
    part = photo[y0:y1, x0:x1]
    if before.any() or after.any():
        (left, top), (right, bottom) = before.tolist(), after.tolist()
        part = np.asarray(cv2.copyMakeBorder(part, top, bottom, left, right, border), np.uint8)
    moved = transform.copy()
    moved[:, 2] += transform[:, :2] @ (np.array([x0, y0]) - before)
    return part, moved


def valid_mask(transform: Float64Array, photo_height: int, photo_width: int, size: int) -> Float32Array:
    """(size size) float32: 1 where the centre of a crop pixel lies inside the photo, 0 where it was mirrored."""
    inverse = invert(transform)
    grid = np.arange(size, dtype=np.float64)
    x = inverse[0, 0] * grid[None, :] + inverse[0, 1] * grid[:, None] + inverse[0, 2]
    y = inverse[1, 0] * grid[None, :] + inverse[1, 1] * grid[:, None] + inverse[1, 2]
    inside = (x >= -0.5) & (x <= photo_width - 0.5) & (y >= -0.5) & (y <= photo_height - 0.5)
    return np.asarray(inside, np.float32)


def encoder_window(crops: Tensor, out: int = ENCODER_PX) -> Tensor:
    """Crops (N 3 S S, any range) -> the window that the face encoder reads (N 3 out out). Differentiable.

    The fixed square of the crop in which the outer eye corners are 0.43 of its side apart and 0.40 down: from
    (0.081, 0.085) to (0.919, 0.922). Resampled by a triangle filter as wide as the larger of the two pixels.
    """
    return window(crops, *ENCODER_WINDOW, out)


def whole_window(crops: Tensor, out: int) -> Tensor:
    """Crops (N C S S, any range) -> the same crops at another size (N C out out). Differentiable."""
    return window(crops, 0.0, 0.0, 1.0, out)


def window(crops: Tensor, x: float, y: float, side: float, out: int) -> Tensor:
    """Crops (N C S S, any range) -> the square with its left top corner at (x, y) and of ``side``, as (N C out out).

    All three in shares of the crop's side. Resampled by a triangle filter as wide as the larger of the two pixels.
    Differentiable.
    """
    across = _resampling(crops.shape[-1], out, x, side).to(crops)
    down = _resampling(crops.shape[-2], out, y, side).to(crops)
    return down @ crops @ across.T  # N C out out


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # kept for callers that take gradients, whoever asks first
def _resampling(size: int, out: int, start: float, side: float) -> Tensor:
    """(out size) float32 matrix that resamples the part [start, start + side] of ``size`` pixels to ``out`` pixels."""
    step = side * size / out  # source pixels per output pixel
    centres = start * size + (torch.arange(out, dtype=torch.float64) + 0.5) * step - 0.5
    weights = 1 - (torch.arange(size, dtype=torch.float64) - centres[:, None]).abs() / max(step, 1.0)
    weights = weights.clamp(min=0)
    return (weights / weights.sum(1, keepdim=True)).to(torch.float32)


def rescaled(transform: Float64Array, size: int, wanted: int) -> Float64Array:
    """The transform to a crop of ``size`` px -> the transform to the same crop at ``wanted`` px (pixel centres)."""
    ratio = wanted / size
    scaled = np.array(transform, np.float64) * ratio
    scaled[:, 2] += (ratio - 1) / 2
    return scaled


def mirrored_outside(crop: UInt8Image, transform: Float64Array, photo_height: int, photo_width: int) -> UInt8Image:
    """The crop as if its photo had been cut to ``photo_width`` x ``photo_height`` under ``transform``.

    What lies outside becomes the mirror image of what lies inside, as ``warp`` does at the border of a real photo. It
    makes a loose crop look like one of a tightly cut photo.
    """
    back = mirrored_from(transform, photo_height, photo_width, crop.shape[0])
    return np.asarray(cv2.remap(crop, back, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def mirrored_from(transform: Float64Array, photo_height: int, photo_width: int, size: int) -> Float32Array:
    """(size size 2) float32: where in the crop, x and y in its pixels, each pixel of ``mirrored_outside`` comes from.

    Inside the photo that is the pixel itself; it may lie outside the crop.
    """
    grid = np.arange(size, dtype=np.float64)
    points = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)  # S*S 2, crop pixels
    inside = apply(invert(transform), points)
    for axis, length in enumerate((photo_width, photo_height)):
        inside[:, axis] = _reflected(inside[:, axis], length)
    return apply(transform, inside).reshape(size, size, 2).astype(np.float32)


def _reflected(values: Float64Array, length: int) -> Float64Array:
    """Coordinates folded into [0, length - 1] as cv2.BORDER_REFLECT_101 does."""
    period = 2.0 * max(length - 1, 1)
    return np.asarray(period / 2 - np.abs(np.mod(values, period) - period / 2), np.float64)
