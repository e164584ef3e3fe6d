"""The decoder: encoder features (what a face is) and a small style code (what the features leave open) -> the face.

Not of a paper. The features are FaceNet's average pool (1792 values, standardised); they fix the person, the age and
the expression, and lose light, background and the cut of the hair. Those go through ``StyleEncoder``, a small
variational bottleneck (Kingma and Welling, 2014) that only exists in training: at synthesis the style is sampled
together with the features from a density.

Modulation follows Perez et al. (FiLM, 2018), noise planes and summed RGB outputs follow Karras et al. (StyleGAN 1
and 2, 2019 and 2020).
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from mien.core.config import Config
from mien.core.layers import SLOPE, UpBlock, upsample

FIRST_PX = 4
RIM_PX = 2


class DecoderConfig(Config):
    """Sizes of a decoder and its style encoder."""

    features: int = 1792
    style: int = 48
    trunk: int = 640
    code: int = 384
    channels: tuple[int, ...] = (256, 256, 192, 128, 64, 32)  # at 4, 8, 16, ... px
    rgb_from_px: int = 16

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        return int(FIRST_PX * 2 ** (len(self.channels) - 1))


class Decoder(nn.Module):
    """(features N F, style N S, noise planes) -> images N 3 size size in (-1, 1).

    ``features`` are standardised by the buffers ``mean`` and ``deviation`` inside, so that raw encoder features go in.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.features))
        self.register_buffer("deviation", torch.ones(config.features))
        self.trunk = nn.Sequential(nn.Linear(config.features + config.style, config.trunk), nn.LeakyReLU(SLOPE))
        self.mapping = nn.Sequential(nn.Linear(config.trunk, config.code), nn.LeakyReLU(SLOPE))
        self.start = nn.Linear(config.trunk, config.channels[0] * FIRST_PX**2)
        self.blocks = nn.ModuleList(
            UpBlock(a, b, config.code) for a, b in zip(config.channels[:-1], config.channels[1:], strict=True)
        )
        self.rgb = nn.ModuleDict()
        for index, channels in enumerate(config.channels[1:]):
            if FIRST_PX * 2 ** (index + 1) >= config.rgb_from_px:
                self.rgb[str(FIRST_PX * 2 ** (index + 1))] = nn.Conv2d(channels, 3, 1)

    def forward(self, features: Tensor, style: Tensor, planes: list[Tensor]) -> Tensor:
        known = (features - self.mean) / self.deviation
        return self.decode(torch.cat([known, style], 1), planes)

    def decode(self, code: Tensor, planes: list[Tensor]) -> Tensor:
        """Code (N F + S: standardised features, style) and ``noise_planes`` -> images."""
        trunk = self.trunk(code)  # N trunk
        x = self.start(trunk).unflatten(1, (-1, FIRST_PX, FIRST_PX))  # N C 4 4
        x = x.contiguous(memory_format=torch.channels_last)
        w = self.mapping(trunk)  # N code
        image: Tensor | None = None
        for block, plane in zip(self.blocks, planes, strict=True):
            x = block(x, w, plane)
            key = str(x.shape[-1])
            if key in self.rgb:
                added = self.rgb[key](x).float()
                image = added if image is None else upsample(image) + added  # N 3 H W
        assert image is not None
        return rimless(torch.tanh(image))

    def noise_planes(self, count: int, generator: torch.Generator) -> list[Tensor]:
        """Noise for ``count`` images: one plane (N 1 H W) for each block."""
        device = generator.device
        sizes = [FIRST_PX * 2 ** (i + 1) for i in range(len(self.blocks))]
        return [torch.randn(count, 1, size, size, generator=generator, device=device) for size in sizes]


def rimless(images: Tensor) -> Tensor:
    """Images (N C H W) whose outermost ``RIM_PX`` repeat what is within.

    The convolutions see zeros beyond the edge; what they make of them is a frame of a pixel or two around the picture.
    """
    inner = images[..., RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
    return functional.pad(inner, (RIM_PX,) * 4, mode="replicate")


class StyleEncoder(nn.Module):
    """Images (N 3 H W in [-1, 1], seen at 64 px) -> mean and log variance of the style (N S each)."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, 128)
        self.steps = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in itertools.pairwise(widths))
        self.out = nn.Linear(widths[-1] * 16, 2 * config.style)
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(self.out.bias)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.interpolate(images, size=(64, 64), mode="area")
        for step in self.steps:
            x = functional.leaky_relu(step(x), SLOPE)
        mean, log_variance = self.out(x.flatten(1)).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 4)
