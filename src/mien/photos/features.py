"""Encoder features of a whole dataset, computed once and kept in ``DEST/cache``.

A *view* is one way to look at a crop: ``plain``, or ``tight``: as if its photo had been cut as tightly as a UTKFace
photo, mirrored left to right. Tight views of loose photos show a decoder what belongs around a face whose photo ends
at the hair (``training/decoder.py``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from mien.errors import DatasetError
from mien.faces import align
from mien.faces.encoder import Encoder
from mien.images import to_tensor
from mien.memory import keep_freed_memory
from mien.photos.batches import FaceDataset, Progress, Rows
from mien.records import UInt8Image
from mien.seeding import stream

View = Literal["plain", "tight"]
TIGHT_LIKE = "utkface"
BLOCK = 256  # rows a file of the cache is written in


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
        row = int(self.rows[stream(0, "tight", key).integers(len(self.rows))])
        face = self.data.faces[row]
        transform = self.data.transform(row, crop.shape[0])
        flipped = np.ascontiguousarray(crop[:, ::-1])
        return align.mirrored_outside(flipped, transform, int(face.photo_height or 0), int(face.photo_width or 0))


def features(
    data: FaceDataset,
    encoder: Encoder,
    rows: Rows,
    *,
    tap: str = "pool",
    view: View = "plain",
    batch: int = 32,
    progress: Progress | None = None,
) -> npt.NDArray[np.float16]:
    """Features (N D float16) of ``rows`` at ``tap`` of ``encoder``; finished blocks are kept, so a second call reads."""
    keep_freed_memory()
    frames = Frames.of(data) if view == "tight" else None
    folder = data.dest / "cache" / f"{encoder.name}-{tap}-{view}-{data.fingerprint()}"
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[int, npt.NDArray[np.float16]] = {}
    done = 0
    blocks = sorted({int(row) // BLOCK for row in rows})
    wanted = {int(row) for row in rows}
    for block in blocks:
        members = [row for row in range(block * BLOCK, min((block + 1) * BLOCK, len(data))) if row in wanted]
        values = _block(data, encoder, members, tap, frames, batch, str(folder / f"{block:05d}"))
        found.update(zip(members, values, strict=True))
        done += len(members)
        if progress is not None:
            progress(done, len(rows))
    return np.stack([found[int(row)] for row in rows])


def _block(
    data: FaceDataset,
    encoder: Encoder,
    members: Sequence[int],
    tap: str,
    frames: Frames | None,
    batch: int,
    stem: str,
) -> npt.NDArray[np.float16]:
    path = f"{stem}-{len(members)}-{members[0]}-{members[-1]}.npy"
    if os.path.exists(path):
        kept: npt.NDArray[np.float16] = np.load(path, allow_pickle=False)
        if len(kept) == len(members):
            return kept
    crops = data.decoded(np.array(members, np.int64))
    if frames is not None:
        crops = np.stack([frames.cut(crop, data.faces[row].id) for crop, row in zip(crops, members, strict=True)])
    out = []
    for start in range(0, len(crops), batch):
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            windows = align.encoder_window(to_tensor(crops[start : start + batch]), encoder.input_size)
            out.append(encoder(windows, [tap])[tap].float().flatten(1).numpy().astype(np.float16))
    values = np.concatenate(out)
    part = f"{path}.{os.getpid()}.tmp"
    with open(part, "wb") as file:
        np.save(file, values, allow_pickle=False)
    os.replace(part, path)
    return values
