"""Scores become probabilities that mean what they say, and thresholds are the best there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.attributes.calibration import Goal, best_threshold, fit_line, fit_platt, fit_temperature, sigmoid, softmax
from mien.attributes.fitting import fit
from mien.attributes.reader import HeadLogits
from mien.attributes.targets import FaceLabels
from mien.attributes.vocabulary import GROUPS


def test_platt_finds_the_line_that_made_the_marks() -> None:
    random = np.random.default_rng(1)
    scores = random.normal(0, 2, 40_000)
    marks = random.random(40_000) < sigmoid(1.7 * scores - 0.8)
    assert fit_platt(scores, marks) == pytest.approx((1.7, -0.8), abs=0.06)


def test_platt_stays_sane_where_the_classes_part_or_are_rare() -> None:
    scores = np.concatenate([np.linspace(-8, -2, 900), np.linspace(2, 8, 25)])
    slope, intercept = fit_platt(scores, np.arange(925) >= 900)
    assert slope > 0.5
    assert sigmoid(slope * 4 + intercept) > 0.9
    assert sigmoid(slope * -4 + intercept) < 0.1
    random = np.random.default_rng(3)  # one in a hundred, well told apart, on a scale of its own
    marks = random.random(3000) < 0.01
    slope, intercept = fit_platt(100 * marks + 30 * random.normal(size=3000) - 500, marks)
    assert slope > 0
    assert sigmoid(slope * (100 * marks - 500) + intercept).mean() == pytest.approx(marks.mean(), abs=0.01)


def test_platt_never_turns_the_order_round_and_needs_both_kinds() -> None:
    assert fit_platt(np.arange(10.0), np.arange(10) < 5)[0] == 0.0
    assert fit_platt(np.arange(4.0), np.ones(4)) == (1.0, 0.0)


@pytest.mark.parametrize("goal", ["accuracy", "balanced"])
@given(data=st.lists(st.tuples(st.integers(1, 13), st.booleans()), min_size=2, max_size=40))
def test_no_threshold_is_better_than_the_best(goal: Goal, data: list[tuple[int, bool]]) -> None:
    x, truth = np.array([a for a, _ in data]) / 14, np.array([b for _, b in data])
    found = best_threshold(x, truth, goal)
    if truth.all() or not truth.any():
        assert found == 0.5
        return

    def score(threshold: float) -> float:
        said = x >= threshold
        if goal == "accuracy":
            return float((said == truth).mean())
        return float((said[truth].mean() + (~said[~truth]).mean()) / 2)

    # Probabilities lie inside (0, 1), as calibrated ones do.
    assert score(found) >= max(score(t) for t in np.linspace(0.01, 0.999, 150)) - 1e-12


def test_thresholds_are_half_and_the_share_and_best_for_honest_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.attributes.fitting.fit_temperature", lambda *_: 1.0)  # of groups: tested below, and slow
    random = np.random.default_rng(4)
    n = 20_000
    scores = np.repeat(random.normal(-1.5, 1.5, (n, 1)), 73, 1).astype(np.float32)
    marks = np.zeros((n, 73), np.float32)  # the first attribute alone is looked at; those of one kind cost nothing
    marks[:, 0] = random.random(n) < sigmoid(scores[:, 0])
    raw = HeadLogits(
        scores, tuple(np.zeros((n, len(group.classes)), np.float32) for group in GROUPS), np.zeros(n, np.float32)
    )
    unknown = np.full(n, np.nan, np.float32)
    found = fit(raw, FaceLabels(marks, unknown, unknown))
    probabilities, truth = found.probabilities(scores)[:, 0], marks[:, 0] > 0.5
    assert found.accuracy_threshold[0] == 0.5
    assert found.balanced_threshold[0] == pytest.approx(truth.mean())

    def accuracy(threshold: float) -> float:
        return float(((probabilities >= threshold) == truth).mean())

    def balanced(threshold: float) -> float:
        said = probabilities >= threshold
        return float((said[truth].mean() + (~said[~truth]).mean()) / 2)

    grid = np.linspace(0.02, 0.98, 49)
    assert accuracy(0.5) > max(map(accuracy, grid)) - 0.005
    assert balanced(found.balanced_threshold[0]) > max(map(balanced, grid)) - 0.005
    assert fit(raw, FaceLabels(marks, unknown, unknown), np.full(73, 0.3)).balanced_threshold[0] == pytest.approx(0.3)


def test_temperature_undoes_overconfidence() -> None:
    random = np.random.default_rng(2)
    logits = random.normal(0, 1.5, (20_000, 4))
    classes = np.array([random.choice(4, p=row) for row in softmax(logits)])
    assert fit_temperature(3 * logits, classes) == pytest.approx(3, rel=0.05)
    assert fit_temperature(np.zeros((0, 4)), np.zeros(0)) == 1.0


def test_sigmoid_does_not_overflow() -> None:
    with np.errstate(over="raise", invalid="raise"):
        assert sigmoid([-1e4, 0, 1e4]).tolist() == [0, 0.5, 1]


def test_a_line_needs_ten_faces() -> None:
    x = np.arange(12.0)
    assert fit_line(x, 2 * x + 3) == pytest.approx((2, 3))
    assert fit_line(x[:9], 2 * x[:9]) == (1, 0)
