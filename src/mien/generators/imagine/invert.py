"""Feature inversion: equation 1 of Cate, Dalvi and Hussain, *DeepFace* (2016).

    I* = argmin_I |T_l - phi_l(I)|^2 + R(I)                                     (1)

The distance is divided by |T_l|^2, so that one set of weights for R serves every layer; it only rescales the rate.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mien.errors import RequestError
from mien.faces import align
from mien.faces.encoder import Encoder
from mien.generators.imagine.picture import MARGIN, DescentConfig, Objective, Offset, Progress, canvas_px, descend
from mien.generators.layers import has_fast_bf16

Target = Callable[[Offset], Tensor]  # where the window lies in the canvas -> activations N ...


def check_layer(encoder: Encoder, layer: str) -> None:
    """``RequestError`` with the list for a layer that the encoder does not have."""
    if layer not in encoder.taps:
        raise RequestError(f"layer: '{layer}' given; {encoder.name} has: {', '.join(encoder.taps)}")


def canvas_of(crops: Tensor, size: int, *, wider: bool) -> Tensor:
    """Aligned crops (N 3 S S) -> the canvas (N 3 size size): the encoder's window, wider by ``MARGIN`` if ``wider``."""
    side = align.EYE_DISTANCE / align.ENCODER_EYE_DISTANCE
    left, top = align.EYE_X - side / 2, align.EYE_Y - align.ENCODER_EYE_Y * side
    grown = side * MARGIN if wider else 0.0
    return align.window(crops, left - grown / 2, top - grown / 2, side + grown, size)


def fixed(activations: Tensor) -> Target:
    """A target that is the same wherever the window lies."""
    return lambda _offset: activations


def of_picture(encoder: Encoder, layer: str, canvas: Tensor) -> Target:
    """The activations of a picture (N 3 H W) itself, read where the window lies: jitter moves both."""
    size = encoder.input_size

    def target(offset: Offset) -> Tensor:
        top, left = offset
        with torch.no_grad(), _fast(canvas.device):
            found = encoder(canvas[:, :, top : top + size, left : left + size], [layer])[layer]
        return found.float()

    return target


def distance(encoder: Encoder, layer: str, target: Target) -> Objective:
    """The data term of equation 1 over |T_l|^2, mean over the pictures."""

    def objective(window: Tensor, offset: Offset) -> Tensor:
        wanted = target(offset).flatten(1)
        with _fast(window.device):
            found = encoder(window, [layer])[layer]
        off = (found.float().flatten(1) - wanted).square().sum(1)
        return (off / wanted.square().sum(1).clamp_min(1e-12)).mean()

    return objective


def invert(
    encoder: Encoder,
    layer: str,
    target: Target,
    begin: Tensor,
    config: DescentConfig,
    draws: torch.Generator,
    *,
    mean_face: Tensor | None = None,
    progress: Progress | None = None,
) -> tuple[Tensor, list[float]]:
    """Pictures (N 3 H W, a canvas) whose activations at ``layer`` come near ``target``, and the losses on the way."""
    check_layer(encoder, layer)
    objective = distance(encoder, layer, target)
    return descend(objective, begin, encoder.input_size, config, draws, mean_face=mean_face, progress=progress)


def noise_canvas(
    encoder: Encoder, config: DescentConfig, draws: torch.Generator, around: Tensor | None = None
) -> Tensor:
    """A canvas (1 3 H W) to begin with: Gaussian noise around grey, or around a picture such as the mean face."""
    size = canvas_px(encoder.input_size, config)
    noise = torch.randn(1, 3, size, size, generator=draws) * config.begin_noise
    return (noise if around is None else around + noise).clamp(-1, 1)


def _fast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16(device))
