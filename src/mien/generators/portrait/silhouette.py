"""Where a drawn portrait is person and where background: a soft mask of head, hair and shoulders.

GrabCut (Rother et al. 2004) from what is known beforehand of a frontal face in mien's crop, then a guided filter (He et
al. 2010) that lets the edge follow the hair. Made for portraits on the light, calm background that ``neutral`` asks
for; on a photograph with a busy background it fails.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.images import resize
from mien.core.records import Float32Array, UInt8Image

ROUNDS = 5
CUT_PX = 128  # larger portraits are cut at this size: six times as fast, and the filter finds the edges again
# All in shares of the crop's side: ellipses (centre x, centre y, half width, half height).
SURELY_FACE = (0.50, 0.52, 0.25, 0.33)
MAYBE_HEAD = (0.50, 0.45, 0.36, 0.47)
NECK = (0.36, 0.80, 0.64)  # left, top, right; down to the lower edge
CORNER = (0.22, 0.60)  # background: this wide at the top, down to here at the sides
EDGE_PX_SHARE = 0.03  # width of those strips
# What differs from the background by so much (CIE Lab, its hue 1.5 times) may be hair or shoulders, or is clothing; the
# one from the first height down, the other from the second.
DIFFERS, IS_ANOTHER = 18.0, 50.0
SPREADS, SPREADS_OF_ANOTHER = 1.5, 3.0  # ... and by so many times what the background itself differs
HAIR_FROM, CLOTHES_FROM = 0.25, 0.72
ASIDE, SHOULDERS_AT = 0.34, 0.82  # so far from the middle, above this, what looks like background surely is
HUE = np.array([1.0, 1.5, 1.5], np.float32)
RIM_SHARE, REACH_SHARE = 0.01, 0.02  # how deep the background shines into hair; from how far hair's own colours come
SURELY = 0.98
VEIL = 0.06  # softer than that is nothing at all: faint veils far from the hair would show on other colours


def person_mask(portrait: UInt8Image) -> Float32Array:
    """A frontal portrait (S S 3) in mien's crop -> S S float32 in [0, 1]: 1 person, 0 background, soft between."""
    size = portrait.shape[0]
    small = portrait if size <= CUT_PX else resize(portrait, CUT_PX, CUT_PX)
    labels = _told_by_colour(_beforehand(small.shape[0]), small)
    models = np.zeros((2, 1, 65))
    cv2.setRNGSeed(0)  # its k-means would draw from a global state
    cv2.grabCut(np.ascontiguousarray(small), labels, None, models[0], models[1], ROUNDS, cv2.GC_INIT_WITH_MASK)
    person = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    whole = cv2.resize(_whole(person).astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    light = portrait.astype(np.float32).mean(2) / 255
    return _guided(light, np.asarray(whole, np.float32), max(3, int(0.07 * size) | 1))


def _beforehand(size: int) -> npt.NDArray[np.uint8]:
    """GrabCut's labels by place alone."""
    labels = np.full((size, size), cv2.GC_PR_BGD, np.uint8)

    def ellipse(share: tuple[float, float, float, float], value: int) -> None:
        x, y, half_width, half_height = (round(part * size) for part in share)
        cv2.ellipse(labels, (x, y), (half_width, half_height), 0, 0, 360, value, -1)

    strip, high, low = max(1, round(EDGE_PX_SHARE * size)), round(CORNER[0] * size), round(CORNER[1] * size)
    labels[:strip, :high] = labels[:strip, size - high :] = cv2.GC_BGD
    labels[:low, :strip] = labels[:low, size - strip :] = cv2.GC_BGD
    ellipse(MAYBE_HEAD, cv2.GC_PR_FGD)
    left, top, right = (round(part * size) for part in NECK)
    labels[top:, left:right] = cv2.GC_FGD
    ellipse(SURELY_FACE, cv2.GC_FGD)
    return labels


def _told_by_colour(labels: npt.NDArray[np.uint8], portrait: UInt8Image) -> npt.NDArray[np.uint8]:
    """``_beforehand`` with long hair and shoulders: what is beside and below the face in another colour than behind.

    By place alone GrabCut takes a dark suit, which also lies where background was expected, for background. The colour
    behind may run evenly from one side to the other.
    """
    size = len(labels)
    colours = cv2.cvtColor(np.ascontiguousarray(portrait), cv2.COLOR_RGB2LAB).astype(np.float32) * HUE
    down, across = np.mgrid[0:size, 0:size].astype(np.float32) / size - 0.5
    places = np.stack([np.ones_like(down), across, down], -1)  # S S 3
    behind = labels == cv2.GC_BGD
    plane = np.linalg.lstsq(places[behind], colours[behind], rcond=None)[0]  # 3 3
    off = np.linalg.norm(colours - places @ plane, axis=2)
    spread = float(np.percentile(off[behind], 90))
    off = cv2.GaussianBlur(off.astype(np.float32), (0, 0), size / 128)
    found = labels.copy()
    beside = (down + 0.5 >= HAIR_FROM) & np.isin(labels, (cv2.GC_PR_BGD, cv2.GC_PR_FGD))
    found[beside] = cv2.GC_PR_BGD
    found[beside & (np.abs(across) > ASIDE) & (down + 0.5 < SHOULDERS_AT) & (off < DIFFERS / 2)] = cv2.GC_BGD
    found[beside & (off > max(DIFFERS, SPREADS * spread))] = cv2.GC_PR_FGD
    found[beside & (down + 0.5 >= CLOTHES_FROM) & (off > max(IS_ANOTHER, SPREADS_OF_ANOTHER * spread))] = cv2.GC_FGD
    return found


def _whole(person: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The one piece that holds the face, its holes filled."""
    size = person.shape[0]
    _, pieces = cv2.connectedComponents(person)
    one: npt.NDArray[np.uint8] = (pieces == pieces[round(0.55 * size), size // 2]).astype(np.uint8)
    count, outside = cv2.connectedComponents(1 - one)
    border = np.concatenate([outside[0], outside[:, 0], outside[:, -1]])
    for piece in range(1, count):
        if not (border == piece).any():
            one[outside == piece] = 1
    return one


def _guided(guide: Float32Array, mask: Float32Array, side: int, epsilon: float = 1e-3) -> Float32Array:
    """The mask as a locally linear function of the guide, over squares of ``side`` px."""

    def mean(values: Any) -> Any:
        return cv2.blur(values, (side, side))

    mean_guide, mean_mask = mean(guide), mean(mask)
    slope = (mean(guide * mask) - mean_guide * mean_mask) / (mean(guide * guide) - mean_guide**2 + epsilon)
    soft = mean(slope) * guide + mean(mean_mask - slope * mean_guide)
    return np.asarray(np.clip((soft - VEIL) / (1 - 2 * VEIL), 0, 1), np.float32)


def over(portrait: UInt8Image, mask: Float32Array, colour: tuple[int, int, int]) -> UInt8Image:
    """The person on a plain colour."""
    share = mask[..., None]
    own = person_colours(portrait, mask)
    return np.asarray(own * share + np.array(colour, np.float32) * (1 - share) + 0.5, np.uint8)


def cut_out(portrait: UInt8Image, mask: Float32Array) -> npt.NDArray[np.uint8]:
    """S S 4: the person with the mask as alpha."""
    own = np.asarray(person_colours(portrait, mask) + 0.5, np.uint8)
    return np.dstack([own, np.asarray(mask * 255 + 0.5, np.uint8)])


def person_colours(portrait: UInt8Image, mask: Float32Array) -> Float32Array:
    """The portrait (S S 3) with the person's own colours along the edge of the mask, and beyond: S S 3 in [0, 255].

    What is drawn there is half background: on another colour than that one it would shine as a light rim. The colours
    come from a little farther in; where no person is near, the portrait stays as it is.
    """
    size = portrait.shape[0]
    drawn = portrait.astype(np.float32)
    deep = 2 * max(1, round(RIM_SHARE * size)) + 1
    inside = cv2.erode((mask > SURELY).astype(np.float32), np.ones((deep, deep), np.uint8))
    reach = max(1.0, REACH_SHARE * size)
    weight: Any = cv2.GaussianBlur(inside, (0, 0), reach)
    from_inside: Any = cv2.GaussianBlur(drawn * inside[..., None], (0, 0), reach)
    near = weight > 1e-3
    taken = cv2.GaussianBlur(1 - inside, (0, 0), max(0.5, RIM_SHARE * size / 2)) * near
    own = from_inside / np.maximum(weight, 1e-3)[..., None]
    return np.asarray(drawn + (own - drawn) * taken[..., None], np.float32)
