"""The only reader and writer of weights: safetensors with their configuration inside.

Nothing is unpickled: the one foreign pickle that is read (``read_state_dict``) goes through a reader that runs no code.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch.overrides import TorchFunctionMode

from mien.core.errors import WeightsError
from mien.core.filekinds import LOOKED_AT, what_it_is
from mien.core.files import write_bytes
from mien.core.foreign import json_of

Module = TypeVar("Module", bound=torch.nn.Module)
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"  # those that travel with the package


def save_weights(
    path: str | os.PathLike[str],
    tensors: Mapping[str, torch.Tensor],
    metadata: Mapping[str, Any],
    *,
    dtype: torch.dtype | None = None,
) -> None:
    """Write named tensors and a JSON-able ``metadata`` (it must have ``model`` and ``version``) atomically.

    ``dtype`` (for example ``torch.float16``) converts floating tensors on the way out; a value that does not fit into
    it raises ``WeightsError``, as does metadata without ``model`` or ``version``.
    """
    for key in ("model", "version"):
        if key not in metadata:
            raise WeightsError(f"{path}: metadata must name '{key}'")
    ready = {}
    for name, tensor in tensors.items():
        value = tensor.detach().cpu()
        if dtype is not None and value.is_floating_point():
            whole, value = value, value.to(dtype)
            if not torch.equal(value.isfinite(), whole.isfinite()):
                raise WeightsError(f"{path}: tensor '{name}' has values beyond the range of {dtype}")
        ready[name] = value.contiguous().clone()
    write_bytes(path, save(ready, metadata={"mien": json.dumps(dict(metadata))}))


def load_weights(
    path: str | os.PathLike[str], *, model: str | None = None, dtype: torch.dtype | None = torch.float32
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read (tensors, metadata) that ``save_weights`` wrote.

    ``model`` is the name that the metadata must carry; ``dtype`` converts floating tensors (``None`` keeps theirs).
    Raises ``WeightsError`` for a missing, damaged or foreign file.
    """
    if not Path(path).is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({_kind(path) or error})") from error
    if "mien" not in header:
        raise WeightsError(f"{path}: a safetensors file, but not one that mien wrote")
    metadata = _metadata(header["mien"], path)
    if model is not None and metadata.get("model") != model:
        raise WeightsError(f"{path}: weights of '{metadata.get('model')}', wanted '{model}'")
    if dtype is not None:
        tensors = {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}
    return tensors, metadata


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """Read the tensors of a foreign file: safetensors, or a state dict that PyTorch wrote (``.pth``).

    A ``.pth`` is a pickle. It is read with ``weights_only=True``: PyTorch's restricted reader builds tensors and plain
    containers and refuses every other name in the file, before anything is called; so no code of the file runs. A
    dict with the one key ``state_dict`` is looked into. Raises ``WeightsError`` for a missing or damaged file, a file
    that asks for code, and one that holds anything but named tensors.
    """
    if not Path(path).is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        if _is_safetensors(Path(path)):
            with safe_open(path, framework="pt") as file:
                content: Any = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of odd protocols and old classes: what is read is judged below
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader raises whatever a damaged file makes it meet
        if re.search(r"\bGLOBAL\b|Unsupported class", str(error)):  # a name in the pickle that is no tensor's
            raise WeightsError(f"{path}: holds more than tensors (it asks for code to be run); refused") from error
        kind = _kind(path)
        said = f": it is {kind}" if kind and "PyTorch" not in kind else ""
        raise WeightsError(f"{path}: neither safetensors nor a state dict of PyTorch that can be read{said}") from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path}: holds {type(content).__name__}, wanted a state dict (named tensors)")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor) or value.layout != torch.strided:
            raise WeightsError(f"{path}: '{name}' is no tensor; wanted a state dict (named tensors)")
    return dict(content)


def _kind(path: str | os.PathLike[str]) -> str:
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return what_it_is(file.read(LOOKED_AT))
    return ""


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"  # a length of 8 bytes, then a JSON object


def _metadata(text: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        metadata = json_of(text)
    except ValueError as error:
        raise WeightsError(f"{path}: its metadata is not JSON") from error
    if not isinstance(metadata, dict):
        raise WeightsError(f"{path}: its metadata is not a JSON object")
    return metadata


class _Undrawn(TorchFunctionMode):
    """Leaves out what draws the first values of weights at random: the file has them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init" or func in (torch.Tensor.normal_, torch.Tensor.uniform_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def built(make: Callable[[], Module], tensors: Mapping[str, torch.Tensor], *, name: str) -> Module:
    """The module that ``make`` returns, with these tensors as its own: none is drawn at random first, none copied.

    ``WeightsError`` as ``load_into``. (Modules made on the meta device would import sympy, half a second.)
    """
    with _Undrawn():
        module = make()
    kinds = {key: value.dtype for key, value in module.state_dict().items()}
    load_into(module, {k: v.to(kinds.get(k, v.dtype)) for k, v in tensors.items()}, name=name, assign=True)
    return module


def under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors whose names start with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def load_into(module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], *, name: str, assign: bool = False) -> None:
    """Load tensors into a module, strictly; ``WeightsError`` names what is missing, extra or misshapen.

    ``assign``: they become the module's own; else their values are copied.
    """
    try:
        missing, unexpected = module.load_state_dict(dict(tensors), strict=False, assign=assign)
    except RuntimeError as error:
        raise WeightsError(f"{name}: {str(error).splitlines()[-1].strip()}") from error
    if missing or unexpected:
        raise WeightsError(f"{name}: missing tensors {missing[:3]}, unknown tensors {unexpected[:3]}")
