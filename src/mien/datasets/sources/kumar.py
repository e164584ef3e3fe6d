"""The files of signed scores of Kumar et al. (PubFig, LFW) for their 73 attributes (``mien.attributes``).

``lfw_attributes.txt`` and ``pubfig_attributes.txt``: a line ``#<tab>person<tab>imagenum<tab>Male<tab>Asian...``, then
rows of person (with blanks), image number and one classifier score an attribute, positive = present.

**The two-thirds rule.** Scores near zero are unsure. Of the positive images of an attribute the two thirds that score
highest are marked True, everything else is False: *absent or unsure*. ``Female`` is the same rule on the negative
side of ``Male``; it gives the sex and is no attribute of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.core.errors import SourceError
from mien.core.records import Labels, Sex
from mien.datasets.reasons import Reason

CONFIDENT_SHARE = 2 / 3  # of the positive images, those that score highest


@dataclass(frozen=True, slots=True)
class Row:
    """What a label file says of one photo: marks by name (``Female`` may be among them), or why it says nothing."""

    marks: Mapping[str, bool] | None
    reason: Reason | None = None


def labels_of(row: Row | None, person: str | None) -> Labels:
    """The labels of a photo with this row; without marks, the person alone."""
    marks = (row.marks if row is not None else None) or {}
    attributes = {name: mark for name, mark in marks.items() if name != "Female"}
    return Labels(sex=sex_of(marks), person=person, attributes=attributes)


def sex_of(marks: Mapping[str, bool]) -> Sex | None:
    """Male or Female, whichever is marked; neither, or both, is unknown."""
    male, female = marks.get("Male", False), marks.get("Female", False)
    return None if male == female else "male" if male else "female"


def add_row(table: dict[str, Row], key: str, row: Row) -> None:
    """Enter a row; a second one of the same key that says something else makes the photo unusable."""
    before = table.get(key)
    contradicts = before is not None and before != row
    table[key] = Row(None, "bad_label_row") if contradicts else row


def score_header(lines: list[str]) -> str | None:
    """The header line of a file of scores, if there is one."""
    return next((line for line in lines if line.startswith("#") and "\tperson\t" in line), None)


def read_scores(path: Path, lines: list[str]) -> dict[str, Row]:
    """A file of scores -> marks by ``Person Name/7`` (person and image number, joined)."""
    header = score_header(lines)
    names = [name.strip() for name in (header or "").lstrip("#").strip("\t \r").split("\t")][2:]
    if not names:
        looked_for = "'#<tab>person<tab>imagenum<tab><attribute>...'"
        raise SourceError(f"{path}: not a file of attribute scores: looked for a line {looked_for}")
    table: dict[str, Row] = {}
    keys: list[str] = []
    scores: list[list[float]] = []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.rstrip("\t\r").split("\t")]
        key = score_key(cells[0], cells[1] if len(cells) > 1 else "")
        values = _floats(cells[2:])
        if values is None or len(values) != len(names):
            add_row(table, key, Row(None, "bad_label_row"))
        else:
            keys.append(key)
            scores.append(values)
    if scores:
        columns = [*names, "Female"] if "Male" in names else names
        for key, marks in zip(keys, confident(np.array(scores), names).tolist(), strict=True):
            add_row(table, key, Row(dict(zip(columns, marks, strict=True))))
    return table


def score_key(person: str, number: str) -> str:
    """``Aaron_Eckhart``, ``0001`` -> ``Aaron Eckhart/1``."""
    return f"{' '.join(person.replace('_', ' ').split())}/{int(number) if number.isdecimal() else number}"


def confident(scores: npt.NDArray[np.float64], names: list[str]) -> npt.NDArray[np.bool_]:
    """Signed scores (N A) -> marks (N A, or N A+1 with a last column ``Female`` if ``Male`` is a name).

    Of the n positive scores of a column the round(2n/3) highest are True; a score equal to the lowest of them too.
    """
    if "Male" in names:
        scores = np.concatenate([scores, -scores[:, [names.index("Male")]]], 1)  # N A+1
    marks = np.zeros(scores.shape, np.bool_)
    for column in range(scores.shape[1]):
        values = scores[:, column]
        positive = np.sort(values[values > 0])[::-1]
        kept = round(len(positive) * CONFIDENT_SHARE)
        if kept:
            marks[:, column] = values >= positive[kept - 1]
    return marks


def _floats(cells: list[str]) -> list[float] | None:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None
