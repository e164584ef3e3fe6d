"""Feature inversion: equation 1 of Cate, Dalvi and Hussain, *DeepFace* (2016).

    I* = argmin_I |T_l - phi_l(I)|^2 + R(I)                                     (1)

The distance is divided by |T_l|^2, so that one set of weights for R serves every layer; it only rescales the rate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mien.core.errors import RequestError
from mien.core.precision import fast_autocast
from mien.faces import align
from mien.faces.encoder import Encoder
from mien.papers.deepface_2016.descent import Descent, Objective, Offsets, Progress, descend, windows
from mien.papers.deepface_2016.picture import MARGIN, DescentConfig, canvas_px

Target = Callable[[Offsets], Tensor]  # where each window lies in its canvas -> activations N ...


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
    """A target (N ..., or one for all) that is the same wherever the window lies."""
    return lambda _offsets: activations


def of_picture(encoder: Encoder, layer: str, canvas: Tensor) -> Target:
    """The activations of pictures (N or 1, 3 H W) themselves, read where the window lies: jitter moves both."""

    def read(offsets: Offsets) -> Tensor:
        with torch.no_grad(), fast_autocast(canvas.device):
            return encoder(windows(canvas, offsets, encoder.input_size), [layer])[layer].float()

    if canvas.shape[-1] > encoder.input_size:
        return read
    still = read([(0, 0)] * len(canvas))
    return lambda _offsets: still


def distance(encoder: Encoder, layer: str, target: Target) -> Objective:
    """The data term of equation 1 over |T_l|^2, of each picture."""

    def objective(window: Tensor, offsets: Offsets) -> Tensor:
        wanted = target(offsets).flatten(1)
        with fast_autocast(window.device):
            found = encoder(window, [layer])[layer]
        off = (found.float().flatten(1) - wanted).square().sum(1)
        return off / wanted.square().sum(1).clamp_min(1e-12)

    return objective


def invert(
    encoder: Encoder,
    layer: str,
    target: Target,
    begin: Tensor,
    config: DescentConfig,
    draws: Sequence[torch.Generator],
    *,
    mean_face: Tensor | None = None,
    progress: Progress | None = None,
) -> Descent:
    """From ``begin`` (N 3 H W, canvases) pictures whose activations at ``layer`` come near ``target``."""
    check_layer(encoder, layer)
    objective = distance(encoder, layer, target)
    return descend(objective, begin, encoder.input_size, config, draws, mean_face=mean_face, progress=progress)


def noise_canvas(
    encoder: Encoder, config: DescentConfig, draws: Sequence[torch.Generator], around: Tensor | None = None
) -> Tensor:
    """Canvases (N 3 size size) to begin with: Gaussian noise around grey, or around a picture such as the mean face."""
    size = canvas_px(encoder.input_size, config)
    noise = torch.stack([torch.randn(3, size, size, generator=one) for one in draws]) * config.begin_noise
    return (noise if around is None else around + noise).clamp(-1, 1)
