"""The enlarger: a face of 128 px -> the same face of 256 px, with detail that such a face is likely to have.

Not of a paper. A residual on bicubic interpolation, as in Kim et al. (VDSR, 2016); blocks without normalisation and a
pixel shuffle at the end, as in Lim et al. (EDSR, 2017). Most of the work is done at half the size of the input, where
it is cheap and sees more of the face at once. The last layer starts at zero: an untrained enlarger is bicubic.

A network without chance in it can only repeat itself where it invents: it draws a weave, or smooth skin. One with a
*fine* stage is given noise (as in Karras et al., StyleGAN, 2019), out of which pores and strands are made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Self

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from mien.core.checkpoints import WEIGHTS, load_into, load_weights
from mien.core.config import Config
from mien.core.errors import RequestError, WeightsError
from mien.core.layers import SLOPE
from mien.core.limits import check_size
from mien.core.memory import keep_freed_memory
from mien.core.precision import has_fast_bf16
from mien.core.seeding import stream

MODEL = "enlarger"
FACTOR = 2


class EnlargerConfig(Config):
    """Sizes of an enlarger."""

    channels: int = 32  # at the size of the input
    blocks: int = 2
    deep_channels: int = 64  # at half that size
    deep_blocks: int = 4
    deepest_channels: int = 0  # at a quarter; 0: not so deep
    deepest_blocks: int = 0
    fine_channels: int = 0  # at the size of the output, where noise comes in; 0: no such stage


class EnlargerNetwork(nn.Module):
    """Images N 3 H W in [-1, 1], H and W multiples of 4 -> N 3 2H 2W, about in [-1, 1]."""

    def __init__(self, config: EnlargerConfig) -> None:
        super().__init__()
        self.config = config
        self.head = nn.Conv2d(3, config.channels, 3, padding=1)
        self.down = nn.Conv2d(config.channels, config.deep_channels, 2, stride=2)
        self.deep = nn.Sequential(*(_Block(config.deep_channels) for _ in range(config.deep_blocks)))
        self.up = nn.Conv2d(config.deep_channels, 4 * config.channels, 1)
        if config.deepest_channels:
            self.down_again = nn.Conv2d(config.deep_channels, config.deepest_channels, 2, stride=2)
            self.deepest = nn.Sequential(*(_Block(config.deepest_channels) for _ in range(config.deepest_blocks)))
            self.up_again = nn.Conv2d(config.deepest_channels, 4 * config.deep_channels, 1)
        self.near = nn.Sequential(*(_Block(config.channels) for _ in range(config.blocks)))
        self.out = _zero(nn.Conv2d(config.channels, 3 * FACTOR**2, 3, padding=1))
        if config.fine_channels:
            self.chance = _zero(nn.Conv2d(FACTOR**2, config.channels, 1))
            self.rise = nn.Conv2d(config.channels, FACTOR**2 * config.fine_channels, 3, padding=1)
            self.fine = nn.Conv2d(config.fine_channels + 1, config.fine_channels, 3, padding=1)
            self.fine_out = _zero(nn.Conv2d(config.fine_channels, 3, 3, padding=1))

    def forward(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """``noise`` (N 1 2H 2W, standard normal) is what a fine stage makes detail of; ``None``: none."""
        kind = self.head.weight.dtype
        return bicubic(images) + self.detail(images.to(kind), None if noise is None else noise.to(kind)).float()

    def detail(self, images: Tensor, noise: Tensor | None = None) -> Tensor:
        """What is added to the bicubic image (N 3 2H 2W)."""
        x = self.head(images)  # N C H W
        if self.config.fine_channels:
            count, _, height, width = images.shape
            chance = images.new_zeros(count, 1, FACTOR * height, FACTOR * width) if noise is None else noise
            x = x + self.chance(functional.pixel_unshuffle(chance, FACTOR))
        y = self.down(x)  # N D H/2 W/2
        if self.config.deepest_channels:
            y = y + functional.pixel_shuffle(self.up_again(self.deepest(self.down_again(y))), 2)
        x = self.near(x + functional.pixel_shuffle(self.up(self.deep(y)), 2))
        detail: Tensor = functional.pixel_shuffle(self.out(x), FACTOR)
        if self.config.fine_channels:
            z = functional.leaky_relu(functional.pixel_shuffle(self.rise(x), FACTOR), SLOPE)  # N F 2H 2W
            z = functional.leaky_relu(self.fine(torch.cat([z, chance], 1)), SLOPE)
            detail = detail + self.fine_out(z)
        return detail


class _Block(nn.Module):
    """x + conv(leaky(conv(x))), 3 x 3; at first x alone, so that a network may grow by a block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = _zero(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(functional.leaky_relu(self.conv1(x), SLOPE))
        return x + y


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def bicubic(images: Tensor) -> Tensor:
    """Twice the height and width (float32), bicubic; pixel centres as everywhere in mien."""
    return functional.interpolate(images.float(), scale_factor=FACTOR, mode="bicubic", align_corners=False)


class Enlarger:
    """A trained enlarger behind photos; the network becomes its own."""

    name = MODEL

    def __init__(self, network: EnlargerNetwork, version: str, device: str = "cpu") -> None:
        self.device = torch.device(device)
        precision = torch.bfloat16 if has_fast_bf16(self.device) else torch.float32
        self.network = network.eval().requires_grad_(False).to(self.device, precision)
        torch.nn.Module.to(self.network, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.version = version

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, *, device: str = "cpu") -> Self:
        """Read weights of ``mien train enlarger`` (default: the packaged ones)."""
        path = path or WEIGHTS / f"{MODEL}.safetensors"
        tensors, metadata = load_weights(path, model=MODEL)
        if not {"config", "version"} <= metadata.keys():
            raise WeightsError(f"{path}: its metadata has no 'config' or no 'version'")
        network = EnlargerNetwork(EnlargerConfig.make(metadata["config"], where=str(path)))
        load_into(network, tensors, name=str(path))
        return cls(network, str(metadata["version"]), device)

    @torch.inference_mode()
    def enlarge(self, pictures: Tensor, draws: Sequence[np.random.Generator] | None = None) -> Tensor:
        """Pictures (N 3 H W in [-1, 1], H and W even) -> N 3 2H 2W, about in [-1, 1], not rounded.

        ``draws``: each picture's own chance (``None``: the same for all).

        One at a time: a picture does not depend on those beside it, and the layers stay in the processor's cache.
        """
        if pictures.ndim != 4 or pictures.shape[2] % 2 or pictures.shape[3] % 2:
            given = f"pictures of shape {tuple(pictures.shape)} given"
            raise RequestError(f"{given}; the enlarger wants N 3 H W with even H and W")
        keep_freed_memory()
        shown = pictures.clamp(-1, 1).to(self.device, memory_format=torch.channels_last)
        height, width = FACTOR * shown.shape[2], FACTOR * shown.shape[3]
        made = [shown.new_empty(0, 3, height, width)]
        for row, one in enumerate(shown):
            chance = stream(0, "grain") if draws is None else draws[row]
            noise = torch.from_numpy(chance.standard_normal((1, 1, height, width), np.float32))
            made.append(self.network(one[None], noise.to(self.device)))
        return torch.cat(made)


@lru_cache(maxsize=4)
def packaged_enlarger(device: str = "cpu") -> Enlarger:
    """The enlarger that travels with mien, loaded once for each device."""
    return Enlarger.load(device=device)


def enlarger_at(size_px: int | None, own_px: int, device: object) -> Enlarger | None:
    """What makes pictures of ``size_px`` from those of ``own_px``; ``None``: they have that size.

    ``RequestError`` for another size than these two.
    """
    check_size(size_px, (own_px, FACTOR * own_px))
    return None if size_px in (None, own_px) else packaged_enlarger(str(device))
