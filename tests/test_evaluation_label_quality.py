"""Which labels are likely wrong: planted errors come first, views never saw the label, nothing is computed twice."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import review_tiny

pytest.importorskip("sklearn")

from mien.core.errors import DatasetError, MienError, RequestError, WeightsError
from mien.datasets.batches import FaceDataset
from mien.evaluation import label_views
from mien.evaluation.label_quality import Suspicions, chosen, quality, suspicions
from mien.evaluation.label_views import CROSSED, JUDGED, View, given, labels_of, views

COUNT, WIDTH = 600, 24


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FaceDataset:
    """600 faces whose features tell sex and age; 12 have the other sex, the next 12 are 35 years older."""
    generator = np.random.default_rng(3)
    female, age = generator.integers(0, 2, COUNT), generator.uniform(20, 60, COUNT)
    features = generator.normal(size=(COUNT, WIDTH)).astype(np.float32)
    features[:, 0] += 7 * female
    features[:, 1] = (age - 40) / 10 + 0.2 * features[:, 1]
    female[:12] = 1 - female[:12]
    age[12:24] += 35
    labels: list[dict[str, object]] = [
        {"sex": ("male", "female")[female[k]], "age_years": float(round(age[k])) if k % 10 else None}
        for k in range(COUNT)
    ]
    review_tiny.write(tmp_path, [np.full((16, 16, 3), k % 250, np.uint8) for k in range(COUNT)], labels)
    monkeypatch.setattr(label_views, "features", lambda data, encoder, rows, on_progress: features[rows])
    monkeypatch.setattr(label_views, "LEAST_FACES", 300)
    return FaceDataset.open(tmp_path)


def eyes() -> Any:
    return SimpleNamespace(name="fake")


def test_planted_errors_come_first(planted: FaceDataset) -> None:
    pytest.importorskip("cleanlab")
    told: list[str] = []
    found = suspicions(planted, ("sex", "age"), eyes, lambda stage: lambda done, total: told.append(stage))
    assert found.labels == ("sex", "age")
    assert {view.by for view in found.views.values()} == {CROSSED}
    first = set(found.order()[:24].tolist())
    wrong = set(range(12)) | {k for k in range(12, 24) if k % 10}  # an unknown age cannot be wrong
    assert len(first & wrong) >= 20
    assert sorted(found.order().tolist()) == list(range(COUNT))
    assert np.isnan(found.quality[::10, 1]).all()
    assert ((found.quality >= 0) & (found.quality <= 1) | np.isnan(found.quality)).all()
    assert "rank labels" in told


def test_what_was_computed_once_is_read(planted: FaceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cleanlab")
    before = suspicions(planted, ("sex", "age"), eyes)
    monkeypatch.setattr(label_views, "features", None)
    monkeypatch.setattr("mien.evaluation.label_quality.quality", None)
    again = suspicions(FaceDataset.open(planted.dest), ("age",), None)
    np.testing.assert_array_equal(again.quality[:, 0], before.quality[:, 1])


def test_a_face_is_not_seen_by_heads_that_learnt_its_label(planted: FaceDataset) -> None:
    """With every label of one face's group turned round, the view of those faces stays exactly as it was."""
    folds = label_views._folds(planted)
    values = given(planted, "sex")
    seen = np.random.default_rng(0).normal(size=(COUNT, 8)).astype(np.float32)
    plain = label_views._crossed(seen, values, folds, "age").expected  # ages: no common scale at the end
    turned = values.copy()
    turned[folds == 2] = 1 - turned[folds == 2]
    other = label_views._crossed(seen, turned, folds, "age").expected
    np.testing.assert_array_equal(plain[folds == 2], other[folds == 2])
    assert (plain[folds != 2] != other[folds != 2]).any()


def test_a_group_lies_in_one_fold(tmp_path: Path) -> None:
    rows = review_tiny.drawn(tmp_path, 30)
    data = FaceDataset(tmp_path, tuple(rows))
    folds = label_views._folds(data)
    assert set(folds.tolist()) <= set(range(5))
    assert len(set(folds.tolist())) > 2
    np.testing.assert_array_equal(folds, label_views._folds(FaceDataset(tmp_path, tuple(rows[::-1])))[::-1])


def test_small_datasets_are_seen_by_the_packaged_judges(tmp_path: Path) -> None:
    review_tiny.drawn(tmp_path, 6)
    data = FaceDataset.open(tmp_path)

    def never() -> Any:
        raise AssertionError("no encoder is needed")

    found = views(data, ("sex", "age", "Smiling"), never)
    assert {label: view.by for label, view in found.items()} == {"sex": JUDGED, "age": JUDGED, "Smiling": JUDGED}
    assert ((found["Smiling"].expected > 0) & (found["Smiling"].expected < 1)).all()
    assert ((found["age"].expected >= 0) & (found["age"].expected <= 100)).all()


def test_without_the_encoder_the_judges_do_it(planted: FaceDataset) -> None:
    def absent() -> Any:
        raise WeightsError("facenet: not fetched")

    assert views(planted, ("sex",), absent)["sex"].by == JUDGED


def test_quality_is_the_probability_that_is_left_to_the_label() -> None:
    pytest.importorskip("cleanlab")
    one = np.ones(3, np.float32)
    sure = np.array([True, True, False])
    sex = View("sex", np.array([0.9, 0.2, 0.5], np.float32), one, CROSSED)
    np.testing.assert_allclose(quality(sex, np.array([1.0, 1.0, 1.0]), sure), [0.9, 0.2, np.nan], rtol=1e-6)
    age = View("age", np.array([30, 30, 30], np.float32), one * 5, CROSSED)
    np.testing.assert_allclose(
        quality(age, np.array([30.0, 45.0, np.nan]), one.astype(bool)), [1, np.exp(-3), np.nan], rtol=1e-5
    )
    assert np.isnan(quality(age, np.full(3, np.nan), one.astype(bool))).all()


def test_an_unsure_absence_is_no_label_error(tmp_path: Path) -> None:
    pytest.importorskip("cleanlab")
    labels: list[dict[str, object]] = [
        {"attributes_absent": ("Smiling",), "absent_is_sure": False},
        {"attributes_present": ("Smiling",), "absent_is_sure": False},
        {"attributes_absent": ("Smiling",), "absent_is_sure": True},
    ]
    review_tiny.write(tmp_path, [np.zeros((32, 32, 3), np.uint8)] * 3, labels)
    found = suspicions(FaceDataset.open(tmp_path), ("Smiling",), None)
    assert np.isnan(found.quality[:, 0]).tolist() == [True, False, False]
    assert set(found.order().tolist()) == {1, 2}


def test_labels_are_chosen_by_their_names(tmp_path: Path) -> None:
    review_tiny.drawn(tmp_path)
    data = FaceDataset.open(tmp_path)
    assert labels_of(data) == ("sex", "age", "Smiling")
    assert chosen(data, ()) == ("sex", "age")
    assert chosen(data, ("smiling", "SEX", "attributes")) == ("Smiling", "sex")
    with pytest.raises(RequestError, match="--what: 'beard': no label; allowed: sex, age, Smiling, attributes"):
        chosen(data, ("beard",))
    review_tiny.write(tmp_path / "none", [np.zeros((16, 16, 3), np.uint8)], [{}])
    with pytest.raises(DatasetError, match="no face has a label"):
        chosen(FaceDataset.open(tmp_path / "none"), ())


def test_a_damaged_cache_is_said(planted: FaceDataset) -> None:
    views(planted, ("sex",), eyes)
    path = next(planted.dest.glob("cache/label-views-*/sex-*.npz"))
    path.write_bytes(b"no zip")
    with pytest.raises(MienError, match=r"sex-.*npz: damaged; remove it"):
        views(planted, ("sex",), eyes)


def test_the_worst_label_counts() -> None:
    nan = float("nan")
    found = Suspicions(("a", "b"), np.array([[0.9, 0.1], [0.5, nan], [nan, nan], [0.05, 0.9]], np.float32), {})
    np.testing.assert_allclose(found.worst(), [0.1, 0.5, nan, 0.05])
    assert found.order().tolist() == [3, 0, 1]
