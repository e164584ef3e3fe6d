"""How well a face can be seen: figures of one face on one photo, and the words for what is poor.

Measured on the aligned crop, inside the hull of the mesh, so that neither hair nor background counts. Each threshold
was looked up on real faces (docs/describe.md has the figures): most good photographs must pass in silence, and people
of every complexion alike. So darkness is judged by the brightest twentieth of the skin, not by its mean: in ordinary
light dark skin too has bright places.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from mien.core import images
from mien.core.records import Box, Face, Pose, UInt8Image
from mien.faces import align

Remark = Literal["small", "blurred", "dark", "overexposed", "flat", "profile", "tilted", "cut off", "grey", "unsure"]

CROP_PX = 128  # at most; a smaller face is measured at its own size
LEAST_CROP_PX = 32
WHITE, BLACK = 250, 8  # luma from which a pixel is burnt out, and up to which it is drowned

SMALL_PX = 40.0
BLURRED_SHARPNESS = 0.25
DARK_HIGHLIGHTS = 0.33
OVEREXPOSED_SHARE = 0.08
FLAT_CONTRAST = 0.20
PROFILE_YAW_DEGREES = 45.0
TILTED_PITCH_DEGREES = 30.0
CUT_OFF_SHARE = 0.05
UNSURE_SCORE = 0.7
UNSURE_PRESENCE = 0.9


@dataclass(frozen=True, slots=True)
class Quality:
    """How well one face can be seen."""

    size_px: float  # the longer side of the box around its mesh, in photo pixels
    sharpness: float  # share in [0, 1] of the gradient energy that a blur of one crop pixel takes away
    highlights: float  # 95th percentile of the luma, 0 (black) to 1 (white)
    contrast: float  # 95th less 5th percentile of the luma, 0 to 1
    burnt_out: float  # share of the face, 0 to 1, that is white
    drowned: float  # share of the face, 0 to 1, that is black
    outside: float  # share of the face, 0 to 1, that lies outside the photo
    grey: bool  # no colour
    score: float  # the detector's, 0 to 1
    presence: float  # the mesh's: probability that it lies on a face


MEANING: Mapping[Remark, str] = MappingProxyType(
    {
        "small": "few pixels: age, eyewear and what is worn are guesses",
        "blurred": "out of focus, moved or enlarged: age reads too young, fine marks are lost",
        "dark": "hardly lit: sex is missed more often, age reads too young",
        "overexposed": "partly burnt out: skin, lines and makeup are hidden there",
        "flat": "hardly any contrast: fog, fading or a weak print",
        "profile": "turned away: half of the face is not seen, and the angle is read too small",
        "tilted": "seen from far above or below: age and the shape of the face are guesses",
        "cut off": "a part of the face lies outside the photo",
        "grey": "no colour: hair colour, lipstick and skin are guesses",
        "unsure": "may not be a face: a drawing, a sculpture, a pattern",
    }
)


def remarks(quality: Quality, pose: Pose) -> tuple[Remark, ...]:
    """What is poor about a face, in the order of ``MEANING``; empty for a good one."""
    dark, overexposed = quality.highlights < DARK_HIGHLIGHTS, quality.burnt_out > OVEREXPOSED_SHARE
    poor: dict[Remark, bool] = {
        "small": quality.size_px < SMALL_PX,
        "blurred": quality.sharpness < BLURRED_SHARPNESS,
        "dark": dark,
        "overexposed": overexposed,
        "flat": quality.contrast < FLAT_CONTRAST and not dark and not overexposed,  # those have little, and say why
        "profile": abs(pose.yaw_degrees) >= PROFILE_YAW_DEGREES,
        "tilted": abs(pose.pitch_degrees) >= TILTED_PITCH_DEGREES,
        "cut off": quality.outside > CUT_OFF_SHARE,
        "grey": quality.grey,
        "unsure": quality.score < UNSURE_SCORE or quality.presence < UNSURE_PRESENCE,
    }
    return tuple(word for word in MEANING if poor[word])


def mesh_box(face: Face) -> Box:
    """The rectangle around the 468 points: forehead to chin, ear to ear, in photo pixels; may leave the photo."""
    (x0, y0), (x1, y1) = face.mesh[:, :2].min(0), face.mesh[:, :2].max(0)
    return Box(float(x0), float(y0), float(x1) + 1, float(y1) + 1)


def measure(photo: UInt8Image, face: Face) -> Quality:
    """The figures of a face on its photo (H W 3 uint8 RGB).

    Raises ``PhotoError`` (reason ``bad_landmarks``) when the mesh does not span a face.
    """
    box = mesh_box(face)
    side = int(np.clip(round(align.face_unit(face.mesh)), LEAST_CROP_PX, CROP_PX))
    transform = align.crop_transform(face.mesh, side)
    crop = align.warp(photo, transform, side)
    hull = _hull(align.apply(transform, face.mesh), side)
    seen = hull & (align.valid_mask(transform, photo.shape[0], photo.shape[1], side) > 0)
    luma = images.grey(crop)
    inside = luma[seen] if seen.any() else luma.ravel()
    low, high = np.percentile(inside, [5, 95]) / 255
    return Quality(
        size_px=max(box.width, box.height),
        sharpness=_sharpness(luma, seen),
        highlights=float(high),
        contrast=float(high - low),
        burnt_out=float((inside >= WHITE).mean()),
        drowned=float((inside <= BLACK).mean()),
        outside=float(1 - seen.sum() / max(hull.sum(), 1)),
        grey=images.is_grey(crop),
        score=face.detection.score,
        presence=face.presence,
    )


def _hull(points: align.Float64Array, side: int) -> npt.NDArray[np.bool_]:
    """(side side) bool: inside the convex hull of points (n 2, crop px)."""
    mask = np.zeros((side, side), np.uint8)
    corners = cv2.convexHull(np.rint(points).astype(np.int32)[:, None])
    cv2.fillConvexPoly(mask, corners, 1)
    return mask.astype(bool)


def _sharpness(luma: UInt8Image, where: npt.NDArray[np.bool_]) -> float:
    """The share of the squared gradient that a Gaussian blur of sigma 1 px takes away: 0 for a smooth face.

    A ratio, so contrast and light do not count. The idea is that of Crete et al. 2007 ("The blur effect"): a picture
    that is blurred already loses little when it is blurred again. It told the LFW photos labelled Blurry from the
    others better (AUC 0.80) than theirs (0.77) and as well as the variance of the Laplacian, which depends on light.
    """
    kept = cv2.erode(where.astype(np.uint8), np.ones((3, 3), np.uint8))[:-1, :-1].astype(bool)
    before = _gradient_energy(luma.astype(np.float32), kept)
    after = _gradient_energy(cv2.GaussianBlur(luma.astype(np.float32), (0, 0), 1.0), kept)
    return float(np.clip(1 - after / before, 0, 1)) if before > 0 else 0.0


def _gradient_energy(luma: npt.NDArray[np.float32], where: npt.NDArray[np.bool_]) -> float:
    across, down = np.diff(luma, axis=1)[:-1], np.diff(luma, axis=0)[:, :-1]
    return float((across**2 + down**2)[where].sum())
