"""A crowd judged with fake judges and drawn faces: every figure of the report means what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mien.attributes import NAMES
from mien.attributes.age_sex import AgeSexPredictions
from mien.attributes.attribute_judge import RACES, AttributePredictions
from mien.evaluation import crowd, crowd_attributes
from mien.evaluation.crowd import MadeCrowd, RealCrowd, judge_crowd
from mien.evaluation.crowd_attributes import RealMarks, WordFaces
from mien.evaluation.crowd_judged import Sweep
from mien.evaluation.faces import Faces
from mien.evaluation.report import Report, ReportProvenance, write

SIZE = 24
AGES = (5.0, 20.0, 40.0, 60.0, 80.0)


def drawn(ages, female, seed) -> np.ndarray:
    """Crops whose red channel says the age, whose green says the sex, and whose blue is noise: the fakes read them."""
    random = np.random.default_rng(seed)
    crops = np.zeros((len(ages), SIZE, SIZE, 3), np.uint8)
    crops[..., 0] = np.clip(np.asarray(ages) * 2, 0, 255)[:, None, None]
    crops[..., 1] = np.where(np.asarray(female) > 0.5, 255, 0)[:, None, None]
    crops[..., 2] = random.integers(0, 255, (len(ages), SIZE, SIZE))
    return crops


class FakeJudges:
    """Reads age and sex off the colours; identity is the noise."""

    version = identity_version = "fake"

    def identity(self, crops, on_advance):
        on_advance(len(crops))
        return (crops.reshape(len(crops), -1, 3)[:, :128, 2] / 255).astype(np.float32)

    def estimate(self, crops, on_advance):
        on_advance(len(crops))
        ages = crops[:, 0, 0, 0] / 2 + 1  # one year too old, always
        features = np.concatenate([crops[:, 0, :16, 2] / 255, crops[:, 0, 0, :2] / 255], 1)
        return AgeSexPredictions(ages.astype(np.float32), crops[:, 0, 0, 1] / 255, features.astype(np.float32))

    def attributes(self, crops, on_advance, *, races):
        on_advance(len(crops))
        bright = crops[:, -1, -1, 2] >= 128  # the last pixel's blue says whether anything is found
        found = np.tile(bright[:, None], (1, len(NAMES)))
        return AttributePredictions(
            found.astype(np.float32), found, tuple(RACES[int(value) % 5] for value in crops[:, -1, -1, 0])
        )


def faces(count: int, seed: int, wrong_sex: int = 0, races: tuple[str, ...] = ("",)) -> Faces:
    random = np.random.default_rng(0)  # the same labels for every set
    ages, female = random.integers(1, 90, count).astype(np.float32), (random.random(count) < 0.5).astype(np.float32)
    shown = female.copy()
    shown[:wrong_sex] = 1 - shown[:wrong_sex]
    names = tuple(races[index % len(races)] for index in range(count))
    return Faces(drawn(ages, shown, seed), female, ages, names)


def made(name: str, own: Faces, sweep_ages=AGES, raced: Faces | None = None, words=()) -> MadeCrowd:
    people = 6
    female = np.arange(people) % 2 == 0
    sweep = np.stack([drawn([age] * people, female, 3) for age in sweep_ages])
    pairs = np.stack([drawn([30, 30], [1, 0], person) for person in range(5)])
    return MadeCrowd(name, own, pairs, sweep, female, AGES, raced, words)


WORDS = (
    WordFaces("Smiling", "smiling", "women", np.ones(9, bool), *(drawn([30] * 9, [1] * 9, seed) for seed in (1, 2, 3))),
)


def seen(crops, *, progress=None) -> np.ndarray:
    """A stand-in for the cascades: a face is what is not white in its first pixel."""
    if progress is not None:
        progress(len(crops))
    return np.array([crop[0, 0, 2] != 255 for crop in crops], bool)


def lost(crops: np.ndarray, places=slice(None)) -> np.ndarray:
    """The same crops, but no face is found in those at ``places``; all else that is read of them stays."""
    marked = crops.copy()
    marked[places, 0, 0, 2] = 255
    return marked


def judged(**changes) -> Report:
    real = faces(220, 1, races=("Asian", "Black"))
    copied = faces(220, 2)
    copied.crops[:30] = real.crops[:30]  # the training set holds these very images
    values = {
        "crowds": [
            made("generated", copied, raced=faces(200, 9, races=("Asian", "Black")), words=WORDS),
            made("peer", faces(220, 5, wrong_sex=110), AGES[::-1]),
        ],
        "real": RealCrowd(
            held_out=faces(220, 4, races=("Asian", "Black")),
            other_half=faces(200, 6),
            training=FakeJudges().identity(real.crops, lambda done: None),
            by_source={"folder": faces(10, 8)},
            marks=RealMarks(faces(40, 11).crops, np.repeat(np.arange(40)[:, None] % 2, len(NAMES), 1)),
        ),
        "judges": FakeJudges(),
        "title": "A test",
        "provenance": ReportProvenance(seed=1),
    }
    with pytest.MonkeyPatch.context() as patch:
        for module in (crowd, crowd_attributes):
            patch.setattr(module, "detects", seen)
        return judge_crowd(**(values | changes))


@pytest.fixture(scope="module")
def report() -> Report:
    return judged()


def value(report: Report, label: str, subject: str) -> float:
    found = [f for part in report.sections for f in part.figures if f.label == label and f.subject == subject]
    assert len(found) == 1, f"{label} of {subject}: {len(found)} figures"
    return found[0].value


def test_sex_and_age_are_compared_with_what_was_asked(report):
    assert value(report, "sex as asked, all ages", "generated") == 1
    assert value(report, "sex as asked, all ages", "peer") == 0.5
    assert value(report, "age error, mean absolute", "generated") == pytest.approx(1)
    assert value(report, "age error, mean signed (+: looks older)", "real") == pytest.approx(1)


def test_sweep_tells_rising_from_falling(report):
    assert value(report, "steps in which the mean judged age rises", "generated") == 1
    assert value(report, "steps in which the mean judged age rises", "peer") == 0
    assert value(report, "rank correlation of asked and judged age, one face's noise", "peer") == pytest.approx(-1)
    judged_years = np.tile(np.array(AGES, np.float32)[:, None], (1, 3))
    sweep = Sweep(AGES, judged_years, np.ones((5, 3), bool), np.ones(3, bool), np.ones((5, 3), bool))
    assert sweep.monotone == 1
    assert list(sweep.correlations) == pytest.approx([1, 1, 1])


def test_a_sweep_rises_only_where_there_are_faces():
    face = np.ones((5, 3), bool)
    face[2] = False  # nobody at 40 years: neither the step to them nor the one from them is a rise
    face[:, 2] = False  # and one noise that draws no face at all
    face[4, 1] = False
    judged_years = np.tile(np.array(AGES, np.float32)[:, None], (1, 3))
    sweep = Sweep(AGES, judged_years, np.ones((5, 3), bool), np.ones(3, bool), face)
    assert sweep.monotone == 0.5
    assert list(sweep.correlations) == pytest.approx([0.8, 0.6, 0])
    assert np.isnan(sweep.mean_years[2])


def test_distances_use_one_n_for_everybody_and_say_it(report):
    names = {f.name for part in report.sections for f in part.figures if f.label.startswith("Fréchet")}
    assert names == {"frechet_dlib-resnet128-inner_n200", "frechet_judge-age-sex144-inner_n200"}
    subjects = {f.subject for part in report.sections for f in part.figures if f.label.startswith("Fréchet")}
    assert subjects == {"generated", "peer", "real, other half"}


def test_copies_of_training_images_are_seen(report):
    label = "nearer than 99 % of the real held-out faces are"
    assert value(report, label, "generated") >= 30 / 220
    assert value(report, label, "peer") < 0.05


def test_groups_hold_every_face_once_and_races_where_labelled(report):
    (table,) = next(part.tables for part in report.sections if part.title == "Group by group")
    binned = [row for row in table.rows if row[0].startswith(("female", "male")) and row[1] == "generated"]
    assert sum(row[2] for row in binned) == 220
    assert {row[0] for row in table.rows if row[1] == "real"} >= {"Asian", "Black"}
    assert not any(row[0] == "Asian" for row in table.rows if row[1] == "peer")  # it was asked for no race
    raced = {row[0]: row for row in table.rows if row[1] == "generated"}
    assert raced["Asian"][2] == raced["Black"][2] == 100  # those that were
    assert raced["Asian"][4] == "100.0 %"


def test_words_and_races_are_judged_beside_real_faces(report):
    titles = [part.title for part in report.sections]
    assert titles.index("Are the words of --with obeyed?") < titles.index("Is race as asked?")
    subjects = {f.subject for part in report.sections for f in part.figures if f.label == "smiling: difference"}
    assert subjects == {"generated", "real"}
    agreed = {f.subject: f.n for part in report.sections for f in part.figures if f.label == "race as asked, Black"}
    assert agreed == {"real": 110, "generated": 100}


def test_report_is_written_with_all_its_sheets(report, tmp_path):
    write(report, tmp_path)
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert pictures >= {
        "samples",
        "samples-real",
        "memory",
        "swap-generated",
        "aging-generated",
        "sweep-peer",
        "ages-real",
    }
    text = (tmp_path / "report.html").read_text()
    assert "84.83" in text
    assert "real: folder" in text


def test_a_picture_without_a_face_fails_whatever_the_judges_say():
    """Half of a crowd shows no face, though the judges still read all that was asked for."""
    own, half = faces(220, 2), slice(0, 220, 2)
    raced, smiles = faces(200, 9, races=("Asian",)), np.full_like(WORDS[0].asked, 200)
    raced.crops[:, -1, -1, 0] = RACES.index("Asian")
    words = (replace(WORDS[0], asked=smiles, denied=smiles // 2, open=smiles),)
    whole = made("whole", own, raced=raced, words=words)
    half_lost = replace(
        made("half", replace(own, crops=lost(own.crops, half)), raced=replace(raced, crops=lost(raced.crops, half)),
             words=tuple(replace(w, asked=lost(w.asked, [0, 1, 2]), denied=lost(w.denied)) for w in words)),
        sweep=lost(whole.sweep.reshape(-1, SIZE, SIZE, 3), slice(0, 30, 2)).reshape(whole.sweep.shape),
    )  # fmt: skip
    nobody = made("nobody", replace(own, crops=lost(own.crops)))
    nobody = replace(nobody, sweep=lost(nobody.sweep.reshape(-1, SIZE, SIZE, 3)).reshape(whole.sweep.shape))
    report = judged(crowds=[whole, half_lost, nobody])
    shares = ("sex as asked, all ages", "age judged within 10 years of the label", "race as asked, Asian")
    for label in shares:
        assert value(report, label, "whole") == 1
        assert value(report, label, "half") == 0.5
    assert value(report, "sex as asked along the sweep", "half") == 0.5
    for label in (*shares[:2], "sex as asked along the sweep", "steps in which the mean judged age rises"):
        assert value(report, label, "nobody") == 0
    assert np.isnan(value(report, "mean distance of the curve from the diagonal", "nobody"))
    assert value(report, "age error, mean absolute", "half") == pytest.approx(1)
    assert np.isnan(value(report, "age error, mean absolute", "nobody"))
    by_name = {
        f.subject: f.n for part in report.sections for f in part.figures if f.label == "age error, mean absolute"
    }
    assert by_name == {"real": 220, "whole": 220, "half": 110, "nobody": 0}
    assert value(report, "smiling: found when asked for", "half") == pytest.approx(6 / 9)
    assert value(report, "smiling: found when denied", "whole") == 0
    assert value(report, "smiling: found when denied", "half") == 1
    for space in ("dlib-resnet128-inner", "judge-age-sex144-inner"):
        for metric in ("precision", "recall", "density", "coverage"):
            assert value(report, f"{metric}, {space}", "nobody") == 0
    copies = "nearer than 0.3, where copies lie"
    assert not [f for part in report.sections for f in part.figures if f.label == copies and f.subject == "nobody"]
    for part in report.sections:  # the share stands first, in every table
        for name, share in (("whole", 1), ("nobody", 0)):
            own_figures = [figure for figure in part.figures if figure.subject == name]
            if own_figures and part.title != "Is a face found?":
                assert (own_figures[0].label, own_figures[0].value) == ("a face is found (cascades)", share)


def test_photographs_count_whether_or_not_a_cascade_finds_their_face():
    real = replace(faces(220, 4), crops=lost(faces(220, 4).crops))
    report = judged(real=RealCrowd(real, faces(200, 6), np.zeros((0, 128), np.float32), {}))
    assert value(report, "detection rate", "real") == 0
    assert value(report, "sex as asked, all ages", "real") == 1


def test_few_faces_leave_out_what_they_cannot_carry():
    few = RealCrowd(faces(12, 4), faces(12, 6), np.zeros((0, 128), np.float32), {})
    report = judged(crowds=[made("generated", faces(12, 2))], real=few)
    labels = {f.label for part in report.sections for f in part.figures}
    assert not any(label.startswith("Fréchet distance, dlib") for label in labels)
    assert any(label.startswith("precision") for label in labels)
