"""Any directory of images, at any depth, with an optional CSV of labels.

The CSV (``labels.csv`` in the directory, or ``--labels``) has a header with ``file`` and any of ``sex``, ``age``,
``person``, ``race`` and the 73 attribute names (upper and lower case, blanks and ``_`` are the same):

    file,sex,age,person,Smiling
    holiday/ada.jpg,female,36,Ada,yes
    bob.jpg,male,,Bob,

``file`` is relative to SOURCE_DIR. An empty cell is unknown. Sex: female, male, f, m, woman, man. Age: years, 0 to
120. Attributes: 1, yes, true or 0, -1, no, false. An image without a row is kept without labels.
"""

from __future__ import annotations

import difflib
import os.path
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mien.attributes import NAMES
from mien.core.errors import SourceError
from mien.core.limits import OLDEST_YEARS
from mien.core.records import Labels, Sex, SourcePhoto
from mien.datasets.reasons import Reason
from mien.datasets.sources.contract import Source
from mien.datasets.sources.listing import (
    csv_rows,
    existing_directory,
    image_names,
    in_order,
    label_file,
    read_lines,
    text_key,
)

LOOKED_FOR = "images"
COLUMNS = ("file", "sex", "age", "person", "race")
_WORDS: dict[Sex, tuple[str, ...]] = {"female": ("female", "f", "woman"), "male": ("male", "m", "man")}
SEXES: dict[str, Sex] = {word: sex for sex, words in _WORDS.items() for word in words}
MARKS = {"1": True, "yes": True, "true": True, "0": False, "-1": False, "no": False, "false": False}


@dataclass(frozen=True, slots=True)
class _Row:
    labels: Labels
    reason: Reason | None = None


def rows(source_dir: Path, labels: Path | None = None) -> Iterator[SourcePhoto]:
    """All images below SOURCE_DIR, with what the CSV says of them; see ``contract.Rows``.

    A row of the CSV without an image is yielded as ``missing``.
    """
    names = image_names(existing_directory(source_dir, LOOKED_FOR))
    if not names:
        raise SourceError(f"{source_dir}: looked for images (.jpg, .png, .webp, ...), found none")
    path = label_file(labels, [source_dir / "labels.csv"])
    table = {} if path is None else _read_table(path, source_dir)
    unlabelled = _Row(Labels())
    photos = [_photo(source_dir, name, table.get(text_key(name), unlabelled)) for name in names]
    known = {photo.key for photo in photos}
    photos += [_photo(source_dir, name, row, "missing") for name, row in table.items() if name not in known]
    return in_order(photos)


def _photo(source_dir: Path, name: str, row: _Row, reason: Reason | None = None) -> SourcePhoto:
    return SourcePhoto(text_key(name), str(source_dir / name), row.labels, drop_reason=row.reason or reason)


def _read_table(path: Path, source_dir: Path) -> dict[str, _Row]:
    cells = csv_rows(read_lines(path))
    header = [_column(path, name) for name in next(cells, [])]
    if "file" not in header:
        raise SourceError(f"{path}: its first line has no column 'file'; {_ALLOWED}")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise SourceError(f"{path}: the column {twice[0]!r} stands there twice")
    table: dict[str, _Row] = {}
    for row in cells:
        key = _key(row[header.index("file")] if len(row) > header.index("file") else row[0], source_dir)
        read = _row(header, row)
        contradicts = key in table and table[key] != read
        table[key] = _Row(Labels(), "bad_label_row") if contradicts else read
    return table


_ALLOWED = f"allowed are {', '.join(COLUMNS)} and the {len(NAMES)} attribute names (`mien attributes` prints them)"
_BY_PLAIN_NAME = {name.casefold(): name for name in (*COLUMNS, *NAMES)}


def _column(path: Path, name: str) -> str:
    plain = " ".join(name.replace("_", " ").split()).casefold()
    if plain in _BY_PLAIN_NAME:
        return _BY_PLAIN_NAME[plain]
    near = difflib.get_close_matches(plain, _BY_PLAIN_NAME, n=1)
    hint = f" (did you mean {_BY_PLAIN_NAME[near[0]]!r}?)" if near else ""
    raise SourceError(f"{path}: unknown column {name!r}{hint}; {_ALLOWED}")


def _key(file: str, source_dir: Path) -> str:
    """``./a\\b.jpg`` and an absolute path below SOURCE_DIR -> ``a/b.jpg``."""
    plain = os.path.normpath(file.replace("\\", "/"))
    root = os.path.abspath(source_dir)
    below = os.path.relpath(plain, root) if os.path.isabs(plain) else plain
    return below.replace(os.sep, "/")


def _row(header: list[str], cells: list[str]) -> _Row:
    if len(cells) != len(header):
        return _Row(Labels(), "bad_label_row")
    row = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    if "file" not in row:
        return _Row(Labels(), "bad_label_row")
    sex = SEXES.get(row.get("sex", "").lower())
    years = _years(row.get("age", ""))
    age = years if years is not None and 0 <= years <= OLDEST_YEARS else None
    marks = {name: MARKS.get(cell.lower()) for name, cell in row.items() if name not in COLUMNS}
    reason: Reason | None = None
    if "sex" in row and sex is None:
        reason = "unknown_sex"
    elif ("age" in row and years is None) or None in marks.values():
        reason = "unknown_label"
    elif years is not None and age is None:
        reason = "age_out_of_range"
    attributes = {name: mark for name, mark in marks.items() if mark is not None}
    return _Row(Labels(sex, age, row.get("person"), row.get("race"), attributes), reason)


def _years(cell: str) -> float | None:
    """Years of a plain decimal number; None for anything else (also ``nan``, ``inf``, ``1e3``)."""
    digits = cell.removeprefix("-")
    return float(cell) if digits.isascii() and digits.replace(".", "", 1).isdecimal() else None


SOURCE = Source(
    name="folder",
    licence="unknown: the folder's own photos; whoever prepares them answers for the right to use them",
    rows=rows,
)
