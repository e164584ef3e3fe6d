"""Labeled Faces in the Wild: ``Person_Name/Person_Name_0001.jpg``, and the 73 attributes of Kumar et al. for it.

Attributes come from either of two files with one meaning. ``lfw_attributes_binary.csv`` has 0 and 1;
``lfw_attributes.txt``, as published, has signed classifier scores, positive = present. The binary file was made from
scores by the two-thirds rule: of the positive images of an attribute, the two thirds with the highest scores are 1, all
others 0; ``Female`` is the same rule on the negative side of ``Male``. We apply that rule to scores.

So in ``labels.attributes`` True is a confident positive and False is *absent or unsure* (``Source.false_is_absent`` is
False). A photo that is neither confidently male nor female has no known sex. Names are kept as in the file.

Several faces on a photo are no reason to drop it: the person is the one in the centre.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.errors import SourceError
from mien.photos.reasons import Reason
from mien.photos.sources.contract import Source
from mien.photos.sources.listing import (
    csv_rows,
    existing_directory,
    image_names,
    in_order,
    label_file,
    read_lines,
    text_key,
)
from mien.records import Labels, Sex, SourcePhoto

LOOKED_FOR = "Person_Name/Person_Name_0001.jpg, in it or in its lfw-deepfunneled (LFW)"
PHOTO_DIRECTORIES = ("lfw-deepfunneled", "lfw_funneled", "lfw-funneled", "lfw")
LABEL_FILES = ("lfw_attributes_binary.csv", "lfw_attributes.txt")
CONFIDENT_SHARE = 2 / 3  # of the positive images, those that score highest

_NAME = re.compile(r"(?P<person>[^/]+)/(?P=person)_\d{4,}\.jpe?g", re.I)


@dataclass(frozen=True, slots=True)
class _Row:
    """What a label file says of one photo, ``Person_Name/Person_Name_0001.jpg``."""

    marks: dict[str, bool] | None  # None: the row cannot be read
    reason: Reason | None = None


def rows(source_dir: Path, labels: Path | None = None) -> Iterator[SourcePhoto]:
    """Photos of SOURCE_DIR with person, and attributes and sex where a label file has them; see ``contract.Rows``.

    A row of the label file without a photo is yielded as ``missing``; a photo without a row has its person only.
    """
    existing_directory(source_dir, LOOKED_FOR)
    names: list[str] = []
    below = ""
    for below in (*(f"{name}/" for name in PHOTO_DIRECTORIES if (source_dir / name).is_dir()), ""):
        names = [name for name in image_names(source_dir / below, depth=2) if _NAME.fullmatch(name)]
        if names:
            break
    else:
        raise SourceError(f"{source_dir}: not LFW: looked for {LOOKED_FOR}")
    beside = [source_dir, source_dir.absolute().parent]
    path = label_file(labels, (directory / name for directory in beside for name in LABEL_FILES))
    table = {} if path is None else _read_table(path)
    known = set(names)
    photos = [_photo(source_dir, below, name, table.get(name)) for name in names]
    photos += [_photo(source_dir, below, name, row, absent=True) for name, row in table.items() if name not in known]
    return in_order(photos)


def _photo(source_dir: Path, below: str, name: str, row: _Row | None, *, absent: bool = False) -> SourcePhoto:
    person = text_key(name.partition("/")[0]).replace("_", " ")
    marks = (row.marks if row is not None else None) or {}
    reason: Reason | None = row.reason if row is not None else None
    labels = Labels(
        sex=sex_of(marks),
        person=person,
        attributes={attribute: mark for attribute, mark in marks.items() if attribute != "Female"},
    )
    path = str(source_dir / below / name)
    return SourcePhoto(text_key(below + name), path, labels, drop_reason=reason or ("missing" if absent else None))


def sex_of(marks: dict[str, bool]) -> Sex | None:
    """Male or Female, whichever is marked; neither, or both, is unknown."""
    male, female = marks.get("Male", False), marks.get("Female", False)
    return None if male == female else "male" if male else "female"


def _read_table(path: Path) -> dict[str, _Row]:
    lines = read_lines(path)
    header = next((line for line in lines if line.startswith("#") and "\tperson\t" in line), None)
    return _read_scores(path, lines, header) if header is not None else _read_binary(path, lines)


def _read_binary(path: Path, lines: list[str]) -> dict[str, _Row]:
    """``lfw_attributes_binary.csv``: ``image`` and the attributes, then 0 and 1."""
    cells = csv_rows(lines)
    _, header = next(cells, (0, [""]))
    if header[0].lower() != "image" or len(header) < 2:
        raise SourceError(
            f"{path}: not LFW attributes: looked for a first line 'image,<attribute>,...' (binary CSV) "
            "or '#<tab>person<tab>imagenum<tab><attribute>...' (as published)"
        )
    table: dict[str, _Row] = {}
    for _, row in cells:
        _add(table, row[0], _binary_row(header, row))
    return table


def _binary_row(header: list[str], row: list[str]) -> _Row:
    if len(row) != len(header):
        return _Row(None, "bad_label_row")
    if not set(row[1:]) <= {"0", "1"}:
        return _Row(None, "unknown_label")
    return _Row({name: cell == "1" for name, cell in zip(header[1:], row[1:], strict=True)})


def _read_scores(path: Path, lines: list[str], header: str) -> dict[str, _Row]:
    """``lfw_attributes.txt``: tab separated ``person``, ``imagenum`` and a score an attribute."""
    names = [name.strip() for name in header.lstrip("#").strip("\t \r").split("\t")][2:]
    if not names:
        raise SourceError(f"{path}: its header names no attribute after 'person' and 'imagenum'")
    table: dict[str, _Row] = {}
    keys: list[str] = []
    scores: list[list[float]] = []
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        cells = [cell.strip() for cell in line.rstrip("\t\r").split("\t")]
        name = _name_of(cells)
        values = _floats(cells[2:])
        if values is None or len(values) != len(names):
            _add(table, name, _Row(None, "bad_label_row"))
            continue
        keys.append(name)
        scores.append(values)
    if scores:
        columns = names if "Male" not in names else [*names, "Female"]
        marks = confident(np.array(scores), names)
        for name, row in zip(keys, marks.tolist(), strict=True):
            _add(table, name, _Row(dict(zip(columns, row, strict=True))))
    return table


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


def _name_of(cells: list[str]) -> str:
    person = "_".join(cells[0].split())
    if len(cells) > 1 and cells[1].isdecimal():
        return f"{person}/{person}_{int(cells[1]):04d}.jpg"
    return "\t".join(cells[:2])


def _floats(cells: list[str]) -> list[float] | None:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def _add(table: dict[str, _Row], name: str, row: _Row) -> None:
    """A second row of one photo that says something else makes both unusable."""
    before = table.get(name)
    contradicts = before is not None and before.marks != row.marks
    table[name] = _Row(None, "bad_label_row") if contradicts else row


SOURCE = Source(
    name="lfw",
    licence="LFW: public research set (UMass Amherst); the photographs belong to their owners; research use",
    identities=True,
    rows=rows,
    false_is_absent=False,
)
