"""The published weights of VGG-Face, in the forms that people have, -> the state dict of ``mien.pretrained.vggface``.

- **MatConvNet** (``vgg_face.mat`` of the authors, ``vgg-face.mat`` of the MatConvNet site): a MATLAB 5 file. A cell of
  layers, either at the top or in a struct ``net``; a layer is a struct with ``name`` and either a cell ``weights`` of
  filters and biases or two fields ``filters`` and ``biases``. Filters are H W I O; a fully connected layer is a
  convolution as large as its input (fc6: 7 7 512 4096). ``normalization.averageImage`` (also in ``meta``) is the mean.
- **PyTorch**: a state dict, as ``.pth`` or safetensors, with ``conv1_1.weight`` (O I H W) ... ``fc8.bias``
  (``vgg_face_dag.pth``), or ``conv_1_1.weight`` ... (ports of ``VGG_FACE.t7``), with any prefix.

Colour order: MatConvNet's network and ``vgg_face_dag.pth``, made from it, read RGB. The authors' Caffe and Lua Torch
networks read BGR, and so do the ports made from those; ports of the Lua Torch file are known by their names
(``conv_1_1``), a port of the Caffe file cannot be told from the first kind, and must be declared. BGR filters are
turned round, so that mien's network always reads RGB.

No reader here runs code of the file: SciPy knows none, ``mien.core.checkpoints`` refuses it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mien.core import checkpoints, images
from mien.core.errors import WeightsError
from mien.pretrained import vggface
from mien.pretrained.matlab_file import read_matlab

Colours = Literal["auto", "rgb", "bgr"]
MEAN_TOLERANCE = 1.0  # of 255, a channel: another mean colour belongs to another network
_NAME = re.compile(r"(?:.*\.)?(conv(_?)(\d_\d)|fc\d)\.(weight|bias)")


def read(path: Path, colours: Colours = "auto") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(state dict of ``VggFace(PUBLISHED)`` in float32, further metadata) of a file in one of the forms above.

    ``colours`` is the order of the channels that the file's network reads; ``auto`` goes by what the file says.
    Raises ``WeightsError`` in one line for a missing, damaged or foreign file.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    with path.open("rb") as file:
        head = file.read(128)
    if head.startswith(b"MATLAB 5.0"):
        form, (found, found_colours) = "MatConvNet", _from_matlab(path)
    elif head.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise WeightsError(f"{path}: a MATLAB 7.3 or HDF5 file; wanted the MatConvNet file as published (MATLAB 5)")
    elif head.startswith(b"\x1f\x8b"):
        raise WeightsError(f"{path}: a packed archive; unpack it and give the vgg_face.mat in it")
    else:
        form, (found, found_colours) = "PyTorch", _from_state_dict(path)
    order = found_colours if colours == "auto" else colours
    tensors = _checked(found, path)
    if order == "bgr":
        tensors["conv1_1.weight"] = images.bgr_filters_to_rgb(tensors["conv1_1.weight"]).contiguous()
    widths = vggface.PUBLISHED
    return tensors, {"form": form, "file_colours": order, "input_size": widths.input_size}


def _checked(found: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    with torch.device("meta"):
        wanted = {name: value.shape for name, value in vggface.VggFace(vggface.PUBLISHED).state_dict().items()}
    tensors = {}
    for name, shape in wanted.items():
        value = found.pop(name, None)
        if value is None:
            raise WeightsError(f"{path}: not VGG-Face: it has no {name} ({_shown(shape)})")
        if name.startswith("fc") and value.ndim > 2:  # a convolution as large as its input: O I H W -> O I*H*W
            value = value.flatten(1)
        if value.shape != shape:
            raise WeightsError(f"{path}: not VGG-Face: {name} is {_shown(value.shape)}, wanted {_shown(shape)}")
        if not value.is_floating_point() or not value.isfinite().all():
            raise WeightsError(f"{path}: damaged: {name} has values that are no finite numbers")
        tensors[name] = value.to(torch.float32).contiguous()
    return tensors


def _shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _from_state_dict(path: Path) -> tuple[dict[str, Tensor], Colours]:
    found: dict[str, Tensor] = {}
    lua = False
    for key, value in checkpoints.read_state_dict(path).items():
        match = _NAME.fullmatch(key)
        if match:
            layer, underscore, place, kind = match.groups()
            name = f"conv{place}.{kind}" if place else f"{layer}.{kind}"
            if name in found:
                raise WeightsError(f"{path}: two tensors are called {name}")
            found[name] = value
            lua = lua or underscore == "_"
    return found, "bgr" if lua else "rgb"


def _from_matlab(path: Path) -> tuple[dict[str, Tensor], Colours]:
    content = read_matlab(path)
    net = {**content, **_struct(content.get("net"))}
    net = {**_struct(net.get("meta")), **net}
    layers = net.pop("layers", None)
    found: dict[str, Tensor] = {}
    while isinstance(layers, list) and layers:
        layer = _struct(layers.pop(0))  # popped, so that no array is held twice
        arrays = layer.get("weights") or [layer.get(name) for name in ("filters", "biases")]
        name = layer.get("name")
        if isinstance(arrays, list) and len(arrays) == 2 and all(isinstance(a, np.ndarray) and a.size for a in arrays):
            found[f"{name}.weight"], found[f"{name}.bias"] = _oihw(arrays[0]), torch.from_numpy(arrays[1]).flatten()
    if not found:
        raise WeightsError(f"{path}: a MATLAB file without a network of MatConvNet (layers with weights) in it")
    mean = _struct(net.get("normalization")).get("averageImage")
    return found, "rgb" if mean is None else _order_of(mean, path)


def _order_of(mean: Any, path: Path) -> Colours:
    """The colour order that the file's own mean (H W 3, or three numbers) tells; another mean is another network."""
    if isinstance(mean, np.ndarray) and mean.size and mean.size % 3 == 0:
        colour = mean.astype(np.float64).reshape(-1, 3).mean(0)
        orders: tuple[Colours, ...] = ("rgb", "bgr")
        for order, expected in zip(orders, (images.VGGFACE_MEAN, tuple(reversed(images.VGGFACE_MEAN))), strict=True):
            if np.abs(colour - expected).max() <= MEAN_TOLERANCE:
                return order
    wanted = ", ".join(f"{value:.1f}" for value in images.VGGFACE_MEAN)
    raise WeightsError(f"{path}: not VGG-Face: its averageImage is not the mean colour {wanted} (RGB)")


def _struct(value: Any) -> dict[str, Any]:
    """A MATLAB struct, also as the one element of a cell; of anything else, one without fields."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, dict) else {}


def _oihw(filters: np.ndarray[Any, Any]) -> Tensor:
    """H W I O, of which MATLAB leaves out the ones at the end -> O I H W."""
    whole = torch.from_numpy(filters)
    return whole.reshape(*whole.shape, *(1,) * (4 - whole.ndim)).permute(3, 2, 0, 1)
