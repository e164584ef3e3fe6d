"""What attribute heads see of a dataset (``faces/attributes/sight``), computed once and kept in ``DEST/cache``."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from mien.faces.attributes.sight import Recipe, look
from mien.faces.encoder import Encoder
from mien.files import write_bytes
from mien.images import to_tensor
from mien.memory import keep_freed_memory
from mien.photos.batches import FaceDataset, Progress, Rows
from mien.photos.features import BLOCK

Sights = npt.NDArray[np.float16]


def sights(
    data: FaceDataset,
    encoder: Encoder,
    rows: Rows,
    recipe: Recipe,
    *,
    mirrored: bool = False,
    batch: int = 16,
    progress: Progress | None = None,
) -> Sights:
    """What ``recipe`` sees (N D float16, bf16 arithmetic) of ``rows``, or of their mirror images.

    What was computed once is read from ``DEST/cache``; a look that is missing there is computed for the rows asked for.
    """
    keep_freed_memory()
    side = "mirrored" if mirrored else "plain"
    folder = data.dest / "cache" / f"{encoder.name}-sights-{side}-{data.fingerprint()}"
    folder.mkdir(parents=True, exist_ok=True)
    places: dict[int, list[int]] = {}
    for place, row in enumerate(rows.tolist()):
        places.setdefault(row // BLOCK, []).append(place)
    found: Sights | None = None
    done = 0
    for block, members in sorted(places.items()):
        wanted = rows[members]
        part = _block(folder / f"{block:05d}.npz", data, encoder, wanted, recipe, mirrored, batch)
        values = np.concatenate([part[each.name] for each in recipe], 1)
        found = np.empty((len(rows), values.shape[1]), np.float16) if found is None else found
        found[members] = values
        done += len(members)
        if progress is not None:
            progress(done, len(rows))
    return np.zeros((0, 0), np.float16) if found is None else found


def _block(
    path: Path, data: FaceDataset, encoder: Encoder, rows: Rows, recipe: Recipe, mirrored: bool, batch: int
) -> dict[str, Sights]:
    """Looks (n D each) of the rows of one block, in the order of ``rows``."""
    kept = _read(path)
    at = {int(row): place for place, row in enumerate(kept.get("rows", np.zeros(0, np.int64)))}
    names = [each.name for each in recipe]
    if not all(name in kept for name in names):  # another recipe: what is there of other looks stays
        missing, other = np.unique(rows if not at else np.concatenate([kept["rows"], rows])), kept
        kept = {"rows": missing, **_seen(data, encoder, missing, recipe, mirrored, batch)}
        if at and set(at) >= set(missing.tolist()):
            order = [at[int(row)] for row in missing]
            kept |= {name: values[order] for name, values in other.items() if name not in kept}
        _write(path, kept)
    else:
        new = np.array(sorted({int(row) for row in rows} - set(at)), np.int64)
        if len(new):
            looks = tuple(each for each in recipe)
            seen = _seen(data, encoder, new, looks, mirrored, batch)
            kept = {"rows": np.concatenate([kept["rows"], new])} | {
                name: np.concatenate([kept[name], seen[name]]) for name in names
            }
            _write(path, kept)
    at = {int(row): place for place, row in enumerate(kept["rows"])}
    order = [at[int(row)] for row in rows]
    return {name: kept[name][order] for name in names}


def _seen(
    data: FaceDataset, encoder: Encoder, rows: Rows, recipe: Recipe, mirrored: bool, batch: int
) -> dict[str, Sights]:
    parts: list[dict[str, Sights]] = []
    for start in range(0, len(rows), batch):
        crops = to_tensor(data.decoded(rows[start : start + batch]))
        crops = crops.flip(3) if mirrored else crops
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            seen = look(encoder, crops, recipe)
        parts.append({name: values.float().numpy().astype(np.float16) for name, values in seen.items()})
    return {each.name: np.concatenate([part[each.name] for part in parts]) for each in recipe}


def _read(path: Path) -> dict[str, npt.NDArray[np.float16]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        return {}


def _write(path: Path, kept: dict[str, npt.NDArray[np.float16]]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **kept)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())
