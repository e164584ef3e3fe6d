"""Portraits judged by what they should keep and what should come off: years, children's above all, sex, and hats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mien.attributes.age_sex import AgeSexPredictions
from mien.core.errors import DatasetError
from mien.core.records import Float32Array, UInt8Image
from mien.evaluation.detection import detects, rate_name
from mien.evaluation.faces import FaceRow, dataset_rows, shuffled
from mien.evaluation.features import OnAdvance
from mien.evaluation.metrics import metric_name
from mien.evaluation.report import Figure, ReportTable, Section, shown
from mien.evaluation.statistics import mean_interval, proportion

Mask = npt.NDArray[np.bool_]

BANDS_YEARS = ((0, 3), (3, 13), (13, 20), (20, 60), (60, 121))  # from, up to but not with
HAT = "Wearing Hat"
PHOTO = "photo"


class KeptJudges(Protocol):
    """Who judges; crops are N S S 3."""

    def ages(self, crops: UInt8Image, on_advance: OnAdvance) -> AgeSexPredictions:
        """How old each looks, and of which sex."""
        ...

    def hats(self, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        """How surely each wears a hat (N), in [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class KeptSample:
    """Held-out faces whose portraits are made for this: ``rows`` of each span of ages, then those with hats."""

    bands: tuple[tuple[tuple[int, int], tuple[FaceRow, ...]], ...]
    hats: tuple[FaceRow, ...]

    @property
    def rows(self) -> list[FaceRow]:
        """All of them, in order."""
        return [row for _, rows in self.bands for row in rows] + list(self.hats)


def draw_kept(dest: Path, each: int, *, seed: int = 0) -> KeptSample:
    """Up to ``each`` test faces of every span of ages, and as many whose source marks a hat; at random."""
    try:
        aged = dataset_rows(dest, "test", labelled=True)
    except DatasetError:  # a source without ages
        aged = []
    bands = []
    for low, high in BANDS_YEARS:
        found = [row for row in aged if row.age_years is not None and low <= row.age_years < high]
        if found[:each]:
            bands.append(((low, high), tuple(shuffled(found, each, seed=seed))))
    hats = [row for row in dataset_rows(dest, "test") if HAT in row.present]
    return KeptSample(tuple(bands), tuple(shuffled(hats, each, seed=seed)))


def judge_kept(
    kept: KeptSample, photos: UInt8Image, name: str, portraits: UInt8Image, judges: KeptJudges, on_advance: OnAdvance
) -> Section:
    """What the judges say of photos (N S S 3, in the order of ``kept.rows``) and of ``name``'s portraits (N T T 3)."""
    columns = ((PHOTO, photos), (name, portraits))
    found = detects(portraits)
    aged = sum(len(rows) for _, rows in kept.bands)
    share = proportion(int(found.sum()), len(found))
    label = "a face is found (a cascade)"
    figures = [Figure.of(share, name=rate_name(len(found)), label=label, subject=name, unit="%", better="higher")]
    tables = []
    if aged:
        read = {subject: judges.ages(images[:aged], on_advance) for subject, images in columns}
        heading = (
            *("years", "n", "photo read as", "portrait read as", "older by, mean", "older by, median"),
            *("sex as labelled, photo", "sex as labelled, portrait"),
        )
        tables = [ReportTable(heading, tuple(_band_rows(kept, read[PHOTO], read[name], found)), name)]
        figures += _band_figures(kept, name, read[PHOTO], read[name], found)
        everyone = np.ones(aged, bool)
        figures += [_sex_figure(kept, PHOTO, read[PHOTO], everyone), _sex_figure(kept, name, read[name], found[:aged])]
    if kept.hats:
        for subject, images in columns:
            worn = judges.hats(images[aged:], on_advance)
            if subject != PHOTO:
                worn = np.where(found[aged:], worn, 1.0)  # no face is no head without a hat
            figures.append(
                Figure.of(
                    mean_interval(worn),
                    name=metric_name("hat", "judge", len(worn)),
                    label=f"photos marked '{HAT}': hat, judge's score",
                    subject=subject,
                    better="lower",
                )
            )
    return Section(
        "Do they keep their years, and not their hats?",
        "Portraits of further held-out faces, as many of each span of ages as there are, up to a limit, and of faces "
        "that their source marks as wearing a hat (about half of these marks are wrong by eye). Years and sex are read "
        "from photo and portrait by the judge of age and sex, hats by the judge of attributes: neither had a part in "
        "portraits. The judge errs by some years on photographs, too, so the change counts, not the reading. Most of "
        "these photos are tight crops with mirrored borders: harder than what users give. A portrait in which no "
        "cascade finds a face counts as one of the other sex and with its hat on, and in no change of years.",
        tuple(figures),
        tuple(tables),
    )


def _places(kept: KeptSample) -> list[tuple[tuple[int, int], slice]]:
    places, start = [], 0
    for band, rows in kept.bands:
        places.append((band, slice(start, start + len(rows))))
        start += len(rows)
    return places


def _name(band: tuple[int, int]) -> str:
    return f"{band[0]} to {band[1] - 1}" if band[1] <= 100 else f"{band[0]} and over"


def _band_rows(
    kept: KeptSample, photo: AgeSexPredictions, portrait: AgeSexPredictions, found: Mask
) -> list[tuple[str | int | float | None, ...]]:
    rows: list[tuple[str | int | float | None, ...]] = []
    for band, part in _places(kept):
        before, after = (read.ages_years[part][found[part]] for read in (photo, portrait))
        if not len(after):  # of no portrait a face is found
            rows.append((_name(band), 0, *[None] * 4, None, shown(0.0, "%")))
            continue
        female = np.array([row.sex == "female" for row in kept.rows[part]])
        same = (photo.is_female[part] == female, (portrait.is_female[part] == female) & found[part])
        right = [shown(float(each.mean()), "%") for each in same]
        rows.append(
            (
                *(_name(band), len(before), shown(float(before.mean())), shown(float(after.mean()))),
                *(f"{(after - before).mean():+.1f}", f"{np.median(after - before):+.1f}", *right),
            )
        )
    return rows


def _band_figures(
    kept: KeptSample, name: str, photo: AgeSexPredictions, portrait: AgeSexPredictions, found: Mask
) -> list[Figure]:
    figures = []
    for band, part in _places(kept):
        change = (portrait.ages_years[part] - photo.ages_years[part])[found[part]]
        if len(change) > 1:
            figures.append(
                Figure.of(
                    mean_interval(change),
                    name=metric_name(f"older-{band[0]}", "judge", len(change)),
                    label=f"{_name(band)} years: read as older by",
                    subject=name,
                    unit="years",
                )
            )
    return figures


def _sex_figure(kept: KeptSample, name: str, read: AgeSexPredictions, found: Mask) -> Figure:
    female = np.array([row.sex == "female" for _, rows in kept.bands for row in rows])
    right = (read.is_female == female) & found
    return Figure.of(
        proportion(int(right.sum()), len(right)),
        name=metric_name("sex", "judge", len(right)),
        label="read as of the sex that is labelled, all ages",
        subject=name,
        unit="%",
        better="near the real one",
    )
