"""Training the density over face codes (``generators/density.py``) by flow matching."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core.checkpoints import load_into
from mien.core.config import Config
from mien.core.seeding import stream, torch_seed
from mien.generators.conditions import GROUPS
from mien.generators.density import Density, DensityConfig
from mien.training.ema import EmaConfig
from mien.training.loop import Hook, LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import cosine

FloatArray = npt.NDArray[np.float32]


class DensityTrainingConfig(Config):
    """Everything that decides what is trained."""

    density: DensityConfig = DensityConfig()
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    dropout: float = 0.1
    forget_all: float = 0.12  # share of faces whose whole condition is dropped
    forget_one: float = 0.25  # chance of each label of the others to be dropped
    data: str = ""
    codes_before: int = 0  # codes seen by the network that this run starts with


def principal_axes(features: FloatArray, count: int) -> tuple[Tensor, Tensor]:
    """Standardised features N F -> (axes F K, deviation along each K): the first ``count`` principal components."""
    values = torch.from_numpy(features).double()
    covariance = values.T @ values / len(values)
    spread, axes = torch.linalg.eigh(covariance)
    order = spread.argsort(descending=True)[:count]
    return axes[:, order].float(), spread[order].clamp_min(1e-8).sqrt().float()


def code_batches(
    codes: FloatArray,
    spreads: FloatArray,
    conditions: FloatArray,
    size: int,
    seed: int,
    weights: FloatArray | None = None,
) -> Any:
    """``batch_at(step)``: codes N D (with noise of ``spreads`` N D), conditions N C with labels dropped later.

    ``weights`` (N) says how often each code comes; all the same if not given.
    """
    sums = np.cumsum(np.ones(len(codes)) if weights is None else weights.astype(np.float64))

    def batch_at(step: int) -> dict[str, Any]:
        draws = stream(seed, "codes", step)
        places = np.minimum(np.searchsorted(sums, draws.random(size) * sums[-1], side="right"), len(codes) - 1)
        noise = draws.standard_normal((size, codes.shape[1]), np.float32) * spreads[places]
        return {"codes": codes[places] + noise, "condition": conditions[places]}

    return batch_at


def forget(condition: Tensor, config: DensityTrainingConfig, noise: torch.Generator) -> Tensor:
    """Conditions N C with some labels, or all of them, made unknown."""
    keep = torch.ones_like(condition)
    whole = torch.rand(len(condition), generator=noise, device=noise.device) < config.forget_all
    for group in GROUPS:
        lost = torch.rand(len(condition), generator=noise, device=noise.device) < config.forget_one
        keep[:, group] = (~(lost | whole)).to(keep.dtype)[:, None]
    return condition * keep


def flow_cost(config: DensityTrainingConfig) -> Callable[[Networks, Batch, torch.Generator, StepInfo], Terms]:
    """Mean squared distance of the velocity to x_1 - x_0, times drawn from a logit-normal (Esser et al., 2024)."""

    def cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
        codes = batch["codes"]
        start = torch.randn(codes.shape, generator=noise, device=noise.device)
        time = torch.sigmoid(torch.randn(len(codes), generator=noise, device=noise.device))
        at = torch.lerp(start, codes, time[:, None])
        velocity = networks["density"](at, time, forget(batch["condition"], config, noise))
        return {"flow": (velocity.float() - (codes - start)).square().mean()}

    return cost


def held_out_cost(codes: FloatArray, conditions: FloatArray, config: DensityTrainingConfig, every: int) -> Hook:
    """The same cost on held-out codes with fixed noise and whole conditions."""
    values, known = torch.from_numpy(codes), torch.from_numpy(conditions)
    noise = torch.Generator().manual_seed(0)
    start = torch.randn(values.shape, generator=noise)
    time = torch.sigmoid(torch.randn(len(values), generator=noise))

    def measure(networks: Networks, step: int) -> dict[str, float]:
        device = next(networks["density"].parameters()).device
        at = torch.lerp(start, values, time[:, None])
        with torch.no_grad():
            velocity = networks["density"](at.to(device), time.to(device), known.to(device))
        return {"flow": float((velocity.float().cpu() - (values - start)).square().mean())}

    return Hook("held_out", every, measure)


def train_density(
    batch_at: Callable[[int], Batch],
    frame: tuple[Tensor, Tensor],
    run_dir: Path,
    config: DensityTrainingConfig,
    settings: LoopSettings,
    *,
    hooks: tuple[Hook, ...] = (),
    initial: Mapping[str, Tensor] | None = None,
    resume: bool = False,
) -> Outcome:
    """Train a density on ``code_batches``; ``frame`` is (axes, deviations) of the codes.

    ``initial`` gives weights to start with (its own frame is put aside for ``frame``: give the same).
    """
    torch.manual_seed(torch_seed(settings.seed, "weights"))
    density = Density(config.density, config.dropout)
    if initial is not None:
        load_into(density, initial, name="density to start from")
    density.axes.copy_(frame[0])
    density.scale.copy_(frame[1])
    phase = Phase(
        "density",
        ("density",),
        flow_cost(config),
        cosine(config.learning_rate, steps=settings.steps, warmup=100),
        OptimiserConfig(kind="adamw", beta2=0.99, weight_decay=config.weight_decay, clip_norm=1.0),
    )
    return train(
        networks={"density": density},
        phases=[phase],
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        ema=EmaConfig(names=("density",), half_life_kimg=200.0),
        hooks=hooks,
        resume=resume,
    )
