"""The critics that sharpen a decoder or an enlarger: one on pixels, one on feature maps of the frozen encoder, or both.

They score patches (N 1 h w), with spectral normalisation (Miyato et al., 2018); where they are not ``bounded`` the last
layer has none, and scores are as large as they like. The critic on features follows the
idea of projected GANs (Sauer et al., 2021): a fixed network's maps are a better place to judge from than pixels when
images are few.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch.nn.functional as functional
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from mien.core.layers import SLOPE


class PatchCritic(nn.Module):
    """Images N 3 H W -> scores N 1 H/8 W/8, as large as they like to be where they are not ``bounded``."""

    def __init__(self, widths: Sequence[int] = (32, 64, 128), *, bounded: bool = True) -> None:
        super().__init__()
        channels = [3, *widths]
        self.steps = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in itertools.pairwise(channels)
        )
        last = nn.Conv2d(channels[-1], 1, 3, padding=1)
        self.out = spectral_norm(last) if bounded else last

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for step in self.steps:
            x = functional.leaky_relu(step(x), SLOPE)
        scores: Tensor = self.out(x)
        return scores


class FeatureCritic(nn.Module):
    """Feature maps by tap name (N C h w) -> scores by tap name (N 1 h' w')."""

    def __init__(self, channels: Mapping[str, int], width: int = 64, *, bounded: bool = True) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: _head(count, width, bounded) for name, count in channels.items()})

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: head(maps[name]) for name, head in self.heads.items()}


class MixedCritic(nn.Module):
    """Images N 3 H W and their feature maps -> the scores of the pixels, then those of each tap's maps."""

    def __init__(self, widths: Sequence[int], channels: Mapping[str, int], *, bounded: bool = True) -> None:
        super().__init__()
        self.pixels = PatchCritic(widths, bounded=bounded)
        self.maps = FeatureCritic(channels, bounded=bounded)

    def forward(self, images: Tensor, maps: Mapping[str, Tensor]) -> list[Tensor]:
        return [self.pixels(images), *self.maps(maps).values()]


def _head(channels: int, width: int, bounded: bool) -> nn.Sequential:
    last = nn.Conv2d(width, 1, 1)
    return nn.Sequential(
        spectral_norm(nn.Conv2d(channels, width, 1)),
        nn.LeakyReLU(SLOPE),
        spectral_norm(nn.Conv2d(width, width, 3, stride=2, padding=1)),
        nn.LeakyReLU(SLOPE),
        spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
        nn.LeakyReLU(SLOPE),
        spectral_norm(last) if bounded else last,
    )
