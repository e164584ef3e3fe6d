from __future__ import annotations

import datetime
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import SourceError
from mien.core.records import Box, SourcePhoto
from mien.datasets.reasons import REASONS
from mien.datasets.sources import find
from mien.datasets.sources.imdb_wiki import age_on_1_july, face_box


def datenum(year: int, month: int, day: int) -> int:
    return datetime.date(year, month, day).toordinal() + 366  # MATLAB: datenum(2000, 1, 1) = 730486


def row_array(values: list[Any], kind: Any) -> np.ndarray:
    return np.array([values], kind)  # 1 N, as MATLAB has it


def cells(values: list[Any]) -> np.ndarray:
    array = np.empty((1, len(values)), object)
    for index, value in enumerate(values):
        array[0, index] = value
    return array


def write_mat(path: Path, name: str, faces: list[dict[str, Any]], **more: Any) -> None:
    """The layout of the published files: a 1x1 struct of 1xN arrays and 1xN cells."""
    plain: dict[str, Any] = {
        "dob": datenum(1980, 1, 1), "photo_taken": 2010, "gender": 1.0, "name": "Ada Lovelace",
        "face_location": [111.29, 111.29, 252.66, 252.66], "face_score": 4.3, "second_face_score": np.nan,
    }  # fmt: skip
    rows = [{**plain, "full_path": f"17/{index}_1980-01-01_2010.jpg", **face} for index, face in enumerate(faces)]
    column = {key: [row[key] for row in rows] for key in rows[0]}
    struct = {
        "dob": row_array(column["dob"], np.float64 if any(np.isnan(column["dob"])) else np.int32),
        "photo_taken": row_array(column["photo_taken"], np.uint16),
        "full_path": cells(column["full_path"]),
        "gender": row_array(column["gender"], np.float64),
        "name": cells(column["name"]),
        "face_location": cells([np.array([value], np.float64) for value in column["face_location"]]),
        "face_score": row_array(column["face_score"], np.float64),
        "second_face_score": row_array(column["second_face_score"], np.float64),
        **more,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {name: struct})


def read(source_dir: Path, labels: Path | None = None) -> list[SourcePhoto]:
    photos = list(find("imdb_wiki").rows(source_dir, labels))
    assert [photo.key for photo in photos] == sorted(photo.key for photo in photos)
    assert {photo.drop_reason for photo in photos} <= {None, *REASONS}
    return photos


@pytest.mark.parametrize(
    ("face", "reason"),
    [
        ({}, None),
        ({"gender": 0.0}, None),
        ({"face_score": -np.inf, "face_location": [1, 1, 1, 1]}, "face_score_missing"),
        ({"second_face_score": 2.1}, "second_face_in_source"),
        ({"gender": np.nan}, "unknown_sex"),
        ({"dob": 1}, "no_age"),
        ({"dob": np.nan}, "no_age"),
        ({"photo_taken": 0}, "no_age"),
        ({"dob": datenum(2000, 7, 1)}, None),  # ten on that day
        ({"dob": datenum(2000, 7, 2)}, "age_out_of_range"),
        ({"dob": datenum(1909, 7, 2)}, None),  # still a hundred
        ({"dob": datenum(1909, 7, 1)}, "age_out_of_range"),
        ({"dob": datenum(2015, 1, 1)}, "age_out_of_range"),
        ({"name": ""}, None),
        ({"full_path": ""}, "bad_label_row"),
    ],
)
def test_the_filters_of_the_paper(tmp_path: Path, face: dict[str, Any], reason: str | None) -> None:
    write_mat(tmp_path / "wiki_crop" / "wiki.mat", "wiki", [face])
    (photo,) = read(tmp_path)
    assert photo.drop_reason == reason
    assert photo.labels.age_years is None or 0 <= photo.labels.age_years <= 120
    assert photo.box is None, "a crop: face_location is not in its pixels"


def test_what_a_good_row_says(tmp_path: Path) -> None:
    faces = [{"gender": 0.0, "name": "Zoë Saldaña"}, {"full_path": "01/nm1_rm1.jpg"}, {"full_path": "01/nm1_rm1.jpg"}]
    more = {"celeb_names": cells(["A", "B"]), "celeb_id": row_array([1, 1, 2], np.int32)}
    write_mat(tmp_path / "imdb_crop" / "imdb.mat", "imdb", faces, **more)
    write_mat(tmp_path / "wiki_crop" / "wiki.mat", "wiki", [{}])
    photos = {photo.key: photo for photo in read(tmp_path)}
    assert list(photos) == [
        "imdb_crop/01/nm1_rm1.jpg",
        "imdb_crop/01/nm1_rm1.jpg#2",
        "imdb_crop/17/0_1980-01-01_2010.jpg",
        "wiki_crop/17/0_1980-01-01_2010.jpg",
    ]
    woman = photos["imdb_crop/17/0_1980-01-01_2010.jpg"]
    assert (woman.labels.sex, woman.labels.age_years, woman.labels.person) == ("female", 30.0, "Zoë Saldaña")
    assert woman.path == str(tmp_path / "imdb_crop/17/0_1980-01-01_2010.jpg")
    assert {photo.key for photo in read(tmp_path / "wiki_crop")} == {"17/0_1980-01-01_2010.jpg"}
    elsewhere = read(tmp_path, tmp_path / "wiki_crop" / "wiki.mat")
    assert [photo.key for photo in elsewhere] == ["wiki_crop/17/0_1980-01-01_2010.jpg"]


@pytest.mark.parametrize("whole", [True, False])
def test_rectangles_only_where_they_are_in_pixels_of_the_photo(tmp_path: Path, whole: bool) -> None:
    faces: list[dict[str, Any]] = [{}, {"face_location": [1, 2, 300, 400]}, {"face_location": [5, 5, 5, 5]}]
    write_mat(tmp_path / "imdb" / "imdb.mat", "imdb", faces)
    for index in range(2):
        path = tmp_path / "imdb" / f"17/{index}_1980-01-01_2010.jpg"
        path.parent.mkdir(exist_ok=True)
        PIL.Image.new("RGB", (300, 400) if whole else (260, 260)).save(path)
    photos = read(tmp_path)
    boxes = [Box(110.29, 110.29, 252.66, 252.66), Box(0, 1, 300, 400), None]
    assert [photo.box for photo in photos] == (boxes if whole else [None] * 3)
    assert [photo.drop_reason for photo in photos] == [None, None, "bad_box" if whole else None]


def test_paths_never_lead_to_the_root(tmp_path: Path) -> None:
    write_mat(tmp_path / "wiki.mat", "wiki", [{"full_path": "/17/a.jpg"}, {"full_path": "17\\\\b.jpg"}])
    assert [photo.path for photo in read(tmp_path)] == [str(tmp_path / "17/a.jpg"), str(tmp_path / "17/b.jpg")]


@given(st.dates(datetime.date(1800, 1, 1), datetime.date(2100, 1, 1)), st.integers(1800, 2100), st.floats(0, 0.999))
def test_age_is_the_birthdays_up_to_1_july(born: datetime.date, year: int, hour: float) -> None:
    age = age_on_1_july(born.toordinal() + 366 + hour, year)
    assert age is not None
    taken = datetime.date(year, 7, 1)
    birthdays = sum(_birthday(born, other) <= taken for other in range(born.year + 1, year + 1))
    assert age == birthdays if taken >= born else age < 0


def _birthday(born: datetime.date, year: int) -> datetime.date:
    leap_day = (born.month, born.day) == (2, 29)
    return datetime.date(year, 3, 1) if leap_day else born.replace(year=year)


@given(st.floats(), st.floats())
def test_no_date_raises(number: float, year: float) -> None:
    age = age_on_1_july(number, year)
    assert age is None or isinstance(age, int)


@pytest.mark.parametrize("location", [[], [1, 2, 3], [1, 1, 1, 1], [9, 9, 2, 2], [np.nan, 1, 9, 9], ["a"], None])
def test_no_rectangle_raises(location: Any) -> None:
    assert face_box(np.array(location)) is None


def test_files_of_another_kind(tmp_path: Path) -> None:
    source = find("imdb-wiki")
    with pytest.raises(SourceError, match=r"not IMDB-WIKI: looked for wiki.mat or imdb.mat"):
        source.rows(tmp_path, None)
    path = tmp_path / "wiki.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file, but nothing more")
    with pytest.raises(SourceError, match="not a MATLAB version 5 file"):
        source.rows(tmp_path, None)
    scipy.io.savemat(path, {"faces": {"dob": [1]}})
    with pytest.raises(SourceError, match="looked for a 1x1 struct named 'imdb' or 'wiki'"):
        source.rows(tmp_path, None)
    scipy.io.savemat(path, {"wiki": {"dob": [[1]]}})
    with pytest.raises(SourceError, match="lacks the field 'photo_taken'"):
        source.rows(tmp_path, None)
    write_mat(path, "wiki", [{}, {}], gender=row_array([1.0], np.float64))
    with pytest.raises(SourceError, match=r"differ in length: \[1, 2\]"):
        source.rows(tmp_path, None)
    with pytest.raises(SourceError, match="no such label file"):
        source.rows(tmp_path, tmp_path / "no.mat")


def test_a_truncated_file_is_one_line(tmp_path: Path) -> None:
    write_mat(tmp_path / "wiki.mat", "wiki", [{}] * 20)
    data = (tmp_path / "wiki.mat").read_bytes()
    for share in (0.1, 0.5, 0.9, 0.99):
        (tmp_path / "wiki.mat").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(SourceError):
            find("imdb_wiki").rows(tmp_path, None)


def test_rules_of_the_paper_for_pixels() -> None:
    rules = find("imdb_wiki").rules
    assert (rules.min_width_px, rules.min_height_px, rules.colour) == (64, 57, True)


def test_many_rows(tmp_path: Path) -> None:
    write_mat(tmp_path / "wiki.mat", "wiki", [{"gender": float(index % 2)} for index in range(2_000)])
    photos = read(tmp_path)
    assert Counter(photo.labels.sex for photo in photos) == {"male": 1_000, "female": 1_000}
