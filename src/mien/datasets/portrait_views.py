"""What a portrait decoder learns from: faces that look ahead, with what the frozen networks see of them.

The thesis of A. Wang (2019), section 5.1, keeps faces that PRNet measures within 5 degrees of yaw and between -60 and
0 degrees of pitch. 60 degrees of pitch are all but no filter, and PRNet's zero is not ours (``faces/pose``: the median
of LFW). Ours keeps |pitch| <= 15: 95 % of prepared faces, chin and forehead alike in sight. Each further filter is an
option, as there; what a photo is not known to be (``None``, no label) is no reason to drop it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mien.core.config import Config
from mien.core.errors import DatasetError
from mien.core.files import write_bytes
from mien.core.images import resize, to_tensor
from mien.core.memory import keep_freed_memory
from mien.core.precision import fast_autocast
from mien.core.progress import OnProgress
from mien.core.records import Float32Array, UInt8Image
from mien.datasets.batches import FaceDataset, Rows
from mien.datasets.catalog import CatalogRow
from mien.datasets.features import BLOCK
from mien.datasets.views import epoch_places
from mien.faces import align
from mien.faces.encoder import Encoder

LANDMARK_FRAME_PX = 320.0  # landmarks are kept in px of a square of this side: the thesis's output
COLOURLESS = 8  # of 255: the widest distance between channels in a photo without colour
INSIDE_PX = 32  # the size at which the share of photograph in a crop is measured


class PortraitRules(Config):
    """Which faces are learned from. ``None`` and an empty tuple: no such filter."""

    yaw_degrees: float | None = 5.0  # at most, to either side
    pitch_from_degrees: float | None = -15.0
    pitch_to_degrees: float | None = 15.0
    without: tuple[str, ...] = ()  # attributes, as the source marks them: "Wearing Hat", "Eyeglasses"
    sharpness_at_least: float | None = None  # variance of the Laplacian of the crop's luma
    colour: bool = False  # drop photos without colour
    inside_at_least: float | None = None  # share of the crop that is photograph and not mirrored border


@dataclass(frozen=True, slots=True)
class Remaining:
    """How many faces are left after a filter, and of how many it could know nothing."""

    filter: str
    faces: int
    unknown: int = 0


def choose(data: FaceDataset, rules: PortraitRules, split: str) -> tuple[Rows, list[Remaining]]:
    """The faces of ``split`` that keep the rules, and how many were left after each.

    ``DatasetError`` when none is left.
    """
    rows = data.rows(split)
    steps = [Remaining(f"split {split}", len(rows))]
    for words, keeps in _filters(data, rules):
        answers = [keeps(int(row)) for row in rows]
        rows = rows[np.array([answer is not False for answer in answers], np.bool_)]
        steps.append(Remaining(words, len(rows), sum(answer is None for answer in answers)))
    if not len(rows):
        counted = ", ".join(f"{step.filter}: {step.faces}" for step in steps)
        raise DatasetError(f"{data.dest}: no face is left for portraits ({counted}); loosen a filter")
    return rows, steps


def _filters(data: FaceDataset, rules: PortraitRules) -> list[tuple[str, Callable[[int], bool | None]]]:
    """(words, row -> keep it, or ``None`` where it cannot be known) for each rule that is set, cheap ones first."""
    faces = data.faces
    found: list[tuple[str, Callable[[int], bool | None]]] = []
    if (yaw := rules.yaw_degrees) is not None:
        found.append((f"|yaw| <= {yaw:g} degrees", lambda row: _within(faces[row].yaw_degrees, -yaw, yaw)))
    if (low := rules.pitch_from_degrees) is not None:
        found.append((f"pitch >= {low:g} degrees", lambda row: _within(faces[row].pitch_degrees, low, None)))
    if (high := rules.pitch_to_degrees) is not None:
        found.append((f"pitch <= {high:g} degrees", lambda row: _within(faces[row].pitch_degrees, None, high)))
    for name in rules.without:
        found.append((f"without {name}", lambda row, name=name: _lacks(faces[row], name)))  # type: ignore[misc]
    if (least := rules.sharpness_at_least) is not None:
        found.append((f"sharpness >= {least:g}", lambda row: _within(faces[row].sharpness, least, None)))
    if (share := rules.inside_at_least) is not None:
        found.append(
            (f"photograph >= {share:g} of the crop", lambda row: bool(data.mask(row, INSIDE_PX).mean() >= share))
        )
    if rules.colour:
        found.append(("with colour", lambda row: _has_colour(data.decoded(np.array([row], np.int64), INSIDE_PX)[0])))
    return found


def _within(value: float | None, low: float | None, high: float | None) -> bool | None:
    if value is None:
        return None
    return (low is None or value >= low) and (high is None or value <= high)


def _lacks(face: CatalogRow, name: str) -> bool | None:
    if name in face.attributes_present:
        return False
    return True if name in face.attributes_absent else None


def _has_colour(crop: UInt8Image) -> bool:
    values = crop.astype(np.int16)
    return bool((values.max(2) - values.min(2)).max() > COLOURLESS)


@dataclass(frozen=True, slots=True)
class PortraitViews:
    """N faces and what the frozen networks see of their loose crops (the whole aligned crop)."""

    data: FaceDataset
    size_px: int
    rows: Rows  # N
    features: npt.NDArray[np.float16]  # N 1792: the encoder's pool
    embeddings: Float32Array  # N 512, unit length
    landmarks: Float32Array  # N 68 3: px of a square of LANDMARK_FRAME_PX

    def __len__(self) -> int:
        return len(self.rows)

    def photos(self, places: Rows) -> UInt8Image:
        """The crops: N S S 3."""
        crops = self.data.decoded(self.rows[places])
        return np.stack([resize(crop, self.size_px, self.size_px) for crop in crops])


def portrait_views(
    data: FaceDataset,
    encoder: Encoder,
    landmarks: nn.Module,
    rows: Rows,
    size_px: int,
    *,
    landmarks_name: str = "face-mesh",
    on_progress: OnProgress | None = None,
) -> PortraitViews:
    """Views of ``rows``. What the networks see is computed once and kept in ``DEST/cache``.

    The encoder is shown the whole crop at its own size (the thesis's loose 160 x 160 crop), the landmark network
    (``faces/landmarks68``) the whole crop.
    """
    keep_freed_memory()
    folder = data.dest / "cache" / f"{encoder.name}-{landmarks_name}-portrait-{data.crops_fingerprint}"
    found: dict[int, tuple[Any, ...]] = {}
    wanted = {int(row) for row in rows}
    for block in sorted({row // BLOCK for row in wanted}):
        members = [row for row in range(block * BLOCK, (block + 1) * BLOCK) if row in wanted]
        path = folder / f"{block:05d}.npz"
        kept = _read(path)
        missing = [row for row in members if row not in kept]
        for start in range(0, len(missing), 16):
            part = missing[start : start + 16]
            kept.update(zip(part, _seen(data, encoder, landmarks, part), strict=True))
        if missing:
            _write(path, kept)
        found.update((row, kept[row]) for row in members)
        if on_progress is not None:
            on_progress(len(found), len(wanted))
    features, embeddings, points = (np.stack([found[int(row)][column] for row in rows]) for column in range(3))
    return PortraitViews(data, size_px, rows, features, embeddings, points)


def _seen(data: FaceDataset, encoder: Encoder, landmarks: nn.Module, rows: list[int]) -> list[tuple[Any, ...]]:
    crops = to_tensor(data.decoded(np.array(rows, np.int64)))
    with torch.inference_mode():
        with fast_autocast():
            seen = encoder(loose_view(crops, encoder.input_size), ["pool", "embedding"])
        points = landmarks(crops)
        places = (points[..., :2] + 0.5) * (LANDMARK_FRAME_PX / crops.shape[-1]) - 0.5
        depth = points[..., 2:] * (LANDMARK_FRAME_PX / crops.shape[-1])
    columns = (
        seen["pool"].float().flatten(1).numpy().astype(np.float16),
        seen["embedding"].float().numpy(),
        torch.cat([places, depth], -1).float().numpy(),
    )
    return list(zip(*columns, strict=True))


def loose_view(crops: torch.Tensor, out: int) -> torch.Tensor:
    """Aligned crops (N 3 S S) -> the whole of them at ``out`` px: the thesis's loose crop. Differentiable."""
    return align.window(crops, 0.0, 0.0, 1.0, out)


def _read(path: Path) -> dict[int, tuple[Any, ...]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = zip(file["features"], file["embeddings"], file["landmarks"], strict=True)
            return dict(zip(file["rows"].tolist(), columns, strict=True))
    except FileNotFoundError:
        return {}


def _write(path: Path, kept: dict[int, tuple[Any, ...]]) -> None:
    rows = sorted(kept)
    buffer = io.BytesIO()
    columns = [np.stack([kept[row][column] for row in rows]) for column in range(3)]
    np.savez(buffer, rows=np.array(rows, np.int64), features=columns[0], embeddings=columns[1], landmarks=columns[2])
    write_bytes(path, buffer.getvalue())


def portrait_batches(views: PortraitViews, batch_size: int, seed: int) -> Callable[[int], dict[str, Any]]:
    """``batch_at(step)``: the batches of a run.

    ``photo`` (N S S 3 uint8), ``known`` (N 1 S S: 1 where it is no mirrored border), ``features`` (N 1792),
    ``embedding`` (N 512), ``landmarks`` (N 68 3, px of ``LANDMARK_FRAME_PX``); ``shared`` is an empty dict.
    Every epoch is one permutation of the views.
    """

    def batch_at(step: int) -> dict[str, Any]:
        return batch_of(views, epoch_places(len(views), step * batch_size, batch_size, seed))

    return batch_at


def batch_of(views: PortraitViews, places: Rows) -> dict[str, Any]:
    """The batch of given places."""
    return {
        "photo": views.photos(places),
        "known": views.data.masks(views.rows[places], views.size_px)[:, None],
        "features": views.features[places].astype(np.float32),
        "embedding": views.embeddings[places],
        "landmarks": views.landmarks[places],
        "shared": {},
    }
