"""Gaussians under conditions: against rejection sampling, numerical integrals and the bounds themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.seeding import stream
from mien.generators.imagine.conditional import Bounds, correction, sample_scores, start, truncated_normal

MEAN = np.array([0.2, -0.3, 0.1])
COVARIANCE = np.array([[1.0, 0.7, -0.2], [0.7, 1.5, 0.1], [-0.2, 0.1, 0.8]])


@given(st.floats(-30, 30), st.floats(1e-3, 40), st.integers(0, 1000))
def test_a_truncated_normal_stays_inside(low: float, width: float, seed: int) -> None:
    value = truncated_normal(stream(seed, "t"), low, low + width)
    assert low <= value <= low + width


def test_a_truncated_normal_has_the_mean_that_the_formula_says() -> None:
    draws = stream(1, "mean")
    for low, high in ((-0.5, 1.2), (2.0, math.inf), (-math.inf, -1.0), (6.0, 7.0)):
        values = np.array([truncated_normal(draws, low, high) for _ in range(20_000)])
        density = lambda x: math.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)  # noqa: E731
        # the mass between the bounds, computed in the tail where they lie
        mass = (math.erfc(low / math.sqrt(2)) - math.erfc(high / math.sqrt(2))) / 2
        assert values.mean() == pytest.approx((density(low) - density(high)) / mass, abs=0.02)


def test_scores_are_distributed_as_rejection_leaves_them() -> None:
    bounds = Bounds(np.array([0.5, -np.inf, -0.4]), np.array([np.inf, 0.3, 0.9]))
    free = stream(2, "free").multivariate_normal(MEAN, COVARIANCE, 400_000)
    kept = free[((free >= bounds.low) & (free <= bounds.high)).all(1)]
    begin = start(MEAN, COVARIANCE, bounds, stream(3, "start"))
    assert math.exp(begin.log_probability) == pytest.approx(len(kept) / len(free), rel=0.05)
    draws = stream(4, "draws")
    values = np.stack([sample_scores(MEAN, COVARIANCE, bounds, begin, draws) for _ in range(3000)])
    assert ((values >= bounds.low) & (values <= bounds.high)).all()
    assert values.mean(0) == pytest.approx(kept.mean(0), abs=0.05)
    assert np.cov(values.T) == pytest.approx(np.cov(kept.T), abs=0.06)


def test_a_level_is_met_exactly_and_the_rest_follows_the_gaussian() -> None:
    bounds = Bounds(np.array([0.9, -np.inf, -np.inf]), np.array([0.9, np.inf, np.inf]))
    begin = start(MEAN, COVARIANCE, bounds, stream(3, "start"))
    draws = stream(5, "draws")
    values = np.stack([sample_scores(MEAN, COVARIANCE, bounds, begin, draws) for _ in range(4000)])
    assert np.ptp(values[:, 0]) == 0
    expected = MEAN[1:] + COVARIANCE[1:, 0] / COVARIANCE[0, 0] * (0.9 - MEAN[0])
    assert values[:, 1:].mean(0) == pytest.approx(expected, abs=0.06)
    density = math.exp(-((0.9 - 0.2) ** 2) / 2) / math.sqrt(2 * math.pi)
    assert math.exp(begin.log_probability) == pytest.approx(density, rel=1e-3)


def test_the_spread_of_scores_is_in_their_own_units() -> None:
    """Scores near a unit variance hide a variance that is taken for a deviation."""
    units = np.array([1.0, 5.0, 0.2])
    mean, covariance = MEAN * units, COVARIANCE * np.outer(units, units)
    bounds = Bounds(np.array([0.9, -np.inf, -np.inf]), np.array([0.9, np.inf, np.inf]))
    begin = start(mean, covariance, bounds, stream(3, "start"))
    draws = stream(8, "draws")
    values = np.stack([sample_scores(mean, covariance, bounds, begin, draws) for _ in range(1500)])
    left = COVARIANCE[1:, 1:] - np.outer(COVARIANCE[1:, 0], COVARIANCE[0, 1:]) / COVARIANCE[0, 0]
    assert np.cov((values / units)[:, 1:].T) == pytest.approx(left, abs=0.12)


def test_what_is_hardly_possible_still_has_a_start_inside() -> None:
    bounds = Bounds(np.array([9.0, -np.inf, 8.0]), np.array([np.inf, -9.0, np.inf]))
    begin = start(MEAN, COVARIANCE, bounds, stream(3, "start"))
    assert np.isfinite(begin.points).all()
    assert begin.log_probability < -60
    value = sample_scores(MEAN, COVARIANCE, bounds, begin, stream(6, "draws"))
    assert ((value >= bounds.low - 1e-9) & (value <= bounds.high + 1e-9)).all()


def test_the_correction_brings_every_score_to_its_place() -> None:
    draws = stream(7, "correction")
    directions = draws.standard_normal((3, 2))
    code, wanted = draws.standard_normal(3), np.array([1.0, -2.0])
    moved = code + correction(COVARIANCE, directions) @ (wanted - code @ directions)
    assert moved @ directions == pytest.approx(wanted, abs=1e-4)
