"""Corrections: applied where rows are read, never written into what the sources said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import review_tiny
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import DatasetError, RequestError
from mien.datasets import catalog
from mien.datasets.batches import FaceDataset
from mien.datasets.catalog import CatalogRow
from mien.datasets.corrections import label_of, settle_place, with_decision
from mien.datasets.corrections_store import DECISIONS
from mien.datasets.decisions import Decision, Value
from mien.datasets.labels import face_labels
from mien.evaluation.faces import dataset_rows


def say(dest: Path, *decisions: Decision) -> None:
    """Write decisions down as the desk does."""
    place, store = settle_place(dest)
    with store.writing() as rows:
        for one in decisions:
            rows.execute(
                DECISIONS.insert().values(
                    dataset=place.dataset, face=one.face, sha256=one.sha256, verdict=one.verdict,
                    changes=dict(one.changes), seat="s", name="n", at_seconds=0.0,
                )
            )  # fmt: skip
    store.close()


def decision(row: CatalogRow, verdict: str = "accepted", **changes: Value) -> Decision:
    return Decision(row.id, row.sha256, verdict, changes)  # type: ignore[arg-type]


def test_what_people_said_is_what_training_and_judging_read_and_the_files_stay(tmp_path: Path) -> None:
    rows = review_tiny.drawn(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    plain = FaceDataset.open(tmp_path)
    plain.pixels(32)
    say(
        tmp_path,
        decision(rows[0], "corrected", sex="male", age=None, Smiling=False),
        decision(rows[1]),
        decision(rows[2], "rejected"),
        decision(rows[4], "corrected", age=61.0, Smiling=True),
    )
    data = FaceDataset.open(tmp_path)
    assert data.female[:5].tolist()[:2] == [0, 0]
    assert np.isnan(data.female[2])
    assert np.isnan(data.ages_years[0])
    assert data.ages_years[4] == 61
    assert data.rows("train").tolist() == [0, 1, *range(3, 12)]
    marked = face_labels(data, np.array([0, 4])).attributes
    assert marked[0].max() == 0
    assert marked[1].max() == 1
    assert [row.id for row in dataset_rows(tmp_path, "train")] == [data.faces[k].id for k in data.rows("train")]
    assert dataset_rows(tmp_path, "train")[0].sex == "male"
    assert {name: (tmp_path.rglob(name)).__next__().read_bytes() for name in before} == before
    assert catalog.read_catalog(tmp_path) == list(FaceDataset.open(tmp_path, corrected=False).faces) == rows

    assert data.fingerprint() != plain.fingerprint()
    assert data.crops_fingerprint == plain.crops_fingerprint == plain.fingerprint()
    assert (data.pixels(32)[5] == plain.pixels(32)[5]).all()
    assert len(list((tmp_path / "cache").iterdir())) == 1  # the crops were not decoded again


def test_accepting_changes_no_fingerprint_and_each_correction_another(tmp_path: Path) -> None:
    rows = review_tiny.drawn(tmp_path)
    seen = {FaceDataset.open(tmp_path).fingerprint()}
    say(tmp_path, decision(rows[0]), decision(rows[5]))
    assert {FaceDataset.open(tmp_path).fingerprint()} == seen
    for one in (
        decision(rows[1], "corrected", age=3.0),
        decision(rows[2], "rejected"),
        decision(rows[3], "corrected", sex=None),
    ):
        say(tmp_path, one)
        seen.add(FaceDataset.open(tmp_path).fingerprint())
    assert len(seen) == 4


def test_a_decision_does_not_follow_the_name_to_another_picture(tmp_path: Path) -> None:
    rows = review_tiny.drawn(tmp_path)
    say(tmp_path, Decision(rows[0].id, "0" * 63 + "f", "rejected", {}), Decision("made:gone.png", None, "rejected", {}))
    data = FaceDataset.open(tmp_path)
    assert data.rows().tolist() == list(range(12))
    assert data.corrections == ""


LABELS = st.fixed_dictionaries(
    {},
    optional={
        "sex": st.sampled_from(["female", "male", None]),
        "age": st.one_of(st.none(), st.floats(0, 120)),
        "Smiling": st.sampled_from([True, False, None]),
        "Bald": st.sampled_from([True, False, None]),
    },
)


@given(
    LABELS,
    st.sets(st.sampled_from(["Smiling", "Bald", "Male", "Hat"])),
    st.sets(st.sampled_from(["Asian", "Mustache"])),
)
def test_a_corrected_row_says_what_was_said_and_else_what_it_said(
    changes: dict[str, Value], present: set[str], absent: set[str]
) -> None:
    row = CatalogRow(
        id="a", source="s", key="k", licence="l", sex="female", age_years=30.0,
        attributes_present=tuple(present), attributes_absent=tuple(absent),
    )  # fmt: skip
    if not changes:
        with pytest.raises(RequestError, match="only 'corrected' has some"):
            decision(row, "corrected")
        return
    new = with_decision(row, decision(row, "corrected", **changes))
    for label in ("sex", "age", "Smiling", "Bald", "Hat", "Asian", "Mustache"):
        assert label_of(new, label) == changes.get(label, label_of(row, label)), label
    if "Male" in present and "sex" in changes:  # the attribute that says the same follows
        assert label_of(new, "Male") == {"male": True, "female": False, None: None}[changes["sex"]]
    assert not set(new.attributes_present) & set(new.attributes_absent)
    assert with_decision(row, decision(row)) == row


@pytest.mark.parametrize(
    ("verdict", "changes", "told"),
    [
        ("maybe", {}, "verdict: 'maybe' given; allowed: accepted, corrected, rejected"),
        ("accepted", {"sex": "male"}, "'accepted' with 1 changes"),
        ("corrected", {"sex": "man"}, "sex: 'man' given; allowed: female, male or unknown"),
        ("corrected", {"age": 121}, "age: '121' given; allowed: 0 to 120"),
        ("corrected", {"age": float("nan")}, "age: 'nan' given"),
        ("corrected", {"age": True}, "age: 'True' given"),
        ("corrected", {"Smiling": "yes"}, "Smiling: 'yes' given; allowed: there, not there or unknown"),
    ],
)
def test_what_cannot_be_said_is_refused(verdict: str, changes: dict[str, Value], told: str) -> None:
    with pytest.raises(RequestError, match=told):
        Decision("a", None, verdict, changes)  # type: ignore[arg-type]


def test_a_damaged_place_is_not_read_as_no_corrections(tmp_path: Path) -> None:
    review_tiny.drawn(tmp_path)
    for text in ("{", "[]", '{"version": 2, "dataset": "a", "store": "b"}'):
        (tmp_path / "review.json").write_text(text)
        with pytest.raises(DatasetError, match=r"review\.json"):
            FaceDataset.open(tmp_path)


def test_the_report_says_how_many(tmp_path: Path, cli_here: Callable[..., object]) -> None:
    pytest.importorskip("matplotlib")
    rows = review_tiny.drawn(tmp_path / "d")
    assert cli_here("data", "report", tmp_path / "d", "--out", tmp_path / "0").exit_code == 0  # type: ignore[attr-defined]
    assert "What people said" not in (tmp_path / "0" / "report.html").read_text()
    say(
        tmp_path / "d",
        decision(rows[0], "corrected", sex="male", age=44.0),
        decision(rows[1], "corrected", age=10.0),
        decision(rows[2], "rejected"),
        decision(rows[3]),
    )
    assert cli_here("data", "report", tmp_path / "d", "--out", tmp_path / "1").exit_code == 0  # type: ignore[attr-defined]
    page = (tmp_path / "1" / "report.html").read_text()
    for words in ("What people said", "4 faces were looked at", "1 kept as they were", "2 corrected", "1 taken out",
                  "11 of 12 photos kept", "a reviewer took it out"):  # fmt: skip
        assert words in page, words
