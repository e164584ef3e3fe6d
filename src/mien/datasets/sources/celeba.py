"""CelebA: ``img_align_celeba/000001.jpg`` (178 x 218) with 40 attributes in ``list_attr_celeba.txt``.

``list_attr_celeba.txt`` has the count, the 40 names, and rows of -1 and 1. ``identity_CelebA.txt`` and
``list_eval_partition.txt`` are read where they are there: without the first nobody is named, and photos of one
person can only be kept together by the second (``SourcePhoto.split``). The ``.csv`` twins of these files are read too.

38 of the 40 names mean the same as one of the 73 (``mien.attributes``) and are renamed to it. Two do not:
``Attractive`` (there it is asked for men and women apart) and ``Young`` (there one of five ages, here "not old").
-1 is absent, so False is absent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mien.attributes import NAMES
from mien.core.errors import SourceError
from mien.core.records import Labels, SourcePhoto
from mien.datasets.reasons import Reason
from mien.datasets.sources.contract import Source
from mien.datasets.sources.kumar import Row, add_row
from mien.datasets.sources.listing import existing_directory, image_names, in_order, label_file, read_lines, text_key

LOOKED_FOR = "list_attr_celeba.txt and img_align_celeba/000001.jpg (CelebA)"
PHOTO_DIRECTORIES = (
    "img_align_celeba",
    "Img/img_align_celeba",
    "img_align_celeba_png",
    "Img/img_align_celeba_png",
    "img_celeba",
    "Img/img_celeba",
    ".",
)
UNMAPPED = ("Attractive", "Young")
SPLITS = {"0": "train", "1": "validation", "2": "test"}

_RENAMED = {"5_o_Clock_Shadow": "5 o' Clock Shadow"}
_STEM = re.compile(r"\d{6}")


def mien_name(name: str) -> str | None:
    """A CelebA attribute name -> the one of the 73 names that means the same, or None."""
    renamed = _RENAMED.get(name, name.replace("_", " "))
    return renamed if name not in UNMAPPED and renamed in NAMES else None


def rows(source_dir: Path, labels: Path | None = None) -> Iterator[SourcePhoto]:
    """Photos of CelebA with attributes, sex, person and split as far as the files say; see ``contract.Rows``.

    ``labels`` is a ``list_attr_celeba.txt`` that lies elsewhere.
    """
    existing_directory(source_dir, LOOKED_FOR)
    path = label_file(labels, _places(source_dir, "list_attr_celeba"))
    below, names = _photo_names(source_dir)
    if path is None or not names:
        raise SourceError(f"{source_dir}: not CelebA: looked for {LOOKED_FOR}")
    table = _read_attributes(path)
    persons = _read_pairs(source_dir, "identity_CelebA")
    splits = _read_pairs(source_dir, "list_eval_partition")
    photos = [_photo(source_dir, below + name, table, persons, splits) for name in names]
    known = {_stem(name) for name in names}
    photos += [
        _photo(source_dir, f"{below}{stem}.jpg", table, persons, splits, absent=True)
        for stem in table
        if stem not in known
    ]
    return in_order(photos)


def _photo_names(source_dir: Path) -> tuple[str, list[str]]:
    for directory in PHOTO_DIRECTORIES:
        for place in (directory, f"{directory}/{directory.rpartition('/')[2]}"):  # some archives nest it once more
            if (source_dir / place).is_dir():
                names = [name for name in image_names(source_dir / place, depth=1) if _STEM.fullmatch(_stem(name))]
                if names:
                    return ("" if place.startswith(".") else f"{place}/"), names
    return "", []


def _photo(
    source_dir: Path,
    name: str,
    table: dict[str, Row],
    persons: dict[str, str],
    splits: dict[str, str],
    *,
    absent: bool = False,
) -> SourcePhoto:
    stem = _stem(name)
    row = table.get(stem, Row(None))
    marks = row.marks or {}
    labels = Labels(
        sex=("male" if marks["Male"] else "female") if "Male" in marks else None,
        person=f"CelebA {persons[stem]}" if stem in persons else None,
        attributes=marks,
    )
    reason: Reason | None = row.reason or ("missing" if absent else None)
    split = SPLITS.get(splits.get(stem, ""))
    return SourcePhoto(text_key(name), str(source_dir / name), labels, drop_reason=reason, split=split)


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _places(source_dir: Path, stem: str) -> Iterator[Path]:
    parent = source_dir.absolute().parent
    for directory in (source_dir, source_dir / "Anno", source_dir / "Eval", parent, parent / "Anno", parent / "Eval"):
        for suffix in (".txt", ".csv"):
            yield directory / (stem + suffix)


def _cells(line: str) -> list[str]:
    return line.replace(",", " ").split()


def _read_attributes(path: Path) -> dict[str, Row]:
    lines = [cells for line in read_lines(path) if (cells := _cells(line))]
    if lines and len(lines[0]) == 1 and lines[0][0].isdecimal():
        lines = lines[1:]  # the count
    header = lines[0] if lines else []
    header = header[1:] if header[:1] == ["image_id"] else header
    if "Male" not in header or "Smiling" not in header:
        raise SourceError(f"{path}: not CelebA attributes: looked for a header with the 40 names, 5_o_Clock_Shadow ...")
    names = [mien_name(name) for name in header]
    table: dict[str, Row] = {}
    for file, *values in lines[1:]:
        add_row(table, _stem(file) or file, _row(names, values))
    return table


def _row(names: list[str | None], values: list[str]) -> Row:
    if len(values) != len(names):
        return Row(None, "bad_label_row")
    if not set(values) <= {"-1", "1"}:
        return Row(None, "unknown_label")
    return Row({name: value == "1" for name, value in zip(names, values, strict=True) if name is not None})


def _read_pairs(source_dir: Path, stem: str) -> dict[str, str]:
    """``000001.jpg 2880`` -> {"000001": "2880"}; empty where there is no such file; other lines are passed over."""
    path = label_file(None, _places(source_dir, stem))
    cells = [] if path is None else [_cells(line) for line in read_lines(path)]
    return {_stem(pair[0]): pair[1] for pair in cells if len(pair) == 2 and pair[1].isdecimal()}


SOURCE = Source(
    name="celeba",
    licence="CelebA: non-commercial research only; the photographs belong to their owners",
    rows=rows,
)
