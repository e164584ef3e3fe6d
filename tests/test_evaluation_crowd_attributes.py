"""Words and races of a crowd judged: the sections say who obeyed, beside real faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mien.attributes import NAMES
from mien.attributes.age_sex import AgeSexPredictions
from mien.attributes.attribute_judge import RACES, AttributePredictions
from mien.core.errors import TooFewError
from mien.core.progress import silent
from mien.evaluation import attribute_judge, crowd_attributes
from mien.evaluation.crowd_attributes import RealMarks, WordFaces, WordJudged
from mien.evaluation.crowd_judged import JudgedFaces
from mien.evaluation.faces import Faces
from mien.evaluation.report import ReportProvenance, Section, write

SMILING, HAT = NAMES.index("Smiling"), NAMES.index("Wearing Hat")


def shaded(values) -> np.ndarray:
    """Crops of one shade each: the fake judge finds everything on bright ones."""
    return np.asarray(values, np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 3), np.uint8)


class Judge:
    """Finds every attribute on bright crops; counts how many crops it was shown."""

    shown = 0

    def attributes(self, crops, on_advance, *, races):
        on_advance(len(crops))
        self.shown += len(crops)
        found = np.repeat(crops[:, :1, 0, 0] >= 128, len(NAMES), 1)
        return AttributePredictions(found.astype(np.float32), found, ("Black" if races else "",) * len(crops))

    def estimate(self, crops, on_advance):  # bright ones are women
        on_advance(len(crops))
        return AgeSexPredictions(
            np.zeros(len(crops), np.float32), (crops[:, 0, 0, 0] / 255).astype(np.float32), np.zeros(0)
        )


@pytest.fixture(autouse=True)
def _faces_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """These flat crops count as faces; what shows none is asked in test_evaluation_crowd.py."""
    monkeypatch.setattr(crowd_attributes, "detects", lambda crops, **_: np.ones(len(crops), bool))


def word(name: str = "Smiling", asked: int = 8, denied: int = 2, count: int = 10) -> WordFaces:
    def lit(number: int) -> np.ndarray:
        return shaded([200] * number + [20] * (count - number))

    return WordFaces(name, name.lower(), "men and women", np.arange(count) < 5, lit(asked), lit(denied), lit(5))


def section_of(words: tuple[WordFaces, ...], real: RealMarks | None) -> Section:
    judge = Judge()
    judged = {"generated": crowd_attributes.judge_words("generated", words, judge, silent), "paper": ()}
    section = crowd_attributes.words(
        judged, crowd_attributes.judge_marks(real, judge, silent), {"generated": words, "paper": ()}
    )
    assert section is not None
    return section


def real_marks() -> RealMarks:
    marks = np.full((20, len(NAMES)), np.nan, np.float32)
    marks[:, SMILING] = np.arange(20) < 10
    marks[:3, HAT], marks[3:, HAT] = 1, 0  # three hats are too few to print a share of
    return RealMarks(shaded([200] * 9 + [20] * 10 + [200]), marks)


def test_a_word_is_compared_with_its_denial_and_with_real_faces(tmp_path):
    section = section_of((word(), word("Wearing Hat", 4, 3)), real_marks())
    values = {(f.label, f.subject): f for f in section.figures}
    assert values["smiling: found when asked for", "generated"].value == 0.8
    assert values["smiling: found when denied", "generated"].value == 0.2
    assert values["smiling: found when neither", "generated"].value == 0.5
    gap = values["smiling: difference", "generated"]
    assert gap.value == pytest.approx(0.6)
    assert gap.low < 0.6 < gap.high
    assert values["smiling: found when asked for", "real"].value == 0.9
    assert values["smiling: found when denied", "real"].value == 0.1
    assert values["smiling: difference", "real"].value == pytest.approx(0.8)
    assert ("wearing hat: difference", "real") not in values
    (table,) = section.tables
    assert [row[7] for row in table.rows] == ["yes", "no"]  # 60 points and 10
    assert table.rows[0][8:] == ("70.0 %", "70.0 %")  # the first five were to be women: eight and two look like it
    assert values["smiling: sex as asked, when denied", "generated"].value == 0.7
    assert table.rows[0][5:7] == ("80.0 %", "75.0 %")
    assert table.rows[1][5:7] == (None, None)
    (picture,) = section.pictures
    assert picture.name == "words-generated"
    assert picture.photo.shape[0] > 2 * 96  # a row a word
    report = attribute_judge.Report("A test", "", (section,))
    write(report, tmp_path)
    assert (tmp_path / "words-generated.png").is_file()


def test_the_pairs_of_the_sheet_are_asked_then_denied():
    one = replace(word(count=3), asked=shaded([250, 250, 250]), denied=shaded([10, 10, 10]))
    page = crowd_attributes.word_sheet([one], pairs=2)
    middles = [int(page[50, 2 + 98 * column + 48, 0]) for column in range(1, 5)]
    assert middles == [250, 10, 250, 10]


def test_faces_that_words_share_are_judged_once():
    shared = shaded([200] * 10)
    judge = Judge()
    words = tuple(replace(word(name), open=shared) for name in ("Smiling", "Bald"))
    judged = crowd_attributes.judge_words("generated", words, judge, silent)
    assert judge.shown == 10 + 4 * 10
    assert isinstance(judged[1], WordJudged)
    assert judged[1].open.all()


def raced(*races: str) -> JudgedFaces:
    nothing = np.zeros(len(races), np.float32)
    faces = Faces(shaded([9] * len(races)), nothing, nothing, races)
    return JudgedFaces("a", faces, nothing == 0, AgeSexPredictions(nothing, nothing, nothing), nothing)


def test_crowds_without_words_or_races_get_no_section():
    assert crowd_attributes.words({"paper": ()}, {}, {"paper": ()}) is None
    assert crowd_attributes.races({"real": (raced("White", "White"), ("White",) * 2)}) is None
    assert crowd_attributes.races({}) is None


def test_race_agreement_counts_faces_of_known_race_only():
    said = {
        "real": (raced("White", "", "Black", "Black"), ("White", "White", "Black", "White")),
        "generated": (raced("White", "Asian"), ("Asian", "Asian")),
    }
    section = crowd_attributes.races(said)
    assert section is not None
    values = {(f.label, f.subject): (f.value, f.n) for f in section.figures}
    assert values["race as asked, every race", "real"] == (pytest.approx(2 / 3), 3)
    assert values["race as asked, Black", "real"] == (0.5, 2)
    assert values["race as asked, Asian", "generated"] == (1, 1)
    assert [table.caption for table in section.tables] == ["real", "generated"]
    assert section.tables[1].rows[0] == ("Asian", 1, "100.0 %", "0.0 %", "0.0 %", "0.0 %", "0.0 %")


def test_the_examination_of_the_judge_knows_a_good_attribute_from_a_bad_one():
    marks = np.full((40, len(NAMES)), np.nan, np.float32)
    marks[:, SMILING] = marks[:, HAT] = np.arange(40) < 20
    scores = np.zeros((40, len(NAMES)), np.float32)
    scores[:20, SMILING] = 0.9
    scores[:, HAT] = np.arange(40) % 2
    seen = AttributePredictions(scores, scores > 0.5, ("",) * 40)
    report = attribute_judge.examine(
        seen, marks, ("White", "Asian"), ("White", "Black"), title="A test", provenance=ReportProvenance()
    )
    attributes, races = report.sections
    rows = {row[0]: row for row in attributes.tables[0].rows}
    assert rows["Smiling"][1:] == (20, 20, "1.000", "100.0 %", "100.0 %", "0.0 %")
    assert rows["Wearing Hat"][3:5] == ("0.500", "50.0 %")
    assert rows["Bald"][3] is None
    assert attributes.figures[0].value == pytest.approx(0.75)
    assert races.figures[0].value == 0.5
    with pytest.raises(TooFewError, match="no attribute marked"):
        attribute_judge.examine(seen, marks * np.nan, (), (), title="", provenance=ReportProvenance())


def test_races_are_those_of_the_data():
    assert sorted(RACES) == list(RACES)
