"""Guidance of the painter's sampler, on a network of which every answer is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mien.generators.painter.network import Given
from mien.generators.painter.sampling import GUIDANCE, GUIDED, sample, times

SOURCES = 4


class Answers:
    """Says 1 everywhere where something is known, and 0 where nothing is; keeps what it was asked."""

    config = SimpleNamespace(sources=SOURCES)

    def __init__(self) -> None:
        self.asked: list[tuple[float, bool, Tensor]] = []  # time, known, tokens

    def __call__(self, tokens: Tensor, time: Tensor, given: Given) -> Tensor:
        known = bool(given.code_known.any())
        assert known == bool(given.conditions_known.any()) == bool((given.source != SOURCES).all())
        self.asked.append((float(time[0]), known, tokens))
        return torch.full_like(tokens, float(known))


def known(count: int = 2) -> Given:
    one = torch.ones(count, 1)
    return Given(
        code=torch.zeros(count, 3), code_known=one, code_noise=0 * one, conditions=torch.zeros(count, 2),
        conditions_known=torch.ones(count, 2), source=torch.zeros(count, dtype=torch.int64),
        valid=torch.ones(count, 5), valid_known=one,
    )  # fmt: skip


def asked_of(steps: int, **settings: float) -> tuple[Any, Tensor]:
    network: Any = Answers()
    return network.asked, sample(network, known(), torch.randn(2, 5, 3), steps=steps, **settings)  # type: ignore[arg-type]


def test_guidance_counts_while_the_picture_takes_shape_and_neither_before_nor_after() -> None:
    asked, made = asked_of(12)
    twice = [time for time, is_known, _ in asked if not is_known]
    assert twice == pytest.approx([time for time in times(12)[:-1] if GUIDED[0] <= time <= GUIDED[1]])
    assert 0 < len(twice) < 12
    assert min(twice) > asked[0][0] == 0, "in pure noise it does harm"
    assert made.eq(1).all(), "the last step is not guided"


def test_guidance_1_asks_once_a_step() -> None:
    asked, _ = asked_of(6, guidance=1.0)
    assert len(asked) == 6
    assert all(is_known for _, is_known, _ in asked)


def test_a_guided_step_goes_past_what_is_known_away_from_what_is_not() -> None:
    asked, _ = asked_of(6, start=0.3)
    (here, _, first), (_, _, free), (there, _, second) = asked[:3]
    assert first.equal(free)
    keep = (1 - there) / (1 - here)
    assert torch.allclose(second, keep * first + (there - here * keep) * GUIDANCE, atol=1e-6)
