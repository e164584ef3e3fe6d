"""The figures of the attribute heads are those of the books, and the report names what fails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from mien.attributes.calibration import Calibration
from mien.attributes.reader import HeadPredictions
from mien.attributes.targets import FaceLabels
from mien.attributes.vocabulary import GROUPS, NAMES
from mien.core.errors import TooFewError
from mien.evaluation.attributes import HeldOutPredictions, examine, sex_of_people
from mien.evaluation.attributes_metrics import (
    area_under_curve,
    average_precision,
    balanced_accuracy,
    calibration_error,
    quick_scores,
    scores,
)
from mien.evaluation.report import ReportProvenance

faces = st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60)


@given(faces)
def test_figures_agree_with_another_library(data: list[tuple[int, bool]]) -> None:
    x, truth = np.array([a for a, _ in data], float), np.array([b for _, b in data])
    if truth.all() or not truth.any():
        assert np.isnan(
            [area_under_curve(x, truth), average_precision(x, truth), balanced_accuracy(x > 4, truth)]
        ).all()
        return
    assert area_under_curve(x, truth) == pytest.approx(roc_auc_score(truth, x))
    assert average_precision(x, truth) == pytest.approx(average_precision_score(truth, x))
    assert balanced_accuracy(x > 4, truth) == pytest.approx(balanced_accuracy_score(truth, x > 4))


def test_calibration_error_is_none_for_honest_chances_and_large_for_boasts() -> None:
    random = np.random.default_rng(1)
    probabilities = random.random(20_000)
    truth = random.random(20_000) < probabilities
    assert calibration_error(probabilities, truth) < 0.02
    assert calibration_error(np.where(probabilities > 0.5, 0.99, 0.01), truth) > 0.2
    assert np.isnan(calibration_error(probabilities[:5], truth[:5]))


def test_each_figure_uses_its_own_threshold_and_the_majority_is_that_of_training() -> None:
    probabilities = np.array([[0.1], [0.3], [0.6], [0.9]])
    marks = np.array([[0], [1], [0], [1]])
    found = scores(probabilities, marks, accuracy_threshold=[0.8], balanced_threshold=[0.2], usual=[0.9])
    assert found.accuracy[0] == 0.75  # only the last is said to be marked
    assert found.balanced_accuracy[0] == 0.75  # all but the first are
    assert found.majority[0] == 0.5
    assert found.share[0] == 0.5
    assert found.n == 4


def test_the_quick_scores_of_a_bootstrap_are_those_of_the_report() -> None:
    random = np.random.default_rng(0)
    probabilities, marks = random.random((40, 5)).round(1), random.random((40, 5)) < 0.4  # with ties
    marks[:, 3], marks[:, 4] = True, False  # one kind of face
    thresholds = {"accuracy_threshold": random.random(5), "balanced_threshold": random.random(5)}
    found = scores(probabilities, marks, usual=np.zeros(5), **thresholds)
    wanted = (found.accuracy, found.balanced_accuracy, found.auc)
    for quick, slow in zip(quick_scores(probabilities, marks, **thresholds), wanted, strict=True):
        np.testing.assert_allclose(quick, slow, rtol=1e-12)


def made(n: int = 120, seed: int = 3) -> HeldOutPredictions:
    """HeadPredictions that know every attribute but Frowning, which they guess, and ages to two years."""
    random = np.random.default_rng(seed)
    marks = (random.random((n, 73)) < 0.4).astype(np.float32)
    probabilities = np.clip(0.2 + 0.6 * marks + random.normal(0, 0.05, marks.shape), 0.01, 0.99)
    probabilities[:, NAMES.index("Frowning")] = random.random(n)
    female = (random.random(n) < 0.5).astype(np.float32)
    ages = random.uniform(1, 90, n).astype(np.float32)
    marks[100:] = np.nan
    groups = {group.name: np.full((n, len(group.classes)), 1 / len(group.classes), np.float32) for group in GROUPS}
    wrong = np.arange(n) < 12
    readings = HeadPredictions(
        probabilities.astype(np.float32),
        probabilities > 0.5,
        groups,
        np.where(wrong, 1 - female, female),
        (ages + 2).astype(np.float32),
    )
    sources = tuple("lfw" if k < 100 else "utkface" for k in range(n))
    return HeldOutPredictions(readings, FaceLabels(marks, female, ages), sources, ("White",) * n, ("",) * n)


def test_a_report_says_what_is_known_and_names_what_is_not() -> None:
    found = examine(made(), Calibration.none(73, 42), np.full(73, 0.4), title="t", provenance=ReportProvenance())
    figures = {key.split("_")[0]: figure for key, figure in found.figures().items()}
    assert figures["auc-mean-73"].value > 0.98
    assert figures["auc-mean-73"].n == 100  # faces with attributes
    accuracy = figures["accuracy-mean-73"]
    assert accuracy.low is not None
    assert accuracy.high is not None
    assert accuracy.low <= accuracy.value <= accuracy.high
    assert figures["sex-right-all"].value == pytest.approx(108 / 120)
    assert figures["age-error-mean-absolute"].value == pytest.approx(2, abs=1e-4)
    assert figures["age-error-mean-signed"].value == pytest.approx(2, abs=1e-4)
    first = found.sections[0]
    assert "Hardly known (balanced accuracy under 60%): Frowning." in first.text
    assert len(first.tables[0].rows) == 73
    assert first.tables[0].rows[-1][0] == "Frowning"
    people = {row[0]: row for row in found.sections[1].tables[0].rows}
    assert people["female"][1] + people["male"][1] == 100
    assert all(row[2] is None for row in people.values() if isinstance(row[1], int) and row[1] < 30)


def test_the_photos_of_a_person_outvote_a_wrong_label() -> None:
    people = ("ann", "ann", "ann", "bob", "eve", "eve", "", "", "kim", "kim")
    female = np.array([1, 0, 1, 0, 1, 0, 1, 1, 0, np.nan], np.float32)
    agreed = sex_of_people(people, female)
    assert agreed[:3].tolist() == [1, 1, 1]
    assert np.isnan(agreed[3:]).all()  # one photo; even; nobody; one label

    one = made()
    same = replace(one, people=tuple(f"{k // 4} {int(one.labels.female[k])}" for k in range(120)))
    found = examine(
        same, Calibration.none(73, 42), np.full(73, 0.4), title="t", provenance=ReportProvenance()
    ).figures()
    (figure,) = (figure for key, figure in found.items() if key.startswith("sex-right-people"))
    assert 60 < figure.n < 120
    assert not any(
        key.startswith("sex-right-people")
        for key in examine(
            one, Calibration.none(73, 42), np.full(73, 0.4), title="t", provenance=ReportProvenance()
        ).figures()
    )


def test_too_few_faces_are_no_examination() -> None:
    one = made(3)
    unknown = FaceLabels(
        np.full((3, 73), np.nan, np.float32), np.full(3, np.nan, np.float32), np.full(3, np.nan, np.float32)
    )
    with pytest.raises(TooFewError, match="3 faces, 0 with attributes"):
        examine(
            HeldOutPredictions(one.readings, unknown, one.sources, one.races, one.people),
            Calibration.none(73, 42),
            [0.4] * 73,
            title="",
            provenance=ReportProvenance(),
        )
