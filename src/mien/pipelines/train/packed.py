"""What a painter learns from as a small folder, to be taken to a machine that has neither the dataset nor an encoder.

``faces.safetensors`` holds crops of 128 px (WebP), codes, conditions and looks; the painter and the density over its
codes lie beside it. ``mien train painter --data FOLDER`` trains there as it would from the dataset.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import DatasetError
from mien.datasets.layout import require_dataset
from mien.pipelines.train.begun import Begun, begun_with
from mien.pipelines.train.prepared import Prepared, tokens_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from mien.training.painter import PaintedSet

FACES, MODEL = "faces.safetensors", "painted-faces"
QUALITY = 75  # of WebP: off by 4 levels of 255, less than what the basis of patches leaves out
CODE_STEP = 1 / 32  # of a code's deviation of 1; far below the noise that training lays over it
MIB = 1 << 20


def is_packed(data: Path) -> bool:
    """Whether a folder is one of ``write_packed``."""
    return (data / FACES).is_file()


def require_faces(data: Path) -> None:
    """``DatasetError`` for what is neither a dataset nor packed faces."""
    if not is_packed(data):
        require_dataset(data)


def write_packed(prepared: Prepared, crops: npt.NDArray[np.uint8], folder: Path, begun: Begun, most_mib: float) -> int:
    """Write the folder; returns how many training faces it holds.

    ``crops`` (N S S 3): of the training faces, then of those held out, which all travel. Where not all training faces
    fit into ``most_mib``, those that are drawn often are likelier to. ``DatasetError`` where none does.
    """
    import numpy as np
    import torch

    from mien.core.checkpoints import save_weights
    from mien.core.seeding import stream

    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACES).unlink(missing_ok=True)  # it is written last, and says that the folder is whole
    prepared.export(folder, begun.network, begun.config, begun.images)
    room = most_mib * MIB - sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    seen, held_out = prepared.seen, prepared.held_out
    share = np.diff(seen.sums, prepend=0.0)
    # Weighted draws without return (Efraimidis and Spirakis, 2006).
    order = np.argsort(stream(0, "packed").standard_exponential(len(share)) / share)
    rows = [*range(len(share), len(crops)), *order.tolist()]
    pictures, used = [], len(held_out.tokens) * 0.0
    each = seen.codes.shape[1] + 2 * seen.conditions.shape[1] + seen.valid.shape[1] + 16
    for row in rows:
        picture = _webp(crops[row])
        used += len(picture) + each
        if used > room:
            break
        pictures.append(picture)
    count = len(pictures) - len(held_out.tokens)
    if count < 1:
        raise DatasetError(f"--set pack={most_mib:g}: no training face fits into so many MiB")
    kept = order[:count]
    both = [_columns(held_out, slice(None)), _columns(seen, kept)]
    tensors = {name: torch.from_numpy(np.concatenate([part[name] for part in both])) for name in both[0]}
    tensors["pictures"] = torch.frombuffer(bytearray(b"".join(pictures)), dtype=torch.uint8)
    tensors["ends"] = torch.from_numpy(np.cumsum([len(picture) for picture in pictures]))
    tensors["share"] = torch.from_numpy(share[kept])
    about = {"model": MODEL, "version": "1", "held_out": len(held_out.tokens)}
    save_weights(folder / FACES, tensors, about, dtype=None)
    return count


def read_packed(folder: Path, out: Path) -> tuple[Prepared, Begun]:
    """Undo ``write_packed``; tokens are kept in ``out``. ``WeightsError`` for files that are damaged."""
    import numpy as np

    from mien.core.checkpoints import load_weights
    from mien.generators.imagine.weights import MODEL as DENSITY
    from mien.generators.imagine.weights import from_tensors
    from mien.generators.painter.renderer import PainterRenderer
    from mien.training.painter import PaintedSet

    begun = begun_with(folder)
    tensors, about = load_weights(folder / FACES, model=MODEL, dtype=None)
    found = {name: value.numpy() for name, value in tensors.items()}
    starts = np.concatenate([[0], found["ends"][:-1]])
    crops = np.stack(
        [_picture(found["pictures"][a:b].tobytes()) for a, b in zip(starts, found["ends"], strict=True)]
    )  # fmt: skip
    tokens = tokens_of(begun.basis, crops, out)
    codes = (found["codes"] * np.float32(CODE_STEP)).astype(np.float16)
    conditions: Any = found["conditions"].astype(np.float32)
    valid: Any = found["valid"].astype(np.float32) / np.float32(255)

    def part(rows: slice, share: Any) -> PaintedSet:
        return PaintedSet(tokens[rows], codes[rows], conditions[rows], valid[rows], found["source"][rows], share)

    held = int(about["held_out"])
    path = folder / "density.safetensors"
    density = from_tensors(*load_weights(path, model=DENSITY), name=str(path))
    scenes = PainterRenderer.load(folder / "painter.safetensors", device="cpu").scenes
    assert scenes is not None  # ``export`` writes them
    prepared = Prepared(
        part(slice(held, None), found["share"]), part(slice(held), None), dict(begun.scale), begun.sources, begun.basis,
        density, scenes,
    )  # fmt: skip
    return prepared, begun


def _columns(faces: PaintedSet, rows: Any) -> Mapping[str, npt.NDArray[Any]]:
    import numpy as np

    return {
        "codes": np.clip(np.rint(faces.codes[rows].astype(np.float32) / CODE_STEP), -127, 127).astype(np.int8),
        "conditions": faces.conditions[rows].astype(np.float16),
        "valid": np.rint(255 * faces.valid[rows]).astype(np.uint8),
        "source": faces.source[rows],
    }


def _webp(crop: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(crop).save(buffer, "WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()


def _picture(data: bytes) -> npt.NDArray[np.uint8]:
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))
