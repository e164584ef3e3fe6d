"""FaceRes, a MobileNet v1 for sex, age and identity, as a torch module: a third reader of sex.

A. V. Savchenko, *Efficient facial representations for age, gender and identity recognition in organizing photo albums
using multi-output ConvNet*, PeerJ Computer Science 5:e197, 2019 (HSE_FaceRec_tf): the base (alpha 1, 224 px) learnt
identities of VGGFace2, and layers of sex and age on top of it learnt from IMDB-Wiki. The weights are those that the npm
package ``@vladmandic/human`` carries for TensorFlow.js: float16 numbers without names in one fixed order, batch
normalisation already in the kernels or beside them. ``convert`` reads that order.

Departure: the stem's kernels read RGB, the published ones BGR. The depthwise layers' scales stay beside their kernels,
because only so all numbers stay the published float16 ones; multiplied in and rounded, a feature moves by up to 0.02.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.checkpoints import load_into, load_weights
from mien.core.errors import RequestError, WeightsError
from mien.core.images import to_unit
from mien.faces.align import window

MODEL = "faceres"
SIDE = 224  # px of the window that the network reads
YEARS = 100  # "ages" are the years 1 to 100
MEAN = (123.68, 116.779, 103.939)  # RGB, of 255
CEILING = 6.0  # of ReLU6

FEATURES = {"pool": 1024}
MAPS = {"maps": (1024, 7, 7)}
PUBLISHED = ("female", "ages")
TAPS = (*MAPS, *FEATURES, *PUBLISHED)

# The square of mien's crop that the network reads: of five squares the one on which the published layer of sex was
# right most often on faces of the validation set: 96.4 % of adults (whole crop 96.2, dlib's 96.0, tighter 96.2).
WINDOW_X, WINDOW_Y, WINDOW_SIDE = 0.10, 0.12, 0.80  # left, top and side, in shares of the crop's side

CHANNELS = (32, 64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)  # after the stem, and after each block
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)  # of each block's depthwise layer


class Block(nn.Module):
    """MobileNet's pair: 3x3 within each channel (times ``scale``), ReLU6, 1x1 across channels, ReLU6."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.depth = nn.Conv2d(before, before, 3, stride, groups=before)
        self.scale = nn.Parameter(torch.ones(before))
        self.point = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        kernels = self.depth.weight * self.scale[:, None, None, None]  # C 1 3 3
        x = F.conv2d(_same(x, self.stride), kernels, self.depth.bias, self.stride, groups=len(kernels))
        return F.relu6(self.point(F.relu6(x)))


def _same(x: Tensor, stride: int) -> Tensor:
    """TensorFlow's SAME padding for a 3x3 kernel on even sides: a stride of 2 has zeros right and below only."""
    return F.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))


class FaceRes(nn.Module):
    """Windows (N 3 224 224, tensor convention) -> ``taps`` by name. Differentiable.

    ``maps`` (N 1024 7 7, 0 to 6) are those after the last ReLU6 and ``pool`` (N 1024) their average: the default. The
    published layers answer ``female`` (N), the logit of female (minus the published one, whose sigmoid is the
    probability of male), and ``ages`` (N 100), the probabilities of the years 1 to 100.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, CHANNELS[0], 3, 2)
        pairs = zip(pairwise(CHANNELS), STRIDES, strict=True)
        self.blocks = nn.ModuleList(Block(before, after, stride) for (before, after), stride in pairs)
        self.features = nn.Linear(CHANNELS[-1], 256)
        self.sex = nn.Linear(256, 1)
        self.age = nn.Linear(256, YEARS)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> FaceRes:
        """The network with the tensors that ``convert`` returned, in evaluation mode, without gradients to weights."""
        network = cls()
        load_into(network, tensors, name=MODEL)
        return network.eval().requires_grad_(False)

    @classmethod
    def load(cls) -> FaceRes:
        """The network from the cache of fetched models; ``WeightsError`` says how to fetch it."""
        from mien.pretrained import registry as store

        return cls.of(load_weights(store.weights_path(MODEL), model=MODEL)[0])

    def forward(self, windows: Tensor, taps: Sequence[str] = (*MAPS, *FEATURES)) -> dict[str, Tensor]:
        unknown = [tap for tap in taps if tap not in TAPS]
        if unknown:
            raise RequestError(f"{MODEL}: no tap '{unknown[0]}'; allowed: {', '.join(TAPS)}")
        if windows.ndim != 4 or windows.shape[1:] != (3, SIDE, SIDE):
            raise ValueError(f"{MODEL}: windows of shape {tuple(windows.shape)}, wanted N 3 {SIDE} {SIDE}")
        x = F.relu6(self.stem(_same(to_faceres(windows), 2)))  # N 32 112 112
        for block in self.blocks:
            x = block(x)  # 64x112x112, 128x56x56 (2), 256x28x28 (2), 512x14x14 (6), 1024x7x7 (2)
        found = {"maps": x, "pool": x.float().mean((2, 3))}  # N 1024 7 7, N 1024
        if any(tap in PUBLISHED for tap in taps):
            features = F.relu(self.features(found["pool"]))  # N 256
            found["female"] = -self.sex(features)[:, 0]  # N
            found["ages"] = self.age(features).softmax(1)  # N 100
        return {tap: found[tap] for tap in taps}


def to_faceres(tensor: Tensor) -> Tensor:
    """Tensor in [-1, 1] -> value of 255 - mean, what the network was trained on (in RGB: ``convert`` turns kernels)."""
    mean = tensor.new_tensor(MEAN)[:, None, None]
    return to_unit(tensor) * 255 - mean


def faceres_crop(crops: Tensor) -> Tensor:
    """mien's aligned crops (N 3 S S) -> the network's windows (N 3 224 224): one fixed square. Differentiable."""
    return window(crops, WINDOW_X, WINDOW_Y, WINDOW_SIDE, SIDE)


def convert(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The bytes of ``faceres.bin`` -> (tensors for ``FaceRes``, metadata).

    Raises ``WeightsError`` when the bytes are not that network.
    """
    if len(data) != BYTES:
        raise WeightsError(f"{MODEL}: the file holds {len(data)} bytes, wanted {BYTES}")
    numbers = np.frombuffer(data, "<f2", (BYTES - TAIL_BYTES) // 2).astype(np.float32)
    found, place = {}, 0
    for name, shape in ORDER:
        size = int(np.prod(shape))
        found[name] = torch.from_numpy(numbers[place : place + size].reshape(shape))
        place += size
        if not found[name].isfinite().all():
            raise WeightsError(f"{MODEL}: layer {name} holds numbers that are not finite")
        if name.endswith(".bounds") and found[name].tolist() != [CEILING, 0]:
            bounds = " and ".join(f"{bound:g}" for bound in found[name].tolist())
            raise WeightsError(f"{MODEL}: {name.removesuffix('.bounds')} is bounded by {bounds}, wanted 6 and 0")
    tensors = {}
    for name, values in found.items():
        layer, _, kind = name.rpartition(".")
        if kind in ("bias", "scale"):
            tensors[name] = values
        elif kind == "dense":  # inputs outputs
            tensors[f"{layer}.weight"] = values.T
        elif kind == "full":  # height width inputs outputs
            weight = values.permute(3, 2, 0, 1)
            tensors[f"{layer}.weight"] = weight.flip(1) if layer == "stem" else weight  # BGR -> RGB
        elif kind == "within":  # height width channels 1
            tensors[f"{layer}.weight"] = values.permute(2, 3, 0, 1)
    metadata = {
        "input": "RGB window of 224 px, value (0 to 255) minus 123.68, 116.779, 103.939",
        "taps": FEATURES,
        "maps": MAPS,
    }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, metadata


def _order() -> list[tuple[str, tuple[int, ...]]]:
    """(name, shape) of every run of numbers in ``faceres.bin``, first to last."""
    order: list[tuple[str, tuple[int, ...]]] = []
    for layer, inputs, outputs in (("age", 256, YEARS), ("features", CHANNELS[-1], 256), ("sex", 256, 1)):
        order += [(f"{layer}.dense", (inputs, outputs)), (f"{layer}.bias", (outputs,))]
    first = CHANNELS[0]
    order += [("stem.full", (3, 3, 3, first)), ("stem.bias", (first,)), ("stem.bounds", (2,))]
    for i, (before, after) in enumerate(pairwise(CHANNELS)):
        order += [
            (f"blocks.{i}.depth.within", (3, 3, before, 1)),
            (f"blocks.{i}.scale", (before,)),
            (f"blocks.{i}.depth.bias", (before,)),
            (f"blocks.{i}.depth.bounds", (2,)),
            (f"blocks.{i}.point.full", (1, 1, before, after)),
            (f"blocks.{i}.point.bias", (after,)),
            (f"blocks.{i}.point.bounds", (2,)),
        ]
    return order


ORDER = _order()
TAIL_BYTES = 8  # two int32: the axes that are averaged over
BYTES = 2 * sum(int(np.prod(shape)) for _, shape in ORDER) + TAIL_BYTES
