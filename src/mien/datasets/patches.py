"""What an enlarger learns from: patches of faces that hold real detail, and their halves as a decoder would draw them.

A crop of 256 px holds the detail of 256 px only where its photo had as many pixels there. Each face is therefore used
at the size at which its photo was taken (``native_px``, at most that of the crop), and only if it is sharp.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.config import Config
from mien.core.errors import DatasetError, RequestError
from mien.core.progress import OnProgress
from mien.core.records import UInt8Image
from mien.core.seeding import stream
from mien.datasets.batches import FaceDataset, Rows
from mien.faces import align

BLOCK = 64
MIDDLE_GREY = 128.0  # what a change of contrast leaves as it is


class DetailRules(Config):
    """Which faces hold detail, and what is done to their halves."""

    least_px: int = 160  # size of the crop in pixels of the photo
    sharpness: tuple[float, float] = (40.0, 600.0)  # the catalogue's; above it is mostly noise and ringing
    faces: int = 3000  # at most, drawn at random
    sources: tuple[str, ...] = ()  # nothing: all
    of_each: int | None = None  # at most so many of one source, drawn at random
    patch_px: int = 96  # of the large picture
    inside: float = 0.85  # share of a patch that must lie inside its photo
    blurred: float = 0.5  # share of the halves that are blurred, by a Gaussian of up to ...
    blur_px: float = 0.8
    noise: float = 3.0  # largest deviation of noise, of 255
    light: float = 0.12  # largest change of contrast; a third of it for each colour


@dataclass(frozen=True, eq=False)
class Detailed:
    """Faces at their own sizes. The photo of ``pictures[k]`` (S S 3, S even) covers ``inside[k]`` of it."""

    pictures: tuple[UInt8Image, ...]
    inside: tuple[npt.NDArray[np.bool_], ...]  # each on a coarse grid: S/8 S/8

    def __len__(self) -> int:
        return len(self.pictures)


def native_px(data: FaceDataset, row: int) -> int:
    """Side of a face's crop in pixels of its photo, no more than the crop has: an even number."""
    size = data.stored_size
    scale = math.sqrt(abs(np.linalg.det(data.transform(row, size)[:, :2])))
    return int(min(size, size / max(scale, 1e-9))) // 2 * 2


def detailed_rows(data: FaceDataset, split: str, rules: DetailRules, seed: int = 0) -> Rows:
    """The rows of ``split`` that ``rules`` take, ascending; ``DatasetError`` where there are none."""
    low, high = rules.sharpness
    there = sorted({face.source for face in data.faces}) if rules.sources else []
    if unknown := [name for name in rules.sources if name not in there]:
        raise RequestError(f"sources: '{unknown[0]}' given; allowed: {', '.join(there)}")
    rows = [
        row
        for row in data.rows(split).tolist()
        if (not rules.sources or data.faces[row].source in rules.sources)
        and (sharpness := data.faces[row].sharpness) is not None
        and low <= sharpness <= high
        and native_px(data, row) >= max(rules.least_px, rules.patch_px)
    ]
    if not rows:
        raise DatasetError(
            f"{data.dest}: no sharp face in the split '{split}' whose crop has {rules.least_px} px of its photo; photos"
            " of a higher resolution are wanted"
        )
    chosen = stream(seed, "detailed", split).permutation(len(rows))
    if rules.of_each is not None:
        chosen = _few_of_each([data.faces[rows[place]].source for place in chosen], chosen, rules.of_each)
    return np.sort(np.array(rows, np.int64)[chosen[: rules.faces]])


def _few_of_each(sources: Sequence[str], places: Rows, most: int) -> Rows:
    seen: Counter[str] = Counter()
    kept = []
    for source, place in zip(sources, places.tolist(), strict=True):
        seen[source] += 1
        if seen[source] <= most:
            kept.append(place)
    return np.array(kept, np.int64)


def detailed(data: FaceDataset, rows: Rows, on_progress: OnProgress | None = None) -> Detailed:
    """The faces of ``rows``, decoded and brought to their own sizes."""
    pictures: list[UInt8Image] = []
    inside: list[npt.NDArray[np.bool_]] = []
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        for row, crop in zip(part.tolist(), data.decoded(part), strict=True):
            size = native_px(data, row)
            small = crop if size == crop.shape[0] else cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
            face = data.faces[row]
            coarse = align.valid_mask(
                data.transform(row, size // 8), face.photo_height or 0, face.photo_width or 0, size // 8
            )
            pictures.append(np.asarray(small, np.uint8))
            inside.append(coarse > 0)
        if on_progress is not None:
            on_progress(min(start + BLOCK, len(rows)), len(rows))
    return Detailed(tuple(pictures), tuple(inside))


def patch_batches(
    seen: Detailed, drawn: UInt8Image, batch_size: int, seed: int, rules: DetailRules, drawn_share: float
) -> Callable[[int], dict[str, Any]]:
    """``batch_at(step)`` of patches: photographed ones, and a share of ``drawn`` pictures (M s s 3), the last rows.

    ``small`` (N p/2 p/2 3 uint8, p = ``patch_px``) is what is enlarged; ``large`` (N p p 3 uint8) is its
    truth where ``known`` (N) is 1, and a photographed patch of another face where it is 0. ``shared`` is an empty dict.
    """
    of_drawn = round(batch_size * drawn_share) if len(drawn) else 0

    def batch_at(step: int) -> dict[str, Any]:
        draws = stream(seed, "patches", step)
        large = [_patch(seen, rules, draws) for _ in range(batch_size)]
        small = [_half(patch, rules, draws) for patch in large[: batch_size - of_drawn]]
        small += [_piece(drawn, rules.patch_px // 2, draws) for _ in range(of_drawn)]
        known = np.arange(batch_size) < batch_size - of_drawn
        return {
            "small": np.stack(small),
            "large": np.stack(large),
            "known": known.astype(np.float32),
            "shared": {},
        }

    return batch_at


def _patch(seen: Detailed, rules: DetailRules, draws: np.random.Generator) -> UInt8Image:
    """A patch p p 3 of a face, mirrored or not, in a light of its own."""
    side = rules.patch_px
    face = int(draws.integers(len(seen)))
    picture, inside = seen.pictures[face], seen.inside[face]
    top = left = 0
    for _ in range(8):
        top, left = (int(draws.integers(0, picture.shape[0] - side + 1)) for _ in range(2))
        cells = inside[top // 8 : (top + side) // 8, left // 8 : (left + side) // 8]
        if cells.mean() >= rules.inside:
            break
    patch = picture[top : top + side, left : left + side].astype(np.float32)
    if draws.random() < 0.5:
        patch = patch[:, ::-1]
    contrast = 1 + draws.uniform(-1, 1) * rules.light
    colour = 1 + draws.uniform(-1, 1, 3) * rules.light / 3
    lit = (patch - MIDDLE_GREY) * contrast * colour + MIDDLE_GREY
    return np.asarray(np.clip(lit + 0.5, 0, 255), np.uint8)


def _half(patch: UInt8Image, rules: DetailRules, draws: np.random.Generator) -> UInt8Image:
    """The patch at half its size (area average), a little blurred and noisy."""
    side = patch.shape[0] // 2
    small = cv2.resize(patch.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    if draws.random() < rules.blurred:
        small = cv2.GaussianBlur(small, (0, 0), float(draws.uniform(0.2, rules.blur_px)))
    noise = draws.standard_normal(small.shape, np.float32) * (draws.random() ** 2 * rules.noise)
    return np.asarray(np.clip(small + noise + 0.5, 0, 255), np.uint8)


def _piece(drawn: UInt8Image, side: int, draws: np.random.Generator) -> UInt8Image:
    picture = drawn[int(draws.integers(len(drawn)))]
    top, left = (int(draws.integers(0, picture.shape[0] - side + 1)) for _ in range(2))
    return np.asarray(picture[top : top + side, left : left + side], np.uint8)
