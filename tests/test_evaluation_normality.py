"""Tests of normality against scipy, and the experiment on single activations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mien.core.errors import RequestError, TooFewError
from mien.evaluation.experiments.activations import activations_report
from mien.evaluation.labels import AttributeLabels
from mien.evaluation.normality import (
    anderson_p,
    anderson_squared,
    mean_squared_correlation,
    normality,
    rejected,
)
from mien.evaluation.report import ReportProvenance

RANDOM = np.random.default_rng(5)


def columns(n: int) -> np.ndarray:
    """A normal, an exponential, a uniform, a cut-off normal and a constant column."""
    normal = RANDOM.standard_normal((n, 2))
    return np.column_stack(
        [3 + 2 * normal[:, 0], RANDOM.exponential(size=n), RANDOM.random(n), np.maximum(normal[:, 1], 0), np.ones(n)]
    )


def test_moments_and_k_squared_are_scipys() -> None:
    rows = columns(120)
    found = normality(rows)
    for k in range(4):
        assert found.skew[k] == pytest.approx(stats.skew(rows[:, k]))
        assert found.kurtosis[k] == pytest.approx(stats.kurtosis(rows[:, k]))
        assert found.dagostino_p[k] == pytest.approx(stats.normaltest(rows[:, k]).pvalue)
    assert found.constant.tolist() == [False] * 4 + [True]
    assert np.isnan([found.skew[4], found.anderson_p[4]]).all()
    assert found.at_least[3] == pytest.approx((rows[:, 3] == 0).mean())


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_squared_is_scipys_and_its_p_values_meet_stephens_table() -> None:
    rows = columns(77)[:, :4]
    standard = (rows - rows.mean(0)) / rows.std(0, ddof=1)
    mine = anderson_squared(standard)
    for k in range(4):
        assert mine[k] == pytest.approx(stats.anderson(rows[:, k], dist="norm").statistic, rel=1e-9)
    # D'Agostino and Stephens 1986, table 4.7, case 3: A squared at 15, 10, 5, 2.5 and 1 %
    p = anderson_p(np.array([0.561, 0.631, 0.752, 0.873, 1.035]), 10**6)
    assert p == pytest.approx([0.15, 0.10, 0.05, 0.025, 0.01], rel=0.06)
    steps = anderson_p(np.linspace(0.01, 40, 4000), 10**6)
    assert (np.diff(steps) <= 1e-3).all()  # falls, also where the four fits meet
    assert steps[-1] < 1e-20


def test_normal_elements_pass_and_others_do_not() -> None:
    normal = normality(RANDOM.standard_normal((150, 3000)))
    for p in (normal.anderson_p, normal.dagostino_p):
        assert rejected(p, false_discovery=False).mean() == pytest.approx(0.05, abs=0.02)
        assert rejected(p).mean() < 0.005
    skewed = normality(RANDOM.exponential(size=(150, 300)))
    assert rejected(skewed.anderson_p).all()
    assert rejected(skewed.dagostino_p).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0.01, 0.5))
def test_false_discovery_is_scipys(p: list[float], level: float) -> None:
    values = np.array(p)
    adjusted = stats.false_discovery_control(values)
    clear = np.abs(adjusted - level) > 1e-9  # a tie at the level may fall either way by rounding
    assert (rejected(values, level=level)[clear] == (adjusted <= level)[clear]).all()


def test_nothing_is_said_of_elements_that_never_vary() -> None:
    assert rejected(np.array([np.nan, 1e-9, np.nan, 0.9])).tolist() == [False, True, False, False]
    assert not rejected(np.full(3, np.nan)).any()


def test_squared_correlation_is_that_of_the_matrix_of_correlations() -> None:
    mixed = RANDOM.standard_normal((60, 3)) @ RANDOM.standard_normal((3, 8)) + RANDOM.standard_normal((60, 8))
    matrix = np.corrcoef(mixed.T)
    off = matrix[~np.eye(8, dtype=bool)]
    with_constant = np.column_stack([mixed, np.ones(60)])
    assert mean_squared_correlation(with_constant) == pytest.approx(float((off**2).mean()))
    free = RANDOM.standard_normal((100, 2000))
    assert mean_squared_correlation(free) * 99 == pytest.approx(1, abs=0.05)


def test_too_few_are_refused() -> None:
    with pytest.raises(TooFewError, match="19 samples"):
        normality(np.zeros((19, 2)))
    with pytest.raises(TooFewError, match="correlation"):
        mean_squared_correlation(np.ones((10, 4)))


def made_marks(n: int = 300) -> AttributeLabels:
    marked = np.zeros((n, 3), bool)
    marked[: n // 2, 0] = marked[n // 3 :, 1] = marked[:5, 2] = True
    people = tuple(f"person {k}" for k in range(n))
    return AttributeLabels(("Male", "Smiling", "Baby"), np.arange(n) + 7, marked, people, ("train",) * n, False)


def test_the_experiment_finds_what_was_planted() -> None:
    marks = made_marks()
    normal = RANDOM.standard_normal((400, 60)).astype(np.float32)
    asked: list[tuple[str, int]] = []

    def fetch(layer: str, rows: np.ndarray) -> np.ndarray:
        asked.append((layer, len(rows)))
        return normal[rows] if layer == "even" else np.exp(normal[rows])

    found = activations_report(marks, fetch, ["even", "skewed"], ["Male"], {"seed": 1}, count=100, seed=1)
    figures = {(f.subject, f.label): f.value for part in found.sections for f in part.figures}
    label = "Male: elements not normal, Anderson-Darling"
    assert figures["even", label] < 0.05
    assert figures["drawn from a normal", label] < 0.05
    assert figures["skewed", label] > 0.95
    assert {layer for layer, _ in asked} == {"even", "skewed"}
    assert max(count for layer, count in asked if layer == "even") == 200  # the curve takes all that there are
    every = next(part for part in found.sections if part.title == "Every attribute at skewed")
    assert [row[0] for row in every.tables[0].rows] == ["Male", "Smiling"]
    assert "Baby" in every.text  # 5 faces


def test_the_experiment_refuses_unknown_and_rare_attributes() -> None:
    def fetch(layer: str, rows: np.ndarray) -> np.ndarray:
        return np.zeros((len(rows), 2), np.float32)

    with pytest.raises(RequestError, match="--attribute: 'Bald' given"):
        activations_report(made_marks(), fetch, ["pool"], ["Bald"], ReportProvenance(), count=50, seed=0)
    with pytest.raises(TooFewError, match="5 faces with 'Baby'"):
        activations_report(made_marks(), fetch, ["pool"], ["Baby"], ReportProvenance(), count=50, seed=0)
