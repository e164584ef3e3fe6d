"""Every report of `evaluate` and `experiment` is planted with the cases in which its figures must say no.

Plants: constant pictures, noise, one picture for all, copies of training faces, heads that always say the same, labels
dealt anew. Each figure with a better side is clearly worse in one of them, and every other one moves; a report function
without plants is named. ``figures_that_say_no.csv`` lists every figure with its plants: a new figure wants a row
(``python tests/test_reports_that_say_no.py`` writes them anew).
"""

from __future__ import annotations

import ast
import csv
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_evaluation_attributes as of_heads
import test_evaluation_clusters as of_clusters
import test_evaluation_edit as of_edits
import test_evaluation_portrait as of_portraits
import test_evaluation_portrait_kept as of_kept
import test_evaluation_verification as of_pairs
from study_tiny import design_of
from test_metrics_that_say_no import planted_crowds, planted_methods, worse

import mien.evaluation
from mien.attributes.age_sex import AgeSexPredictions
from mien.attributes.attribute_judge import RACES, AttributePredictions
from mien.attributes.calibration import Calibration
from mien.attributes.vocabulary import NAMES
from mien.core.progress import silent
from mien.core.records import Pose
from mien.evaluation import age_sex, attribute_judge, attributes, edit, plots, portrait, portrait_kept
from mien.evaluation.edit import EditedFaces, EditTask, judge_edits
from mien.evaluation.experiments import panels
from mien.evaluation.experiments.activations import activations_report
from mien.evaluation.experiments.distribution import distribution_report
from mien.evaluation.experiments.inversion import Inverted, inversion_report
from mien.evaluation.experiments.likeness import Described, Likenesses, Ruler, likeness_report
from mien.evaluation.experiments.rates import RateRun, rates_report
from mien.evaluation.experiments.tsne import tsne_report
from mien.evaluation.experiments.unfreezing import Curve, ProbedFaces, Unfrozen, unfreezing_report
from mien.evaluation.experiments.verification import verification_report
from mien.evaluation.faces import FaceRow, Faces
from mien.evaluation.labels import AttributeLabels
from mien.evaluation.portrait import Made
from mien.evaluation.portrait_kept import KeptSample, judge_kept
from mien.evaluation.portrait_report import judge_portraits
from mien.evaluation.report import Figure, Report, ReportProvenance, Section
from mien.evaluation.study.design import REAL
from mien.evaluation.study.results import study_report
from mien.evaluation.study.simulate import Truth, simulate
from mien.evaluation.verification import draw_pairs

Planted = tuple[Report, Mapping[str, Report]]  # the sound one, and each plant's
HEADS: Any = of_heads  # helpers of other tests, some of which carry no types
PORTRAITS: Any = of_portraits
EDITS: Any = of_edits
KEPT: Any = of_kept
NOWHERE = ReportProvenance()
N = 200
RANDOM = np.random.default_rng(5)
SHUFFLED = RANDOM.permutation(N)
ELSEWHERE = {"mien.evaluation.dataset.dataset_report": "`data report`: counts of a catalogue"}
TABLE = Path(__file__).parent / "figures_that_say_no.csv"
SOURCE = Path(mien.evaluation.__path__[0]).parent
BESIDE = ("photo", "paper", "drawn from a normal", "shuffled labels")  # columns that others are read beside
# Figures that describe a run or repeat a print: nothing is better or worse about them.
SETTINGS = ("steps", "learning rate", "seconds, by the clock", "loss at the beginning")
PRINTED = ("Paper (PubFig", "accuracy of always saying")  # how their labels begin


def beside(report: Report, plants: Sequence[str]) -> Planted:
    """Of a report that has the sound pictures, "good", and the planted ones as columns: one of each."""

    def only(name: str) -> Report:
        columns = {name: "made"} | ({"real": "photo"} if name == "good" else {})
        parts = [
            replace(part, figures=tuple(replace(f, subject=columns[f.subject]) for f in part.figures
                                        if f.subject in columns))
            for part in report.sections
        ]  # fmt: skip
        return replace(report, sections=tuple(parts))

    return only("good"), {name: only(name) for name in plants}


def crowds() -> Planted:
    """Crowds: grey, noise, one face for all, training faces, people too old, labels dealt anew."""
    return beside(planted_crowds(), ("constant", "noise", "mean face", "copies", "older", "shuffled"))


def words() -> Planted:
    """Faces from words: grey, noise, one face for all, training faces, other descriptions."""
    return beside(planted_methods(), ("constant", "noise", "mean face", "copies", "shuffled"))


def edits() -> Planted:
    """Edits: no face, nothing done, somebody else, another background."""
    count = 40
    who, women, smiles = np.arange(count), 255 * (np.arange(count) % 2), 255 * (np.arange(count) // 2 % 2)
    photos = EDITS.faces(np.full(count, 30), women, who, smiles)
    others = EDITS.faces(np.full(count, 32), women, who + 10, smiles)
    male, there = women == 255, smiles == 0  # what is asked for
    tasks = (
        EditTask("60 years", years=60.0),
        EditTask("other sex", other_sex=True),
        EditTask("smile", attribute="Smiling"),
    )
    done = (
        EDITS.faces(np.full(count, 58), women, who + 20, smiles),
        EDITS.faces(np.full(count, 30), 255 - women, who + 20, smiles),
        EDITS.faces(np.full(count, 30), women, who + 20, 255 - smiles),
    )
    repainted = []
    for images in done:
        images[:, 0] = 92  # something of the background always moves a little
        repainted.append(np.where(images == 90, 140, images).astype(np.uint8))
    strangers = [EDITS.faces(np.full(count, 5), 255 - women, who + 150, smiles) for _ in tasks]
    sets = {"sound": done, "no face": [np.where(one == 92, 127, one).astype(np.uint8) for one in done],
            "nothing done": [photos] * 3, "somebody else": strangers, "background": repainted}  # fmt: skip

    def told(images: Any, photos: Any = photos) -> Report:
        each = [EditedFaces("way", *pair, male, there) for pair in zip(tasks, images, strict=True)]
        return judge_edits(photos, others, each, EDITS.FakeJudges(), title="t", provenance=NOWHERE, on_stage=silent)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edit, "detects", lambda crops, **_: np.array([crop[0, 0, 0] != 127 for crop in crops]))
        reports = {name: told(images) for name, images in sets.items()}
        reports["edited before"] = told(done, EDITS.faces(np.full(count, 55), women, who, 255 - smiles))
    return reports.pop("sound"), reports


def heads() -> Planted:
    """Attribute heads: deaf ones, boastful ones, labels dealt anew."""
    sound = HEADS.made(N)
    people = tuple(f"{k // 4} {int(sound.labels.female[k])}" for k in range(N))
    sound = replace(sound, people=people)
    dealt = np.r_[RANDOM.permutation(100), np.arange(100, N)]

    def told(readings: Any) -> Report:
        faces = replace(sound, readings=readings)
        return attributes.examine(faces, Calibration.none(73, 42), np.full(73, 0.4), title="t", provenance=NOWHERE)

    own = sound.readings
    deaf = replace(own, probabilities=np.full_like(own.probabilities, 0.3), present=np.zeros_like(own.present),
                   female=np.full_like(own.female, 0.9), age_years=np.full_like(own.age_years, 30))  # fmt: skip
    boasting = replace(own, probabilities=np.where(own.probabilities[dealt] > 0.5, 0.99, 0.01).astype(np.float32))
    return told(own), {"always the same": told(deaf), "dealt anew and sure": told(boasting)}


def judge_of_age_and_sex() -> Planted:
    """The judge of sex and age: always a man of 30, and answers dealt anew."""
    ages = RANDOM.uniform(1, 90, N).astype(np.float32)
    ages[:40] = np.nan
    female = (np.arange(N) % 2).astype(np.float32)
    faces = Faces(np.zeros((N, 8, 8, 3), np.uint8), female, ages, ("",) * N)
    said = AgeSexPredictions(np.nan_to_num(ages, nan=40) + 2, np.abs(female - 0.1), np.zeros((N, 144), np.float32))

    def told(one: AgeSexPredictions) -> Report:
        return age_sex.examine(faces, one, title="t", provenance=NOWHERE)

    same = replace(said, ages_years=np.full(N, 30, np.float32), female=np.zeros(N, np.float32))
    dealt = replace(said, ages_years=said.ages_years[SHUFFLED], female=said.female[SHUFFLED])
    return told(said), {"always the same": told(same), "dealt anew": told(dealt)}


def judge_of_attributes() -> Planted:
    """The judge of attributes and race: always no, and answers dealt anew."""
    marks = (RANDOM.random((N, len(NAMES))) < 0.4).astype(np.float32)
    races = tuple(RACES[k % len(RACES)] for k in range(N))
    scores = (0.2 + 0.6 * marks + RANDOM.normal(0, 0.05, marks.shape)).astype(np.float32)

    def told(values: Any, said: tuple[str, ...]) -> Report:
        seen = AttributePredictions(values, values > 0.5, ("",) * N)
        return attribute_judge.examine(seen, marks, said, races, title="t", provenance=NOWHERE)

    dealt = told(scores[SHUFFLED], tuple(races[k] for k in SHUFFLED))
    return told(scores, races), {"always no": told(0 * scores, (RACES[0],) * N), "dealt anew": dealt}


class Meshes(PORTRAITS.FakeJudges):  # type: ignore[misc]
    """Judges to whom a face is frontal and closed unless its first pixel says otherwise: turned, or nodding."""

    def faces(self, crops: Any, advance: Any) -> list[Any]:
        found = super().faces(crops, advance)
        return [replace(face, mesh=self.mesh(crop), presence=float(crop[0, 0, 0] != 1)) for face, crop in
                zip(found, crops, strict=True)]  # fmt: skip

    @staticmethod
    def mesh(crop: Any) -> Any:
        turned = float(crop[0, 0, 1] == 1)
        points = PORTRAITS.mean_shape().points @ PORTRAITS.rotation_of_pose(Pose(*(12 * turned,) * 3)).T
        points = points * PORTRAITS.CAMERA_AXES
        points = points / np.ptp(points[:, 0]) * len(crop) / 2 + [len(crop) / 2, len(crop) / 2, 0]
        lower, upper = ([PORTRAITS.IBUG_68[k] for k in row] for row in ((65, 66, 67), (63, 62, 61)))
        points[lower] = points[upper]
        points[lower, 1] += turned * len(crop) / 8
        return points.astype(np.float32)


def portraits() -> Planted:
    """Portraits: flat, noise, one picture for all, another person's, and turned ones that laugh."""
    people, _size = 30, 64
    looks = RANDOM.integers(60, 200, (people, 1, 4, 4, 3)).astype(np.uint8)
    noise = RANDOM.integers(0, 24, (people, 2, 4, 4, 3)).astype(np.uint8)
    photos = np.kron(np.broadcast_to(looks, noise.shape) + noise, np.ones((1, 1, 16, 16, 1), np.uint8))
    sound = np.kron(np.repeat(looks, 2, 1), np.ones((1, 1, 16, 16, 1), np.uint8)) - 20
    marks = {"no face": (0, 1), "turned": (1, 1)}

    def told(name: str, pictures: Any) -> Report:
        pictures = pictures.copy()
        photos[..., 0, 0, :] = 9
        pictures[..., 0, 0, :] = 9
        if name in marks:
            channel, value = marks[name]
            pictures[..., 0, 0, channel] = value
        return judge_portraits(photos, Made("made", pictures), (), Meshes(), baselines=(), title="t",
                                 provenance=NOWHERE, on_stage=silent)  # fmt: skip

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portrait, "detects", lambda crops: np.array([crop[0, 0, 0] != 1 for crop in crops]))
        plants = {
            "no face": np.full_like(sound, 127),
            "turned": np.clip(sound.astype(int) + 60, 0, 255).astype(np.uint8),
            "noise": RANDOM.integers(0, 256, sound.shape).astype(np.uint8),
            "one for all": np.broadcast_to(sound[:1, :1], sound.shape),
            "another person's": np.roll(sound, 1, 0),
        }
        return told("sound", sound), {name: told(name, pictures) for name, pictures in plants.items()}


def kept() -> Planted:
    """What portraits keep: no face, everybody a man of thirty under a hat."""
    girl, man = (FaceRow("f:1", "f", "test", "s", 0, sex, 5.0, None) for sex in ("female", "male"))
    sample = KeptSample((((3, 13), (girl,) * 20), ((60, 121), (man,) * 20)), (man,) * 20)
    ages, women, hats = [8] * 20 + [70] * 20 + [30] * 20, [255] * 20 + [0] * 40, [0] * 40 + [200] * 20
    photos, sound = KEPT.crops(ages, women, hats), KEPT.crops([age + 1 for age in ages], women, [20] * 60)
    worn = KEPT.crops([30] * 60, [0] * 60, [255] * 60)

    def told(portraits: Any, face: bool = True) -> Report:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(portrait_kept, "detects", lambda crops: np.full(len(crops), face))
            return Report("t", "", (judge_kept(sample, photos, "made", portraits, KEPT.FakeJudges(), lambda _: None),))

    return told(sound), {"no face": told(sound, face=False), "one for all": told(worn)}


def activations() -> Planted:
    """Single activations: skewed ones, and such as lie in each other, where the sound ones are normal and free."""
    marked = np.zeros((300, 3), bool)
    marked[:150, 0] = marked[100:, 1] = marked[:5, 2] = True
    people = tuple(map(str, range(300)))
    labels = AttributeLabels(("Male", "Smiling", "Baby"), np.arange(300), marked, people, ("train",) * 300, False)
    normal = RANDOM.standard_normal((300, 60)).astype(np.float32)

    def told(values: Any) -> Report:
        return activations_report(labels, lambda _, rows: values[rows], ["pool"], ["Male"], NOWHERE, count=100, seed=1)

    together = normal + 3 * RANDOM.standard_normal((300, 1)).astype(np.float32)
    return told(normal), {"skewed": told(np.exp(normal)), "one cause": told(together)}


def distribution() -> Planted:
    """Shares of attributes: of a dataset in which nothing is marked."""
    names = ("White", "Black", "No Eyewear", "Youth")
    marked = RANDOM.random((N, 4)) < 0.3
    one = AttributeLabels(names, np.arange(N), marked, tuple(map(str, range(N))), ("train",) * N, False)
    empty = replace(one, marked=np.zeros_like(marked))
    return distribution_report(one, NOWHERE), {"nothing marked": distribution_report(empty, NOWHERE)}


def clusters() -> Planted:
    """A map: features in which nothing gathers, and labels dealt anew."""
    points, labels = of_clusters.two_clouds(150, gap=6)
    people = tuple(map(str, range(150)))
    names = ("Youth", "Bald", "Bangs", "Smiling", "Child", "Black")  # each gathers less than the one before
    some = AttributeLabels(names, np.arange(150), labels[:, [0] * len(names)], people, ("train",) * 150, False)
    for column in range(len(names)):
        some.marked[:, column] ^= np.arange(150) < 9 * column

    def told(values: Any, of: AttributeLabels) -> Report:
        return tsne_report(values.astype(np.float32), of, "pool", NOWHERE, seed=0, perplexity=10, k=5)

    draws = np.random.default_rng(4)
    dealt = replace(some, marked=some.marked[draws.permutation(150)])
    return told(points, some), {"noise": told(draws.standard_normal(points.shape), some), "dealt": told(points, dealt)}


def pairs() -> Planted:
    """Pairs of photos: features that know nobody."""
    drawn = draw_pairs(of_pairs.PEOPLE, folds=4, each=40, seed=0)

    def told(values: Any) -> Report:
        return verification_report({"view": values}, of_pairs.PEOPLE, drawn, "embedding", NOWHERE)

    noise = RANDOM.standard_normal((len(of_pairs.PEOPLE), 32)).astype(np.float32)
    return told(of_pairs.features(0.3)), {"noise": told(noise), "one for all": told(noise[:1] + 1e-6 * noise)}


def likenesses() -> Planted:
    """Table 2: the mean face for all, a stranger's."""
    photos = RANDOM.standard_normal((6, 64))
    squares = RANDOM.integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)

    def told(made: Any, own: Any = photos, face: bool = True) -> Report:
        ruler = Ruler("facenet", np.full(40, 0.7), np.full(40, 0.1), own)
        people = Described(tuple("abcdef"), (9,) * 6, squares)
        made_faces = Likenesses("made", squares, {"facenet": made}, np.full(6, face))
        return likeness_report(people, [made_faces], [ruler], NOWHERE)

    mean = np.broadcast_to(photos.mean(0), photos.shape)
    twins = photos[0] + 0.1 * photos
    strangers = told(np.roll(photos, 1, 0))
    plants = {"no face": told(photos, face=False), "a stranger's": strangers, "mean": told(mean)}
    return told(photos), plants | {"twins": told(twins, -twins)}


def inversions() -> Planted:
    """Figure 5: a picture that has nothing of the target."""
    flat = np.zeros((32, 32, 3), np.uint8)

    def told(loss: float, off: float, cosine: float, face: bool) -> Report:
        return inversion_report(flat, [Inverted("one", flat, [1.0, loss], 0.03, off, cosine, 4.0, face)], "l", NOWHERE)

    sound, grey = told(0.1, 0.1, 0.9, True), told(1.0, 1.0, 0.1, False)
    return sound, {"grey": grey, "no face": told(0.1, 0.1, 0.9, False)}


def unfrozen() -> Planted:
    """Short runs: heads that always say the same, and such as only know whom they learned from."""
    marks = RANDOM.random((N, 4)) < 0.4
    faces = ProbedFaces(("a", "b", "c", "d"), marks, marks[::-1], np.full(4, 0.4))

    def told(train: Any, test: Any) -> Report:
        curve = Curve((0.0, 1.0), (1.0, 0.5))
        run = Unfrozen("heads only", 9, 90, 1.0, curve, curve, train.astype(np.float32), test.astype(np.float32))
        return unfreezing_report([run], faces, NOWHERE)

    sound = 0.2 + 0.6 * marks
    same = np.full_like(sound, 0.3)
    return told(sound, sound[::-1]), {"always the same": told(same, same), "by heart": told(sound, sound[SHUFFLED])}


def rates() -> Planted:
    """A sweep of rates: one that learns nothing."""
    marks = RANDOM.random((N, 4)) < 0.4
    faces = ProbedFaces(("a", "b", "c", "d"), marks, marks, np.full(4, 0.4))

    def told(loss: float) -> Report:
        curve, said = Curve((0.0, 1.0), (1.0, loss)), np.full(marks.shape, 0.3, np.float32)
        run = Unfrozen("heads only", 9, 90, 1.0, curve, curve, said, said)
        return rates_report([RateRun("heads only", 1e-3, run)], faces, NOWHERE)

    return told(0.5), {"learns nothing": told(1.0)}


def studies() -> Planted:
    """Answers of people: of such as tell every made face, and of such as call everything real."""
    design, same = design_of(pool=24, trials_a_model=8), {"a": 0.0, "b": 0.0}

    def told(truth: Truth) -> Report:
        sessions = simulate(design, truth, 12, 3)
        shown = np.zeros((8, 8, 3), np.uint8)
        return study_report(
            design, sessions, withdrawn=0, picture=lambda _: shown, provenance=NOWHERE, simulated=True, rounds=50
        )

    told_apart, leaning = Truth({"a": 2.5, "b": 1.5}), Truth(same, lean=1.2)
    return told(Truth(same)), {"told apart": told(told_apart), "leaning": told(leaning)}


PLANTS: Mapping[str, Callable[[], Planted]] = {
    "mien.evaluation.crowd.judge_crowd": crowds,
    "mien.evaluation.imagine.judge_imagine": words,
    "mien.evaluation.edit.judge_edits": edits,
    "mien.evaluation.attributes.examine": heads,
    "mien.evaluation.age_sex.examine": judge_of_age_and_sex,
    "mien.evaluation.attribute_judge.examine": judge_of_attributes,
    "mien.evaluation.portrait_report.judge_portraits": portraits,
    "mien.evaluation.portrait_kept.judge_kept": kept,
    "mien.evaluation.experiments.activations.activations_report": activations,
    "mien.evaluation.experiments.distribution.distribution_report": distribution,
    "mien.evaluation.experiments.inversion.inversion_report": inversions,
    "mien.evaluation.experiments.likeness.likeness_report": likenesses,
    "mien.evaluation.experiments.rates.rates_report": rates,
    "mien.evaluation.experiments.tsne.tsne_report": clusters,
    "mien.evaluation.experiments.unfreezing.unfreezing_report": unfrozen,
    "mien.evaluation.experiments.verification.verification_report": pairs,
    "mien.evaluation.study.results.study_report": studies,
}


# Of each report about pictures: the plants that show no face.
FACELESS = {
    "mien.evaluation.crowd.judge_crowd": ("constant", "noise"),
    "mien.evaluation.imagine.judge_imagine": ("constant", "noise"),
    "mien.evaluation.edit.judge_edits": ("no face",),
    "mien.evaluation.portrait_report.judge_portraits": ("no face",),
    "mien.evaluation.portrait_kept.judge_kept": ("no face",),
    "mien.evaluation.experiments.likeness.likeness_report": ("no face",),
    "mien.evaluation.experiments.inversion.inversion_report": ("grey",),
}
# Parts of reports that hold tables and pictures only, of what the figures say, too ...
NO_FIGURES = (
    "ABLATION", "Attribute by attribute", "Beside baselines", "By sex and age", "Each attribute", "Faces",
    "Faces that deceived, and faces that did not", "Failures, chosen by the metric", "Group by group", "Groups",
    "Groups of people", "How it was done", "How many faces it takes to see it", "If nobody were set aside",
    "In the course of a session", "Loss by rate", "Losses", "Pages", "Samples", "The map",
    "What it learned from (section 5.1 of the thesis)", "Who took part", "f'Elements of {layer}'",
    "f'One noise, other labels: {name}'",
)  # fmt: skip
NAMED_ANEW = ("f'Every attribute at {layer}'", "name[0].upper() + name[1:]")  # in the table by what they are called
# ... and those of `data report`, which count a catalogue.
COUNTS = ("Where the faces come from", "What was dropped, and why", "Splits", "What people said of the labels",
          "Age by sex", "Attributes", "Pose")  # fmt: skip
Key = tuple[str, str, str]  # section, label, subject


def figures_of(report: Report) -> dict[Key, Figure]:
    """Those that must be able to say no, or stand beside."""
    return {(part.title, figure.label, figure.subject): figure for part in report.sections for figure in part.figures}


def asked(report: Report) -> dict[Key, Figure]:
    """Those that must be able to say no."""
    return {key: figure for key, figure in figures_of(report).items()
            if figure.subject not in BESIDE and figure.label not in SETTINGS
            and not figure.label.startswith(PRINTED)}  # fmt: skip


def says_no(bad: Figure | None, good: Figure, real: Figure | None) -> bool:
    """Whether the planted figure is clearly worse than the sound one or, where neither side is better, another."""
    if bad is None:
        return False
    if good.better:
        return worse(bad, good, real)
    return bool(np.isfinite(bad.value) and not np.isclose(bad.value, good.value, rtol=0.02, atol=1e-3))


def noes(good: Report, plants: Mapping[str, Report]) -> dict[Key, list[str]]:
    """For each figure the plants of which it says no."""
    planted = {name: figures_of(report) for name, report in plants.items()}
    real = {key[:2]: figure for key, figure in figures_of(good).items() if key[2] in ("photo", REAL)}
    return {
        key: [name for name, table in planted.items() if says_no(table.get(key), figure, real.get(key[:2]))]
        for key, figure in asked(good).items()
    }


def silent_figures(good: Report, plants: Mapping[str, Report]) -> list[str]:
    """The figures of a report that say no of nothing that was planted."""
    return [", ".join(key[1:]) for key, found in noes(good, plants).items() if not found]


@functools.cache
def planted(report: str) -> Planted:
    """The sound report and the planted ones, without plots, which are not asked here and cost most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (plots, panels):
            patch.setattr(module, "rendered", lambda figure: np.zeros((8, 8, 3), np.uint8))
        return PLANTS[report]()


def short(report: str) -> str:
    """The module and the function of a report."""
    return ".".join(report.split(".")[-2:])


def rows_of(report: str) -> list[tuple[str, str, str, str]]:
    """The rows of a report in the table: report, section, figure, plants of which it says no."""
    rows: dict[tuple[str, str], dict[str, None]] = {}
    for (section, label, _), found in noes(*planted(report)).items():
        rows.setdefault((section, label), {}).update(dict.fromkeys(found))
    return [(short(report), section, label, "; ".join(found)) for (section, label), found in rows.items()]


@pytest.mark.parametrize("report", PLANTS)
def test_every_figure_of_a_report_can_say_no(report: str) -> None:
    assert silent_figures(*planted(report)) == []


@pytest.mark.parametrize("report", FACELESS)
def test_nothing_is_praised_where_no_face_is_found(report: str) -> None:
    """Every figure that has a better side is worse there, or unknown."""
    good, plants = planted(report)
    real = {key[:2]: figure for key, figure in figures_of(good).items() if key[2] == "photo"}
    praised = []
    for name in FACELESS[report]:
        table = figures_of(plants[name])
        for key, figure in asked(good).items():
            bad = table.get(key)
            if figure.better and bad and np.isfinite(bad.value) and not worse(bad, figure, real.get(key[:2])):
                praised.append(f"{name}: {', '.join(key)}")
    assert praised == []


@pytest.mark.parametrize("report", PLANTS)
def test_the_table_lists_every_figure_and_what_it_says_no_of(report: str) -> None:
    with TABLE.open(newline="") as file:
        listed = {(row[1], row[2]): row[3] for row in csv.reader(file) if row[0] == short(report)}
    found = {(section, label): plants for _, section, label, plants in rows_of(report)}
    assert listed.keys() == found.keys(), "write the new rows: python tests/test_reports_that_say_no.py"
    for key, plants in listed.items():
        assert plants
        assert set(plants.split("; ")) <= set(found[key].split("; ")), key


def test_every_report_has_its_plants() -> None:
    """A new report, or one that moves, wants plants here."""
    found = set()
    for module in pkgutil.walk_packages(mien.evaluation.__path__, "mien.evaluation."):
        for name, function in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
            returned, judging = function.__annotations__.get("return"), "judges" in function.__annotations__
            whole = returned == "Report" or (returned == "Section" and judging)
            if whole and function.__module__ == module.name and not name.startswith("_"):
                found.add(f"{module.name}.{name}")
    assert found == {*PLANTS, *ELSEWHERE}


def test_every_section_is_in_the_table() -> None:
    """So that no figure stands in a part of a report that no planted report has."""
    with TABLE.open(newline="") as file:
        listed = {row[1] for row in csv.reader(file)}
    found = set()
    for path in (SOURCE / "evaluation").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Section":
                title = node.args[0]
                found.add(title.value if isinstance(title, ast.Constant) else ast.unparse(title))
    assert found - listed == {*NO_FIGURES, *COUNTS, *NAMED_ANEW}
    for report in PLANTS:
        for part in planted(report)[0].sections:
            assert not (part.figures and part.title in NO_FIGURES), part.title


def test_a_report_that_cannot_say_no_is_named() -> None:
    """The test of the test."""
    blind = Report("t", "", (Section("s", "", (Figure("a_n2", "a", "heads", 0.5, 2, better="higher"),)),), NOWHERE)
    assert silent_figures(blind, {"noise": blind}) == ["a, heads"]


def main() -> None:
    """Write the table anew."""
    with TABLE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("report", "section", "figure", "says no of"))
        for report in PLANTS:
            writer.writerows(rows_of(report))


if __name__ == "__main__":
    main()
