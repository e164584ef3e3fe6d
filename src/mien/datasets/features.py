"""Encoder features of a whole dataset, computed once and kept in ``DEST/cache``.

A *view* is one way to look at a crop: ``plain``, or ``tight``: as if its photo had been cut as tightly as a UTKFace
photo, mirrored left to right. Tight views of loose photos show a decoder what belongs around a face whose photo ends
at the hair (``training/decoder.py``).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError
from mien.core.files import write_bytes
from mien.core.memory import keep_freed_memory
from mien.core.progress import OnProgress
from mien.core.records import Float32Array, UInt8Image
from mien.core.seeding import stream
from mien.datasets.batches import FaceDataset, Rows
from mien.faces import align
from mien.faces.encoder import Encoder, encoded

View = Literal["plain", "tight"]
TIGHT_LIKE = "utkface"
BLOCK = 256  # rows a file of the cache is written in
See = Callable[[Sequence[int]], npt.NDArray[np.float16]]  # rows (n) -> n D


@dataclass(frozen=True, slots=True)
class Frames:
    """Rows of tightly cut photos: their frames serve to cut loose photos alike."""

    data: FaceDataset
    rows: Rows

    @classmethod
    def of(cls, data: FaceDataset, source: str = TIGHT_LIKE) -> Frames:
        """The frames of a source's training photos; ``DatasetError`` where DEST has none."""
        rows = data.rows("train", source)
        if not len(rows):
            raise DatasetError(f"{data.dest}: no training face of '{source}', whose tight frames are wanted")
        return cls(data, rows)

    def cut(self, crop: UInt8Image, key: str) -> UInt8Image:
        """A crop (S S 3) -> mirrored left to right, cut as tightly as the photo that belongs to ``key``."""
        transform, height, width = self._frame(crop.shape[0], key)
        return align.mirrored_outside(np.ascontiguousarray(crop[:, ::-1]), transform, height, width)

    def cut_from(self, size: int, key: str) -> Float32Array:
        """(size size 2): where in the mirrored crop each pixel of ``cut`` comes from (``align.mirrored_from``)."""
        return align.mirrored_from(*self._frame(size, key), size)

    def _frame(self, size: int, key: str) -> tuple[npt.NDArray[np.float64], int, int]:
        row = int(self.rows[stream(0, "tight", key).integers(len(self.rows))])
        face = self.data.faces[row]
        return self.data.transform(row, size), int(face.photo_height or 0), int(face.photo_width or 0)


def features(
    data: FaceDataset,
    encoder: Encoder,
    rows: Rows,
    *,
    tap: str = "pool",
    view: View = "plain",
    batch: int = 32,
    on_progress: OnProgress | None = None,
) -> npt.NDArray[np.float16]:
    """Features (N D float16) of ``rows`` at ``tap`` of ``encoder``. What was computed once is read from the cache."""
    frames = Frames.of(data) if view == "tight" else None
    folder = data.dest / "cache" / f"{encoder.name}-{tap}-{view}-{data.crops_fingerprint}"
    return kept(
        folder, rows, lambda part: _encode(data, encoder, part, tap, frames), batch=batch, on_progress=on_progress
    )


def kept(
    folder: Path, rows: Rows, see: See, *, batch: int = 32, on_progress: OnProgress | None = None
) -> npt.NDArray[np.float16]:
    """What ``see`` says of ``rows`` (N D float16): read from the cache ``folder``; what is missing there is computed.

    ``see`` gets at most ``batch`` rows at a time and gives n D float16 of them.
    """
    keep_freed_memory()
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[int, npt.NDArray[np.float16]] = {}
    wanted = {int(row) for row in rows}
    for block in sorted({row // BLOCK for row in wanted}):
        members = [row for row in range(block * BLOCK, (block + 1) * BLOCK) if row in wanted]
        path = folder / f"{block:05d}.npz"
        seen = _read_block(path)
        missing = [row for row in members if row not in seen]
        for start in range(0, len(missing), batch):
            part = missing[start : start + batch]
            seen.update(zip(part, see(part), strict=True))
        if missing:
            _write_block(path, seen)
        found.update((row, seen[row]) for row in members)
        if on_progress is not None:
            on_progress(len(found), len(wanted))
    return np.stack([found[int(row)] for row in rows])


def _encode(
    data: FaceDataset, encoder: Encoder, rows: Sequence[int], tap: str, frames: Frames | None
) -> npt.NDArray[np.float16]:
    crops = data.decoded(np.array(rows, np.int64))
    if frames is not None:
        crops = np.stack([frames.cut(crop, data.faces[row].id) for crop, row in zip(crops, rows, strict=True)])
    return encoded(encoder, crops, tap, rows=len(crops), fast=True).reshape(len(crops), -1).astype(np.float16)


def _read_block(path: Path) -> dict[int, npt.NDArray[np.float16]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(zip(file["rows"].tolist(), file["values"], strict=True))
    except FileNotFoundError:
        return {}


def _write_block(path: Path, kept: dict[int, npt.NDArray[np.float16]]) -> None:
    rows = sorted(kept)
    buffer = io.BytesIO()
    np.savez(buffer, rows=np.array(rows, np.int64), values=np.stack([kept[row] for row in rows]))
    write_bytes(path, buffer.getvalue())
