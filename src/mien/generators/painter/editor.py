"""Somebody on a photograph with age, sex or attributes changed, as little as makes what was asked be read.

The code of the face is moved to what is asked (``density``, ``ages``), and the painter tells what that changes in the
photograph at several strengths (``editing``). Of the changes between them the weakest is taken in which the heads read
what was asked, as long as the encoder still sees the same person and the sex is not one that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mien.core.images import to_tensor
from mien.core.records import Float32Array, UInt8Image
from mien.faces.encoder import Encoder, who
from mien.generators.imagine.density import AGE, Condition, Float64Array
from mien.generators.painter.ages import WORDS_YEARS, aimed_years, grown
from mien.generators.painter.editing import STRENGTHS, changes, told
from mien.generators.painter.people import PaintedImagine

VERSION = "edit.2"
CLOSE_YEARS = 1.0  # of the age that one asked for: what a code is to be read as
STAY_YEARS = 5.0  # an age that nobody asked to change may move so far
CLEAR = 0.6  # the degree at which an attribute is there; 1 less it is not
BETWEEN = 3  # changes that are looked at for each strength
OFF_YEARS = 25.0  # what a wrong sex, or an attribute that is wholly off, costs
NEAR_YEARS = 2.0  # a weaker change is taken that is off by so much more at most
SEX = "Male"


@dataclass(frozen=True, slots=True)
class FaceRead:
    """What the encoder and the heads say of one aligned crop."""

    features: Float64Array  # F
    embedding: Float32Array  # 512
    years: float
    woman: float  # probability
    degrees: Mapping[str, float]  # of attributes, 0 absent to 1 present

    def row(self, names: Mapping[str, object]) -> dict[str, object]:
        """Age and sex, and the attributes ``names``: for a manifest."""
        known = {name: round(self.degrees[name], 2) for name in names if name in self.degrees and name != SEX}
        return {"age": round(self.years, 1), "sex": "female" if self.woman >= 0.5 else "male", **known}


@dataclass(frozen=True, slots=True)
class Edit:
    """A change (S S 3, of 255) to an aligned crop, how strong it is, and what was read before and after it."""

    change: Float32Array
    strength: float
    before: FaceRead
    after: FaceRead

    @property
    def similarity(self) -> float:
        """Cosine of the embeddings."""
        return float(self.before.embedding @ self.after.embedding)


class PhotoEditor:
    """Changes people on aligned crops."""

    name = "edit-painter"

    def __init__(self, makes: PaintedImagine, encoder: Encoder) -> None:
        self.makes, self.encoder = makes, encoder
        self.version = f"{makes.version}+{VERSION}"

    def read(self, crops: UInt8Image) -> list[FaceRead]:
        """What is seen in aligned crops (N S S 3)."""
        features, embeddings = who(self.encoder, to_tensor(crops))
        years, woman = self.makes.age_solver.reader.read(features)
        probes = self.makes.density.probes
        scores = probes.scores(self.makes.density.frame.codes(features))
        degrees = np.clip((scores - probes.absent) / (probes.present - probes.absent), 0, 1)
        return [
            FaceRead(
                row.astype(np.float64), embedding, float(age), float(she), dict(zip(probes.names, own, strict=True))
            )
            for row, embedding, age, she, own in zip(features, embeddings, years, woman, degrees.tolist(), strict=True)
        ]

    def edit(self, crop: UInt8Image, condition: Condition, *, least_similarity: float) -> Edit:
        """The change of an aligned crop (S S 3) that a condition asks for. What it does not speak of is kept.

        ``least_similarity``: of the encoder; a change that makes somebody else of the person is not taken.
        """
        before = self.read(crop[None])[0]
        condition = completed(condition, before)
        after, conditions = self._target(before, condition)
        own = {AGE: before.years / 100}
        own |= {name: before.degrees[name] for name in condition.attributes if name in before.degrees}
        renderer = self.makes.renderer
        steps = changes(renderer, crop, told(renderer, before.features, own), told(renderer, after, conditions))
        path = between(steps)
        reads = self.read(np.stack([applied(crop, change) for _, change in path]))
        chosen = choose(reads, before, condition, least_similarity)
        strength, change = path[chosen]
        return Edit(change, strength, before, reads[chosen])

    def _target(self, before: FaceRead, condition: Condition) -> tuple[Float64Array, dict[str, float]]:
        """The features (F) and the painter's conditions of the person as they are to be."""
        density = self.makes.density
        known = {name: value for name, value in condition.attributes.items() if name in density.probes.names}
        features = density.moved(before.features, density.compile(Condition(known))) if known else before.features
        years, male = condition.ages_years, condition.attributes.get(SEX)
        assert years is not None
        asked = years[1] < before.years - STAY_YEARS or years[0] > before.years + STAY_YEARS
        within = aimed_years(years) if asked else years
        features = self.makes.age_solver.solve(features, within, male if isinstance(male, bool) else None)
        return features, {name: float(value) for name, value in condition.attributes.items()} | {AGE: sum(within) / 200}


def completed(condition: Condition, before: FaceRead) -> Condition:
    """A condition with what it implies: words of an age are years, children and women have no beards, age and sex stay.

    Taking glasses off is told in the painter's words, too.
    """
    attributes = {name: value for name, value in condition.attributes.items() if name not in WORDS_YEARS}
    said = [WORDS_YEARS[name] for name, value in condition.attributes.items() if name in WORDS_YEARS and value is True]
    years = condition.ages_years or (said[0] if said else (before.years - STAY_YEARS, before.years + STAY_YEARS))
    if years[1] - years[0] < 2 * CLOSE_YEARS:
        years = (years[0] - CLOSE_YEARS, years[1] + CLOSE_YEARS)
    if not grown(years) or attributes.get(SEX) is False:
        attributes = {"No Beard": True, "Mustache": False, **attributes}
    if attributes.get("No Eyewear") is True:
        attributes = {"Eyeglasses": False, "Sunglasses": False, **attributes}
    return replace(condition, attributes={SEX: before.woman < 0.5, **attributes}, ages_years=years)


def between(steps: Float32Array) -> list[tuple[float, Float32Array]]:
    """Strengths and changes (S S 3) on the way from none through those of ``STRENGTHS`` (K S S 3), weakest first."""
    ends = [np.zeros_like(steps[0]), *steps]
    marks = [0.0, *STRENGTHS[: len(steps)]]
    shares = [(k + 1) / BETWEEN for k in range(BETWEEN)]
    return [
        (round(marks[n] + share * (marks[n + 1] - marks[n]), 2), np.asarray(ends[n] + share * (ends[n + 1] - ends[n])))
        for n in range(len(steps))
        for share in shares
    ]


def applied(crop: UInt8Image, change: Float32Array) -> UInt8Image:
    """A crop (S S 3) with a change of its values."""
    return np.asarray(np.clip(crop + change + 0.5, 0, 255), np.uint8)


def choose(reads: list[FaceRead], before: FaceRead, condition: Condition, least_similarity: float) -> int:
    """The place of the weakest change in which is read what was asked, among those that leave the same person.

    No adult's sex changes who did not ask for it, however much nearer the age would be.
    """
    male = before.woman < 0.5
    held = condition.attributes.get(SEX) is male and (condition.ages_years is None or grown(condition.ages_years))

    def stays(read: FaceRead) -> bool:
        other_sex = read.woman if male else 1 - read.woman
        return float(read.embedding @ before.embedding) >= least_similarity and not (held and other_sex > 1 - CLEAR)

    same = [k for k, read in enumerate(reads) if stays(read)] or [0]
    best = min(off(reads[k], condition) for k in same)
    return next(k for k in same if off(reads[k], condition) <= best + NEAR_YEARS)


def off(read: FaceRead, condition: Condition) -> float:
    """How far what is read is from a condition, in years."""
    total = 0.0
    if condition.ages_years is not None:
        total += abs(min(max(read.years, condition.ages_years[0]), condition.ages_years[1]) - read.years)
    for name, value in condition.attributes.items():
        if name == SEX and isinstance(value, bool):
            total += OFF_YEARS * max(0.0, (read.woman if value else 1 - read.woman) - (1 - CLEAR))
        elif name in read.degrees:
            there = read.degrees[name]
            lacks = CLEAR - there if value is True else there - (1 - CLEAR) if value is False else abs(there - value)
            total += OFF_YEARS * max(0.0, lacks)
    return total
