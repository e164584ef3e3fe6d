"""The sparse image warp: against SciPy's interpolation, known warps, and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator

from mien.core.errors import RequestError
from mien.papers.frontal_wang_2019.warp import (
    Warp,
    look_up,
    pixel_centres,
    spline_matrix,
)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(4, 20))
@settings(max_examples=25)
def test_the_spline_is_scipys(seed: int, count: int) -> None:
    draws = np.random.default_rng(seed)
    control = draws.uniform(0, 320, (count, 2))
    values = draws.normal(0, 20, (count, 2))
    query = draws.uniform(-40, 360, (50, 2))
    ours = spline_matrix(torch.from_numpy(control), torch.from_numpy(query)).numpy() @ values
    theirs = RBFInterpolator(control, values, kernel="linear", degree=1)(query)
    assert np.allclose(ours, theirs, atol=1e-6)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_spline_goes_through_its_points_and_keeps_planes(seed: int) -> None:
    draws = np.random.default_rng(seed)
    control = torch.from_numpy(draws.uniform(0, 64, (9, 2)))
    at_points = spline_matrix(control, control)
    assert torch.allclose(at_points, torch.eye(9, dtype=torch.float64), atol=1e-8)
    query = torch.from_numpy(draws.uniform(0, 64, (30, 2)))
    turn = torch.from_numpy(draws.normal(size=(2, 2)))
    affine = control @ turn + 3.0
    assert torch.allclose(spline_matrix(control, query) @ affine, query @ turn + 3.0, atol=1e-8)


@pytest.mark.parametrize(
    "points", [[[0.0, 0], [1, 1], [2, 2], [3, 3]], [[0.0, 0], [5, 0], [0, 5], [5, 0]], [[0.0, 0], [1, 0]]]
)
def test_points_without_a_spline_are_refused(points: list[list[float]]) -> None:
    with pytest.raises(RequestError, match="spline"):
        spline_matrix(torch.tensor(points), torch.zeros(1, 2))


def smooth(size: int, count: int = 1) -> torch.Tensor:
    """Images N 3 S S without sharp edges."""
    x, y = pixel_centres(size, size).T.reshape(2, size, size) / size
    planes = torch.stack([torch.sin(5 * x + 2 * y), torch.cos(4 * y - x), x * y])
    return planes[None].repeat(count, 1, 1, 1)


def test_points_at_home_change_nothing() -> None:
    image = smooth(24)
    points = torch.tensor([[3.0, 4], [20, 5], [11, 19], [12, 9]])
    assert torch.allclose(Warp(points, 24, 24)(image, points[None]), image, atol=1e-5)


def test_a_shift_of_all_points_shifts_the_image() -> None:
    image = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[4.0, 4], [15, 5], [9, 15], [6, 11]])
    moved = Warp(target, 20, 20)(image, target[None] + torch.tensor([3.0, -2.0]))  # looks up 3 to the right, 2 above
    assert torch.allclose(moved[..., 2:, :17], image[..., :18, 3:], atol=1e-4)


def test_what_lay_at_the_source_lies_at_the_target() -> None:
    draws = torch.Generator().manual_seed(1)
    target = torch.tensor([[8.0, 8], [24, 8], [16, 16], [10, 25], [22, 25]])
    source = target + torch.rand(3, 5, 2, generator=draws) * 4 - 2
    image = smooth(32, 3)
    warped = Warp(target, 32, 32)(image, source)
    came = look_up(image, source[:, None])  # N 3 1 5
    arrived = look_up(warped, target.expand(3, 1, 5, 2))
    assert torch.allclose(arrived, came, atol=2e-3)
    each = [Warp(target, 32, 32)(image[k : k + 1], source[k : k + 1]) for k in range(3)]
    assert torch.allclose(warped, torch.cat(each), atol=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    """To the image, the sources and the targets, in float64."""
    draws = torch.Generator().manual_seed(2)
    image = torch.rand(1, 1, 7, 7, generator=draws, dtype=torch.float64).requires_grad_()
    target = torch.tensor([[1.3, 1.2], [5.1, 1.4], [3.2, 3.3], [2.1, 5.2], [5.3, 4.7]], dtype=torch.float64)
    source = (target + 0.3 * torch.rand(5, 2, generator=draws, dtype=torch.float64)).requires_grad_()
    target = target.requires_grad_()

    def warped(image: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        places = pixel_centres(7, 7).double()
        flow = places + spline_matrix(target, places) @ (source - target)
        return look_up(image, flow.reshape(1, 7, 7, 2))

    assert torch.autograd.gradcheck(warped, (image, source, target), eps=1e-6, atol=1e-4)
    by_module = Warp(target.detach().float(), 7, 7)(image.detach().float(), source.detach().float()[None])
    assert torch.allclose(by_module.double(), warped(image, source, target), atol=1e-5)


def test_gradients_reach_points_and_image_through_the_module() -> None:
    target = torch.tensor([[2.0, 2], [13, 3], [8, 8], [4, 13], [12, 12]])
    image, source = smooth(16).requires_grad_(), (target + 0.6)[None].clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        warped = Warp(target, 16, 16)(image, source)
    assert warped.dtype == torch.float32
    warped.square().sum().backward()
    assert image.grad is not None
    assert source.grad is not None
    assert float(source.grad.abs().min()) > 0


def test_wrong_shapes_are_named() -> None:
    target = torch.tensor([[2.0, 2], [13, 3], [8, 8]])
    with pytest.raises(RequestError, match="wanted N C 16 16 and N 3 2"):
        Warp(target, 16, 16)(torch.zeros(1, 3, 8, 8), target[None])
