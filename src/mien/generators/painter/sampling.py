"""From noise to tokens: Euler steps along the flow, with guidance (Ho and Salimans, 2022)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mien.generators.painter.network import Given, Painter

STEPS = 24
GUIDANCE = 1.5
BEND = 1.5  # times (k / steps)^BEND: small steps where the picture's layout is decided
NEARLY_CLEAN = 1e-3


def times(steps: int) -> list[float]:
    """``steps + 1`` times from 0 (noise) to 1 (clean)."""
    return [(k / steps) ** BEND for k in range(steps + 1)]


@torch.no_grad()
def sample(
    painter: Painter,
    given: Given,
    noise: Tensor,
    *,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    start: float = 0.0,
    on_step: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Tokens (N T C) that begin as ``noise`` (N T C) at time ``start`` and end clean.

    ``guidance`` 1 follows what is known as it is, more exaggerates it. ``start`` above 0 wants ``noise`` to be a
    picture's own tokens mixed with noise: ``start * tokens + (1 - start) * normals``.
    """
    x, grid = noise, [at for at in times(steps) if at > start]
    here, left = start, given.open(painter.config.sources)
    for number, there in enumerate(grid, 1):
        time = x.new_full((len(x),), here)
        clean = painter(x, time, given)
        if guidance != 1.0:
            free = painter(x, time, left)
            clean = free + guidance * (clean - free)
        x = x + (clean - x) / max(1 - here, NEARLY_CLEAN) * (there - here)
        here = there
        if on_step is not None:
            on_step(number, len(grid))
    return x
