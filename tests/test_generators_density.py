"""The flow over codes: its frame, and sampling against velocity fields whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mien.generators.conditions import WIDTH
from mien.generators.density import TIMES, Density, DensityConfig, integrate, moments, sample, waves

SMALL = DensityConfig(features=7, axes=4, style=2, condition=3, width=16, blocks=2, code=8)


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
    assert torch.allclose((known @ density.axes) / density.scale, codes[:, :4], atol=1e-5)


@settings(max_examples=20)
@given(st.integers(1, 20))
def test_a_straight_flow_arrives_exactly(steps: int) -> None:
    start = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(integrate(lambda x, _: torch.full_like(x, 2.5), start, steps), start + 2.5, atol=1e-4)


def test_steps_are_of_second_order() -> None:
    one = torch.ones(1, 1, dtype=torch.float64)  # dx/dt = x: e times as far at 1
    errors = [abs(integrate(lambda x, _: x, one, n).item() - np.e) for n in (16, 32, 64)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.2)


@pytest.mark.parametrize("steps", [1, 2, 12, 40])
def test_velocities_are_asked_for_at_the_moments(steps: int) -> None:
    times = moments(steps)
    assert len(times) == len(set(times)) == steps + 1
    assert min(times) == 0
    assert max(times) < 1
    asked: list[int] = []

    def velocity(x: Tensor, number: int) -> Tensor:
        asked.append(number)
        return torch.full_like(x, 2 * times[number])  # the integral of 2 t is 1

    end = integrate(velocity, torch.zeros(1), steps)
    assert asked == list(range(steps + 1))
    assert end.item() == pytest.approx(1, abs=1e-5)  # a rule of second order is exact


@settings(max_examples=10, deadline=None)
@given(st.floats(0, 4), st.integers(1, 5), st.integers(0, 99))
def test_guided_velocities_are_those_of_the_network(guidance: float, rows: int, seed: int) -> None:
    torch.manual_seed(seed)
    density = Density(SMALL).eval()
    for parameter in density.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    x, condition, times = torch.randn(rows, 6), torch.randn(rows, 3), [0.0, 0.3, 0.9]
    with torch.inference_mode():
        velocity = density.guided(condition, times, guidance)
        for number, time in enumerate(times):
            at = torch.full((rows,), time)
            wanted, plain = density(x, at, condition), density(x, at, torch.zeros_like(condition))
            assert torch.allclose(velocity(x, number), plain + guidance * (wanted - plain), atol=1e-4)


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
