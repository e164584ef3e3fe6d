"""Are the faces of one description different people? Beside real people who share it, too, since those are more alike
than strangers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from mien.core.progress import OnStage, counted
from mien.core.records import UInt8Image
from mien.evaluation.crowd_judged import JudgedFaces
from mien.evaluation.detection import detects
from mien.evaluation.features import IDENTITY, Judges
from mien.evaluation.imagine_sets import AttributeSet
from mien.evaluation.metrics import metric_name
from mien.evaluation.report import Better, Figure, Section
from mien.evaluation.similarity import cosines
from mien.evaluation.statistics import Float64Array, Interval, mean_interval

BoolArray = npt.NDArray[np.bool_]
Pair = tuple[Float64Array, Float64Array, BoolArray]  # P 128, P 128, P: are both faces?

TWO, ONE = "two descriptions", "one description"


@dataclass(frozen=True, slots=True)
class MethodPredictions:
    """What the judges say of the faces of one method, description by description."""

    places: tuple[int, ...]  # P
    crops: UInt8Image  # P K S S 3
    face: BoolArray  # P K: the cascades find one, or it is a photograph
    found: BoolArray  # P K 73
    identity: Float64Array  # P K 128
    judged: JudgedFaces  # of all faces: the first of each description, then the second of each, ...


@dataclass(frozen=True, slots=True)
class RealPairs:
    """K real people for each of P descriptions who have something in common; ``name`` says what."""

    name: str
    crops: UInt8Image  # P K S S 3
    about: str  # how much they have in common, with its figures


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """The same, seen by the judge of identity."""

    name: str
    identity: Float64Array  # P K 128
    about: str


def real_pairs(pairs: RealPairs, judges: Judges, on_stage: OnStage) -> JudgedPairs:
    """Identity features of real people who are alike."""
    flat = pairs.crops.reshape(-1, *pairs.crops.shape[2:])
    with counted(on_stage(pairs.name), len(flat)) as on_advance:
        found = judges.identity(flat, on_advance).astype(np.float64)
    return JudgedPairs(pairs.name, found.reshape(*pairs.crops.shape[:2], -1), pairs.about)


def sheet_identity(name: str, sheets: UInt8Image, judges: Judges, on_stage: OnStage) -> tuple[Float64Array, BoolArray]:
    """Of sheets Q K S S 3: identity features (Q K 128), and where the cascades find a face (Q K)."""
    flat = sheets.reshape(-1, *sheets.shape[2:])
    with counted(on_stage(f"{name}: whole sheets"), 2 * len(flat)) as on_advance:
        found = judges.identity(flat, on_advance).astype(np.float64)
        face = detects(flat, progress=on_advance)
    return found.reshape(*sheets.shape[:2], -1), face.reshape(sheets.shape[:2])


def variety(
    answers: Mapping[str, MethodPredictions],
    sets: Sequence[AttributeSet],
    other: JudgedFaces,
    alike: Sequence[JudgedPairs],
    sheets: Mapping[str, tuple[Float64Array, BoolArray]],
) -> Section:
    """(c) All pairs of one description and pairs of two, of every method, beside pairs of real people.

    ``sheets``: Q K 128 and Q K (``sheet_identity``) of methods that drew a whole sheet of K for some descriptions.
    """
    centre = other.identity.astype(np.float64).mean(0)
    figures: list[Figure] = []

    def both(label: str, subject: str, pairs: Sequence[Pair]) -> None:
        """Similarity and distance; means over pairs are taken first. A pair that lacks a face is one face twice."""
        key = {ONE: "same-description", TWO: "other-description"}.get(label, "whole-sheet")
        alike = mean_interval(np.mean([np.where(ok, cosines(a - centre, b - centre), 1) for a, b, ok in pairs], axis=0))
        apart = mean_interval(np.mean([np.where(ok, np.linalg.norm(a - b, axis=1), 0) for a, b, ok in pairs], axis=0))
        figures.append(figure_of(f"similarity-{key}", IDENTITY, f"similarity, {label}", subject, alike, "", "lower"))
        figures.append(figure_of(f"distance-{key}", IDENTITY, f"distance, {label}", subject, apart, "", "higher"))

    own = answers["real"].identity[:, 0]
    both(TWO, "real", [(own, np.roll(own, 1, 0), np.ones(len(own), bool))])
    same = _next_of_same_sex(sets)
    both(ONE, "real, of one sex", [(own[list(same)], own[list(same.values())], np.ones(len(same), bool))])
    for pairs in alike:
        both(ONE, f"real, {pairs.name}", _all_pairs(pairs.identity, np.ones(pairs.identity.shape[:2], bool)))
    for name, one in answers.items():
        if name == "real":
            continue
        first, face = one.identity[:, 0], one.face[:, 0]
        if len(first) > 1:
            both(TWO, name, [(first, np.roll(first, 1, 0), face & np.roll(face, 1))])
        if one.identity.shape[1] > 1:
            both(ONE, name, _all_pairs(one.identity, one.face))
    for name, (identity, face) in sheets.items():
        both(f"a sheet of {identity.shape[1]} of {ONE}", name, _all_pairs(identity, face))
    common = " ".join(f"Real people, {pairs.name}: {pairs.about}." for pairs in alike)
    return Section(
        "Are they different people?",
        "All pairs among the faces of one description, and pairs of faces of two descriptions, in dlib's 128 identity "
        "features: distance, and similarity as the cosine after the mean real face is taken away, so that different "
        "real people are about 0 alike. Two photographs of one person lie 0.44 apart, of two people 0.81. A pair in "
        "which the cascades miss a face counts as one face twice. Faces of two descriptions that are as alike as those "
        "of one are the paper's failure: one face for everybody. Real people who share a description are more alike "
        "than strangers are, so theirs is the figure to stand beside. A method that draws a few faces at once so that "
        "they lie apart is judged on whole sheets, too. " + common,
        tuple(figures),
    )


def figure_of(
    key: str, space: str, label: str, subject: str, interval: Interval, unit: str, better: Better = ""
) -> Figure:
    """A figure whose name carries its protocol and n."""
    name = metric_name(key, space, interval.n)
    return Figure.of(interval, name=name, label=label, subject=subject, unit=unit, better=better)


def _all_pairs(identity: Float64Array, face: BoolArray) -> list[Pair]:
    """P K D, and P K: is it a face? -> each two of K."""
    both = combinations(range(identity.shape[1]), 2)
    return [(identity[:, a], identity[:, b], face[:, a] & face[:, b]) for a, b in both]


def _next_of_same_sex(sets: Sequence[AttributeSet]) -> dict[int, int]:
    """Each description -> the next one (from the start again) of the same sex, where there is another."""
    following: dict[int, int] = {}
    for sex in (True, False, None):
        places = [place for place, one in enumerate(sets) if one.wanted.get("Male") is sex]
        if len(places) > 1:
            following |= dict(zip(places, [*places[1:], places[0]], strict=True))
    return following
