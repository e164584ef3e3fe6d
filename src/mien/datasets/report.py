"""What a catalogue holds, as numbers: kept and dropped by reason, labels, ages, poses. The page is made elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.core.records import Float32Array
from mien.core.seeding import stream
from mien.datasets.catalog import CatalogRow
from mien.datasets.splits import SPLITS, person_key

SEXES = ("female", "male", "unknown")


@dataclass(frozen=True, slots=True)
class SourceTally:
    """One source: how many photos, what became of them, and what is known of those that were kept."""

    source: str
    licence: str
    photos: int
    kept: int
    dropped: dict[str, int]  # by reason, most first
    splits: dict[str, int]
    people: int  # named ones
    groups: int  # faces joined by person, file or picture count as one
    sexes: dict[str, int]
    with_age: int
    several_faces: int  # kept photos on which more than one face was found


@dataclass(frozen=True, slots=True)
class AttributeTally:
    """One attribute over the kept faces whose source speaks of it."""

    name: str
    present: int
    absent: int  # or unsure, where the source does not tell the two apart

    @property
    def share(self) -> float:
        """Of the faces that the source speaks of, 0 to 1."""
        return self.present / max(self.present + self.absent, 1)


def kept(rows: Sequence[CatalogRow]) -> list[CatalogRow]:
    """The rows that were not dropped."""
    return [row for row in rows if row.drop_reason is None]


def tally_sources(rows: Sequence[CatalogRow]) -> list[SourceTally]:
    """One tally a source, by name."""
    by_source: dict[str, list[CatalogRow]] = {}
    for row in rows:
        by_source.setdefault(row.source, []).append(row)
    return [_tally(name, found) for name, found in sorted(by_source.items())]


def _tally(source: str, rows: list[CatalogRow]) -> SourceTally:
    faces = kept(rows)
    sexes = Counter(row.sex or "unknown" for row in faces)
    splits = Counter(row.split for row in faces)
    return SourceTally(
        source=source,
        licence=rows[0].licence,
        photos=len(rows),
        kept=len(faces),
        dropped=dict(Counter(row.drop_reason for row in rows if row.drop_reason is not None).most_common()),
        splits={split: splits[split] for split in SPLITS},
        people=len({person_key(row.person) for row in faces if row.person is not None}),
        groups=len({row.group for row in faces}),
        sexes={sex: sexes[sex] for sex in SEXES},
        with_age=sum(row.age_years is not None for row in faces),
        several_faces=sum((row.n_faces or 0) > 1 for row in faces),
    )


def tally_attributes(rows: Sequence[CatalogRow]) -> list[AttributeTally]:
    """Every attribute that a kept face has or lacks, the most frequent first."""
    faces = kept(rows)
    present = Counter(name for row in faces for name in row.attributes_present)
    absent = Counter(name for row in faces for name in row.attributes_absent)
    found = [AttributeTally(name, present[name], absent[name]) for name in {*present, *absent}]
    return sorted(found, key=lambda one: (-one.share, one.name))


def ages_by_sex(rows: Sequence[CatalogRow]) -> dict[str, Float32Array]:
    """Ages in years of the kept faces of each sex that has any."""
    found = {
        sex: [row.age_years for row in kept(rows) if row.age_years is not None and (row.sex or "unknown") == sex]
        for sex in SEXES
    }
    return {sex: np.array(ages, np.float32) for sex, ages in found.items() if ages}


def poses(rows: Sequence[CatalogRow]) -> dict[str, Float32Array]:
    """Yaw, pitch and roll of the kept faces, degrees."""
    faces = [row for row in kept(rows) if row.yaw_degrees is not None]
    return {
        "yaw": np.array([row.yaw_degrees for row in faces], np.float32),
        "pitch": np.array([row.pitch_degrees for row in faces], np.float32),
        "roll": np.array([row.roll_degrees for row in faces], np.float32),
    }


def sample(rows: Sequence[CatalogRow], source: str, count: int) -> list[int]:
    """Places in ``rows`` of up to ``count`` kept faces of a source: the same ones for the same rows."""
    places = [place for place, row in enumerate(rows) if row.source == source and row.drop_reason is None]
    drawn = stream(0, "sample sheet", source).permutation(len(places))[:count]
    return [places[int(place)] for place in sorted(drawn)]
