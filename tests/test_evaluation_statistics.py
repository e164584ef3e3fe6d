"""Streaming moments against numpy, intervals against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mien.core.errors import TooFewError
from mien.evaluation.statistics import Moments, difference, mean_interval, moments, proportion


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(2, 40),
    columns=st.integers(1, 6),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    offset=st.sampled_from([0.0, 1e3, -1e7]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_split_gives_numpys_mean_and_covariance(rows, columns, cuts, offset, seed):
    data = np.random.default_rng(seed).normal(size=(rows, columns)) * 3 + offset
    parts = np.split(data, sorted(min(cut, rows) for cut in cuts))
    total = moments(parts, columns)
    assert total.n == rows
    np.testing.assert_allclose(total.mean, data.mean(0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        total.covariance(), np.cov(data, rowvar=False, ddof=1).reshape(columns, columns), rtol=1e-6, atol=1e-6
    )


def test_float32_batches_far_from_zero_keep_their_digits():
    data = (np.random.default_rng(3).normal(size=(500, 4)) + 4096).astype(np.float32)
    total = moments(np.split(data, 10), 4)
    np.testing.assert_allclose(total.covariance(), np.cov(data.astype(np.float64), rowvar=False), rtol=1e-9)


def test_merging_is_symmetric_and_checks_columns():
    a = Moments.of(np.arange(12.0).reshape(4, 3))
    b = Moments.of(np.eye(3))
    np.testing.assert_allclose(a.merge(b).scatter, b.merge(a).scatter)
    with pytest.raises(ValueError, match="3 and of 2 columns"):
        a.merge(Moments.empty(2))


def test_one_row_has_no_covariance():
    with pytest.raises(TooFewError, match="1 rows, needed are 2"):
        Moments.of([[1.0, 2.0]]).covariance()


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (10, 10), (3, 7), (8483, 10000)])
def test_proportion_is_the_wilson_interval(hits, n):
    found = proportion(hits, n)
    wanted = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert found.value == hits / n
    assert found.low == pytest.approx(wanted.low, abs=1e-9)
    assert found.high == pytest.approx(wanted.high, abs=1e-9)


def test_proportion_refuses_nothing_and_nonsense():
    with pytest.raises(TooFewError):
        proportion(0, 0)
    with pytest.raises(ValueError, match="5 of 4"):
        proportion(5, 4)


def test_bootstrap_interval_has_the_width_of_the_standard_error():
    values = np.random.default_rng(0).normal(5, 2, 2000)
    found = mean_interval(values)
    assert found.value == pytest.approx(values.mean())
    assert found.low < found.value < found.high
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 2 / np.sqrt(2000), rel=0.2)
    assert mean_interval(values) == found  # the same numbers for the same values


def test_difference_of_shares_is_newcombes():
    found = difference(proportion(56, 70), proportion(48, 80))  # his example: 0.0524 to 0.3339 by method 10
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))
    assert found.n == 70
