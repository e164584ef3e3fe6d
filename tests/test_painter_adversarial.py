"""The painter's adversarial lesson: what its costs see, that it learns, and that a run which stops goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_painter import TINY, batch_of, images, painted
from torch import Tensor, nn

from mien.generators.painter.basis import PatchBasis
from mien.generators.painter.network import Painter
from mien.training.enlarger import CRITIC_CHANNELS
from mien.training.loop import LoopSettings
from mien.training.painter import PaintedSet, PainterTrainingConfig
from mien.training.painter_adversarial import (
    TIMES,
    adversarial_cost,
    adversarial_phases,
    critic_cost,
    new_critic,
    train_painter_adversarially,
)
from mien.training.phases import StepInfo

CONFIG = PainterTrainingConfig(painter=TINY, critic=0.3, perceptual=0.5, adversarial_rate=1e-3)


class Maps(nn.Module):
    """Stands for the encoder: maps of the right depth, a fixed linear function of the pixels."""

    def __init__(self) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(0)
        for name, count in CRITIC_CHANNELS.items():
            self.register_buffer(f"of_{name}", torch.randn(count, 3, 3, 3, generator=draws))

    def forward(self, pictures: Tensor, taps: tuple[str, ...]) -> dict[str, Tensor]:
        return {name: nn.functional.conv2d(pictures, getattr(self, f"of_{name}"), stride=2).relu() for name in taps}


def basis() -> PatchBasis:
    made = PatchBasis(TINY.size_px, TINY.patch_px, TINY.channels)
    made.fit(images(8))
    return made


def info(step: int) -> StepInfo:
    return StepInfo(step=step, steps=100, images=0, batch_size=4, learning_rate=1e-3)


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(1)
    return {"painter": Painter(TINY), "critic": new_critic(0), "encoder": Maps()}


class Oracle(nn.Module):
    """A painter that knows the clean tokens; it keeps the times that it is asked at."""

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.tokens, self.times = tokens, torch.zeros(0)

    def forward(self, noisy: Tensor, time: Tensor, given: Any) -> Tensor:
        self.times = time
        return self.tokens


def test_a_perfect_picture_costs_nothing_but_the_critics_verdict() -> None:
    batch: dict[str, Any] = batch_of(painted(), 12) | {"shared": {}}
    oracle = Oracle(batch["tokens"])
    found = networks() | {"painter": oracle}
    terms = adversarial_cost(CONFIG, basis())(found, batch, torch.Generator().manual_seed(0), info(50))
    assert float(terms["flow"]) == 0
    assert float(terms["perceptual"]) == 0
    assert set(terms) == {"flow", "perceptual", "critic"}
    assert float(oracle.times.min()) >= TIMES[0]
    assert float(oracle.times.max()) <= TIMES[1]
    assert "critic" not in adversarial_cost(CONFIG, basis())(found, batch, torch.Generator(), info(0))
    # real and made are the same pictures: no critic can tell them apart, and hinge loss is about 2 at least
    assert float(critic_cost(found, batch, torch.Generator(), info(50))["hinge"].detach()) > 1.99


def test_the_verdict_reaches_the_painter_and_the_critic_learns_to_tell() -> None:
    batch: dict[str, Any] = batch_of(painted(), 12) | {"shared": {}}
    found = networks()
    nn.init.normal_(found["painter"].tokens_out.weight, std=0.1)  # type: ignore[arg-type,union-attr]
    cost = adversarial_cost(CONFIG, basis())
    terms = cost(found, batch, torch.Generator().manual_seed(0), info(50))
    slope = torch.autograd.grad(terms["critic"], found["painter"].tokens_out.weight)[0]  # type: ignore[arg-type,union-attr]
    assert float(slope.abs().sum()) > 0
    optimiser = torch.optim.Adam(found["critic"].parameters(), lr=1e-2)
    before = float(critic_cost(found, batch, torch.Generator(), info(50))["hinge"].detach())
    for _ in range(20):
        optimiser.zero_grad()
        loss = critic_cost(found, batch, torch.Generator(), info(50))["hinge"]
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert float(loss.detach()) < 0.7 * before


def test_both_take_turns() -> None:
    painter, critic = adversarial_phases(CONFIG, basis(), 10)
    assert (painter.networks, critic.networks) == (("painter",), ("critic",))


@pytest.mark.parametrize("minutes", [0.002])
def test_a_run_that_stopped_goes_on_as_if_it_had_not(tmp_path: Path, minutes: float) -> None:
    faces: PaintedSet = painted(4)
    initial = Painter(TINY).state_dict()

    def run(out: Path, *, minutes: float | None = None, resume: bool = False) -> nn.Module:
        settings = LoopSettings(
            steps=12, batch_size=4, threads=1, tensorboard=False, progress=False, minutes=minutes, channels_last=False,
            checkpoint_every=4,
        )  # fmt: skip
        found = train_painter_adversarially(
            faces.batch_at(4, 0), Maps(), basis(), out, CONFIG, settings, initial, resume=resume
        )
        return found.shown["painter"]

    once = run(tmp_path / "once")
    run(tmp_path / "twice", minutes=minutes)
    again = run(tmp_path / "twice", resume=True)
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), again.parameters(), strict=True))
    moved = [
        float((after - before).abs().max()) for before, after in zip(initial.values(), once.parameters(), strict=False)
    ]
    assert np.max(moved) > 0
