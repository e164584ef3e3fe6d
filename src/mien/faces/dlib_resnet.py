"""dlib's face recognition ResNet (Davis King, 2017, CC0) as a torch module: identity features, mostly for judging.

The network is the 29-convolution ResNet of dlib's example ``dnn_face_recognition_ex.cpp``: a 7x7 stem, five levels of
residual blocks (32, 64, 128, 256, 256 filters), global average pooling to 256 and a linear map to 128. Two photos of
one person lie nearer than ``SAME_PERSON`` = 0.6. Nothing in mien is trained with it or against it: it only judges.

The weights come as dlib's own serialisation inside the public package ``face_recognition_models``; ``convert`` reads
that format here, without dlib: integers are one byte of length (bit 7 = negative) and that many little-endian bytes,
a string is its length and its bytes, a tensor is version 2, four sizes and little-endian float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.checkpoints import built, load_weights
from mien.core.errors import RequestError, WeightsError
from mien.core.images import to_unit
from mien.faces.align import window

MODEL = "dlib-resnet"
SIDE = 150  # px of the chip that the network reads
SAME_PERSON = 0.6  # dlib's own threshold on the Euclidean distance of two embeddings
FEATURES = {"pool": 256, "embedding": 128}
MAPS = {"level1": (256, 4, 4), "level0": (256, 2, 2)}  # the last two levels, by dlib's names
TAPS = (*MAPS, *FEATURES)
MEAN = (122.782, 117.001, 104.298)  # RGB, of 255

# The square of mien's crop that is dlib's own chip (get_face_chip_details, 150 px, padding 0.25, its 5-point shape
# predictor): the median over 396 LFW and 382 UTKFace crops, where the side's deviation is 0.035 and the centre's 0.015.
CHIP_X, CHIP_Y, CHIP_SIDE = 0.1585, 0.2090, 0.6900  # left, top and side, in shares of the crop's side

# (filters, whether the block halves the image) from the input to the output: dlib's level4 to level0.
BLOCKS = (
    *((32, False),) * 3,
    (64, True),
    *((64, False),) * 3,
    (128, True),
    *((128, False),) * 2,
    (256, True),
    *((256, False),) * 2,
    (256, True),
)


class Affine(nn.Module):
    """dlib's ``affine_``: what batch normalisation became when training ended, a scale and a shift per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain[:, None, None] + self.shift[:, None, None]


class DlibBlock(nn.Module):
    """3x3, affine, ReLU, 3x3, affine, plus the input (average-pooled when the block halves), ReLU."""

    def __init__(self, before: int, filters: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        # dlib pads a convolution only when its stride is 1
        self.conv1 = nn.Conv2d(before, filters, 3, 2 if halves else 1, 0 if halves else 1)
        self.affine1 = Affine(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1)
        self.affine2 = Affine(filters)

    def forward(self, x: Tensor) -> Tensor:
        y = self.affine2(self.conv2(F.relu(self.affine1(self.conv1(x)))))
        shortcut = F.avg_pool2d(x, 2, 2) if self.halves else x
        return F.relu(_add(y, shortcut))


def _add(a: Tensor, b: Tensor) -> Tensor:
    """dlib's ``add_prev``: the sum, each side filled with zeros up to the larger channels, rows and columns."""
    if a.shape == b.shape:
        return a + b
    channels, rows, columns = (max(a.shape[axis], b.shape[axis]) for axis in (1, 2, 3))

    def grown(x: Tensor) -> Tensor:
        return F.pad(x, (0, columns - x.shape[3], 0, rows - x.shape[2], 0, channels - x.shape[1]))

    return grown(a) + grown(b)


class DlibResNet(nn.Module):
    """Chips (N 3 150 150, tensor convention) -> ``taps`` by name. Differentiable.

    ``level1`` (N 256 4 4) and ``level0`` (N 256 2 2) are the maps at the end of dlib's last levels, ``pool`` (N 256)
    their average and ``embedding`` (N 128) what two photos are compared by; by default the latter two.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        self.stem_affine = Affine(32)
        blocks, before = [], 32
        for filters, halves in BLOCKS:
            blocks.append(DlibBlock(before, filters, halves))
            before = filters
        self.blocks = nn.ModuleList(blocks)
        self.project = nn.Linear(256, 128, bias=False)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> DlibResNet:
        """The network with the tensors that ``convert`` returned, in evaluation mode, without gradients to weights."""
        return built(cls, tensors, name=MODEL).eval().requires_grad_(False)

    @classmethod
    def load(cls) -> DlibResNet:
        """The network from the cache of fetched models; ``WeightsError`` says how to fetch it."""
        from mien.pretrained import registry as store

        return cls.of(load_weights(store.weights_path(MODEL), model=MODEL)[0])

    def forward(self, chips: Tensor, taps: Sequence[str] = tuple(FEATURES)) -> dict[str, Tensor]:
        unknown = [tap for tap in taps if tap not in TAPS]
        if unknown:
            raise RequestError(f"{MODEL}: no tap '{unknown[0]}'; allowed: {', '.join(TAPS)}")
        if chips.ndim != 4 or chips.shape[1:] != (3, SIDE, SIDE):
            raise ValueError(f"dlib-resnet: chips of shape {tuple(chips.shape)}, wanted N 3 {SIDE} {SIDE}")
        x = to_dlib(chips)  # N 3 150 150
        x = F.relu(self.stem_affine(self.stem(x)))  # N 32 72 72
        x = F.max_pool2d(x, 3, 2)  # N 32 35 35
        *before, last = self.blocks
        for block in before:
            x = block(x)  # 32x35x35, 64x17x17, 128x8x8, 256x4x4
        found = {"level1": x, "level0": last(x)}  # N 256 4 4, N 256 2 2
        found["pool"] = found["level0"].mean((2, 3))  # N 256
        found["embedding"] = self.project(found["pool"])  # N 128
        return {tap: found[tap] for tap in taps}


def to_dlib(tensor: Tensor) -> Tensor:
    """Tensor in [-1, 1] -> (value of 255 - mean) / 256, what the network was trained on."""
    mean = tensor.new_tensor(MEAN)[:, None, None]
    return (to_unit(tensor) * 255 - mean) / 256


def dlib_crop(crops: Tensor) -> Tensor:
    """mien's aligned crops (N 3 S S) -> dlib's chips (N 3 150 150): one fixed window. Differentiable."""
    return window(crops, CHIP_X, CHIP_Y, CHIP_SIDE, SIDE)


def convert(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The bytes of ``dlib_face_recognition_resnet_model_v1.dat`` -> (tensors for ``DlibResNet``, metadata).

    Raises ``WeightsError`` when the bytes are not that network.
    """
    layers = _layers(data)
    convolutions = [values for kind, values in layers if kind == "con_4"]
    affines = [values for kind, values in layers if kind == "affine_"]
    dense = [values for kind, values in layers if kind == "fc_2"]
    network = DlibResNet()
    conv_names = ["stem", *(f"blocks.{i}.conv{j}" for i in range(len(BLOCKS)) for j in (1, 2))]
    affine_names = ["stem_affine", *(f"blocks.{i}.affine{j}" for i in range(len(BLOCKS)) for j in (1, 2))]
    if (len(convolutions), len(affines), len(dense)) != (len(conv_names), len(affine_names), 1):
        found = f"{len(convolutions)} convolutions, {len(affines)} affine and {len(dense)} dense layers"
        raise WeightsError(f"{MODEL}: the file holds {found}, wanted {len(conv_names)}, {len(affine_names)} and 1")
    tensors: dict[str, Tensor] = {}
    wanted = network.state_dict()
    for name, values in zip(conv_names, convolutions, strict=True):
        weight, bias = wanted[f"{name}.weight"], wanted[f"{name}.bias"]
        _check(name, values, weight.numel() + bias.numel())
        tensors[f"{name}.weight"] = torch.from_numpy(values[: weight.numel()].reshape(weight.shape).copy())
        tensors[f"{name}.bias"] = torch.from_numpy(values[weight.numel() :].copy())
    for name, values in zip(affine_names, affines, strict=True):
        channels = wanted[f"{name}.gain"].numel()
        _check(name, values, 2 * channels)
        tensors[f"{name}.gain"] = torch.from_numpy(values[:channels].copy())
        tensors[f"{name}.shift"] = torch.from_numpy(values[channels:].copy())
    _check("project", dense[0], 256 * 128)
    tensors["project.weight"] = torch.from_numpy(dense[0].reshape(256, 128).T.copy())
    metadata = {
        "input": "RGB chip of 150 px (dlib get_face_chip_details, padding 0.25), (value - mean) / 256",
        "taps": FEATURES,
    }
    return tensors, metadata


def _check(name: str, values: np.ndarray[Any, Any], wanted: int) -> None:
    if values.size != wanted:
        raise WeightsError(f"{MODEL}: layer {name} holds {values.size} numbers, wanted {wanted}")


def _layers(data: bytes) -> list[tuple[str, np.ndarray[Any, Any]]]:
    """Every layer with parameters in file order (input first): its kind and its numbers.

    The layers' own settings between the tensors differ from version to version of dlib and hold nothing that the
    architecture does not already say, so the kinds' names are looked for instead of being walked to.
    """
    found: list[tuple[int, str]] = []
    for kind in ("con_4", "affine_", "fc_2"):
        marker = bytes([1, len(kind)]) + kind.encode()
        place = data.find(marker)
        while place >= 0:
            found.append((place + len(marker), kind))
            place = data.find(marker, place + 1)
    layers = []
    for place, kind in sorted(found):
        try:
            if kind == "fc_2":  # outputs and inputs come before the tensor
                _, place = _integer(data, place)
                _, place = _integer(data, place)
            layers.append((kind, _tensor(data, place)))
        except IndexError as error:
            raise WeightsError(f"{MODEL}: the file is cut short in a {kind} layer") from error
    return layers


def _integer(data: bytes, place: int) -> tuple[int, int]:
    """(value, place after it) of an integer in dlib's format."""
    length = data[place] & 0x7F
    if not 1 <= length <= 8:
        raise WeightsError(f"{MODEL}: an integer of {length} bytes at byte {place}: not dlib's format")
    raw = data[place + 1 : place + 1 + length]
    if len(raw) < length:
        raise IndexError(place)
    value = int.from_bytes(raw, "little")
    return (-value if data[place] & 0x80 else value), place + 1 + length


def _tensor(data: bytes, place: int) -> np.ndarray[Any, Any]:
    version, place = _integer(data, place)
    if version != 2:
        raise WeightsError(f"{MODEL}: a tensor of version {version} at byte {place}, known is 2")
    size = 1
    for _ in range(4):  # samples, channels, rows, columns
        axis, place = _integer(data, place)
        size *= axis
    if size < 0 or place + 4 * size > len(data):
        raise IndexError(place)
    return np.frombuffer(data, "<f4", size, place)
