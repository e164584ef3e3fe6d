"""What the page of a face shows, in words, and a form turned into new values of its labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mien.core.errors import RequestError
from mien.core.limits import OLDEST_YEARS
from mien.pipelines.review import LabelCheck, Review, ReviewedFace, Value

UNKNOWN = "unknown"


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

    title: str
    field: str  # name of the form's field
    said: str  # in words
    value: str  # of the field: what is said, or what was typed
    original: str
    choices: tuple[Choice, ...]  # none: a number
    view: str  # in words; "": nobody was asked
    verdict: str


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


def face_page(review: Review, face: str, typed: Mapping[str, str] | None = None) -> FacePage:
    """The page of a face; ``typed`` is a form that could not be taken as it was."""
    found = review.face(face)
    about = found.about
    return FacePage(
        face, found.row, found.place, about.source, about.key, about.split or "", about.person or "", about.licence,
        lines=tuple(_line(check, typed or {}) for check in found.first),
        more=tuple(_line(check, typed or {}) for check in found.more),
        doubts=found.doubted, views_by=" and ".join(review.classifiers),
    )  # fmt: skip


def changes_of(face: ReviewedFace, form: Mapping[str, str]) -> dict[str, Value]:
    """The labels whose fields were changed, and their new values. ``RequestError`` names a field with a wrong one."""
    changes = {}
    for check in face.checks:
        typed = form.get(_field(check.label))
        if typed is not None and typed.strip() != _written(check):
            changes[check.label] = _parsed(check.label, typed)
    return changes


def summary(review: Review) -> str:
    """One line: what is reviewed, how much of it is suspicious, and who says so."""
    found = review.summary()
    labels = ", ".join(found.labels[:4]) + (", ..." if len(found.labels) > 4 else "")
    return (
        f"{found.faces:,} faces by {labels}: {found.doubted:,} with a label that the classifier disagrees with, "
        f"{found.contradicted:,} of them firmly ({' and '.join(sorted(found.classifiers))})"
    )


def _line(check: LabelCheck, typed: Mapping[str, str]) -> Line:
    field, original = _field(check.label), _written(check)
    return Line(
        title=check.label.capitalize() if check.label in ("sex", "age") else check.label,
        field=field,
        said=_words(check),
        value=typed.get(field, original),
        original=original,
        choices={"sex": SEXES, "age": ()}.get(check.label, STATES),
        view=_view(check),
        verdict=check.verdict,
    )


def _view(check: LabelCheck) -> str:
    if check.expected is None:
        return ""
    if check.label == "age":
        return f"about {check.expected:.0f} years (give or take {check.spread_years:.0f})"
    words = ("man", "woman") if check.label == "sex" else ("not there", "there")
    sure = max(check.expected, 1 - check.expected)
    share = min(round(100 * sure, 1 if sure > 0.99 else None), 99.9)
    return f"{words[check.expected > 0.5]}, {share:g} % sure"


def _field(label: str) -> str:
    return label if label in ("sex", "age") else f"is:{label}"


def _written(check: LabelCheck) -> str:
    """The value of a label as its field has it."""
    if check.value is None:
        return "" if check.label == "age" else UNKNOWN
    if check.label == "age":
        return f"{float(check.value):g}"
    return str(check.value) if check.label == "sex" else "yes" if check.value else "no"


def _words(check: LabelCheck) -> str:
    if check.value is None:
        return "unknown"
    if check.label == "age":
        return f"{float(check.value):g} years"
    if check.label == "sex":
        return "woman" if check.value == "female" else "man"
    return "there" if check.value else "not there"


def _parsed(label: str, text: str) -> Value:
    text = text.strip()
    if label == "age":
        return _years(text) if text else None
    allowed: dict[str, Value] = (
        {"female": "female", "male": "male", UNKNOWN: None}
        if label == "sex"
        else {"yes": True, "no": False, UNKNOWN: None}
    )
    if text not in allowed:
        raise RequestError(f"{label}: '{text[:20]}' given; allowed: {', '.join(allowed)}")
    return allowed[text]


def _years(text: str) -> float:
    try:
        years = float(text)
    except ValueError:
        years = math.nan
    if not 0 <= years <= OLDEST_YEARS:
        raise RequestError(f"Age: '{text[:20]}' given; allowed: 0 to {OLDEST_YEARS} years, or nothing if unknown.")
    return years
