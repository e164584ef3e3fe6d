"""Losses against cases worked out by hand, and their slopes against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mien.core import losses as o


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def images(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32) * 2 - 1


def test_cross_entropy_by_hand() -> None:
    assert float(o.sigmoid_cross_entropy(tensor(0.0), 1.0)) == pytest.approx(math.log(2))
    logit = math.log(3)  # probability 3/4
    assert float(o.sigmoid_cross_entropy(tensor(logit), 1.0)) == pytest.approx(-math.log(0.75))
    assert float(o.sigmoid_cross_entropy(tensor(logit), 0.0)) == pytest.approx(-math.log(0.25))
    assert float(o.cross_entropy_generator(tensor(logit, -logit))) == pytest.approx(-(math.log(0.75 * 0.25)) / 2)
    cost = o.cross_entropy_discriminator(tensor(logit), tensor(-logit, 0.0))
    assert float(cost) == pytest.approx((-math.log(0.75) + (-math.log(0.75) + math.log(2)) / 2) / 2)


def test_a_tie_costs_both_networks_the_same() -> None:
    undecided = torch.zeros(7)
    assert float(o.cross_entropy_discriminator(undecided, undecided)) == pytest.approx(
        float(o.cross_entropy_generator(undecided))
    )


def test_hinge_by_hand() -> None:
    assert float(o.hinge_discriminator(tensor(2.0, 0.5), tensor(-3.0, 0.0))) == pytest.approx(0.25 + 0.5)
    assert float(o.hinge_generator(tensor(1.0, -4.0))) == pytest.approx(1.5)


def test_least_squares_by_hand() -> None:
    assert float(o.least_squares(tensor(1.0, 3.0), 1.0)) == pytest.approx(2.0)
    assert float(o.least_squares(tensor(1.0, 3.0), tensor(0.0, 3.0))) == pytest.approx(0.5)


def test_pyramid_by_hand() -> None:
    real = torch.zeros(1, 1, 2, 2)
    made = torch.tensor([[[[1.0, -1.0], [3.0, 1.0]]]])
    assert float(o.l1_pyramid(made, real, levels=1)) == pytest.approx(6 / 4)
    assert float(o.l1_pyramid(made, real, levels=2)) == pytest.approx((6 / 4 + 1.0) / 2)
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    assert float(o.l1_pyramid(made, real, levels=1, mask=mask)) == pytest.approx(1.0)
    assert float(o.l1_pyramid(made, real, levels=2, mask=mask)) == pytest.approx(0.5)  # 1 and -1 cancel when pooled


def test_pyramid_with_a_full_mask_is_the_pyramid_and_an_empty_mask_costs_nothing() -> None:
    made, real = images(0, 2, 3, 8, 8), images(1, 2, 3, 8, 8)
    full = o.l1_pyramid(made, real, levels=3, mask=torch.ones(2, 1, 8, 8))
    assert float(full) == pytest.approx(float(o.l1_pyramid(made, real, levels=3)), rel=1e-5)
    assert float(o.l1_pyramid(made, real, levels=3, mask=torch.zeros(2, 1, 8, 8))) == 0.0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.integers(1, 3), noise=st.floats(0.1, 50))
def test_masked_pixels_have_no_influence(seed: int, levels: int, noise: float) -> None:
    made, real = images(seed, 2, 3, 8, 8), images(seed + 1, 2, 3, 8, 8)
    mask = (images(seed + 2, 2, 1, 8, 8) > 0).float()
    other = made + noise * images(seed + 3, 2, 3, 8, 8) * (1 - mask)
    a, b = (float(o.l1_pyramid(m, real, levels=levels, mask=mask)) for m in (made, other))
    assert a == pytest.approx(b, abs=1e-5)


def test_pyramid_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="differ"):
        o.l1_pyramid(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 8, 8), levels=1)
    with pytest.raises(ValueError, match="4 levels do not fit"):
        o.l1_pyramid(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), levels=4)


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "cross entropy, generator": o.cross_entropy_generator,
    "cross entropy, discriminator": lambda x: o.cross_entropy_discriminator(x[:1], x[1:]),
    "hinge, generator": o.hinge_generator,
    "hinge, discriminator": lambda x: o.hinge_discriminator(x[:1], x[1:]),
    "least squares": lambda x: o.least_squares(x, 0.3),
    "pyramid": lambda x: o.l1_pyramid(x, images(8, 2, 3, 4, 4), levels=2),
    "masked pyramid": lambda x: o.l1_pyramid(
        x, images(8, 2, 3, 4, 4), levels=3, mask=(images(9, 2, 1, 4, 4) > -0.5).float()
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_slopes_agree_with_finite_differences(name: str) -> None:
    loss = LOSSES[name]
    x = images(5, 2, 3, 4, 4).requires_grad_(True)
    (slope,) = torch.autograd.grad(loss(x), x)
    assert float(slope.abs().sum()) > 0
    step = 1e-2
    for number in range(5):
        direction = torch.sign(images(20 + number, 2, 3, 4, 4)) / x.numel() ** 0.5
        ahead, behind = ((x + s * step * direction).detach().requires_grad_(True) for s in (1, -1))
        measured = (float(loss(ahead)) - float(loss(behind))) / (2 * step)
        assert measured == pytest.approx(float((slope * direction).sum()), abs=4e-3 * max(1.0, float(slope.norm())))


def test_losses_are_fp32_whatever_comes_in() -> None:
    half = torch.ones(3, dtype=torch.bfloat16)
    for loss in (o.hinge_generator(half), o.cross_entropy_generator(half), o.least_squares(half, 0.0)):
        assert loss.dtype == torch.float32
