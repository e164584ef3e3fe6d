"""FaceNet: Inception-ResNet-v1 as a differentiable torch module (weights 20180408-102900 of David Sandberg, MIT).

Architecture: Szegedy et al., *Inception-v4, Inception-ResNet and the Impact of InceptionBlock Connections on Learning*
(arXiv 1602.07261), figures 10 to 14, in the variant of https://github.com/davidsandberg/facenet: a narrower reduction,
17 x 17 x 256 after the stem, 1792 channels at the end, a 512-d bottleneck. The published graph was rewritten for OpenCV
with its batch normalisations folded into the convolutions, so a layer here is a convolution with a bias and a ReLU;
the one normalisation left, after the bottleneck, is folded into it by ``convert``.

Input: N 3 H W, RGB, (value - 127.5) / 128 (``mien.core.images.to_facenet``), trained at 160 x 160. Nothing depends on
the size before ``pool``, and ``pool`` averages what is there, so any H, W >= 96 works; the embedding means what it
should at 160 only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.core.errors import RequestError, WeightsError
from mien.pretrained.graphdef import constants
from mien.pretrained.taps import BLOCKS8, BLOCKS17, BLOCKS35, FACENET

INPUT_SIZE = 160  # px
MINIMUM_SIZE = 96  # px
# A whole group goes by the name of its last layer, too.
_ALIASES = {"4b": "stem", BLOCKS35[-1]: "block35", BLOCKS17[-1]: "block17", BLOCKS8[-1]: "block8"}


class ConvReLU(nn.Conv2d):
    """A convolution and its ReLU. At stride 1 the size stays (odd kernels) unless ``valid``; at stride 2 no padding."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int | tuple[int, int], stride: int = 1, valid: bool = False
    ) -> None:
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid or stride > 1 else (high // 2, wide // 2)
        super().__init__(inputs, outputs, (high, wide), stride, padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(super().forward(input), inplace=True)


def _branch(**layers: ConvReLU) -> nn.Sequential:
    # Names of the published graph, without its prefix: "_0a_1x1" is Conv2d_0a_1x1.
    return nn.Sequential(OrderedDict((name.removeprefix("_"), layer) for name, layer in layers.items()))


class InceptionBlock(nn.Module):
    """relu(x + scale * up(concatenated branches of x)); the very last block of the network has no ReLU."""

    def __init__(self, channels: int, branches: Sequence[nn.Sequential], width: int, scale: float, relu: bool) -> None:
        super().__init__()
        for index, branch in enumerate(branches):
            self.add_module(f"branch_{index}", branch)
        self.count = len(branches)
        self.up = nn.Conv2d(width, channels, 1)
        self.scale = scale
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        # N C H W -> N C H W
        both = torch.cat([self.get_submodule(f"branch_{index}")(x) for index in range(self.count)], 1)
        total = torch.add(x, self.up(both), alpha=self.scale)
        return F.relu(total, inplace=True) if self.relu else total


class Block35(InceptionBlock):
    """Inception-ResNet-A, 256 channels (paper, figure 10)."""

    def __init__(self) -> None:
        branches = (
            _branch(_1x1=ConvReLU(256, 32, 1)),
            _branch(_0a_1x1=ConvReLU(256, 32, 1), _0b_3x3=ConvReLU(32, 32, 3)),
            _branch(_0a_1x1=ConvReLU(256, 32, 1), _0b_3x3=ConvReLU(32, 32, 3), _0c_3x3=ConvReLU(32, 32, 3)),
        )
        super().__init__(256, branches, 96, scale=0.17, relu=True)


class Block17(InceptionBlock):
    """Inception-ResNet-B, 896 channels (paper, figure 11)."""

    def __init__(self) -> None:
        branches = (
            _branch(_1x1=ConvReLU(896, 128, 1)),
            _branch(
                _0a_1x1=ConvReLU(896, 128, 1), _0b_1x7=ConvReLU(128, 128, (1, 7)), _0c_7x1=ConvReLU(128, 128, (7, 1))
            ),
        )
        super().__init__(896, branches, 256, scale=0.10, relu=True)


class Block8(InceptionBlock):
    """Inception-ResNet-C, 1792 channels (paper, figure 13)."""

    def __init__(self, *, last: bool = False) -> None:
        branches = (
            _branch(_1x1=ConvReLU(1792, 192, 1)),
            _branch(
                _0a_1x1=ConvReLU(1792, 192, 1), _0b_1x3=ConvReLU(192, 192, (1, 3)), _0c_3x1=ConvReLU(192, 192, (3, 1))
            ),
        )
        super().__init__(1792, branches, 384, scale=1.0 if last else 0.20, relu=not last)


class Mixed6a(nn.Module):
    """Reduction-A (paper, figure 7): 256 channels -> 896, half the size."""

    def __init__(self) -> None:
        super().__init__()
        self.branch_0 = _branch(_1a_3x3=ConvReLU(256, 384, 3, stride=2))
        self.branch_1 = _branch(
            _0a_1x1=ConvReLU(256, 192, 1), _0b_3x3=ConvReLU(192, 192, 3), _1a_3x3=ConvReLU(192, 256, 3, stride=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        # N 256 17 17 -> N 896 8 8
        return torch.cat([self.branch_0(x), self.branch_1(x), F.max_pool2d(x, 3, 2)], 1)


class Mixed7a(nn.Module):
    """Reduction-B (paper, figure 12): 896 channels -> 1792, half the size."""

    def __init__(self) -> None:
        super().__init__()
        self.branch_0 = _branch(_0a_1x1=ConvReLU(896, 256, 1), _1a_3x3=ConvReLU(256, 384, 3, stride=2))
        self.branch_1 = _branch(_0a_1x1=ConvReLU(896, 256, 1), _1a_3x3=ConvReLU(256, 256, 3, stride=2))
        self.branch_2 = _branch(
            _0a_1x1=ConvReLU(896, 256, 1), _0b_3x3=ConvReLU(256, 256, 3), _1a_3x3=ConvReLU(256, 256, 3, stride=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        # N 896 8 8 -> N 1792 3 3
        return torch.cat([self.branch_0(x), self.branch_1(x), self.branch_2(x), F.max_pool2d(x, 3, 2)], 1)


class InceptionResnetV1(nn.Module):
    """The encoder. Frozen (no parameter asks for a gradient) and in evaluation mode when made; gradients flow to x."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.ModuleDict(
            {
                "1a": ConvReLU(3, 32, 3, stride=2),
                "2a": ConvReLU(32, 32, 3, valid=True),
                "2b": ConvReLU(32, 64, 3),
                "pool": nn.MaxPool2d(3, 2),
                "3b": ConvReLU(64, 80, 1),
                "4a": ConvReLU(80, 192, 3, valid=True),
                "4b": ConvReLU(192, 256, 3, stride=2),
            }
        )
        for name in BLOCKS35:
            self.add_module(name, Block35())
        self.mixed_6a = Mixed6a()
        for name in BLOCKS17:
            self.add_module(name, Block17())
        self.mixed_7a = Mixed7a()
        for name in BLOCKS8:
            self.add_module(name, Block8(last=name == BLOCKS8[-1]))
        self.bottleneck = nn.Linear(1792, 512)
        self.requires_grad_(False)
        self.eval()

    def stages(self) -> Iterator[tuple[str, nn.Module]]:
        """(tap name, layer) of the spatial layers, in the order they are computed (a pooling is ``pool_stem``)."""
        for name, layer in self.stem.items():
            yield ("pool_stem" if name == "pool" else name), layer
        for name in (*BLOCKS35, "mixed_6a", *BLOCKS17, "mixed_7a", *BLOCKS8):
            yield name, self.get_submodule(name)

    def forward(self, x: Tensor, taps: Sequence[str] = ("embedding",)) -> dict[str, Tensor]:
        """Activations at ``taps`` (names of ``FACENET``), in that order; nothing after the last of them is computed.

        ``x``: N 3 H W in (value - 127.5) / 128 form, H and W at least 96. Spatial taps are N C H' W' after their ReLU
        in the dtype of the computation (bfloat16 under autocast); ``pool`` (N 1792) and ``embedding`` (N 512, unit
        length) are float32. A loss over a spatial tap is 1.5 times faster on ``tap.permute(0, 2, 3, 1)``, because its
        gradient then has the memory layout of the activations (channels last). Raises ``RequestError`` for an unknown
        tap or another shape.
        """
        unknown = [tap for tap in taps if tap not in FACENET]
        if unknown:
            raise RequestError(f"FaceNet has no tap {', '.join(map(repr, unknown))}; allowed: {', '.join(FACENET)}")
        if x.ndim != 4 or x.shape[1] != 3 or min(x.shape[2:]) < MINIMUM_SIZE:
            raise RequestError(
                f"FaceNet reads N 3 H W with H, W >= {MINIMUM_SIZE}, given {' '.join(map(str, x.shape))}"
            )
        wanted = set(taps)
        found: dict[str, Tensor] = {}
        for name, layer in self.stages():
            if wanted <= found.keys():
                break
            x = layer(x)  # N C H W
            found[name] = x
            if name in _ALIASES:
                found[_ALIASES[name]] = x
        if not wanted <= found.keys():
            # Sums over 1792 values and cosines of them are worth float32 even under autocast, and cost nothing.
            with torch.autocast(x.device.type, enabled=False):
                pooled = x.float().mean((2, 3))  # N 1792
                found["pool"] = pooled
                if "embedding" in wanted:
                    found["embedding"] = self.embed(pooled)
        return {tap: found[tap] for tap in taps}

    def embed(self, pooled: Tensor) -> Tensor:
        """Pooled features (N 1792 float32) -> the embedding (N 512, unit length) that they lead to. Differentiable."""
        code = F.linear(pooled, self.bottleneck.weight.float(), self.bottleneck.bias.float())  # N 512
        # x / sqrt(max(sum x^2, 1e-10)), as the published graph has it
        return code * code.square().sum(1, keepdim=True).clamp_min(1e-10).rsqrt()


def convert(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The published graph (``graph_final.pb``) -> (state dict of ``InceptionResnetV1``, further metadata).

    HWIO kernels become OIHW; the bottleneck's normalisation (eps 1e-3) is folded into it. ``WeightsError`` when the
    graph has another set of layers.
    """
    prefix = "InceptionResnetV1/"
    graph = {
        name.removeprefix(prefix): torch.from_numpy(array.copy())
        for name, array in constants(data).items()
        if name.startswith(prefix) and array.dtype.kind == "f"
    }
    try:
        tensors = _bottleneck(graph)
        for name, scale in {"Repeat/block35_1": 0.17, "Repeat_1/block17_1": 0.10, "Repeat_2/block8_1": 0.20}.items():
            if abs(float(graph[f"{name}/mul/x"]) - scale) > 1e-6:
                raise WeightsError(f"the graph scales {name} by {float(graph[f'{name}/mul/x'])}, expected {scale}")
    except KeyError as error:
        raise WeightsError(f"not the FaceNet graph that mien knows: it has no constant {error}") from error
    for name, value in graph.items():
        path, _, kind = name.rpartition("/")
        if path.startswith("Bottleneck") or kind == "x":
            continue
        kernel = kind == "weights"
        tensors[f"{_path(path)}.{'weight' if kernel else 'bias'}"] = value.permute(3, 2, 0, 1) if kernel else value
    expected = {name: value.shape for name, value in InceptionResnetV1().state_dict().items()}
    given = {name: value.shape for name, value in tensors.items()}
    wrong = sorted(name for name in expected.keys() | given.keys() if expected.get(name) != given.get(name))
    if wrong:
        raise WeightsError(f"not the FaceNet graph that mien knows: {len(wrong)} layers differ, first {wrong[0]}")
    return {name: tensors[name].contiguous() for name in expected}, {"input_size": INPUT_SIZE}


def _bottleneck(graph: dict[str, Tensor]) -> dict[str, Tensor]:
    """Folded in double precision by NumPy: in single precision the last bit differed between two machines."""
    norm = "Bottleneck/BatchNorm"
    gamma, variance, beta, mean, weights = (
        graph[name].double().numpy()
        for name in (
            *(f"{norm}/{one}" for one in ("Const", "moving_variance", "beta", "moving_mean")),
            "Bottleneck/weights",
        )
    )
    gain = gamma / np.sqrt(variance + 1e-3)  # 512; gamma was not trained
    folded = {"bottleneck.weight": weights.T * gain[:, None], "bottleneck.bias": beta - mean * gain}
    return {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in folded.items()}


def _path(path: str) -> str:
    """``Repeat/block35_1/Branch_1/Conv2d_0b_3x3`` -> ``block35_1.branch_1.0b_3x3``."""
    parts = [part for part in path.split("/") if not part.startswith("Repeat")]
    if len(parts) == 1:  # Conv2d_1a_3x3
        return f"stem.{parts[0].removeprefix('Conv2d_')[:2]}"
    block = BLOCKS8[-1] if parts[0] == "Block8" else parts[0].lower()
    if len(parts) == 2:  # the 1x1 convolution that ends a residual block
        return f"{block}.up"
    return f"{block}.{parts[1].lower()}.{parts[2].removeprefix('Conv2d_')}"
