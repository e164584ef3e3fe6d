"""What the pages show and mean: a face with its labels in words, and a form turned into a decision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mien.apps.review.desk import Desk
from mien.core.errors import RequestError
from mien.datasets import catalog
from mien.datasets.batches import FaceDataset
from mien.datasets.corrections import label_of
from mien.datasets.decisions import OLDEST_YEARS, Decision, Value
from mien.evaluation.label_quality import Suspicions
from mien.evaluation.label_views import CROSSED

DOUBTED, CONTRADICTED = 0.2, 0.02  # qualities below which the classifier disagrees, and does so firmly
UNKNOWN = "unknown"
AGREES, DISAGREES, CONTRADICTS = "agrees", "disagrees", "contradicts"


@dataclass(frozen=True, slots=True)
class Choice:
    """One value that a label can have, as a field of a form."""

    value: str
    words: str
    key: str = ""


SEXES = (Choice("female", "woman", "W"), Choice("male", "man", "M"), Choice(UNKNOWN, "unknown", "U"))
STATES = (Choice("yes", "there"), Choice("no", "not there"), Choice(UNKNOWN, "unknown"))


@dataclass(frozen=True, slots=True)
class Line:
    """One label of a face: what the dataset says, what the classifier thinks, and the field."""

    label: str
    title: str
    field: str  # name of the form's field
    said: str  # in words
    value: str  # of the field: what is said, or what was typed
    original: str
    choices: tuple[Choice, ...]  # none: a number
    view: str  # in words; "": nobody was asked
    verdict: str  # AGREES, DISAGREES, CONTRADICTS or ""
    confidence: int | None  # per cent against the label


@dataclass(frozen=True, slots=True)
class FacePage:
    """Everything that the page shows of one face."""

    id: str
    row: int
    place: int  # in the queue, from 1
    source: str
    key: str
    split: str
    person: str
    licence: str
    lines: tuple[Line, ...]  # open ones: at least those that the classifier disagrees with
    more: tuple[Line, ...]  # behind a line
    doubts: bool  # the classifier disagrees with a label
    views_by: str


class ReviewRoom:
    """A dataset as its sources said it, what a classifier thinks of it, and the desk where people decide."""

    def __init__(self, data: FaceDataset, found: Suspicions, desk: Desk, title: str) -> None:
        self.data, self.found, self.desk, self.title = data, found, desk, title
        self._rows = {face.id: row for row, face in enumerate(data.faces)}
        self._places = {face: place for place, face in enumerate(desk.queue, 1)}

    def has(self, face: str) -> bool:
        return face in self._rows

    def data_row(self, face: str) -> int:
        """The row of a face in the dataset."""
        return self._rows[face]

    def crop(self, row: int) -> bytes:
        """The JPEG of a face as it is stored. ``RequestError`` for a row that is not there."""
        if not 0 <= row < len(self.data):
            raise RequestError("crop: this dataset has no such face")
        face = self.data.faces[row]
        return catalog.read_shard(self.data.dest, str(face.shard), [int(face.row_in_shard or 0)])[0]

    def face(self, face: str, typed: Mapping[str, str] | None = None) -> FacePage:
        """The page of a face; ``typed`` is a form that could not be taken as it was."""
        row = self._rows[face]
        about = self.data.faces[row]
        lines = [self._line(row, label, typed or {}) for label in self._labels(row)]
        fixed = [line for line in lines if line.label in ("sex", "age")]
        others = sorted((line for line in lines if line not in fixed), key=lambda line: -(line.confidence or 0))
        first = [line for line in others if line.verdict in (DISAGREES, CONTRADICTS)] or others[:1]
        views = [self.found.views[label].by for label in self.found.labels]
        return FacePage(
            id=face,
            row=row,
            place=self._places.get(face, 0),
            source=about.source,
            key=about.key,
            split=about.split or "",
            person=about.person or "",
            licence=about.licence,
            lines=(*fixed, *first) if {"sex", "age"} & set(self.found.labels) else (*first, *fixed),
            more=tuple(line for line in others if line not in first),
            doubts=bool(self._doubted(row)),
            views_by=" and ".join(sorted(set(views), key=lambda by: by != CROSSED)),
        )

    def decision(self, face: str, action: str, form: Mapping[str, str]) -> Decision:
        """What a form says: ``keep`` its fields (the label stands where none was changed), take the ``classifier``'s
        view of the labels that it disagrees with, or ``reject`` the face.

        ``RequestError`` names a field that has no such value.
        """
        row = self._rows[face]
        about = self.data.faces[row]
        if action == "reject":
            return Decision(face, about.sha256, "rejected", {})
        changes: dict[str, Value] = {}
        if action == "classifier":
            changes = {label: self._thought(row, label) for label in self._doubted(row)}
        else:
            for label in self._labels(row):
                field = _field(label)
                if field in form and form[field].strip() != _written(label, label_of(about, label)):
                    changes[label] = _parsed(label, form[field])
        return Decision(face, about.sha256, "corrected" if changes else "accepted", changes)

    def _labels(self, row: int) -> tuple[str, ...]:
        """The labels that a page shows: sex and age, and of the asked ones those that the face has."""
        asked = [label for label in self.found.labels if label not in ("sex", "age")]
        return ("sex", "age", *(label for label in asked if label_of(self.data.faces[row], label) is not None))

    def _quality(self, row: int, label: str) -> float:
        if label not in self.found.labels:
            return math.nan
        return float(self.found.quality[row, self.found.labels.index(label)])

    def _doubted(self, row: int) -> list[str]:
        return [
            label for label in self.found.labels if self._quality(row, label) < DOUBTED and label in self._labels(row)
        ]

    def _thought(self, row: int, label: str) -> Value:
        expected = float(self.found.views[label].expected[row])
        if label == "age":
            return float(min(round(expected), OLDEST_YEARS))
        if label == "sex":
            return "female" if expected > 0.5 else "male"
        return expected > 0.5

    def _line(self, row: int, label: str, typed: Mapping[str, str]) -> Line:
        said = label_of(self.data.faces[row], label)
        field, original = _field(label), _written(label, said)
        quality = self._quality(row, label)
        verdict = ""
        if not math.isnan(quality):
            verdict = CONTRADICTS if quality < CONTRADICTED else DISAGREES if quality < DOUBTED else AGREES
        return Line(
            label=label,
            title=label.capitalize() if label in ("sex", "age") else label,
            field=field,
            said=_words(label, said),
            value=typed.get(field, original),
            original=original,
            choices={"sex": SEXES, "age": ()}.get(label, STATES),
            view=self._view(row, label),
            verdict=verdict,
            confidence=None if math.isnan(quality) else round(100 * (1 - quality)),
        )

    def _view(self, row: int, label: str) -> str:
        if label not in self.found.views:
            return ""
        view = self.found.views[label]
        expected = float(view.expected[row])
        if label == "age":
            return f"about {expected:.0f} years (give or take {view.spread[row]:.0f})"
        words = ("man", "woman") if label == "sex" else ("not there", "there")
        share = min(round(100 * max(expected, 1 - expected), 1 if max(expected, 1 - expected) > 0.99 else None), 99.9)
        return f"{words[expected > 0.5]}, {share:g} % sure"


def _field(label: str) -> str:
    return label if label in ("sex", "age") else f"is:{label}"


def _written(label: str, value: Value) -> str:
    if label == "age":
        return "" if value is None else f"{float(value):g}"
    if value is None:
        return UNKNOWN
    return str(value) if label == "sex" else "yes" if value else "no"


def _words(label: str, value: Value) -> str:
    if value is None:
        return "unknown"
    if label == "age":
        return f"{float(value):g} years"
    if label == "sex":
        return "woman" if value == "female" else "man"
    return "there" if value else "not there"


def _parsed(label: str, text: str) -> Value:
    text = text.strip()
    if label == "age":
        if not text:
            return None
        try:
            years = float(text)
        except ValueError:
            years = math.nan
        if not 0 <= years <= OLDEST_YEARS:
            raise RequestError(f"Age: '{text[:20]}' given; allowed: 0 to {OLDEST_YEARS} years, or nothing if unknown.")
        return years
    allowed: dict[str, Value] = (
        {"female": "female", "male": "male", UNKNOWN: None}
        if label == "sex"
        else {"yes": True, "no": False, UNKNOWN: None}
    )
    if text not in allowed:
        raise RequestError(f"{label}: '{text[:20]}' given; allowed: {', '.join(allowed)}")
    return allowed[text]
