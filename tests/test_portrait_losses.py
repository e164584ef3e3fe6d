"""The losses of the thesis: each against a case computed by hand, and against finite differences."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mien.faces.landmarks68 import PAIRS, RELIABLE, mean_points
from mien.papers.frontal_wang_2019.losses import (
    LandmarkWeights,
    adversarial_discriminator,
    adversarial_generator,
    distance_matrix,
    expression,
    geometry,
    identity,
    landmark,
    mask_loss,
    mask_size,
    mask_variation,
    symmetry,
    texture,
    tilt,
)


def face() -> Tensor:
    """A symmetric face (1 68 3) about x = 159.5, its pairs level, its inner lips shut."""
    points = torch.zeros(1, 68, 3)
    for number, (left, right) in enumerate(PAIRS):
        points[0, left] = torch.tensor([159.5 - 10 - number, 20.0 + 5 * number, 3.0])
        points[0, right] = torch.tensor([159.5 + 10 + number, 20.0 + 5 * number, 3.0])
    for number in set(range(68)) - {i for pair in PAIRS for i in pair}:
        points[0, number] = torch.tensor([159.5, 4.0 * number, 0.0])
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        points[0, lower, 1] = points[0, upper, 1] = 200.0
    return points


def test_3_1_texture_is_a_sum_inside_the_mask() -> None:
    wanted, made = torch.zeros(2, 3, 2, 2), torch.zeros(2, 3, 2, 2)
    made[0, :, 0, 0], made[0, 0, 1, 1], made[1] = 0.5, -1.0, 9.0
    mask = torch.zeros(2, 1, 2, 2)
    mask[0, 0, 0, 0], mask[0, 0, 1, 1] = 1.0, 0.25
    # first image: 3 x 0.5 + 0.25 x 1; second: nothing inside its mask
    assert float(texture(mask, wanted, made)) == pytest.approx((1.5 + 0.25) / 2)


def test_3_2_distances_are_l1_in_three_dimensions() -> None:
    points = torch.tensor([[[0.0, 0, 0], [1, -2, 3], [4, 0, 0]]])
    expected = torch.tensor([[[0.0, 6, 4], [6, 0, 8], [4, 8, 0]]])
    assert torch.equal(distance_matrix(points), expected)


def test_3_3_geometry_is_the_cosine_distance() -> None:
    """Distances (1, 2, 3) and (3, 2, 1): 10 / 14 as printed, its complement as meant."""
    wanted = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [3, 0, 0]]])  # 1, 3, 2
    made = torch.tensor([[[0.0, 0, 0], [3, 0, 0], [1, 0, 0]]])  # 3, 1, 2
    assert float(geometry(wanted, made)) == pytest.approx(1 - 10 / 14, abs=1e-6)


@given(scale=st.floats(0.2, 5), x=st.floats(-100, 100), y=st.floats(-100, 100))
@settings(max_examples=25)
def test_3_3_does_not_see_size_and_place(scale: float, x: float, y: float) -> None:
    own = face()
    assert float(geometry(own, own * scale + torch.tensor([x, y, 0.0]))) == pytest.approx(0, abs=1e-5)
    other = own.clone()
    other[0, :, 0] *= 2
    assert float(geometry(own, other)) > 1e-3


def test_3_4_symmetry_is_about_the_middle() -> None:
    own = face()
    assert float(symmetry(own)) == pytest.approx(0, abs=1e-5)
    assert float(symmetry(own + torch.tensor([7.0, 0, 0]))) == pytest.approx(7)
    assert float(symmetry(own - torch.tensor([7.0, 0, 0]))) == pytest.approx(7)  # the printed sign would reward this
    one = own.clone()
    one[0, PAIRS[0][0], 0] += 10
    assert float(symmetry(one)) == pytest.approx(5 / len(PAIRS))
    one[0, PAIRS[1][0], 0] -= 10  # another pair, to the other side: no merit
    assert float(symmetry(one)) == pytest.approx(10 / len(PAIRS))
    assert float(symmetry(torch.cat([own + torch.tensor([7.0, 0, 0]), own - torch.tensor([7.0, 0, 0])]))) == (
        pytest.approx(7)
    )


def test_3_5_tilt_is_the_difference_in_height() -> None:
    own = face()
    assert float(tilt(own)) == 0
    for number, (left, _) in enumerate(PAIRS):
        own[0, left, 1] += 4 if number % 2 else -4
    assert float(tilt(own)) == pytest.approx(4)


def test_3_6_expression_is_the_opening_of_the_inner_lips() -> None:
    own = face()
    assert float(expression(own)) == 0
    own[0, 67, 1] += 2
    own[0, 66, 1] += 5
    own[0, 63, 1] += 1  # an upper lip below the lower one counts alike
    assert float(expression(own)) == pytest.approx(2 + 5 + 1)


def test_3_7_weights_are_the_printed_ones() -> None:
    made, wanted = face(), face()
    made[0, :, 0] *= 1.2
    made[0, 66, 1] += 3
    terms = landmark(wanted, made)
    assert LandmarkWeights() == LandmarkWeights(geometry=160, symmetry=1, tilt=1, expression=1)
    assert float(terms["geometry"]) == pytest.approx(160 * float(geometry(wanted, made)))
    assert float(terms["symmetry"]) == pytest.approx(float(symmetry(made)))
    assert float(terms["expression"]) == pytest.approx(3)
    assert terms.keys() == {"geometry", "symmetry", "tilt", "expression"}


def test_identity_is_twice_the_cosine_distance() -> None:
    wanted = torch.tensor([[1.0, 0], [0, 1]])
    made = torch.tensor([[0.6, 0.8], [0, 1]])
    assert float(identity(wanted, made)) == pytest.approx(2 * (1 - 0.6) / 2)


def test_3_8_is_the_mean_of_powers() -> None:
    mask = torch.tensor([[[[0.5, 1.0], [0.0, 0.5]]]])
    assert float(mask_size(mask)) == pytest.approx(0.5)
    assert float(mask_size(mask, 2)) == pytest.approx((0.25 + 1 + 0.25) / 4)


def test_3_9_is_the_squared_difference_to_below_and_right() -> None:
    mask = torch.tensor([[[[0.0, 1.0], [0.5, 0.0]]]])
    below, right = 0.5**2 + 1.0**2, 1.0**2 + 0.5**2
    assert float(mask_variation(mask)) == pytest.approx((below + right) / 4)
    assert float(mask_loss(mask)) == pytest.approx(1.5 / 4 + (below + right) / 4)


def test_3_10_and_3_11_are_least_squares_with_targets_1_and_minus_1() -> None:
    fake, real = torch.tensor([-1.0, 1.0, 0.0]), torch.tensor([1.0, 0.0, 3.0])
    assert float(adversarial_generator(fake)) == pytest.approx((4 + 0 + 1) / 3)
    assert float(adversarial_discriminator(real, fake)) == pytest.approx((0 + 1 + 4) / 3 + (0 + 4 + 1) / 3)
    perfect = adversarial_discriminator(torch.ones(2, 1, 3, 3), -torch.ones(2, 1, 3, 3))
    assert float(perfect) == 0


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "3.1": lambda x: texture(
        x.reshape(1, 4, 3, 3)[:, 3:].sigmoid(), torch.zeros(1, 3, 3, 3), x.reshape(1, 4, 3, 3)[:, :3]
    ),
    "3.3": lambda x: geometry(
        torch.linspace(0, 1, x.numel(), dtype=x.dtype).sin().reshape(1, -1, 3), x.reshape(1, -1, 3)
    ),
    "3.8": lambda x: mask_size(x.sigmoid(), 1.5),
    "3.9": lambda x: mask_variation(x[None, None]),
    "identity": lambda x: identity(torch.zeros_like(x), x),
    "3.10": adversarial_generator,
    "3.11": lambda x: adversarial_discriminator(x, x.sin()),
}


def slope_is_right(loss: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-3, within: float = 2e-2) -> None:
    """The gradient along a random direction is the central difference along it."""
    at = at.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(at), at)
    for seed in range(3):
        along = torch.randn(at.shape, generator=torch.Generator().manual_seed(seed))
        along /= along.norm()
        with torch.no_grad():
            measured = float((loss(at + step * along) - loss(at - step * along)) / (2 * step))
        told = float((slope * along).sum())
        assert told == pytest.approx(measured, abs=within * max(1.0, abs(measured)))
    assert float(slope.abs().max()) > 0


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    at = torch.randn(6, 6, generator=torch.Generator().manual_seed(9))
    slope_is_right(LOSSES[name], at)


@pytest.mark.parametrize("loss", [symmetry, tilt, expression, lambda x: geometry(face(), x)])
def test_landmark_gradients_are_those_of_finite_differences(loss: Callable[[Tensor], Tensor]) -> None:
    at = face() + 5 * torch.randn(1, 68, 3, generator=torch.Generator().manual_seed(4))
    slope_is_right(lambda x: 100 * loss(x), at, step=0.1)


def test_pairs_and_reliable_points_are_the_thesiss() -> None:
    assert RELIABLE == (8, 33, 36, 39, 42, 45, 48, 51, 54, 57, 60, 62, 64, 66)
    assert len(PAIRS) == 29
    members = [i for pair in PAIRS for i in pair]
    assert len(set(members)) == 58
    assert set(range(68)) - set(members) == {8, 27, 28, 29, 30, 33, 51, 57, 62, 66}
    points = mean_points(320)
    for left, right in PAIRS:  # the mean face is symmetric, so each pair mirrors about one line
        assert points[left, 0] < points[right, 0]
        assert points[left, 1] == pytest.approx(points[right, 1], abs=2.5)
    middles = [(points[left, 0] + points[right, 0]) / 2 for left, right in PAIRS]
    assert max(middles) - min(middles) < 3
