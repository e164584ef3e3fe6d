"""People mixed of two, and the cycle that they close."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mien.core.seeding import stream
from mien.faces import align
from mien.training.cycle import SIDE_PX, cycle, laid, mixed, spaced


class Flat(nn.Module):
    """Reads the mean colour (N 3) and embeds its first two values."""

    def forward(self, images: Tensor, taps: object) -> dict[str, Tensor]:
        assert images.shape[2:] == (SIDE_PX, SIDE_PX)
        pooled = images.mean((2, 3))
        return {"pool": pooled, "embedding": self.embed(pooled)}

    def embed(self, pooled: Tensor) -> Tensor:
        return nn.functional.normalize(pooled[:, :2])


@given(st.integers(0, 7), st.integers(0, 1000))
def test_mixed_people_lie_as_far_out_as_people(count: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    mean, deviation = torch.randn(64, generator=random), torch.rand(64, generator=random) + 0.5
    basis = torch.linalg.qr(torch.randn(64, 4, generator=random))[0].T * 8  # 4 64: strangers, each 8 long
    made = mixed(mean + deviation * basis, mean, deviation, count, random)
    assert made.shape == (count, 64)
    assert torch.allclose(((made - mean) / deviation).norm(dim=1), torch.full((count,), 8.0), atol=1e-3)


def test_mixtures_lie_between_their_two() -> None:
    features = torch.eye(3)
    made = mixed(features, torch.zeros(3), torch.ones(3), 3, torch.Generator().manual_seed(0))
    for row, (one, other) in enumerate([(0, 2), (1, 0), (2, 1)]):
        assert made[row].min() >= 0
        assert made[row, one] > 0
        assert made[row, other] > 0
        assert int((made[row] == 0).sum()) == 1


def test_the_cycle_costs_nothing_where_it_closes_and_asks_for_what_is_missing() -> None:
    zero, one = torch.zeros(3), torch.ones(3)
    wanted = torch.tensor([[0.5, 0.25, -0.25], [0.1, -0.6, 0.3]])
    made = wanted[:, :, None, None].expand(-1, -1, 32, 32).clone().requires_grad_(True)
    assert float(cycle(Flat(), made, wanted, zero, one)) == pytest.approx(0, abs=1e-5)
    far = cycle(Flat(), made, wanted.flip(0), zero, one)
    pooled = nn.functional.cosine_similarity(wanted[0], wanted[1], dim=0)
    embedded = nn.functional.cosine_similarity(wanted[0, :2], wanted[1, :2], dim=0)
    assert float(far) == pytest.approx(float(2 - pooled - embedded), abs=1e-5)
    far.backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0


def test_places_are_spread_evenly() -> None:
    assert spaced(8, 16) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert spaced(0, 16) == []
    assert spaced(6, 4) == [0, 0, 1, 2, 2, 3]


def test_a_border_is_laid_as_a_photo_cut_tightly_has_it() -> None:
    crop = cv2.GaussianBlur(stream(0, "crop").integers(0, 256, (48, 48, 3)).astype(np.uint8), (0, 0), 3)
    frame = np.array([[0.9, 0.1, 9.0], [-0.1, 0.9, 11.0]])  # photo px -> crop px
    expected = align.mirrored_outside(crop, frame, 30, 26)
    image = torch.from_numpy(crop).permute(2, 0, 1)[None].float().requires_grad_(True)
    source = torch.from_numpy(align.mirrored_from(frame, 30, 26, 48))[None]
    found = laid(image, source)
    assert np.abs(found[0].permute(1, 2, 0).detach().numpy() - expected).max() < 2.5  # cv2 counts in 1/32 px and bytes
    assert np.abs(crop.astype(int) - expected).mean() > 5
    found.sum().backward()
    inside = torch.from_numpy(align.valid_mask(frame, 30, 26, 48) == 1)
    assert image.grad is not None
    assert float(image.grad[0, :, ~inside].sum()) < 0.05 * float(image.grad.sum())  # but for the interpolation's rim
