"""A picture as something to optimise: how it is parametrised, and what keeps it smooth.

The descent (``descent.py``) serves class visualisation (3.3.1 of the paper) and feature inversion (equation 1): "update
X using SGD and regularization", the regularisers being "blurring and/or jitter". ``PAPER`` is that; ``MIEN`` is what
makes faces of it. The picture is a canvas a little larger than what the encoder reads; jitter reads it at random
offsets.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as functional
from pydantic import Field
from torch import Tensor

from mien.core.config import Config

MARGIN = 0.1  # the canvas is larger than the window by this share


class DescentConfig(Config):
    """How a picture is optimised. Weights of regularisers are in units of the objective, which begins near 1."""

    parametrisation: Literal["pixels", "fourier"] = "fourier"
    optimiser: Literal["sgd", "adam", "lbfgs"] = "adam"
    learning_rate: float = Field(default=0.03, gt=0)  # L-BFGS reads none: it searches the length of its steps
    search: bool = False  # section 5.2: begin at ``learning_rate`` and lower it until the loss falls
    schedule: Literal["constant", "cosine"] = "cosine"  # cosine: the rate goes down to 1/20 at the last step
    steps: int = Field(default=150, ge=1)  # at most
    patience: int = Field(
        default=0, ge=0
    )  # stop when a picture gains less than ``tolerance`` in so many steps; 0: never
    tolerance: float = Field(default=0.02, gt=0)  # share of all that it gained
    jitter: bool = True
    begin_noise: float = Field(default=0.05, ge=0)  # deviation of the Gaussian noise to begin with, in [-1, 1] values
    blur_every: int = Field(
        default=0, ge=0
    )  # steps; 0: never. Pixels only: Fourier coefficients are smooth by their weights
    blur_sigma_px: float = Field(default=0.5, gt=0)
    l2: float = Field(default=0.0, ge=0)  # mean square of the picture
    variation_luma: float = Field(default=2.0, ge=0)  # total variation: mean absolute difference of neighbours
    variation_chroma: float = Field(default=12.0, ge=0)
    anchor: float = Field(default=3.0, ge=0)  # mean square distance of the blurred picture to a mean face
    anchor_sigma_px: float = Field(default=7.0, gt=0)


MIEN = DescentConfig()
PAPER = DescentConfig(
    parametrisation="pixels",
    optimiser="sgd",
    learning_rate=1e4,
    search=True,
    schedule="constant",
    steps=400,
    patience=40,
    begin_noise=0.3,
    blur_every=8,
    blur_sigma_px=1.5,
    variation_luma=0.0,
    variation_chroma=0.0,
    anchor=0.0,
)
PRESETS = {"mien": MIEN, "paper": PAPER}


def canvas_px(window_px: int, config: DescentConfig) -> int:
    """Side of the canvas for an encoder that reads ``window_px``."""
    return round(window_px * (1 + MARGIN)) if config.jitter else window_px


class Pixels:
    """The picture is its own parameters."""

    def __init__(self, begin: Tensor) -> None:
        self.values = begin.clone().requires_grad_(True)

    def picture(self) -> Tensor:
        """N 3 H W."""
        return self.values


class Fourier:
    """The picture as Fourier coefficients, each weighted by 1 / frequency (as photographs are), through a tanh."""

    def __init__(self, begin: Tensor) -> None:
        height, width = begin.shape[2:]
        down = torch.fft.fftfreq(height)[:, None]
        across = torch.fft.rfftfreq(width)[None]
        frequency = (down.square() + across.square()).sqrt().clamp_min(1 / max(height, width))
        self.size = (height, width)
        self.weights = (1 / (4 * frequency)).to(begin)
        self.values = (torch.view_as_real(self._to_coefficients(begin))).clone().requires_grad_(True)

    def _to_coefficients(self, picture: Tensor) -> Tensor:
        inside = torch.atanh(picture.clamp(-0.98, 0.98))
        coefficients: Tensor = torch.fft.rfft2(inside, norm="ortho") / self.weights
        return coefficients

    def picture(self) -> Tensor:
        """N 3 H W in (-1, 1)."""
        coefficients = torch.view_as_complex(self.values) * self.weights
        picture: Tensor = torch.fft.irfft2(coefficients, s=self.size, norm="ortho")
        return picture.tanh()


def regularisers(picture: Tensor, anchor: Tensor | None, config: DescentConfig) -> Tensor:
    """L2, total variation of luma and of chroma, and the anchor, of each picture: N. ``anchor`` is already blurred."""
    total = picture.new_zeros(len(picture))
    if config.l2:
        total = total + config.l2 * picture.square().mean((1, 2, 3))
    if config.variation_luma or config.variation_chroma:
        luma, chroma = luma_chroma(picture)
        total = total + config.variation_luma * variation(luma) + config.variation_chroma * variation(chroma)
    if config.anchor and anchor is not None:
        total = total + config.anchor * (blurred(picture, config.anchor_sigma_px) - anchor).square().mean((1, 2, 3))
    return total


def luma_chroma(picture: Tensor) -> tuple[Tensor, Tensor]:
    """N 3 H W RGB -> luma N 1 H W (Rec. 601) and the two colour differences N 2 H W."""
    luma = (picture * picture.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return luma, (picture - luma)[:, ::2]


def variation(picture: Tensor) -> Tensor:
    """N: mean absolute difference of neighbours, down and across."""
    return picture.diff(dim=2).abs().mean((1, 2, 3)) + picture.diff(dim=3).abs().mean((1, 2, 3))


def blurred(picture: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur, the border repeated."""
    reach = max(1, round(3 * sigma_px))
    at = torch.arange(-reach, reach + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp(-(at**2) / (2 * sigma_px**2))
    kernel = (kernel / kernel.sum()).expand(picture.shape[1], 1, -1)
    padded = functional.pad(picture, (reach,) * 4, mode="replicate")
    across = functional.conv2d(padded, kernel[:, :, None], groups=picture.shape[1])
    return functional.conv2d(across, kernel[:, :, :, None], groups=picture.shape[1])
