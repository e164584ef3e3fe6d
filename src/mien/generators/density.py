"""A conditional density over face codes: a flow from Gaussian noise to codes, by flow matching.

X. Liu et al., *Flow Straight and Fast* (2023) and Y. Lipman et al., *Flow Matching* (2023): along x_t = (1 - t) x_0 +
t x_1, with x_0 noise and x_1 a code, the network learns the velocity x_1 - x_0 given (x_t, t, condition). Sampling
integrates it from 0 to 1. Conditions are dropped at random in training, so that at sampling the velocity can be pushed
from the unconditional toward the conditional one (classifier-free guidance, Ho and Salimans, 2022): labels are obeyed.

A *code* is K coefficients of the encoder features on their principal axes, each of unit variance, and the style.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from mien.core.config import Config
from mien.generators.conditions import WIDTH

TIMES = 16
LATE = 1.3  # times of the steps are k/n to this power: noise moves in nearly straight lines at first


class DensityConfig(Config):
    """Sizes of the flow."""

    features: int = 1792
    axes: int = 192
    style: int = 48
    condition: int = WIDTH
    width: int = 640
    blocks: int = 5
    code: int = 256

    @property
    def size(self) -> int:
        """Values of a code."""
        return self.axes + self.style


class DensityBlock(nn.Module):
    """Residual block of two linear layers, modulated by time and condition."""

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.affine = nn.Linear(code, 3 * width)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, modulation: Tensor, drop: float) -> Tensor:
        """x N width, modulation N 3 width (``affine`` of the code) -> N width."""
        scale, shift, gate = modulation.chunk(3, dim=-1)
        y = self.norm(x) * (1 + scale) + shift
        y = functional.dropout(functional.silu(self.first(y)), drop, self.training)
        moved: Tensor = x + gate * self.second(y)
        return moved


class Density(nn.Module):
    """The velocity field, and the frame of the codes (``axes`` F K, ``scale`` K) as buffers."""

    axes: Tensor
    scale: Tensor

    def __init__(self, config: DensityConfig, drop: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.drop = drop
        self.register_buffer("axes", torch.zeros(config.features, config.axes))
        self.register_buffer("scale", torch.ones(config.axes))
        self.enter = nn.Linear(config.size, config.width)
        self.time = nn.Sequential(nn.Linear(2 * TIMES, config.code), nn.SiLU(), nn.Linear(config.code, config.code))
        self.condition = nn.Sequential(
            nn.Linear(config.condition, config.code), nn.SiLU(), nn.Linear(config.code, config.code)
        )
        self.blocks = nn.ModuleList(DensityBlock(config.width, config.code) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.leave = nn.Linear(config.width, config.size)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """x N D, time N in [0, 1], condition N C -> velocity N D."""
        code = self.code(time, condition)
        y = self.enter(x)
        for block in self._blocks():
            y = block(y, block.affine(code), self.drop)
        velocity: Tensor = self.leave(self.norm(y))
        return velocity

    def code(self, time: Tensor, condition: Tensor) -> Tensor:
        """Time N in [0, 1] and condition N C -> N code."""
        code: Tensor = self.time(waves(time).to(condition.dtype)) + self.condition(condition)
        return functional.silu(code)

    def guided(self, condition: Tensor, times: list[float], guidance: float) -> Callable[[Tensor, int], Tensor]:
        """The velocity (N D, float32) under ``condition`` (N C) as a function of (x N D, number of the time).

        Equal to two calls of ``forward``, with and without the condition, apart from rounding; but what does not depend
        on x is computed here, for all times at once, and once for all rows where there is no condition.
        """
        rows, dtype = len(condition), self.enter.weight.dtype
        nothing = torch.zeros_like(condition[:1])
        labels = torch.cat([condition, nothing]).to(dtype)  # N + 1, C
        moment = torch.tensor(times, device=condition.device).repeat_interleave(rows + 1)
        code = self.code(moment, labels.repeat(len(times), 1))  # T (N + 1), code
        modulations = []
        for block in self._blocks():
            both = block.affine(code).unflatten(0, (len(times), rows + 1))
            modulations.append(torch.cat([both[:, :rows], both[:, rows:].expand(-1, rows, -1)], 1))  # T 2N 3W

        def velocity(x: Tensor, number: int) -> Tensor:
            y = self.enter(x.to(dtype)).repeat(2, 1)  # the wanted, the plain
            for block, modulation in zip(self._blocks(), modulations, strict=True):
                y = block(y, modulation[number], 0.0)
            moved: Tensor = self.leave(self.norm(y)).float()
            wanted, plain = moved.chunk(2)
            return plain + guidance * (wanted - plain)

        return velocity

    def _blocks(self) -> list[DensityBlock]:
        return [block for block in self.blocks if isinstance(block, DensityBlock)]

    def to_known(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Codes N D -> (standardised features N F, style N S): what ``Decoder.decode`` reads, side by side."""
        axes, style = codes[:, : self.config.axes], codes[:, self.config.axes :]
        return (axes * self.scale) @ self.axes.T, style


def waves(time: Tensor) -> Tensor:
    """Times N in [0, 1] -> N 2 TIMES sines and cosines."""
    rates = torch.exp(torch.linspace(0, math.log(200.0), TIMES, device=time.device))
    angles = time[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


@torch.inference_mode()
def sample(density: Density, noise: Tensor, condition: Tensor, *, guidance: float, steps: int) -> Tensor:
    """Codes (N D) from ``noise`` (N D) in ``steps`` steps under ``condition`` (N C).

    ``guidance`` 1 is the learned conditional density; larger values obey the labels more and vary less.
    """
    return integrate(density.guided(condition, moments(steps), guidance), noise, steps)


def moments(steps: int) -> list[float]:
    """The times at which ``integrate`` asks for the velocity, in its order: 0, the middle of the first step, ..."""
    starts = [(step / steps) ** LATE for step in range(steps)]
    return [0.0, (1 / steps) ** LATE / 2, *starts[1:]]


def integrate(velocity: Callable[[Tensor, int], Tensor], start: Tensor, steps: int) -> Tensor:
    """Follow ``velocity(x, number of the moment)`` from ``start`` at time 0 to time 1.

    The first step is of the midpoint rule; the others are of Adams and Bashforth (second order, steps of unequal
    length: E. Hairer et al., *Solving Ordinary Differential Equations I*, III.5), which need one velocity each.
    """
    ends: list[float] = [(step / steps) ** LATE for step in range(steps + 1)]
    before, length = velocity(start, 0), ends[1]
    x = start + velocity(start + before * (length / 2), 1) * length
    for step in range(1, steps):
        now, ratio = velocity(x, step + 1), (ends[step + 1] - ends[step]) / length
        length *= ratio
        x = x + ((1 + ratio / 2) * now - (ratio / 2) * before) * length
        before = now
    return x
