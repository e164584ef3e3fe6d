"""The store of fetched networks: foreign archives in, safetensors in the user's cache out (docs/models.md).

``MIEN_CACHE`` (default: the user's cache directory) holds ``archives/`` (as downloaded) and ``weights/`` (converted).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from filelock import FileLock

from mien.core.errors import FetchError, RequestError, WeightsError
from mien.core.progress import OnStage, silent
from mien.pretrained.archives import read_any, read_member
from mien.pretrained.catalogue import MODELS, ForeignModel, find
from mien.pretrained.download import bring
from mien.pretrained.local import LOCAL_MODELS, LocalModel, convert_local, find_local

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "LOCAL_MODELS", "MODELS", "ForeignModel", "LocalModel", "LocalStatus", "Status",
    "add", "cache_dir", "fetch", "find", "find_local", "local_status", "status", "weights_path",
]  # fmt: skip

Converter = Callable[[bytes], "tuple[dict[str, Tensor], dict[str, Any]]"]


@dataclass(frozen=True, slots=True)
class Status:
    """One model and whether its converted weights are on this machine."""

    model: ForeignModel
    path: Path
    size_bytes: int | None  # None: not fetched


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """One model that the user brings, and whether it has been added on this machine."""

    model: LocalModel
    path: Path
    size_bytes: int | None  # None: not added


def cache_dir() -> Path:
    """Where fetched networks live: ``MIEN_CACHE``, else the user's cache directory of the platform."""
    given = os.environ.get("MIEN_CACHE")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("mien"))


def weights_path(name: str) -> Path:
    """The converted weights of ``name``; ``WeightsError`` says how to get them when they are absent."""
    local = find_local(name)
    if local is not None:
        path = _path(local)
        if not path.is_file():
            raise WeightsError(f"the network '{name}' has not been added on this machine; {local.how}")
        return path
    path = _path(find(name))
    if not path.is_file():
        raise WeightsError(f"the network '{name}' is not on this machine; run: mien models fetch {name}")
    return path


def status() -> list[Status]:
    """Every model of the catalogue and what of it is on this machine."""
    paths = [(model, _path(model)) for model in MODELS]
    return [Status(model, path, path.stat().st_size if path.is_file() else None) for model, path in paths]


def local_status() -> list[LocalStatus]:
    """Every model that the user brings, and whether it has been added."""
    paths = [(model, _path(model)) for model in LOCAL_MODELS]
    return [LocalStatus(model, path, path.stat().st_size if path.is_file() else None) for model, path in paths]


def add(name: str, file: str | os.PathLike[str], *, colours: str = "auto") -> Path:
    """Convert ``file`` to the weights of the local model ``name``, in place of what was added before; their path.

    ``colours`` (``auto``, ``rgb``, ``bgr``) is the channel order that the network of the file reads; ``auto`` goes by
    what the file says. Raises ``RequestError`` for a name that is not brought so, and ``WeightsError`` in one line for
    a file that is missing, damaged or another network; what was added before then stays.
    """
    model = find_local(name)
    if model is None:
        if any(name == other.name for other in MODELS):
            raise RequestError(f"'{name}' is not added from a file of your own; run: mien models fetch {name}")
        allowed = ", ".join(other.name for other in LOCAL_MODELS)
        raise RequestError(f"no model that is added from a file is called '{name}'; allowed: {allowed}")
    cache_dir().mkdir(parents=True, exist_ok=True)
    with FileLock(cache_dir() / ".lock"):
        convert_local(model, Path(file), _path(model), colours=colours)
    return _path(model)


def fetch(
    names: Sequence[str] = (),
    *,
    from_file: str | os.PathLike[str] | None = None,
    on_stage: OnStage = silent,
) -> list[Path]:
    """Bring, check and convert ``names`` (none: all), and return their weights files; what is there stays.

    ``from_file`` takes the network from a file on disk instead of the network: the archive, or the network file that
    is in it; without ``names`` it brings whatever that file holds. ``on_stage`` is told bytes.
    Raises ``FetchError`` in one line; models that were finished before it stay.
    """
    for name in names:
        local = find_local(name)
        if local is not None:
            raise RequestError(f"'{name}' cannot be fetched: {local.how}")
    models = tuple(find(name) for name in dict.fromkeys(names)) or MODELS
    cache = cache_dir()
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / ".lock"):  # a second process waits here, and then finds the work done
        if from_file is not None:
            return _fetch_from(Path(from_file), models, named=bool(names), on_stage=on_stage)
        for model in models:
            if not _usable(model):
                converter = _converter(model)  # before the download: it may need something that is not installed
                data = read_member(bring(model, cache / "archives", on_stage), model)
                _convert(model, data, converter, on_stage)
    return [_path(model) for model in models]


def _fetch_from(path: Path, models: tuple[ForeignModel, ...], *, named: bool, on_stage: OnStage) -> list[Path]:
    found = read_any(path, models)
    absent = [model.name for model in models if model.name not in found]
    if named and absent:
        raise RequestError(f"{path}: holds {', '.join(found)}, but not {', '.join(absent)}")
    for name, data in found.items():
        model = find(name)
        _convert(model, data, _converter(model), on_stage)
    return [_path(find(name)) for name in found]


def _path(model: ForeignModel | LocalModel) -> Path:
    return cache_dir() / "weights" / f"{model.name}-{model.version}-r{model.revision}.safetensors"


def _usable(model: ForeignModel) -> bool:
    from mien.core.checkpoints import load_weights

    try:
        _, metadata = load_weights(_path(model), model=model.name, dtype=None)
    except WeightsError:
        return False
    return bool(metadata.get("sha256") == model.member_sha256)


def _converter(model: ForeignModel) -> Converter:
    module, _, function = model.converter.partition(":")
    try:
        converter: Converter = getattr(importlib.import_module(module), function)
    except ImportError as error:
        raise FetchError(f"{model.name}: its conversion needs {error.name}; run: pip install 'mien[data]'") from error
    return converter


def _convert(model: ForeignModel, data: bytes, converter: Converter, on_stage: OnStage) -> None:
    from torch import float16

    from mien.core.checkpoints import save_weights

    on_progress = on_stage(f"{model.name}: convert")
    on_progress(0, len(data))
    tensors, further = converter(data)
    metadata = {
        "model": model.name,
        "version": f"{model.version}-r{model.revision}",
        "source": model.source,
        "sha256": model.member_sha256,
        "licence": model.licence,
        "author": model.author,
        **further,
    }
    save_weights(_path(model), tensors, metadata, dtype=float16 if model.half else None)
    on_progress(len(data), len(data))
