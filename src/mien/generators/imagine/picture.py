"""A picture as something to optimise: how it is parametrised, what keeps it smooth, and the descent itself.

The descent serves class visualisation (3.3.1 of the paper) and feature inversion (equation 1): "update X using SGD and
regularization", the regularisers being "blurring and/or jitter". ``PAPER`` is that; ``MIEN`` is what makes faces of it.
The picture is a canvas a little larger than what the encoder reads; jitter reads it at random offsets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor

from mien.config import Config
from mien.errors import RequestError

Offset = tuple[int, int]  # rows, columns
Objective = Callable[[Tensor, Offset], Tensor]  # (N 3 S S in [-1, 1], its offset in the canvas) -> a scalar to lower
Progress = Callable[[int, float], None]  # step, loss

MARGIN = 0.1  # the canvas is larger than the window by this share


class DescentConfig(Config):
    """How a picture is optimised. Weights of regularisers are in units of the objective, which begins near 1."""

    parametrisation: Literal["pixels", "fourier"] = "fourier"
    optimiser: Literal["sgd", "adam", "lbfgs"] = "adam"
    learning_rate: float = 0.03
    steps: int = 150
    jitter: bool = True
    begin_noise: float = 0.05  # deviation of the Gaussian noise that the descent begins with, in [-1, 1] values
    blur_every: int = 0  # steps; 0: never. Pixels only: Fourier coefficients are smooth by their weights
    blur_sigma_px: float = 0.5
    l2: float = 0.0  # mean square of the picture
    variation_luma: float = 2.0  # total variation: mean absolute difference of neighbours
    variation_chroma: float = 12.0
    anchor: float = 3.0  # mean square distance of the blurred picture to a mean face
    anchor_sigma_px: float = 7.0


MIEN = DescentConfig()
PAPER = DescentConfig(
    parametrisation="pixels",
    optimiser="sgd",
    learning_rate=200.0,
    steps=400,
    begin_noise=0.3,
    blur_every=4,
    blur_sigma_px=0.6,
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


def descend(
    objective: Objective,
    begin: Tensor,
    window_px: int,
    config: DescentConfig,
    draws: torch.Generator,
    *,
    mean_face: Tensor | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, list[float]]:
    """Lower ``objective`` plus the regularisers from ``begin`` (N 3 H W, a canvas); returns the canvas and the losses.

    ``mean_face`` (1 3 H W) is what the anchor pulls to; ``RequestError`` where an anchor has none.
    """
    if config.anchor and mean_face is None:
        raise RequestError("anchor: given without a mean face to pull to; wanted: anchor 0, or a mean face")
    form = (Fourier if config.parametrisation == "fourier" else Pixels)(begin)
    optimiser = _optimiser(form.values, config)
    room = begin.shape[-1] - window_px
    anchor = None if mean_face is None else blurred(mean_face, config.anchor_sigma_px)
    losses: list[float] = []
    for step in range(config.steps):
        top, left = (int(torch.randint(room + 1, (1,), generator=draws)) if room else 0 for _ in range(2))

        def cost(top: int = top, left: int = left) -> Tensor:
            picture = form.picture()
            window = picture[:, :, top : top + window_px, left : left + window_px]
            return objective(window, (top, left)) + regularisers(picture, anchor, config)

        def closure(cost: Callable[[], Tensor] = cost) -> Tensor:
            loss = cost()
            (form.values.grad,) = torch.autograd.grad(loss, [form.values])
            return loss.detach()

        loss = float(optimiser.step(closure))  # type: ignore[arg-type]
        losses.append(loss)
        if not math.isfinite(loss):
            raise RequestError(f"learning rate: {config.learning_rate:g} given; the loss diverged at step {step}")
        _tidy(form, step, config)
        if progress is not None:
            progress(step + 1, loss)
    return form.picture().detach().clamp(-1, 1), losses


def regularisers(picture: Tensor, anchor: Tensor | None, config: DescentConfig) -> Tensor:
    """L2, total variation of luma and of chroma, and the anchor: a scalar. ``anchor`` is already blurred."""
    total = picture.new_zeros(())
    if config.l2:
        total = total + config.l2 * picture.square().mean()
    if config.variation_luma or config.variation_chroma:
        luma, chroma = luma_chroma(picture)
        total = total + config.variation_luma * variation(luma) + config.variation_chroma * variation(chroma)
    if config.anchor and anchor is not None:
        total = total + config.anchor * (blurred(picture, config.anchor_sigma_px) - anchor).square().mean()
    return total


def luma_chroma(picture: Tensor) -> tuple[Tensor, Tensor]:
    """N 3 H W RGB -> luma N 1 H W (Rec. 601) and the two colour differences N 2 H W."""
    luma = (picture * picture.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return luma, (picture - luma)[:, ::2]


def variation(picture: Tensor) -> Tensor:
    """Mean absolute difference of neighbours, down and across."""
    down, across = picture.diff(dim=2).abs().mean(), picture.diff(dim=3).abs().mean()
    return down + across


def blurred(picture: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur, the border repeated."""
    reach = max(1, round(3 * sigma_px))
    at = torch.arange(-reach, reach + 1, dtype=picture.dtype, device=picture.device)
    kernel = torch.exp(-(at**2) / (2 * sigma_px**2))
    kernel = (kernel / kernel.sum()).expand(picture.shape[1], 1, -1)
    padded = functional.pad(picture, (reach,) * 4, mode="replicate")
    across = functional.conv2d(padded, kernel[:, :, None], groups=picture.shape[1])
    return functional.conv2d(across, kernel[:, :, :, None], groups=picture.shape[1])


def _tidy(form: Pixels | Fourier, step: int, config: DescentConfig) -> None:
    if isinstance(form, Fourier):
        return
    with torch.no_grad():
        form.values.clamp_(-1, 1)
        if config.blur_every and (step + 1) % config.blur_every == 0 and step + 1 < config.steps:
            form.values.copy_(blurred(form.values, config.blur_sigma_px))


def _optimiser(values: Tensor, config: DescentConfig) -> torch.optim.Optimizer:
    if config.optimiser == "sgd":
        return torch.optim.SGD([values], lr=config.learning_rate)
    if config.optimiser == "adam":
        return torch.optim.Adam([values], lr=config.learning_rate, betas=(0.9, 0.99))
    return torch.optim.LBFGS([values], lr=config.learning_rate, max_iter=5, history_size=10)
