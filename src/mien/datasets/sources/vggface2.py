"""VGGFace2: ``train/n000002/0001_01.jpg`` and ``test/...``, 3.31 million photos of 9,131 people.

``loose_bb_train.csv`` (and ``_test``) has a box a photo, ``NAME_ID,X,Y,W,H``; ``loose_landmark_*.csv`` five points;
``identity_meta.csv`` has name and sex of a person, with blanks after commas and names in two pairs of quotes.
All of them are looked for in SOURCE_DIR, beside it, and in ``meta`` and ``bb_landmark`` of both; each may be absent.

The big tables are not held in memory: one pass notes at which bytes the rows of each person begin, and they are read
when that person's turn comes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mien.core.errors import SourceError
from mien.core.records import Box, Labels, Sex, SourcePhoto
from mien.core.tables import csv_cells, csv_rows
from mien.datasets.reasons import Reason
from mien.datasets.sources.contract import Source
from mien.datasets.sources.listing import (
    existing_directory,
    image_names,
    label_file,
    read_lines,
    text_key,
)

LOOKED_FOR = "train/n000002/0001_01.jpg or test/n000001/0001_01.jpg (VGGFace2)"
SEXES: dict[str, Sex] = {"f": "female", "m": "male"}

_PERSON = re.compile(r"n\d{6}")
_SPLITS = ("test", "train")  # in the order of their keys


@dataclass(frozen=True, slots=True)
class _Person:
    name: str
    sex: Sex | None
    reason: Reason | None = None


def rows(source_dir: Path, labels: Path | None = None) -> Iterator[SourcePhoto]:
    """Photos with person, sex, box and landmarks as far as the tables say; see ``contract.Rows``.

    ``labels`` is an ``identity_meta.csv`` that lies elsewhere. A photo without a row in a table lacks what it would
    say; a row without a photo is passed over.
    """
    existing_directory(source_dir, LOOKED_FOR)
    parts = _parts(source_dir)
    if not parts:
        raise SourceError(f"{source_dir}: not VGGFace2: looked for {LOOKED_FOR}")
    meta = label_file(labels, _places(source_dir, "identity_meta.csv"))
    persons = {} if meta is None else _read_persons(meta)
    tables = {
        split: (
            _Table.of(label_file(None, _places(source_dir, f"loose_bb_{split}.csv")), "NAME_ID,X,Y,W,H"),
            _Table.of(label_file(None, _places(source_dir, f"loose_landmark_{split}.csv")), "NAME_ID,P1X,P1Y,"),
        )
        for split in {split for _, split, _ in parts}
    }
    return (
        _photo(source_dir, f"{below}{name}", persons, person, boxes.get(name), points.get(name), split)
        for below, split, person in parts
        for boxes, points in [tuple(table.of_person(person) for table in tables[split])]
        for name in (f"{person}/{file}" for file in image_names(source_dir / below / person, depth=1))
    )


def _parts(source_dir: Path) -> list[tuple[str, str, str]]:
    """(directory below SOURCE_DIR with ``/``, split, person) of all people, in the order of the keys."""
    for data in ("", "data/"):
        found = [
            (f"{data}{split}/", split, person)
            for split in _SPLITS
            if (source_dir / data / split).is_dir()
            for person in _people(source_dir / data / split)
        ]
        if found:
            return found
    own = source_dir.absolute().name
    return [("", own if own in _SPLITS else "train", person) for person in _people(source_dir)]


def _people(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir() if _PERSON.fullmatch(entry.name) and entry.is_dir())


def _places(source_dir: Path, name: str) -> Iterator[Path]:
    for directory in (source_dir, source_dir.absolute().parent):
        for below in (".", "meta", "bb_landmark", "data"):
            yield directory / below / name


def _photo(
    source_dir: Path,
    name: str,
    persons: dict[str, _Person],
    person: str,
    box_cells: list[str] | None,
    point_cells: list[str] | None,
    split: str,
) -> SourcePhoto:
    known = persons.get(person, _Person(f"VGGFace2 {person}", None))
    box = None if box_cells is None else read_box(box_cells)
    reason: Reason | None = known.reason or ("bad_box" if box_cells is not None and box is None else None)
    return SourcePhoto(
        key=text_key(name),
        path=str(source_dir / name),
        labels=Labels(sex=known.sex, person=known.name),
        box=box,
        drop_reason=reason,
        landmarks=None if point_cells is None else read_points(point_cells),
        split=split,
    )


def read_box(cells: list[str]) -> Box | None:
    """``X, Y, W, H`` -> a box, or None where they are no rectangle. It may reach over the edge of the photo."""
    values = _floats(cells)
    if values is None or len(values) != 4:
        return None
    x, y, width, height = values
    return Box(x, y, x + width, y + height) if width >= 1 and height >= 1 and x + width > 0 and y + height > 0 else None


def read_points(cells: list[str]) -> tuple[tuple[float, float], ...] | None:
    """``P1X, P1Y, ..., P5Y`` -> five points, or None."""
    values = _floats(cells)
    return None if values is None or len(values) != 10 else tuple(zip(values[::2], values[1::2], strict=True))


def _floats(cells: list[str]) -> list[float] | None:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return None
    return values if all(map(math.isfinite, values)) else None


def _read_persons(path: Path) -> dict[str, _Person]:
    cells = csv_rows(read_lines(path))
    header = [name.lower() for name in next(cells, [])]
    if not {"class_id", "name", "gender"} <= set(header):
        raise SourceError(f"{path}: looked for the header 'Class_ID, Name, Sample_Num, Flag, Gender'")
    columns = [header.index(name) for name in ("class_id", "name", "gender")]
    persons: dict[str, _Person] = {}
    for row in cells:
        if len(row) != len(header):
            persons[row[0]] = _Person(f"VGGFace2 {row[0]}", None, "bad_label_row")
            continue
        number, name, gender = (row[column] for column in columns)
        sex = SEXES.get(gender.lower())
        plain = " ".join(name.strip('" ').replace("_", " ").split()) or f"VGGFace2 {number}"
        persons[number] = _Person(plain, sex, None if sex else "unknown_sex")
    return persons


@dataclass(frozen=True, slots=True)
class _Table:
    """A big CSV whose first column is ``n000002/0001_01``: where the rows of each person lie."""

    path: Path | None
    runs: dict[str, list[tuple[int, int]]]  # person -> (first byte, end) of each run of rows

    @classmethod
    def of(cls, path: Path | None, header: str) -> _Table:
        runs: dict[str, list[tuple[int, int]]] = {}
        if path is None:
            return cls(None, runs)
        with path.open("rb") as file:
            first = file.readline()
            if not first.decode("utf-8-sig", "replace").replace(" ", "").replace('"', "").startswith(header):
                raise SourceError(f"{path}: looked for a first line that begins {header}")
            person, begin, at = b"", len(first), len(first)
            for line in file:
                now = line[:16].lstrip(b' "').split(b"/", 1)[0]
                if now != person:
                    _note(runs, person, begin, at)
                    person, begin = now, at
                at += len(line)
            _note(runs, person, begin, at)
        return cls(path, runs)

    def of_person(self, person: str) -> dict[str, list[str]]:
        """Rows of a person: ``n000002/0001_01.jpg`` -> the cells after the first."""
        table: dict[str, list[str]] = {}
        if self.path is None or person not in self.runs:
            return table
        with self.path.open("rb") as file:
            for begin, end in self.runs[person]:
                file.seek(begin)
                for line in file.read(end - begin).decode("utf-8", "replace").splitlines():
                    name, *cells = csv_cells(line)
                    table[f"{name}.jpg"] = cells
        return table


def _note(runs: dict[str, list[tuple[int, int]]], person: bytes, begin: int, end: int) -> None:
    if end > begin:
        runs.setdefault(person.decode("utf-8", "replace"), []).append((begin, end))


SOURCE = Source(
    name="vggface2",
    licence="VGGFace2: research use, see the terms of the dataset; the photographs belong to their owners",
    rows=rows,
)
