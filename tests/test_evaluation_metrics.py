"""Metrics against closed forms and slow, independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, spatial, stats

from mien.core.errors import TooFewError
from mien.evaluation.metrics import (
    area_under_curve,
    frechet_distance,
    frechet_interval,
    manifold,
    mean_absolute_error,
    memorisation,
    metric_name,
    monotone_share,
    nearest,
    neighbour_distances,
    rank_correlation,
)
from mien.evaluation.statistics import Moments


def test_names_carry_protocol_and_n():
    assert metric_name("frechet", "dlib-resnet128", 2000) == "frechet_dlib-resnet128_n2000"
    assert metric_name("precision", "dlib-resnet128", 500, k=3) == "precision_dlib-resnet128_k3_n500"


def test_frechet_of_diagonal_gaussians_is_the_closed_form():
    n = 11
    a = Moments(n, np.array([1.0, -2.0]), np.diag([4.0, 9.0]) * (n - 1))
    b = Moments(n, np.array([0.0, 1.0]), np.diag([1.0, 16.0]) * (n - 1))
    # |m|^2 + sum (s1 - s2)^2 = 1 + 9 + (2 - 1)^2 + (3 - 4)^2
    assert frechet_distance(a, b) == pytest.approx(12.0)


def test_frechet_equals_scipys_matrix_root_and_is_zero_for_itself():
    random = np.random.default_rng(1)
    a = random.normal(size=(300, 12)) @ random.normal(size=(12, 12))
    b = random.normal(size=(250, 12)) @ random.normal(size=(12, 12)) + 0.5
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.real(linalg.sqrtm(ca @ cb))
    wanted = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root)
    ma, mb = Moments.of(a), Moments.of(b)
    assert frechet_distance(ma, mb) == pytest.approx(wanted, rel=1e-8)
    assert frechet_distance(ma, mb) == pytest.approx(frechet_distance(mb, ma), rel=1e-9)
    assert frechet_distance(ma, ma) == pytest.approx(0, abs=1e-8)


def test_frechet_refuses_fewer_samples_than_features():
    few = Moments.of(np.random.default_rng(0).normal(size=(8, 8)))
    many = Moments.of(np.random.default_rng(0).normal(size=(80, 8)))
    with pytest.raises(TooFewError, match="8 samples of 8 features"):
        frechet_distance(few, many)


def test_frechet_interval_holds_the_value_and_covers_what_repetition_shows():
    def draw(seed):
        random = np.random.default_rng(seed)
        return random.normal(size=(400, 4)), random.normal(size=(400, 4)) * 1.5 + 0.5

    found = frechet_interval(*draw(0))
    assert found.value == pytest.approx(frechet_distance(*(Moments.of(rows) for rows in draw(0))))
    assert found.low < found.value < found.high
    repeated = [frechet_distance(*(Moments.of(rows) for rows in draw(seed))) for seed in range(1, 41)]
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * np.std(repeated), rel=0.6)
    few = frechet_interval(
        np.random.default_rng(0).normal(size=(21, 20)), np.random.default_rng(1).normal(size=(21, 20))
    )
    assert np.isfinite(few.value)
    assert np.isnan(few.low)  # enough for a value, too few for its spread


def slow_manifold(real, made, k):
    def radii(points):
        return np.sort(spatial.distance.cdist(points, points), axis=1)[:, k]  # column 0 is the point itself

    between = spatial.distance.cdist(real, made)
    inside = between <= radii(real)[:, None]
    return (
        inside.any(0).mean(),
        (between <= radii(made)[None]).any(1).mean(),
        inside.sum(0).mean() / k,
        inside.any(1).mean(),
    )


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), k=st.sampled_from([1, 3, 5]), gap=st.floats(0, 3))
def test_manifold_equals_a_slow_one(seed, k, gap):
    random = np.random.default_rng(seed)
    real, made = random.normal(size=(60, 3)) + 50, random.normal(size=(45, 3)) * 0.8 + 50 + gap
    found = manifold(real, made, k=k)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(slow_manifold(real, made, k))


def test_what_does_not_count_lies_inside_nothing_and_covers_nothing():
    random = np.random.default_rng(3)
    real, made = random.normal(size=(60, 4)), random.normal(size=(40, 4))
    counted = np.arange(40) < 30
    found, rest = manifold(real, made, counted=counted), manifold(real, made[:30])
    assert (found.precision, found.density) == pytest.approx((0.75 * rest.precision, 0.75 * rest.density))
    assert (found.recall, found.coverage) == (rest.recall, rest.coverage)
    nothing = manifold(real, made, counted=np.arange(40) < 3)
    assert nothing == type(nothing)(0, 0, 0, 0)


def test_manifold_of_far_sets_is_zero_and_of_a_collapsed_one_has_no_recall():
    random = np.random.default_rng(0)
    real = random.normal(size=(200, 4))
    assert manifold(real, real + 100).precision == 0
    collapsed = manifold(real, np.zeros((50, 4)) + random.normal(size=(50, 4)) * 1e-3)
    assert collapsed.precision == 1
    assert collapsed.recall < 0.05
    assert collapsed.coverage < 0.3
    with pytest.raises(TooFewError, match="3 generated samples"):
        manifold(real, real[:3], k=3)


def test_neighbours_equal_scipys_tree_across_blocks():
    random = np.random.default_rng(2)
    queries, references = random.normal(size=(2100, 5)) + 20, random.normal(size=(300, 5)) + 20
    wanted, places = spatial.cKDTree(references).query(queries, k=3)
    distances, indices = nearest(queries, references, k=3)
    np.testing.assert_allclose(distances, wanted, atol=1e-9)
    np.testing.assert_array_equal(indices, places)
    own = neighbour_distances(references, None, k=2)
    np.testing.assert_allclose(own, spatial.cKDTree(references).query(references, k=3)[0][:, 1:], atol=1e-9)


def test_memorisation_sees_copies():
    random = np.random.default_rng(0)
    real = random.normal(0.5, 0.05, 1000)
    fresh = memorisation(random.normal(0.5, 0.05, 1000), real, threshold=0.3)
    copied = memorisation(np.r_[random.normal(0.05, 0.01, 300), random.normal(0.5, 0.05, 700)], real, threshold=0.3)
    assert fresh.ratio == pytest.approx(1, abs=0.02)
    assert fresh.share_nearer < 0.03
    assert copied.share_nearer == pytest.approx(0.3, abs=0.02)
    assert copied.share_below == pytest.approx(0.3, abs=0.001)


def test_monotone_share_and_rank_correlation():
    assert monotone_share([1, 2, 2, 5]) == 1
    assert monotone_share([1, 2, 1.5, 5]) == pytest.approx(2 / 3)
    random = np.random.default_rng(0)
    a, b = random.integers(0, 9, 50), random.integers(0, 9, 50)
    assert rank_correlation(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)
    assert rank_correlation([1, 2, 3], [7, 7, 7]) == 0
    with pytest.raises(TooFewError):
        monotone_share([1])


def test_mean_absolute_error():
    assert mean_absolute_error([1, 5], [2, 3]) == 1.5
    with pytest.raises(ValueError, match="2 estimates and 1 labels"):
        mean_absolute_error([1, 2], [1])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_area_under_curve_is_the_share_of_pairs_in_order(samples):
    scores, marked = np.array([value for value, _ in samples]), np.array([mark for _, mark in samples])
    if marked.all() or not marked.any():
        assert np.isnan(area_under_curve(scores, marked))
        return
    pairs = scores[marked][:, None] - scores[~marked][None]
    assert area_under_curve(scores, marked) == pytest.approx((pairs > 0).mean() + 0.5 * (pairs == 0).mean())
