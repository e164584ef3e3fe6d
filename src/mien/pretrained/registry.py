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
from mien.pretrained.integrity import damage, note, said_of
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
    damage: str | None = None  # what is wrong with the file: "was altered"

    @property
    def again(self) -> str:
        """The command that brings it."""
        return f"mien models fetch {self.model.name}"


@dataclass(frozen=True, slots=True)
class LocalStatus:
    """One model that the user brings, and whether it has been added on this machine."""

    model: LocalModel
    path: Path
    size_bytes: int | None  # None: not added
    damage: str | None = None

    @property
    def again(self) -> str:
        """The command that brings it."""
        return f"mien models add {self.model.name} FILE"


def cache_dir() -> Path:
    """Where fetched networks live: ``MIEN_CACHE``, else the user's cache directory of the platform.

    ``WeightsError`` for a user without a home directory who set neither.
    """
    given = os.environ.get("MIEN_CACHE")
    try:
        return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("mien"))
    except RuntimeError as error:
        message = "networks: there is no home directory to find them in; set HOME, or MIEN_CACHE to a directory"
        raise WeightsError(message) from error


def weights_path(name: str) -> Path:
    """The converted weights of ``name``, as they were written; ``WeightsError`` says how to get them when they are
    absent, emptied, cut off or altered.
    """
    local = find_local(name)
    path = _path(local or find(name))
    if not path.is_file():
        if local is not None:
            raise WeightsError(f"the network '{name}' has not been added on this machine; {local.how}")
        raise WeightsError(f"the network '{name}' is not on this machine; run: mien models fetch {name}")
    if wrong := _damage(local or find(name)):
        again = f"mien models add {name} FILE" if local else f"mien models fetch {name}"
        raise WeightsError(f"the network '{name}' on this machine is damaged ({path} {wrong}); run: {again}")
    return path


def status() -> list[Status]:
    """Every model of the catalogue and what of it is on this machine."""
    return [Status(model, _path(model), _size(model), _damage(model)) for model in MODELS]


def local_status() -> list[LocalStatus]:
    """Every model that the user brings, and whether it has been added."""
    return [LocalStatus(model, _path(model), _size(model), _damage(model)) for model in LOCAL_MODELS]


def _size(model: ForeignModel | LocalModel) -> int | None:
    path = _path(model)
    return path.stat().st_size if path.is_file() else None


def _damage(model: ForeignModel | LocalModel) -> str | None:
    path, pinned = _path(model), getattr(model, "converted_sha256", "")
    return damage(cache_dir(), path, pinned) if path.is_file() else None


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
        note(cache_dir(), _path(model))
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
    if from_file is None and all(map(_usable, models)):  # also in a cache that cannot be written
        return [_path(model) for model in models]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(cache / ".lock").acquire()  # a second process waits here, and then finds the work done
    except OSError as error:
        why = f"{cache} cannot be written ({error.strerror})"
        raise FetchError(f"{why}; set MIEN_CACHE to a directory of yours") from error
    with lock:
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
    if _size(model) is None or _damage(model) is not None:
        return False
    said = said_of(_path(model))
    return said.get("model") == model.name and said.get("sha256") == model.member_sha256


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
    note(cache_dir(), _path(model))
    on_progress(len(data), len(data))
