"""Any directory of images, at any depth, with an optional CSV of labels.

The CSV (``labels.csv`` in the directory, or ``--labels``) has a header with ``file`` and any of ``sex``, ``age``,
``person``, ``race`` and the 73 attribute names (upper and lower case, blanks and ``_`` are the same):

    file,sex,age,person,Smiling
    holiday/ada.jpg,female,36,Ada,yes
    bob.jpg,male,,Bob,

``file`` is relative to SOURCE_DIR; a name that differs from the photo's in capitals, Unicode form or ending alone is
matched and told. Commas, semicolons, tabs or ``|``; UTF-8, UTF-16 or cp1252. An empty cell is unknown, and so are
NaN, NA and null. Sex: female, male, f, m, woman, man. Age: years, 0 to 120. Attributes: 1, yes, true or 0, -1, no,
false. An image without a row is kept without labels.
"""

from __future__ import annotations

import difflib
import os.path
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.attributes import NAMES
from mien.core.errors import SourceError
from mien.core.limits import OLDEST_YEARS
from mien.core.records import Labels, Sex, SourcePhoto
from mien.core.tables import EMPTY, NAMELESS, csv_rows, fitted, is_empty
from mien.datasets.reasons import Reason
from mien.datasets.sources.contract import Source
from mien.datasets.sources.listing import (
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
MARKS = {"1": True, "1.0": True, "yes": True, "y": True, "true": True,
         "0": False, "0.0": False, "-1": False, "-1.0": False, "no": False, "n": False, "false": False}  # fmt: skip


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
    table = {} if path is None else _matched(names, _read_table(path, source_dir))[0]
    unlabelled = _Row(Labels())
    photos = [_photo(source_dir, name, table.get(text_key(name), unlabelled)) for name in names]
    known = {photo.key for photo in photos}
    photos += [_photo(source_dir, name, row, "missing") for name, row in table.items() if name not in known]
    return in_order(photos)


def remarks(source_dir: Path, labels: Path | None = None) -> list[str]:
    """What to tell of the label file: rows that were matched though their names differ, and rows without a photo."""
    path = label_file(labels, [source_dir / "labels.csv"])
    if path is None:
        return []
    names = image_names(source_dir)
    table, told = _matched(names, _read_table(path, source_dir))
    known = {text_key(name) for name in names}
    lost = [name for name in table if name not in known]
    if lost:
        plain = {_plain(name): name for name in sorted(known, reverse=True)}
        near = difflib.get_close_matches(_plain(lost[0]), plain, n=1)
        hint = f" (near it: '{plain[near[0]]}')" if near else ""
        told = [*told, f"{len(lost)} rows name no photo; the first: '{lost[0]}'{hint}"]
    return [f"{path}: {line}" for line in told]


def _matched(names: Sequence[str], table: Mapping[str, _Row]) -> tuple[dict[str, _Row], list[str]]:
    """The table by the names of the photos, and what to tell of it.

    A row that no photo has the name of is that of the one photo whose name differs in capitals or Unicode form alone,
    or else in its ending alone.
    """
    known = {text_key(name) for name in names}
    found = {name: row for name, row in table.items() if name in known}
    told = []
    ways: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("in capitals or Unicode form", _plain), ("in their ending", lambda name: os.path.splitext(_plain(name))[0]),
    )  # fmt: skip
    for words, plain in ways:
        left: dict[str, list[str]] = {}
        for name in sorted(known - found.keys()):
            left.setdefault(plain(name), []).append(name)
        asking = Counter(plain(name) for name in table if name not in known)
        pairs = [(name, left.get(plain(name), [])) for name in table if name not in known]
        matches = {photos[0]: name for name, photos in pairs if len(photos) == 1 and asking[plain(name)] == 1}
        found |= {photo: table[name] for photo, name in matches.items()}
        table = {name: row for name, row in table.items() if name not in matches.values()}
        if matches:
            photo, name = min(matches.items())
            told.append(f"{len(matches)} rows matched to photos whose names differ {words}, as '{name}' to '{photo}'")
    return found | {name: row for name, row in table.items() if name not in known}, told


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKC", name).casefold())


def _photo(source_dir: Path, name: str, row: _Row, reason: Reason | None = None) -> SourcePhoto:
    return SourcePhoto(text_key(name), str(source_dir / name), row.labels, drop_reason=row.reason or reason)


def _read_table(path: Path, source_dir: Path) -> dict[str, _Row]:
    cells = csv_rows(read_lines(path), None)
    header = [_column(path, name) for name in next(cells, [])]
    if "file" not in header:
        raise SourceError(f"{path}: its first line has no column 'file'; {_ALLOWED}")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise SourceError(f"{path}: the column {twice[0]!r} stands there twice")
    table: dict[str, _Row] = {}
    for row in cells:
        cells_here = fitted(row, len(header))
        key = _key(row[header.index("file")] if len(row) > header.index("file") else row[0], source_dir)
        read = _row(header, cells_here)
        contradicts = key in table and table[key] != read
        table[key] = _Row(Labels(), "bad_label_row") if contradicts else read
    return table


_ALLOWED = f"allowed are {', '.join(COLUMNS)} and the {len(NAMES)} attribute names (`mien attributes` prints them)"
_BY_PLAIN_NAME = {name.casefold(): name for name in (*COLUMNS, *NAMES)}


def _column(path: Path, name: str) -> str:
    if NAMELESS.fullmatch(name):
        return ""
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
    if len(cells) == len(header) - 1 and not header[-1]:
        cells = [*cells, ""]  # a trailing comma in the header alone
    if len(cells) != len(header):
        return _Row(Labels(), "bad_label_row")
    pairs = zip(header, cells, strict=True)
    row = {name: cell for name, cell in pairs if name and cell and not _says_nothing(name, cell)}
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


def _says_nothing(column: str, cell: str) -> bool:
    """Whether a cell is empty as programs write it; a file may be called NA, and somebody Na."""
    return column != "file" and (cell in EMPTY if column == "person" else is_empty(cell))


def _years(cell: str) -> float | None:
    """Years of a plain decimal number, with a point or a comma; None for others (``inf``, ``1e3``)."""
    cell = cell.replace(",", ".")
    digits = cell.removeprefix("-")
    return float(cell) if digits.isascii() and digits.replace(".", "", 1).isdecimal() else None


SOURCE = Source(
    name="folder",
    licence="unknown: the folder's own photos; whoever prepares them answers for the right to use them",
    rows=rows,
    remarks=remarks,
)
