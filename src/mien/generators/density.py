"""A conditional density over face codes: a flow from Gaussian noise to codes, by flow matching.

X. Liu et al., *Flow Straight and Fast* (2023) and Y. Lipman et al., *Flow Matching* (2023): along x_t = (1 - t) x_0 +
t x_1, with x_0 noise and x_1 a code, the network learns the velocity x_1 - x_0 given (x_t, t, condition). Sampling
integrates it from 0 to 1. Conditions are dropped at random in training, so that at sampling the velocity can be pushed
from the unconditional toward the conditional one (classifier-free guidance, Ho and Salimans, 2022): labels are obeyed.

A *code* is K coefficients of the encoder features on their principal axes, each of unit variance, and the style.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from mien.config import Config
from mien.generators.conditions import WIDTH

TIMES = 16


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


class Block(nn.Module):
    """Residual block of two linear layers, modulated by time and condition."""

    def __init__(self, width: int, code: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.affine = nn.Linear(code, 3 * width)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, code: Tensor, drop: float) -> Tensor:
        scale, shift, gate = self.affine(code).chunk(3, dim=-1)
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
        self.blocks = nn.ModuleList(Block(config.width, config.code) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.leave = nn.Linear(config.width, config.size)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """x N D, time N in [0, 1], condition N C -> velocity N D."""
        code = functional.silu(self.time(waves(time)) + self.condition(condition))  # N code
        y = self.enter(x)
        for block in self.blocks:
            y = block(y, code, self.drop)
        velocity: Tensor = self.leave(self.norm(y))
        return velocity

    def to_known(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Codes N D -> (standardised features N F, style N S): what ``Decoder.decode`` reads, side by side."""
        axes, style = codes[:, : self.config.axes], codes[:, self.config.axes :]
        return (axes * self.scale) @ self.axes.T, style

    def to_codes(self, known: Tensor, style: Tensor) -> Tensor:
        """Standardised features N F and style N S -> codes N D (what lies off the axes is lost)."""
        return torch.cat([(known @ self.axes) / self.scale, style], 1)


def waves(time: Tensor) -> Tensor:
    """Times N in [0, 1] -> N 2 TIMES sines and cosines."""
    rates = torch.exp(torch.linspace(0, math.log(200.0), TIMES, device=time.device))
    angles = time[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)


@torch.inference_mode()
def sample(density: Density, noise: Tensor, condition: Tensor, *, guidance: float, steps: int) -> Tensor:
    """Integrate from ``noise`` (N D) to codes (N D) in ``steps`` midpoint steps under ``condition`` (N C).

    ``guidance`` 1 is the learned conditional density; larger values obey the labels more and vary less.
    """
    x = noise
    nothing = torch.zeros_like(condition)

    def velocity(at: Tensor, time: float) -> Tensor:
        times = torch.full((2 * len(at),), time, device=at.device)
        both: Tensor = density(torch.cat([at, at]), times, torch.cat([condition, nothing]))
        wanted, plain = both.chunk(2)
        return plain + guidance * (wanted - plain)

    for step in range(steps):
        start, length = step / steps, 1 / steps
        middle = x + velocity(x, start) * (length / 2)
        x = x + velocity(middle, start + length / 2) * length
    return x
