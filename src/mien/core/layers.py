"""Layers that two or more generators use."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

SLOPE = 0.2


class Modulation(nn.Module):
    """Group normalisation whose scale and shift come from a code (N D): x -> norm(x) * (1 + scale) + shift."""

    def __init__(self, channels: int, code: int, group: int = 16) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(max(1, channels // group), channels, affine=False)
        self.affine = nn.Linear(code, 2 * channels)
        nn.init.normal_(self.affine.weight, std=0.02)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        scale, shift = self.affine(code).to(x.dtype)[:, :, None, None].chunk(2, dim=1)  # N C 1 1 each
        return torch.addcmul(shift, self.norm(x), 1 + scale)  # N C H W


class Grain(nn.Module):
    """Adds one noise plane (N 1 H W) with a learned strength per channel (Karras et al., 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, plane: Tensor) -> Tensor:
        return torch.addcmul(x, self.strength.to(x.dtype)[:, None, None], plane.to(x.dtype))


class UpBlock(nn.Module):
    """Twice the size: 3 x 3 convolution, bilinear upsampling (no grid of lines), 3 x 3 convolution, a 1 x 1 skip.

    The first convolution works at the small size, which halves the cost of a block.
    """

    def __init__(self, channels: int, out: int, code: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.skip = nn.Conv2d(channels, out, 1, bias=False)
        self.mod1 = Modulation(out, code)
        self.mod2 = Modulation(out, code)
        self.grain = Grain(out)

    def forward(self, x: Tensor, code: Tensor, plane: Tensor) -> Tensor:
        y = functional.leaky_relu(self.mod1(self.conv1(x), code), SLOPE)  # N out H W
        y = self.grain(self.conv2(upsample(y)), plane)  # N out 2H 2W
        y = functional.leaky_relu(self.mod2(y, code), SLOPE)
        return y + upsample(self.skip(x))


def upsample(x: Tensor) -> Tensor:
    """Twice the height and width, bilinear."""
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
