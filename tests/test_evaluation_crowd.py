"""A crowd judged with fake judges and drawn faces: every figure of the report means what it says."""

from __future__ import annotations

import numpy as np
import pytest

from mien.attributes import NAMES
from mien.attributes.age_sex import AgeSexPredictions
from mien.attributes.attribute_judge import RACES, AttributePredictions
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
    crops[..., 2] = random.integers(0, 256, (len(ages), SIZE, SIZE))
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
    sweep = Sweep(AGES, np.tile(np.array(AGES, np.float32)[:, None], (1, 3)), np.ones((5, 3), bool), np.ones(3, bool))
    assert sweep.monotone == 1


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


def test_few_faces_leave_out_what_they_cannot_carry():
    few = RealCrowd(faces(12, 4), faces(12, 6), np.zeros((0, 128), np.float32), {})
    report = judged(crowds=[made("generated", faces(12, 2))], real=few)
    labels = {f.label for part in report.sections for f in part.figures}
    assert not any(label.startswith("Fréchet distance, dlib") for label in labels)
    assert any(label.startswith("precision") for label in labels)
