"""UTKFace: aligned and cropped faces whose names are their labels, ``AGE_SEX_RACE_DATETIME.jpg[.chip.jpg]``.

Age in whole years 0 to 116; sex 0 male, 1 female; race 0 White, 1 Black, 2 Asian, 3 Indian, 4 Other. Some names of the
published set are malformed. A blank or a missing dot after the date costs nothing. Where one of the three numbers is
missing (``61_1_20170109...``) nobody can know whether the other one is the sex or the race: the age is kept, the photo
is dropped as ``bad_label_row``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mien.core.errors import SourceError
from mien.core.records import Labels, Sex, SourcePhoto
from mien.datasets.reasons import Reason
from mien.datasets.sources.contract import Source
from mien.datasets.sources.listing import existing_directory, image_names, text_key, with_unique_keys

LOOKED_FOR = "images named AGE_SEX_RACE_DATETIME.jpg or .jpg.chip.jpg (UTKFace)"
RACES = ("White", "Black", "Asian", "Indian", "Other")
SEXES: tuple[Sex, Sex] = ("male", "female")
OLDEST_YEARS = 116

_DATED = re.compile(
    r"(?P<numbers>-?\d*(?:_-?\d*)*)_(?P<date>\d{8,})\s*(?:\.?jpe?g|\.?png)?(?:\.chip)?(?:\.jpe?g|\.png)", re.I
)
_NUMBER = re.compile(r"-?\d{1,9}")


def rows(source_dir: Path, labels: Path | None = None) -> Iterator[SourcePhoto]:
    """Photos below SOURCE_DIR (any depth) with age, sex and race from their names; see ``contract.Rows``."""
    if labels is not None:
        raise SourceError(f"{labels}: utkface takes no label file, the names of the images are the labels")
    names = image_names(existing_directory(source_dir, LOOKED_FOR))
    if not any(_DATED.fullmatch(name.rpartition("/")[2]) for name in names):
        raise SourceError(f"{source_dir}: not UTKFace: looked for {LOOKED_FOR}, found none among {len(names)} images")
    return with_unique_keys(_photo(source_dir, name) for name in names)


def _photo(source_dir: Path, name: str) -> SourcePhoto:
    labels, reason = parse_name(name.rpartition("/")[2])
    return SourcePhoto(text_key(name), str(source_dir / name), labels, drop_reason=reason)


def parse_name(name: str) -> tuple[Labels, Reason | None]:
    """A file name -> what it says, and why the photo cannot be used if it cannot."""
    match = _DATED.fullmatch(name)
    if match is None:
        return Labels(), "bad_label_row"
    numbers = match["numbers"].split("_")
    age = _integer(numbers[0])
    age_years = float(age) if age is not None and 0 <= age <= OLDEST_YEARS else None
    if len(numbers) != 3 or any(_integer(number) is None for number in numbers):
        return Labels(age_years=age_years), "bad_label_row"
    _, sex_number, race_number = (int(number) for number in numbers)
    sex = SEXES[sex_number] if 0 <= sex_number < len(SEXES) else None
    race = RACES[race_number] if 0 <= race_number < len(RACES) else None
    reason: Reason | None = None
    if age_years is None:
        reason = "age_out_of_range"
    elif sex is None:
        reason = "unknown_sex"
    elif race is None:
        reason = "unknown_label"
    return Labels(sex=sex, age_years=age_years, race=race), reason


def _integer(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


SOURCE = Source(
    name="utkface",
    licence="UTKFace: non-commercial research; the photographs belong to their owners",
    rows=rows,
)
