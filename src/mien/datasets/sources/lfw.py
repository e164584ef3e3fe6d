"""Labeled Faces in the Wild: ``Person_Name/Person_Name_0001.jpg``, and the 73 attributes of Kumar et al. for it.

Attributes come from either of two files with one meaning: ``lfw_attributes_binary.csv`` has 0 and 1, made from scores
by the two-thirds rule (``kumar``); ``lfw_attributes.txt``, as published, has the scores, and the rule is applied here.
So True is a confident positive and False is *absent or unsure* (``Source.false_is_absent`` is False). A photo that is
neither confidently male nor female has no known sex. Names are kept as in the file.

Several faces on a photo are no reason to drop it: the person is the one in the centre.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mien.core.errors import SourceError
from mien.core.records import SourcePhoto
from mien.core.tables import csv_rows
from mien.datasets.reasons import Reason
from mien.datasets.sources.contract import Source
from mien.datasets.sources.kumar import Row, add_row, labels_of, read_scores, score_header
from mien.datasets.sources.listing import (
    existing_directory,
    image_names,
    in_order,
    label_file,
    read_lines,
    text_key,
)

LOOKED_FOR = "Person_Name/Person_Name_0001.jpg, in it or in its lfw-deepfunneled (LFW)"
PHOTO_DIRECTORIES = ("lfw-deepfunneled", "lfw_funneled", "lfw-funneled", "lfw")
LABEL_FILES = ("lfw_attributes_binary.csv", "lfw_attributes.txt")

_NAME = re.compile(r"(?P<person>[^/]+)/(?P=person)_\d{4,}\.jpe?g", re.I)


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
    photos = [_photo(source_dir, below + name, table.get(name)) for name in names]
    photos += [_photo(source_dir, below + name, row, "missing") for name, row in table.items() if name not in known]
    return in_order(photos)


def _photo(source_dir: Path, name: str, row: Row | None, reason: Reason | None = None) -> SourcePhoto:
    key = text_key(name)
    person = key.rsplit("/", 2)[-2].replace("_", " ") if "/" in key else None
    labels = labels_of(row, person)
    said = row.reason if row is not None else None
    return SourcePhoto(key, str(source_dir / name), labels, drop_reason=said or reason)


def _read_table(path: Path) -> dict[str, Row]:
    lines = read_lines(path)
    if score_header(lines) is None:
        return _read_binary(path, lines)
    return {_file_name(key): row for key, row in read_scores(path, lines).items()}


def _file_name(key: str) -> str:
    """``Aaron Eckhart/1`` -> ``Aaron_Eckhart/Aaron_Eckhart_0001.jpg``; a number that is none stays as it is."""
    person, _, number = key.replace(" ", "_").rpartition("/")
    return f"{person}/{person}_{int(number):04d}.jpg" if number.isdecimal() else f"{person}/{number}"


def _read_binary(path: Path, lines: list[str]) -> dict[str, Row]:
    """``lfw_attributes_binary.csv``: ``image`` and the attributes, then 0 and 1."""
    cells = csv_rows(lines)
    header = next(cells, [""])
    if header[0].lower() != "image" or len(header) < 2:
        raise SourceError(
            f"{path}: not LFW attributes: looked for a first line 'image,<attribute>,...' (binary CSV) "
            "or '#<tab>person<tab>imagenum<tab><attribute>...' (as published)"
        )
    table: dict[str, Row] = {}
    for row in cells:
        add_row(table, row[0].replace("\\", "/"), _binary_row(header, row))
    return table


def _binary_row(header: list[str], row: list[str]) -> Row:
    if len(row) != len(header):
        return Row(None, "bad_label_row")
    if not set(row[1:]) <= {"0", "1"}:
        return Row(None, "unknown_label")
    return Row({name: cell == "1" for name, cell in zip(header[1:], row[1:], strict=True)})


SOURCE = Source(
    name="lfw",
    licence="LFW: public research set (UMass Amherst); the photographs belong to their owners; research use",
    rows=rows,
    false_is_absent=False,
)
