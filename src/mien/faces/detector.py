"""BlazeFace: photos -> where the faces are (Bazarevsky et al. 2019, https://arxiv.org/abs/1907.05047).

The short-range network of MediaPipe looks at 128 x 128 px, so it sees faces from about a tenth of the longer side of
what it is shown. ``detect`` shows it whole photos; ``thorough=True`` overlapping tiles as well, for groups.
Departure from MediaPipe: photos are shrunk by area average instead of bilinear sampling, which aliases.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from mien.core import checkpoints, images
from mien.core.memory import keep_freed_memory
from mien.core.records import Box, Detection, UInt8Image
from mien.pretrained.tflite_graph import TFLiteGraph

INPUT_PX = 128
THRESHOLD = 0.5  # of the score, as MediaPipe
OVERLAP = 0.3  # intersection over union above which two detections are one face
RETRY_PADDINGS = (0.1, 0.3)  # of the longer side, black, each side; for crops so tight that the face fills the frame
SCORE_LOGIT_LIMIT = 80.0  # MediaPipe clips there; keeps exp() finite
BATCH = 8  # what fits the cache of one core best
TILE_SIDES = (0.5, 0.25)  # of the longer side of the photo
TILE_STEP = 2 / 3  # of the tile; a face smaller than the third that overlaps lies whole in some tile
CONTAINED = 0.7  # intersection over the smaller box above which a tile's detection is a part of another

_Rows = npt.NDArray[np.float64]  # n 17: x0 y0 x1 y1, six key points x y, score


class BlazeFace(TFLiteGraph):
    """The network: N 3 128 128 in [-1, 1] -> ``regressors`` N 896 16 (px) and ``classificators`` N 896 1 (logits)."""


def load_detector(device: str | torch.device = "cpu") -> BlazeFace:
    """The detector that travels with mien."""
    keep_freed_memory()
    tensors, metadata = checkpoints.load_weights(
        checkpoints.WEIGHTS / "blazeface.safetensors", model="blazeface", dtype=None
    )
    return BlazeFace(tensors, metadata.get("graph", {})).to(device).eval()


def _anchors() -> npt.NDArray[np.float64]:
    """Anchor centres (896, 2) in [0, 1]: a 16 x 16 grid with 2 each, then 8 x 8 with 6 each, row by row."""
    layers = []
    for cells, count in ((16, 2), (8, 6)):
        y, x = np.mgrid[:cells, :cells].reshape(2, -1)
        layers.append(np.repeat((np.stack([x, y], 1) + 0.5) / cells, count, axis=0))
    return np.concatenate(layers)


ANCHORS = _anchors()


def detect(
    detector: BlazeFace, photos: Sequence[UInt8Image], *, threshold: float = THRESHOLD, thorough: bool = False
) -> list[list[Detection]]:
    """The faces of each photo, largest first; an empty list where there is none.

    Photos (H W 3 uint8 RGB) may differ in size. Where nothing is found the photo is shown again with 10 %, then 30 %
    black padding. ``thorough`` adds tiles of a half and a quarter of the longer side (up to 46 looks more).
    """
    frames = [_whole(photo) for photo in photos]
    found = _look(detector, photos, frames, threshold)
    for padding in RETRY_PADDINGS:
        empty = [i for i, rows in enumerate(found) if not len(rows)]
        again = [photos[i] for i in empty]
        padded = _look(detector, again, [_whole(photo, padding) for photo in again], threshold)
        for i, rows in zip(empty, padded, strict=True):
            found[i] = rows
    if thorough:
        found = [_with_tiles(detector, p, rows, threshold) for p, rows in zip(photos, found, strict=True)]
    return [_detections(merge(rows)) for rows in found]


# A frame is the square of a photo that the network is shown: (left edge, top edge, side) in pixels, edges of pixels
# (the top left corner of the photo is 0, 0). It may reach over the photo; what lies outside is black.
_Frame = tuple[float, float, float]


def _whole(photo: UInt8Image, padding: float = 0.0) -> _Frame:
    height, width = photo.shape[:2]
    side = max(height, width) * (1 + 2 * padding)
    return (width - side) / 2, (height - side) / 2, side


def _look(detector: BlazeFace, photos: Sequence[UInt8Image], frames: Sequence[_Frame], threshold: float) -> list[_Rows]:
    """Raw detections over the threshold, before merging, in pixel-centre coordinates of the photos."""
    found: list[_Rows] = []
    device = next(detector.buffers()).device
    for start in range(0, len(photos), BATCH):
        chunk = slice(start, start + BATCH)
        shown = np.stack([_letterbox(p, f) for p, f in zip(photos[chunk], frames[chunk], strict=True)])
        with torch.inference_mode():
            out = detector(images.to_tensor(shown).to(device))
        values = out["regressors"].cpu().numpy().astype(np.float64)  # n 896 16
        logits = out["classificators"][..., 0].cpu().numpy().astype(np.float64)  # n 896
        scores = 1 / (1 + np.exp(-np.clip(logits, -SCORE_LOGIT_LIMIT, SCORE_LOGIT_LIMIT)))
        for index, frame in enumerate(frames[chunk]):
            best = np.flatnonzero(scores[index] >= threshold)
            found.append(_decode(values[index, best], scores[index, best], ANCHORS[best], frame))
    return found


def _letterbox(photo: UInt8Image, frame: _Frame) -> UInt8Image:
    """The frame of a photo as 128 x 128, black where it reaches over the photo."""
    height, width = photo.shape[:2]
    left, top, side = frame
    x0, y0 = max(round(left), 0), max(round(top), 0)
    x1, y1 = min(round(left + side), width), min(round(top + side), height)
    scale = INPUT_PX / side
    across = np.clip(np.rint((np.array([x0, x1]) - left) * scale), 0, INPUT_PX).astype(int)
    down = np.clip(np.rint((np.array([y0, y1]) - top) * scale), 0, INPUT_PX).astype(int)
    across[1], down[1] = max(across[1], across[0] + 1), max(down[1], down[0] + 1)  # a strip one pixel thin stays
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shown = np.zeros((INPUT_PX, INPUT_PX, 3), np.uint8)
    size = (int(across[1] - across[0]), int(down[1] - down[0]))
    shown[down[0] : down[1], across[0] : across[1]] = cv2.resize(photo[y0:y1, x0:x1], size, interpolation=method)
    return shown


def _decode(values: _Rows, scores: _Rows, anchors: _Rows, frame: _Frame) -> _Rows:
    """Network values (n 16, px of its input, relative to the anchors) -> rows in the photo's pixels."""
    left, top, side = frame
    points = values.reshape(-1, 8, 2) / INPUT_PX  # centre, size, six key points
    centre, size, keypoints = points[:, 0] + anchors, points[:, 1], points[:, 2:] + anchors[:, None]
    corner = np.array([left, top])
    low = (centre - size / 2) * side + corner - 0.5  # edges -> pixel centres
    high = (centre + size / 2) * side + corner - 0.5
    marks = keypoints * side + corner - 0.5
    return np.concatenate([low, high, marks.reshape(len(values), 12), scores[:, None]], 1)


def merge(rows: _Rows, overlap: float = OVERLAP) -> _Rows:
    """Weighted non-maximum suppression: the best detection and all that overlap it become their mean by score."""
    rest = rows[np.argsort(-rows[:, 16], kind="stable")]
    merged = []
    while len(rest):
        same = intersection(rest[0], rest)[0] > overlap
        same[0] = True
        weights = rest[same, 16:]
        merged.append(np.append((rest[same, :16] * weights).sum(0) / weights.sum(), rest[0, 16]))
        rest = rest[~same]
    return np.array(merged).reshape(-1, 17)


def intersection(row: _Rows, rows: _Rows) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of one box with each of ``rows``: intersection over union, and intersection over the smaller of the two."""
    low, high = np.maximum(row[:2], rows[:, :2]), np.minimum(row[2:4], rows[:, 2:4])
    common = np.prod(np.maximum(high - low, 0), axis=1)
    areas = np.prod(np.maximum(rows[:, 2:4] - rows[:, :2], 0), axis=1)
    area = float(np.prod(np.maximum(row[2:4] - row[:2], 0)))
    return common / np.maximum(area + areas - common, 1e-12), common / np.maximum(np.minimum(area, areas), 1e-12)


def _detections(rows: _Rows) -> list[Detection]:
    areas = np.prod(rows[:, 2:4] - rows[:, :2], axis=1)
    return [
        Detection(Box(*map(float, row[:4])), row[4:16].reshape(6, 2).astype(np.float32), float(row[16]))
        for row in rows[np.argsort(-areas, kind="stable")]
    ]


def tiles(height: int, width: int) -> list[_Frame]:
    """Overlapping square frames of a half and a quarter of the longer side, inside the photo where it is that large."""
    frames = []
    for share in TILE_SIDES:
        side = share * max(height, width)
        if side < INPUT_PX / 4:  # nothing to gain: 1 px of the photo would be 4 px of the input
            continue
        starts = []
        for length in (width, height):
            room = max(length - side, 0.0)
            count = int(np.ceil(room / (side * TILE_STEP))) + 1
            starts.append(np.linspace(0, room, count) if room else [(length - side) / 2])
        frames += [(float(x), float(y), float(side)) for y in starts[1] for x in starts[0]]
    return frames


def _with_tiles(detector: BlazeFace, photo: UInt8Image, rows: _Rows, threshold: float) -> _Rows:
    """Merged detections of the whole photo and of its tiles; what a tile's edge cut off is left out."""
    height, width = photo.shape[:2]
    frames = tiles(height, width)
    candidates = list(merge(rows))
    for frame, seen in zip(frames, _look(detector, [photo] * len(frames), frames, threshold), strict=True):
        left, top, side = frame
        inner = np.array([left, top, left + side, top + side])
        at_edge = np.array([left <= 0, top <= 0, left + side >= width, top + side >= height])
        inner = np.where(at_edge, [-np.inf, -np.inf, np.inf, np.inf], inner)
        for row in merge(seen):
            if (row[:2] >= inner[:2]).all() and (row[2:4] <= inner[2:]).all():
                candidates.append(row)
    kept: list[_Rows] = []
    for row in sorted(candidates, key=lambda row: -row[16]):  # the surest first, whichever look it comes from
        if not kept or max(intersection(row, np.array(kept))[1]) < CONTAINED:
            kept.append(row)
    return np.array(kept).reshape(-1, 17)
