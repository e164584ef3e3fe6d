"""What attribute heads see of a dataset (``attributes/features``), computed once and kept in ``DEST/cache``."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien.attributes.features import Recipe, pooled_features
from mien.core.files import write_bytes
from mien.core.images import to_tensor
from mien.core.memory import keep_freed_memory
from mien.core.precision import fast_autocast
from mien.core.progress import OnProgress
from mien.datasets.batches import FaceDataset, Rows
from mien.datasets.features import BLOCK, features
from mien.faces.encoder import Encoder

Pooled = npt.NDArray[np.float16]
FLAT = ("pool", "embedding", "fc6", "fc7", "fc8")  # taps without places: datasets/features keeps those of the window


def pooled(
    data: FaceDataset,
    encoder: Encoder,
    rows: Rows,
    recipe: Recipe,
    *,
    mirrored: bool = False,
    batch: int = 16,
    on_progress: OnProgress | None = None,
) -> dict[str, Pooled]:
    """What ``recipe`` sees of ``rows``, or of their mirror images: by look, N D float16 each, from bf16 arithmetic.

    What was computed once is read from ``DEST/cache``; what is missing there is computed for the rows asked for.
    """
    keep_freed_memory()
    shared = tuple(each for each in recipe if each.frame == "window" and each.tap in FLAT and not mirrored)
    own = tuple(each for each in recipe if each not in shared)
    found = {each.name: features(data, encoder, rows, tap=each.tap) for each in shared}
    side = "mirrored" if mirrored else "plain"
    folder = data.dest / "cache" / f"{encoder.name}-sights-{side}-{data.crops_fingerprint}"
    folder.mkdir(parents=True, exist_ok=True)
    done = 0
    for block in np.unique(rows // BLOCK).tolist() if own else []:
        members = np.flatnonzero(rows // BLOCK == block)
        part = _block(folder / f"{block:05d}.npz", data, encoder, rows[members], own, mirrored, batch)
        for name, values in part.items():
            whole = found.setdefault(name, np.empty((len(rows), values.shape[1]), np.float16))
            whole[members] = values
        done += len(members)
        if on_progress is not None:
            on_progress(done, len(rows))
    return found


def _block(
    path: Path, data: FaceDataset, encoder: Encoder, rows: Rows, recipe: Recipe, mirrored: bool, batch: int
) -> dict[str, Pooled]:
    """Looks (n D each) of the rows of one block, in the order of ``rows``.

    A file of the cache has the same rows for all of its looks. New rows are seen by the looks of ``recipe``, and so is
    every row by a look that is new; what the file had of other looks stays when the rows stay the same.
    """
    kept = _read(path)
    names = [each.name for each in recipe]
    before = kept.pop("rows", np.zeros(0, np.int64))
    wanted = np.union1d(before, rows).astype(np.int64)
    new = np.setdiff1d(wanted, before)
    unknown = tuple(each for each in recipe if each.name not in kept)
    if unknown or len(new):
        fresh = _seen(data, encoder, new, recipe, mirrored, batch) if len(new) and len(unknown) < len(recipe) else {}
        whole = _seen(data, encoder, wanted, unknown, mirrored, batch) if unknown else {}
        at = np.searchsorted(wanted, before)
        merged = {name: values for name, values in kept.items() if not len(new)}
        for name in names:
            if name in whole:
                merged[name] = whole[name]
            else:
                merged[name] = np.empty((len(wanted), kept[name].shape[1]), np.float16)
                merged[name][at] = kept[name]
                if len(new):
                    merged[name][np.searchsorted(wanted, new)] = fresh[name]
        kept, before = merged, wanted
        _write(path, kept, before)
    order = np.argsort(before)[np.searchsorted(np.sort(before), rows)]
    return {name: kept[name][order] for name in names}


def _seen(
    data: FaceDataset, encoder: Encoder, rows: Rows, recipe: Recipe, mirrored: bool, batch: int
) -> dict[str, Pooled]:
    parts: list[dict[str, Pooled]] = []
    for start in range(0, len(rows), batch):
        crops = to_tensor(data.decoded(rows[start : start + batch]))
        crops = crops.flip(3) if mirrored else crops
        with torch.inference_mode(), fast_autocast():
            seen = pooled_features(encoder, crops, recipe)
        parts.append({name: values.float().numpy().astype(np.float16) for name, values in seen.items()})
    return {each.name: np.concatenate([part[each.name] for part in parts]) for each in recipe}


def concatenate(found: dict[str, Pooled], recipe: Recipe) -> Pooled:
    """The looks of ``recipe`` side by side, in its order: N D."""
    return np.concatenate([found[each.name] for each in recipe], 1)


def widths(data: FaceDataset, encoder: Encoder, recipe: Recipe) -> tuple[int, ...]:
    """How many numbers each look of ``recipe`` has: found by looking at one face."""
    with torch.inference_mode():
        seen = pooled_features(encoder, to_tensor(data.decoded(np.zeros(1, np.int64))), recipe)
    return tuple(seen[each.name].shape[1] for each in recipe)


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        return {}


def _write(path: Path, kept: dict[str, Pooled], rows: Rows) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, rows=rows, **kept)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())
