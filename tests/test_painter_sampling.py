"""The painter's sampler, on a network of which every answer is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mien.generators.painter.sampling import FIRST, sample, times


class Answers:
    """Says the next of some numbers everywhere; keeps the times and tokens that it was asked with."""

    def __init__(self, *values: float) -> None:
        self.values, self.asked = list(values), list[tuple[float, Tensor]]()

    def __call__(self, tokens: Tensor, time: Tensor, given: Any) -> Tensor:
        self.asked.append((float(time[0]), tokens))
        return torch.full_like(tokens, self.values[len(self.asked) - 1])


def test_the_network_is_asked_once_a_step_and_the_last_answer_is_the_picture() -> None:
    network: Any = Answers(0, 1, 4, 2, 7, 3)
    made = sample(network, None, torch.randn(2, 5, 3), steps=6)  # type: ignore[arg-type]
    assert [time for time, _ in network.asked] == pytest.approx(times(6)[:-1])
    assert made.eq(3).all()


def test_a_step_goes_on_as_the_step_before_changed() -> None:
    network: Any = Answers(1, 2, 0, 0)
    sample(network, None, torch.randn(1, 5, 3), steps=4, start=0.1)  # type: ignore[arg-type]
    (first, _), (here, before), (there, after) = network.asked[:3]
    log = [math.log(max(at, FIRST) / (1 - at)) for at in (first, here, there)]
    toward = 2 + (log[2] - log[1]) / (2 * (log[1] - log[0])) * (2 - 1)
    keep = (1 - there) / (1 - here)
    assert torch.allclose(after, keep * before + (there - here * keep) * toward, atol=1e-5)
