"""A tiny conditional GAN that the tests of the loop train, in this process or (to be killed) in a process of its own.

python training_toy.py RUN_DIR STEPS [--resume] [--slow] [--trace]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien.core.config import Config
from mien.core.seeding import stream
from mien.training.ema import EmaConfig
from mien.training.loop import LoopSettings
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, pause_below
from mien.training.schedules import staircase


class ToyConfig(Config):
    width: int = 8
    rate: float = 1e-2


def toy_networks(config: ToyConfig) -> dict[str, nn.Module]:
    torch.manual_seed(5)
    w = config.width
    generator = nn.Sequential(
        nn.Linear(6, 4 * w),
        nn.Unflatten(1, (w, 2, 2)),
        nn.BatchNorm2d(w),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(w, 3, 3, padding=1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(3, w, 3, padding=1), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(16 * w, 1)
    )
    return {"generator": generator, "discriminator": discriminator}


def toy_batch(step: int) -> dict[str, Any]:
    values = stream(3, "batches", step).uniform(-1, 1, (8, 3, 4, 4)).astype("float32")
    return {"image": values, "names": ["x"] * 8}


def _fake(networks: Networks, noise: torch.Generator) -> Tensor:
    made: Tensor = networks["generator"](torch.rand(8, 6, generator=noise) * 2 - 1)
    return made


def _discriminator(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Mapping[str, Tensor]:
    fake = networks["discriminator"](_fake(networks, noise)).float()
    real = networks["discriminator"](batch["image"]).float()
    return {"real": nn.functional.softplus(-real).mean(), "fake": nn.functional.softplus(fake).mean()}


def _generator(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Mapping[str, Tensor]:
    fake = networks["discriminator"](_fake(networks, noise)).float()
    return {"total": nn.functional.softplus(-fake).mean()}


def toy_phases(config: ToyConfig) -> list[Phase]:
    rate = staircase(config.rate, factor=0.9, every=10, floor=1e-3)
    return [
        Phase("d", ("discriminator",), _discriminator, rate, OptimiserConfig(beta1=0.5), pause_below("d", "g", 1.9)),
        Phase("g", ("generator",), _generator, rate, OptimiserConfig(kind="adamw", clip_norm=1.0), every=2),
    ]


def toy_arguments(run_dir: Path, steps: int, config: ToyConfig | None = None, **settings: Any) -> dict[str, Any]:
    """The arguments of ``train`` for the toy; ``settings`` go to ``LoopSettings``."""
    config = config or ToyConfig()
    values = {"steps": steps, "batch_size": 8, "seed": 11, "device": "cpu", "tensorboard": False, "progress": False}
    return {
        "networks": toy_networks(config),
        "phases": toy_phases(config),
        "batch_at": toy_batch,
        "run_dir": run_dir,
        "config": config,
        "settings": LoopSettings.make(values | settings),
        "ema": EmaConfig(names=("generator",), half_life_kimg=0.05, every=3),
    }


def slow_batch(step: int) -> Any:
    """The batch of ``toy_batch`` after a hundredth of a second."""
    time.sleep(0.01)
    return toy_batch(step)


def traced_batch(trace: Path, step: int) -> Any:
    """The batch of ``toy_batch``, noted."""
    with open(trace, "a") as file:
        file.write(f"{step}\n")
    return toy_batch(step)


def main() -> None:
    from mien.training.loop import train

    torch.set_num_threads(1)
    slow = "--slow" in sys.argv
    arguments = toy_arguments(Path(sys.argv[1]), int(sys.argv[2]), checkpoint_every=7, log_every=5)
    if slow:
        arguments["batch_at"] = slow_batch
    if "--trace" in sys.argv:
        arguments["batch_at"] = partial(traced_batch, Path(sys.argv[1]).with_suffix(".batches"))
    train(**arguments, resume="--resume" in sys.argv)


if __name__ == "__main__":
    main()
