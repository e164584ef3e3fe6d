"""From noise to tokens: DPM-Solver++(2M) along the flow (Lu et al., 2022).

The network says the clean tokens. A step of the solver is exact where these change linearly in the log of the signal
to noise, so six steps give what needs two dozen of Euler's. There is no guidance: a painter that learned from a critic
needs none, and each guided step costs a second pass of the network.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from mien.generators.painter.network import Given, Painter

STEPS = 6
BEND = 1.5  # times (k / steps)^BEND: small steps where the picture's layout is decided
FIRST = 1e-4  # of a time whose log signal to noise is asked for


def times(steps: int, start: float = 0.0) -> list[float]:
    """Times from ``start`` (0: noise) to 1 (clean): ``start`` and those of ``steps + 1`` that come after it."""
    return [start, *(at for k in range(steps + 1) if (at := (k / steps) ** BEND) > start)]


@torch.no_grad()
def sample(
    painter: Painter,
    given: Given,
    noise: Tensor,
    *,
    steps: int = STEPS,
    start: float = 0.0,
    on_step: Callable[[int, int], None] | None = None,
    on_end: Callable[[Tensor], None] | None = None,
) -> Tensor:
    """Tokens (N T C) that begin as ``noise`` (N T C) at time ``start`` and end clean.

    ``start`` above 0 wants ``noise`` to be a picture's own tokens mixed with noise: ``start * tokens + (1 - start) *
    normals``. ``on_end`` is told by how much the network changed its mind in the last step: the mean square (N) of what
    the clean tokens changed by.
    """
    x, grid = noise, times(steps, start)
    before: Tensor | None = None
    for number, (here, there) in enumerate(itertools.pairwise(grid), 1):
        time = x.new_full((len(x),), here)
        clean = painter(x, time, given)
        toward = clean if before is None else clean + _bend(grid[number - 2], here, there) * (clean - before)
        keep = (1 - there) / (1 - here)  # of the noise
        x = keep * x + (there - here * keep) * toward if there < 1 else clean
        if on_end is not None and before is not None and there >= 1:
            on_end((clean - before).square().mean((1, 2)))
        before = clean
        if on_step is not None:
            on_step(number, len(grid) - 1)
    return x


def _bend(before: float, here: float, there: float) -> float:
    """How far the change of the last step goes on in this one: half the ratio of their logs of signal to noise."""
    if there >= 1:
        return 0.0
    first, second, third = (math.log(max(at, FIRST) / (1 - at)) for at in (before, here, there))
    return (third - second) / (2 * (second - first))
