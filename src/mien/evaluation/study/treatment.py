"""What is done to every picture of a study, real or generated, so that nothing but the face tells which it is."""

from __future__ import annotations

import itertools

import numpy as np

from mien.core.images import resize
from mien.core.records import Float32Array, UInt8Image
from mien.evaluation.study.design import Background

GREY = 128
# Brows to chin of mien's aligned crop, in shares of its side: as much as tightly cut photographs hold (inner_square).
OVAL_X, OVAL_Y, OVAL_HALF_WIDTH, OVAL_HALF_HEIGHT = 0.50, 0.55, 0.30, 0.31
EDGE_SHARE = 0.06  # of the half axes: over this the oval fades into grey
SCRAMBLED_BLOCKS = 4  # a side
MASK_BLOCKS = 12


def oval(size: int) -> Float32Array:
    """S S: 1 on the face, 0 outside the oval, soft between."""
    places = (np.arange(size) + 0.5) / size
    x, y = (places[None] - OVAL_X) / OVAL_HALF_WIDTH, (places[:, None] - OVAL_Y) / OVAL_HALF_HEIGHT
    return np.asarray(np.clip((1 - np.hypot(x, y)) / EDGE_SHARE, 0, 1), np.float32)


def treated(photo: UInt8Image, size: int, background: Background) -> UInt8Image:
    """A square photo (H H 3) at ``size`` px; with ``oval`` everything but the face is grey."""
    pixels = photo if photo.shape[0] == size else resize(photo, size, size)
    if background == "whole":
        return pixels
    share = oval(size)[..., None]
    return np.asarray(pixels * share + GREY * (1 - share) + 0.5, np.uint8)


def shown_inside(mask: Float32Array, background: Background) -> bool:
    """Whether a crop whose mirrored border is 0 in ``mask`` (S S) shows nothing of that border."""
    hidden = oval(len(mask)) == 0 if background == "oval" else np.zeros(mask.shape, bool)
    return bool(((mask > 0.5) | hidden).all())


def scrambled(photo: UInt8Image, random: np.random.Generator) -> UInt8Image:
    """A face cut into blocks, none of which lies where it was: nobody who looks takes it for a photograph."""
    rows, columns = _edges(photo.shape[0], SCRAMBLED_BLOCKS), _edges(photo.shape[1], SCRAMBLED_BLOCKS)
    places = [(int(r), int(c)) for r in range(SCRAMBLED_BLOCKS) for c in range(SCRAMBLED_BLOCKS)]
    order = random.permutation(len(places))
    moved = np.roll(order, 1)  # along one random cycle: no block stays
    side = min(int(np.diff(rows).min()), int(np.diff(columns).min()))
    mixed = np.full_like(photo, GREY)
    for to, origin in zip(order, moved, strict=True):
        (r, c), (fr, fc) = places[int(to)], places[int(origin)]
        block = photo[rows[fr] : rows[fr] + side, columns[fc] : columns[fc] + side]
        mixed[rows[r] : rows[r] + side, columns[c] : columns[c] + side] = np.rot90(block, int(random.integers(4)))
    return mixed


def mask_of(photos: list[UInt8Image], random: np.random.Generator) -> UInt8Image:
    """A mosaic of small pieces of many pictures (one size): shown after the face, it ends its after-image."""
    size = photos[0].shape[0]
    edges = _edges(size, MASK_BLOCKS)
    mosaic = np.full_like(photos[0], GREY)
    for top, bottom in itertools.pairwise(edges):
        for left, right in itertools.pairwise(edges):
            photo = photos[int(random.integers(len(photos)))]
            # From the middle, where faces are: the corners may be grey.
            y, x = (
                int(random.integers(size // 4, size - size // 4 - (b - a) + 1))
                for a, b in ((top, bottom), (left, right))
            )
            mosaic[top:bottom, left:right] = photo[y : y + bottom - top, x : x + right - left]
    return mosaic


def _edges(size: int, parts: int) -> list[int]:
    return [size * part // parts for part in range(parts + 1)]
