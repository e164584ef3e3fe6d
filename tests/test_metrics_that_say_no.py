"""Planted crowds, and planted ways from words to faces: a constant picture, noise, one face (the mean) for all, copies
of training faces, people twenty-five years too old, shuffled labels.

``test_reports_that_say_no`` asks every figure of their reports.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import test_evaluation_crowd as in_crowds
import test_evaluation_imagine as in_words

from mien.attributes import NAMES
from mien.attributes.attribute_judge import RACES
from mien.evaluation import crowd, crowd_attributes, imagine_variety, plots
from mien.evaluation.crowd import RealCrowd, judge_crowd
from mien.evaluation.crowd_attributes import RealMarks
from mien.evaluation.features import unknown_labels
from mien.evaluation.imagine import MadeFaces, RealFaces, judge_imagine
from mien.evaluation.imagine_sets import choose_sets
from mien.evaluation.report import Figure, Report, ReportProvenance

CROWDS: Any = in_crowds  # helpers of other tests, which carry no types
IMAGINED: Any = in_words
AGES, WORDS, FakeJudges, drawn, faces, made = (
    CROWDS.AGES, CROWDS.WORDS, CROWDS.FakeJudges, CROWDS.drawn, CROWDS.faces, CROWDS.made,
)  # fmt: skip
PEOPLE, SAMPLES, PixelJudges = IMAGINED.PEOPLE, IMAGINED.SAMPLES, IMAGINED.PixelJudges
crops_of, painted, row_of = IMAGINED.crops_of, IMAGINED.painted, IMAGINED.row_of
COUNT = 220
CLEAR = 0.02  # of the better value's size


def worse(bad: Figure, good: Figure, real: Figure | None) -> bool:
    """Whether a figure says of the planted one that it is clearly worse than the sound one."""
    margin = CLEAR * max(abs(good.value), 0.05)
    if good.better == "higher":
        return bad.value < good.value - margin
    if good.better == "lower":
        return bad.value > good.value + margin
    assert good.better == "near the real one"
    assert real is not None, f"{good.label}: no real one to be near to"
    return abs(bad.value - real.value) > abs(good.value - real.value) + margin


def seen(crops: Any, *, progress: Any = None) -> Any:
    """A stand-in for the cascades (which are tested by themselves): a face is what is neither flat nor all noise."""
    if progress is not None:
        progress(len(crops))
    return np.array([crop[..., 2].std() > 5 and crop[..., 0].std() < 5 for crop in crops])


def marked(crops: Any, blue: Any) -> Any:
    """Crops in whose last pixel the judge of the crowd's tests finds everything (255) or nothing (0)."""
    found = crops.copy()
    found[:, -1, -1, 2] = blue
    return found


@pytest.fixture(scope="module", name="crowds")
def _crowds() -> Report:
    return planted_crowds()


@functools.cache
def planted_crowds() -> Report:
    """A sound crowd, "good", and planted ones beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "rendered", lambda figure: np.zeros((8, 8, 3), np.uint8))  # most of the time
        for module in (crowd, crowd_attributes):
            patch.setattr(module, "detects", seen)
        real = faces(COUNT, 1, races=("Asian", "Black"))
        good = faces(COUNT, 2, races=("Asian", "Black"))
        noise = 255 * np.random.default_rng(7).integers(0, 2, good.crops.shape).astype(np.uint8)  # salt and pepper
        shuffled = np.random.default_rng(8).permutation(COUNT)
        raced = faces(200, 9, races=("Asian", "Black"))
        raced.crops[:, -1, -1, 0] = [RACES.index(race) for race in raced.races]
        obeyed = tuple(replace(w, asked=marked(w.asked, 255), denied=marked(w.denied, 0)) for w in WORDS)
        men = drawn([30] * 9, [0] * 9, 5)  # where women were asked for
        deaf = tuple(replace(word, asked=men, denied=men, open=marked(men, 255)) for word in WORDS)
        plants = {
            "constant": replace(good, crops=np.full_like(good.crops, 127)),
            "noise": replace(good, crops=noise),
            "mean face": replace(good, crops=np.repeat(good.crops.mean(0, keepdims=True).astype(np.uint8), COUNT, 0)),
            "copies": replace(good, crops=real.crops.copy()),
            "older": replace(good, crops=drawn(np.minimum(good.ages_years + 25, 120), good.female, 2)),
            "shuffled": replace(good, crops=good.crops[shuffled]),
        }
        flat: dict[str, Any] = {"sweep": np.full((len(AGES), 6, 24, 24, 3), 90, np.uint8)}
        crowds = [made("good", good, raced=raced, words=obeyed)]
        crowds += [replace(made(name, one, AGES[::-1], words=deaf), **flat) for name, one in plants.items()]
        grey = np.full((9, 24, 24, 3), 127, np.uint8)
        for place, pixels in ((1, grey), (2, noise[:9])):  # constant, noise: of words and races, too
            nobody = tuple(replace(word, asked=pixels, denied=pixels, open=pixels) for word in WORDS)
            faceless = replace(raced, crops=np.repeat(pixels[:1], len(raced), 0))
            crowds[place] = replace(crowds[place], words=nobody, raced=faceless)
        mismatched = replace(raced, crops=raced.crops[shuffled[shuffled < 200]])
        crowds[-1] = replace(crowds[-1], raced=mismatched, sweep=made("x", good, AGES[::-1]).sweep)
        held_out = faces(COUNT, 4, races=("Asian", "Black"))
        held_out.crops[:, -1, -1, 0] = [RACES.index(race) for race in held_out.races]
        return judge_crowd(
            crowds,
            RealCrowd(
                held_out=held_out,
                other_half=faces(200, 6),
                training=FakeJudges().identity(real.crops, lambda done: None),
                by_source={},
                marks=RealMarks(
                    marked(faces(40, 11).crops, 255 * (np.arange(40) % 2)),
                    np.repeat(np.arange(40)[:, None] % 2, len(NAMES), 1),
                ),
            ),
            FakeJudges(),
            title="t",
            provenance=ReportProvenance(seed=1),
        )


@pytest.mark.parametrize(
    ("plant", "label"),
    [
        ("constant", "detection rate"),
        ("noise", "detection rate"),
        ("shuffled", "age error, mean absolute"),
        ("shuffled", "sex as asked, all ages"),
        ("mean face", "sex as asked, all ages"),
    ],
)
def test_a_planted_crowd_is_called_what_it_is(crowds: Report, plant: str, label: str) -> None:
    table = {(f.label, f.subject): f for part in crowds.sections for f in part.figures}
    assert worse(table[label, plant], table[label, "good"], table[label, "real"])


@pytest.fixture(scope="module", name="methods")
def _methods() -> Report:
    return planted_methods()


@functools.cache
def planted_methods() -> Report:
    """A sound way from words to faces, "good", and planted ones beside it."""
    rows = [row_of(k, ("male", "female")[k % 2], ("Smiling", "Bald", "Eyeglasses")) for k in range(PEOPLE)]
    sets = choose_sets(rows, PEOPLE)
    own, others = painted(crops_of(PEOPLE, 0), sets), crops_of(PEOPLE, 1)
    good = np.stack([painted(crops_of(PEOPLE, 2 + k), sets) for k in range(SAMPLES)], 1)
    training = crops_of(40, 9)
    copies = training[np.arange(PEOPLE * SAMPLES) % 40].reshape(good.shape)
    plants = {
        "constant": np.full_like(good, 90),
        "noise": 255 * np.random.default_rng(70).integers(0, 2, good.shape).astype(np.uint8),  # salt and pepper
        "mean face": np.broadcast_to(others.mean(0).astype(np.uint8), good.shape).copy(),
        "copies": copies,
        "shuffled": np.roll(good, 1, 0),
    }
    everybody = tuple(range(PEOPLE))
    sheets = crops_of(8 * 4, 20).reshape(8, 4, *own.shape[1:])
    made_faces = [MadeFaces("good", everybody, good, 1.0, (1.0, 2.0), sheets)]
    made_faces += [
        MadeFaces(name, everybody, crops, 9.0, (8.0, 9.0), np.repeat(crops_of(8, 21)[:, None], 4, 1))
        for name, crops in plants.items()
    ]
    real = RealFaces(unknown_labels(own), unknown_labels(others), PixelJudges().identity(training, lambda _: None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "rendered", lambda figure: np.zeros((8, 8, 3), np.uint8))
        for module in (crowd, imagine_variety):
            patch.setattr(module, "detects", IMAGINED.sees)
        return judge_imagine(made_faces, sets, real, PixelJudges(), title="t", provenance=ReportProvenance())


def test_shuffled_labels_find_no_more_than_another_description_would(methods: Report) -> None:
    table = {(f.label, f.subject): f.value for part in methods.sections for f in part.figures}
    assert table["wanted attributes found", "good"] == 1
    assert table["wanted attributes found", "shuffled"] == table["those of another description found", "good"] < 1
