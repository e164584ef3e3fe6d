"""IMDB-WIKI: celebrities with birth dates, ``wiki.mat`` and ``imdb.mat`` beside their photos.

The filters are those of the crowd paper (Sanche, section 4): a face found, no second face, sex known, age 10 to 100
at the time of the photo; colour and at least 64 x 57 px are left to the step that reads pixels (``RULES``).
The paper does not say how it took the age. Here it is whole years on 1 July of ``photo_taken``, as the authors of the
dataset advise; ``dob`` is a MATLAB datenum (days since year 0).

``face_location`` is in pixels of the *whole* photo. The usual archives, ``wiki_crop`` and ``imdb_crop``, hold photos
already cropped around the face, where it means nothing: no box is given then. ``second_face_score`` is NaN and
``face_score`` -Inf where there is none.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.core.errors import SourceError, WeightsError
from mien.core.limits import OLDEST_YEARS
from mien.core.records import Box, Labels, Sex, SourcePhoto
from mien.datasets.reasons import Reason
from mien.datasets.sources.contract import Source, SourceRules
from mien.datasets.sources.listing import existing_directory, in_order, text_key
from mien.pretrained.matlab_file import read_matlab

LOOKED_FOR = "wiki.mat or imdb.mat, in it or in its wiki_crop, imdb_crop, wiki, imdb (IMDB-WIKI)"
DATABASES = ("imdb", "wiki")
RULES = SourceRules(min_width_px=64, min_height_px=57, colour=True)
AGES_YEARS = (10, 100)  # both included
SAMPLED_PHOTOS = 32  # headers looked at, to tell cropped photos from whole ones

_DATENUM_OF_YEAR_1 = 366  # MATLAB counts from 0 January 0000, Python's ordinals from 1 January 0001 = 1
_FIELDS = ("dob", "photo_taken", "full_path", "gender", "face_location", "face_score", "second_face_score")


@dataclass(frozen=True, slots=True)
class _Table:
    """The columns of one ``.mat`` file, each with one value a photo, and the directory of its photos."""

    directory: Path
    columns: dict[str, npt.NDArray[Any]]  # also "name", empty where the file has none

    def __len__(self) -> int:
        return len(self.columns["dob"])


def rows(source_dir: Path, labels: Path | None = None) -> Iterator[SourcePhoto]:
    """Photos that the ``.mat`` files name, with person, sex, age; see ``contract.Rows``."""
    existing_directory(source_dir, LOOKED_FOR)
    if labels is not None:
        if not labels.is_file():
            raise SourceError(f"{labels}: no such label file")
        files = [labels]
    else:
        places = [
            [source_dir / f"{name}_crop" / f"{name}.mat", source_dir / name / f"{name}.mat", source_dir / f"{name}.mat"]
            for name in DATABASES
        ]
        files = [path for candidates in places for path in candidates if path.is_file()]
    if not files:
        raise SourceError(f"{source_dir}: not IMDB-WIKI: looked for {LOOKED_FOR}")
    tables = [_read_table(path, source_dir) for path in files]
    return in_order(chain.from_iterable(_photos(table, source_dir) for table in tables))


def _read_table(path: Path, source_dir: Path) -> _Table:
    with path.open("rb") as file:
        if file.read(10) == b"MATLAB 7.3":
            raise SourceError(f"{path}: MATLAB 7.3 (HDF5); the published files are version 5, save it with -v7")
    try:
        content = read_matlab(path)
    except WeightsError as error:
        raise SourceError(f"{path}: not a MATLAB version 5 file that can be read") from error
    name = next((name for name in DATABASES if name in content), None)
    record = content[name] if name is not None else None
    if name is None or not isinstance(record, dict):
        raise SourceError(f"{path}: looked for a 1x1 struct named 'imdb' or 'wiki', found none")
    missing = [field for field in _FIELDS if field not in record]
    if missing:
        raise SourceError(f"{path}: the struct {name!r} lacks the field {missing[0]!r}")
    columns = {field: _column(record[field]) for field in _FIELDS}
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise SourceError(f"{path}: the fields of {name!r} differ in length: {sorted(lengths)}")
    names = _column(record.get("name"))
    columns["name"] = names if len(names) in lengths else np.empty(lengths.pop(), object)
    return _Table(_photo_directory(path, source_dir, name), columns)


def _column(values: Any) -> npt.NDArray[Any]:
    """One value a photo: numbers as they are, the cells of a cell array as objects, anything else as no photo."""
    if not isinstance(values, list):
        return np.ravel(values) if isinstance(values, np.ndarray) else np.empty(0)
    column = np.empty(len(values), object)
    for row, value in enumerate(values):  # numpy would stack arrays of one shape
        column[row] = value
    return column


def _photo_directory(path: Path, source_dir: Path, name: str) -> Path:
    """Photos lie beside the ``.mat`` file; for one from elsewhere, in SOURCE_DIR or the usual directory in it."""
    if path.absolute().is_relative_to(source_dir.absolute()):
        return source_dir / path.absolute().parent.relative_to(source_dir.absolute())
    usual = (source_dir / f"{name}_crop", source_dir / name)
    return next((directory for directory in usual if directory.is_dir()), source_dir)


def _photos(table: _Table, source_dir: Path) -> Iterator[SourcePhoto]:
    whole = _are_whole(table)
    for index in range(len(table)):
        yield _photo(table, index, source_dir, whole)


def _photo(table: _Table, index: int, source_dir: Path, whole: bool) -> SourcePhoto:
    at = {field: column[index] for field, column in table.columns.items()}
    name = _text(at["full_path"]).replace("\\", "/").lstrip("/")
    age = age_on_1_july(_number(at["dob"]), _number(at["photo_taken"]))
    sex = _sex(_number(at["gender"]))
    age_years = float(age) if age is not None and 0 <= age <= OLDEST_YEARS else None  # -3 or 900 is nobody's age
    labels = Labels(sex=sex, age_years=age_years, person=_text(at["name"]) or None)
    box = face_box(at["face_location"]) if whole else None
    reason: Reason | None = None
    if not name:
        reason, name = "bad_label_row", f"row {index + 1}"
    elif not math.isfinite(_number(at["face_score"])):
        reason = "face_score_missing"
    elif not math.isnan(_number(at["second_face_score"])):
        reason = "second_face_in_source"
    elif sex is None:
        reason = "unknown_sex"
    elif age is None:
        reason = "no_age"
    elif not AGES_YEARS[0] <= age <= AGES_YEARS[1]:
        reason = "age_out_of_range"
    elif whole and box is None:
        reason = "bad_box"
    path = table.directory / name
    return SourcePhoto(text_key(path.relative_to(source_dir).as_posix()), str(path), labels, box, reason)


def age_on_1_july(datenum: float, year: float) -> int | None:
    """Whole years from a MATLAB datenum to 1 July of ``year``; None where either is no date (NaN, year 0, ...)."""
    if not (math.isfinite(datenum) and math.isfinite(year) and datetime.MINYEAR <= year <= datetime.MAXYEAR):
        return None
    ordinal = math.floor(datenum) - _DATENUM_OF_YEAR_1
    if not 1 <= ordinal <= datetime.date.max.toordinal():
        return None
    born = datetime.date.fromordinal(ordinal)
    return int(year) - born.year - ((born.month, born.day) > (7, 1))


def face_box(location: Any) -> Box | None:
    """``face_location`` (x0 y0 x1 y1, from 1, last pixel included) as a box, or None where it holds no rectangle."""
    values = np.ravel(location)
    if values.size != 4 or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        return None
    x0, y0, x1, y1 = (float(value) for value in values)
    box = Box(x0 - 1, y0 - 1, x1, y1)
    return box if box.width > 1 and box.height > 1 else None


def _are_whole(table: _Table) -> bool:
    """Whether the photos are whole, so that ``face_location`` holds: every one of a sample contains its face.

    In a crop around the face some rectangles always point outside. Reads the headers of a few files.
    """
    if table.directory.name.endswith("_crop"):
        return False
    import PIL.Image

    seen = 0
    for index in range(len(table)):
        if not math.isfinite(_number(table.columns["face_score"][index])):
            continue
        box = face_box(table.columns["face_location"][index])
        try:
            with PIL.Image.open(table.directory / _text(table.columns["full_path"][index])) as image:
                width, height = image.size
        except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
            if index > 100 * SAMPLED_PHOTOS:
                break  # hardly any photo is there
            continue
        if box is None or box.x1 > width + 1 or box.y1 > height + 1:
            return False
        seen += 1
        if seen == SAMPLED_PHOTOS:
            break
    return seen > 0


def _text(cell: Any) -> str:
    value = np.ravel(cell)
    known = value.size and value.dtype.kind in "UO" and value[0] is not None
    return text_key(str(value[0]).replace("\0", "").strip()) if known else ""


def _number(cell: Any) -> float:
    try:
        return float(np.ravel(cell)[0])
    except (IndexError, TypeError, ValueError):
        return math.nan


def _sex(gender: float) -> Sex | None:
    return "female" if gender == 0 else "male" if gender == 1 else None


SOURCE = Source(
    name="imdb_wiki",
    licence="IMDB-WIKI: academic research only; the photographs belong to their owners",
    rows=rows,
    rules=RULES,
)
