"""Edits judged: figures by hand, and edits that did nothing, or made somebody else, must fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mien.attributes import NAMES
from mien.attributes.age_sex import AgeSexPredictions
from mien.core.errors import RequestError
from mien.core.progress import silent
from mien.core.records import UInt8Image
from mien.evaluation import edit
from mien.evaluation.edit import FACE, HEAD, EditedFaces, EditTask, inside, judge_edits
from mien.evaluation.report import ReportProvenance
from mien.pipelines.evaluate_requests import EditEvaluation

SMILING = NAMES.index("Smiling")


class FakeJudges:
    """Of the middle pixel red is the age, green over 127 a woman, blue who it is; its neighbour's red is the smile."""

    version = identity_version = "fake"

    def identity(self, crops: UInt8Image, on_advance: Any) -> Any:
        return crops[:, 16, 16, 2:].astype(np.float32) / 100

    def estimate(self, crops: UInt8Image, on_advance: Any) -> AgeSexPredictions:
        middle = crops[:, 16, 16].astype(np.float32)
        female = np.asarray(middle[:, 1] / 255, np.float32)
        return AgeSexPredictions(middle[:, 0], female, np.zeros((len(crops), 2), np.float32))

    def attributes(self, crops: UInt8Image, on_advance: Any, *, races: bool) -> Any:
        scores = np.zeros((len(crops), len(NAMES)), np.float32)
        scores[:, SMILING] = crops[:, 16, 17, 0] / 255

        class Found:
            pass

        found: Any = Found()
        found.scores = scores
        return found


def faces(ages: list[int], women: list[int], who: list[int], smiles: list[int]) -> UInt8Image:
    made = np.full((len(ages), 32, 32, 3), 90, np.uint8)
    made[:, 16, 16] = np.stack([ages, women, who], 1)
    made[:, 16, 17, 0] = smiles
    return made


def figures(photos: UInt8Image, others: UInt8Image, edited: EditedFaces) -> dict[tuple[str, str], float]:
    report = judge_edits(
        photos, others, [edited], FakeJudges(), title="x", provenance=ReportProvenance(), on_stage=silent
    )
    return {(f.subject, f.label): f.value for section in report.sections for f in section.figures}


def test_figures_by_hand() -> None:
    photos = faces([20, 30], [255, 0], [0, 100], [255, 255])
    others = faces([20, 30], [255, 0], [10, 110], [0, 0])
    images = faces([58, 64], [255, 255], [30, 200], [255, 255])
    images[:, 0, 0] = 100  # background
    edited = EditedFaces("edit", EditTask("60 years", 60.0), images, np.zeros(2, bool), np.zeros(2, bool))
    found = figures(photos, others, edited)
    own = "60 years, edit"
    assert found["photo", "distance to the second photo, mean"] == pytest.approx(0.1)
    assert found[own, "distance to the photo itself, mean"] == pytest.approx((0.3 + 1.0) / 2)
    assert found[own, "one person with the photo itself"] == 0.5
    assert found[own, "one person with the second photo"] == 0.5
    assert found[own, "years read, mean"] == 61
    assert found[own, "years off what was asked, mean"] == 3
    assert found[own, "years off before the edit, mean"] == 35
    assert found[own, "sex read as on the photo"] == 0.5
    background = ~inside(32, HEAD)
    assert found[own, "background, difference"] == pytest.approx(10 / background.sum())
    assert found[own, "around the face, difference"] == 0
    assert not (inside(32, FACE) & ~inside(32, HEAD)).any()


def test_an_edit_that_did_nothing_keeps_everybody_and_obeys_nobody() -> None:
    photos = faces([20, 30], [255, 0], [0, 100], [255, 0])
    sex = EditedFaces("edit", EditTask("other sex", other_sex=True), photos, np.array([True, False]), np.zeros(2, bool))
    found = figures(photos, photos, sex)
    assert found["other sex, edit", "one person with the photo itself"] == 1
    assert found["other sex, edit", "of the sex asked for"] == 0
    there = np.array([False, True])
    smile = EditedFaces("edit", EditTask("Smiling changed", attribute="Smiling"), photos, np.zeros(2, bool), there)
    found = figures(photos, photos, smile)
    assert found["Smiling changed, edit", "attribute as asked"] == 0
    turned = EditedFaces("edit", smile.asked, faces([20, 30], [255, 0], [0, 100], [0, 255]), smile.male, there)
    assert figures(photos, photos, turned)["Smiling changed, edit", "attribute as asked"] == 1


def test_an_edit_without_a_face_is_nobody_and_obeys_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grey squares in which the judges still read whatever was asked for."""
    photos = faces([20, 30], [255, 0], [0, 100], [255, 0])
    monkeypatch.setattr(edit, "detects", lambda crops, **_: np.array([crop[0, 0, 0] == 90 for crop in crops]))
    grey = faces([20, 30], [0, 255], [0, 100], [0, 255])
    grey[:, 0, 0] = 127
    man, there = np.array([True, False]), np.array([False, True])
    for task in (EditTask("a", years=60.0), EditTask("b", other_sex=True), EditTask("c", attribute="Smiling")):
        found, sound = (
            figures(photos, photos, EditedFaces("edit", task, images, man, there))
            for images in (grey, np.where(grey == 127, 90, grey).astype(np.uint8))
        )
        shares = [key for key in found if key[0] != "photo" and "before" not in key[1] and sound[key] in (0.5, 1.0)]
        assert len(shares) >= 3
        assert {found[key] for key in shares} == {0}
        means = [key for key in found if "mean" in key[1] or "difference" in key[1]]
        assert len([key for key in means if np.isnan(found[key])]) >= 5  # unknown, rather than good


def test_means_are_of_the_edits_with_a_face_and_shares_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edit, "detects", lambda crops, **_: np.array([crop[0, 0, 0] == 90 for crop in crops]))
    photos = faces([20, 30, 40], [0, 0, 0], [0, 0, 0], [0, 0, 0])
    images = faces([55, 60, 90], [0, 0, 0], [10, 10, 10], [0, 0, 0])
    images[1:2, 0, 0] = 127  # of the right age, and no face
    edited = EditedFaces("edit", EditTask("60 years", 60.0), images, np.zeros(3, bool), np.zeros(3, bool))
    found = figures(photos, photos, edited)
    assert found["60 years, edit", "years off what was asked, mean"] == (5 + 30) / 2
    assert found["60 years, edit", "read within 10 years of what was asked"] == pytest.approx(1 / 3)
    assert found["60 years, edit", "years read, mean"] == (55 + 90) / 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ages": (0.0,)}, "--age: 0 given; allowed are 1 to 100"),
        ({"attributes": ("Freckles",)}, "--attribute: 'Freckles' given"),
        ({"ages": (), "attributes": (), "sex": False}, "one edit or more is wanted"),
    ],
)
def test_wrong_requests_are_refused(tmp_path: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        EditEvaluation(data=tmp_path, out=tmp_path / "out", **options).check()
