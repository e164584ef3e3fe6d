"""The flow over codes: its frame, and sampling against velocity fields whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mien.generators.conditions import WIDTH
from mien.generators.density import TIMES, Density, DensityConfig, sample, waves

SMALL = DensityConfig(features=7, axes=4, style=2, condition=3, width=16, blocks=2, code=8)


class Field(Density):
    """A velocity field from a formula."""

    def __init__(self, formula) -> None:  # type: ignore[no-untyped-def]
        super().__init__(SMALL)
        self.formula = formula

    def forward(self, x: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        return self.formula(x, time, condition)


def test_the_default_reads_the_whole_condition() -> None:
    assert DensityConfig().condition == WIDTH
    assert DensityConfig().size == 192 + 48


def test_a_new_density_stands_still() -> None:
    torch.manual_seed(0)
    density = Density(SMALL).eval()
    noise = torch.randn(5, 6)
    assert torch.equal(density(noise, torch.rand(5), torch.randn(5, 3)), torch.zeros(5, 6))
    assert torch.equal(sample(density, noise, torch.randn(5, 3), guidance=2.0, steps=3), noise)


def test_every_input_changes_the_velocity() -> None:
    torch.manual_seed(0)
    density = Density(SMALL).eval()
    for parameter in density.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, time, condition = torch.randn(1, 6), torch.rand(1), torch.randn(1, 3)
    velocity = density(x, time, condition)
    assert velocity.shape == (1, 6)
    for other in ((x + 1, time, condition), (x, time / 2, condition), (x, time, condition + 1)):
        assert not torch.allclose(velocity, density(*other), atol=1e-4)


def test_known_features_and_codes_are_two_names_of_one_thing() -> None:
    density = Density(SMALL)
    axes, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(7, 4)))
    density.axes.copy_(torch.from_numpy(axes))
    density.scale.copy_(torch.tensor([3.0, 2.0, 1.0, 0.5]))
    codes = torch.randn(9, 6)
    known, style = density.to_known(codes)
    assert known.shape == (9, 7)
    assert torch.equal(style, codes[:, 4:])
    assert torch.allclose(density.to_codes(known, style), codes, atol=1e-5)
    off = torch.from_numpy(np.linalg.svd(axes.T)[2][4:]).float()  # orthogonal to the axes: lost
    assert torch.allclose(density.to_codes(known + 5 * off[0], style), codes, atol=1e-4)


@settings(max_examples=20)
@given(st.integers(1, 20), st.floats(0.5, 4))
def test_a_straight_flow_arrives_exactly(steps: int, guidance: float) -> None:
    noise, condition = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)), torch.ones(4, 3)
    straight = Field(lambda x, time, condition: torch.full_like(x, 2.5))
    assert torch.allclose(sample(straight, noise, condition, guidance=guidance, steps=steps), noise + 2.5, atol=1e-4)


def test_steps_are_of_second_order() -> None:
    grows = Field(lambda x, time, condition: x)  # dx/dt = x: e times as far at 1
    noise, condition = torch.ones(1, 6, dtype=torch.float64), torch.zeros(1, 3)
    errors = [abs(sample(grows, noise, condition, guidance=1.0, steps=n)[0, 0].item() - np.e) for n in (8, 16, 32)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.15)
    timed = Field(lambda x, time, condition: (3 * time**2)[:, None].expand_as(x))  # integral 1
    assert sample(timed, noise * 0, condition, guidance=1.0, steps=40)[0, 0].item() == pytest.approx(1, abs=1e-3)


def test_guidance_pushes_from_the_plain_to_the_wanted() -> None:
    field = Field(lambda x, time, condition: condition[:, :1].expand_as(x) + 0.5)
    noise, condition = torch.zeros(2, 6), torch.tensor([[1.0, 0, 0], [-2.0, 0, 0]])
    for guidance in (0.0, 1.0, 3.0):
        found = sample(field, noise, condition, guidance=guidance, steps=4)[:, 0]
        assert torch.allclose(found, 0.5 + guidance * condition[:, 0], atol=1e-5)


def test_waves_tell_times_apart() -> None:
    rows = waves(torch.linspace(0, 1, 101))
    assert rows.shape == (101, 2 * TIMES)
    assert rows.abs().max() <= 1
    assert torch.cdist(rows, rows).add(torch.eye(101) * 9).min() > 0.05


def test_dropout_sleeps_outside_training() -> None:
    torch.manual_seed(0)
    density = Density(SMALL, drop=0.5)
    for parameter in density.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    arguments = torch.randn(3, 6), torch.rand(3), torch.randn(3, 3)
    assert not torch.equal(density(*arguments), density(*arguments))
    density.eval()
    assert torch.equal(density(*arguments), density(*arguments))
