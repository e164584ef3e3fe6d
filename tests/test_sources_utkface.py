from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import SourceError
from mien.datasets.reasons import REASONS
from mien.datasets.sources import find
from mien.datasets.sources.utkface import RACES, parse_name

SEXES = ("male", "female")


ENDINGS = [".jpg.chip.jpg", ".jpg", " .jpg.chip.jpg", "jpg.chip.jpg"]


@given(st.integers(0, 116), st.integers(0, 1), st.integers(0, 4), st.sampled_from(ENDINGS))
def test_a_name_says_what_was_written_into_it(age: int, sex: int, race: int, ending: str) -> None:
    labels, reason = parse_name(f"{age}_{sex}_{race}_20170112213500903{ending}")
    assert reason is None
    assert (labels.age_years, labels.sex, labels.race) == (age, SEXES[sex], RACES[race])


@given(st.text(max_size=60))
def test_no_name_raises_and_every_reason_is_in_the_vocabulary(name: str) -> None:
    labels, reason = parse_name(name)
    assert reason in {None, *REASONS}
    assert reason is not None or None not in (labels.age_years, labels.sex, labels.race)


@pytest.mark.parametrize(
    ("name", "age", "sex", "race", "reason"),
    [
        ("61_1_20170109150557335.jpg.chip.jpg", 61, None, None, "bad_label_row"),
        ("44__4_20170116235150272.jpg.chip.jpg", 44, None, None, "bad_label_row"),
        ("53_3_0_20170116184028385.jpg.chip.jpg", 53, None, "White", "unknown_sex"),
        ("30_0_9_20170116184028385.jpg.chip.jpg", 30, "male", None, "unknown_label"),
        ("117_0_1_20170116184028385.jpg.chip.jpg", None, "male", "Black", "age_out_of_range"),
        ("-1_0_1_20170116184028385.jpg.chip.jpg", None, "male", "Black", "age_out_of_range"),
        ("30_0_1_2_20170116184028385.jpg.chip.jpg", 30, None, None, "bad_label_row"),
        ("holiday.jpg", None, None, None, "bad_label_row"),
    ],
)
def test_malformed_names(name: str, age: float | None, sex: str | None, race: str | None, reason: str) -> None:
    labels, found = parse_name(name)
    assert (labels.age_years, labels.sex, labels.race, found) == (age, sex, race, reason)


def test_rows_are_sorted_and_keep_the_stray_photo(tmp_path: Path) -> None:
    for name in ("9_1_0_20170112213500903.jpg", "part2/10_0_3_20170112213500903.jpg", "stray.png", ".hidden.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    photos = list(find("UTKFace").rows(tmp_path, None))
    assert [photo.key for photo in photos] == sorted(photo.key for photo in photos)
    assert {photo.key: photo.drop_reason for photo in photos} == {
        "9_1_0_20170112213500903.jpg": None,
        "part2/10_0_3_20170112213500903.jpg": None,
        "stray.png": "bad_label_row",
    }
    assert all(Path(photo.path).is_file() for photo in photos)


def test_another_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(SourceError, match=r"not UTKFace: looked for images named AGE_SEX_RACE_DATETIME.*\Z"):
        find("utkface").rows(tmp_path, None)
    with pytest.raises(SourceError, match="does not exist"):
        find("utkface").rows(tmp_path / "nowhere", None)
    with pytest.raises(SourceError, match="takes no label file"):
        find("utkface").rows(tmp_path, tmp_path / "labels.csv")


@pytest.mark.shared
def test_the_real_directory(shared_data: Path) -> None:
    photos = list(find("utkface").rows(shared_data / "utkface", None))
    assert len(photos) == 21_708
    assert sorted(photo.labels.age_years or -1 for photo in photos if photo.drop_reason == "bad_label_row") == [
        39,
        61,
        61,
    ]
    kept = [photo.labels for photo in photos if photo.drop_reason is None]
    assert len(kept) == 21_705
    assert all(labels.sex and labels.race and 0 <= (labels.age_years or 0) <= 116 for labels in kept)
