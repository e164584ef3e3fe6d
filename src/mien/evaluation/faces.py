"""What is judged: aligned crops with their labels, side by side, real ones read from a prepared dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.attributes import NAMES
from mien.attributes.attribute_judge import marks
from mien.core.errors import DatasetError
from mien.core.images import decode_crop
from mien.core.records import Float32Array, UInt8Image
from mien.core.seeding import stream
from mien.datasets import catalog, corrections

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Faces:
    """N aligned crops and what is known of each, in one order. NaN and "" mean unknown."""

    crops: UInt8Image  # N S S 3
    female: npt.NDArray[np.float32]  # N: 1 female, 0 male, NaN unknown
    ages_years: npt.NDArray[np.float32]  # N
    races: tuple[str, ...]  # N

    def __post_init__(self) -> None:
        counts = {len(self.crops), len(self.female), len(self.ages_years), len(self.races)}
        if len(counts) != 1:
            raise ValueError(f"faces: crops, sexes, ages and races of different lengths {sorted(counts)}")

    def __len__(self) -> int:
        return len(self.crops)

    def pick(self, places: npt.NDArray[np.int_] | npt.NDArray[np.bool_] | slice) -> Faces:
        """Some of the faces, by index, mask or slice."""
        kept = np.arange(len(self))[places]
        return Faces(
            self.crops[kept], self.female[kept], self.ages_years[kept], tuple(self.races[int(index)] for index in kept)
        )


@dataclass(frozen=True, slots=True)
class FaceRow:
    """One kept face of a prepared dataset: where its crop lies and what its labels are."""

    id: str
    source: str
    split: str
    shard: str
    row_in_shard: int
    sex: str | None
    age_years: float | None
    race: str | None
    present: tuple[str, ...] = ()  # attributes that its source says are there ...
    absent: tuple[str, ...] = ()  # ... and are not there (or unsure)
    person: str | None = None


def dataset_rows(dest: Path, split: str, *, sources: Sequence[str] = (), labelled: bool = False) -> list[FaceRow]:
    """The kept faces of one split, in the order of the catalogue, as people corrected them.

    ``sources`` keeps only those; ``labelled`` only faces of known sex and age. Raises ``DatasetError`` where nothing
    is left or DEST is no prepared dataset.
    """
    everything = catalog.read_catalog(dest)
    if not everything:
        raise DatasetError(f"{dest}: no prepared dataset (make one with `mien data prepare`)")
    unknown = set(sources) - {row.source for row in everything}
    if unknown:
        there = ", ".join(sorted({row.source for row in everything}))
        raise DatasetError(f"{dest}: no source '{sorted(unknown)[0]}'; there are {there}")
    found = [
        FaceRow(
            row.id,
            row.source,
            row.split,
            row.shard,
            row.row_in_shard,
            row.sex,
            row.age_years,
            row.race,
            row.attributes_present,
            row.attributes_absent,
            row.person,
        )
        for row in corrections.corrected(dest, everything)
        if row.split == split
        and row.shard is not None
        and row.row_in_shard is not None
        and (not sources or row.source in sources)
        and (not labelled or (row.sex is not None and row.age_years is not None))
    ]
    if not found:
        what = "of known sex and age " if labelled else ""
        raise DatasetError(f"{dest}: no face {what}in the split '{split}'")
    return found


def shuffled(rows: Sequence[FaceRow], count: int | None = None, *, seed: int = 0) -> list[FaceRow]:
    """Rows in an order that depends on ``seed`` alone (a catalogue may be sorted by age), cut to ``count``."""
    places = stream(seed, "shuffled", len(rows)).permutation(len(rows))[:count]
    return [rows[int(place)] for place in places]


def read_faces(
    dest: Path,
    rows: Sequence[FaceRow],
    size: int,
    *,
    each: Callable[[UInt8Image], UInt8Image] | None = None,
    progress: Progress | None = None,
) -> Faces:
    """The crops of ``rows`` at ``size`` px with their labels, in the order of ``rows``.

    ``each`` turns a block of crops (B S S 3) into what is kept of it (B T T 3), so that large sets need little memory.
    """
    kept: list[UInt8Image | None] = [None] * len(rows)
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.shard, []).append(place)
    for shard, members in places.items():
        jpegs = catalog.read_shard(dest, shard, [rows[place].row_in_shard for place in members])
        block = np.stack([decode_crop(jpeg, size) for jpeg in jpegs])
        ready = each(block) if each is not None else block
        for place, crop in zip(members, ready, strict=True):
            kept[place] = crop
        if progress is not None:
            progress(len(members))
    return Faces(
        crops=np.stack([crop for crop in kept if crop is not None]),
        female=np.array([np.nan if row.sex is None else row.sex == "female" for row in rows], np.float32),
        ages_years=np.array([np.nan if row.age_years is None else row.age_years for row in rows], np.float32),
        races=tuple(row.race or "" for row in rows),
    )


def real_marks(rows: Sequence[FaceRow]) -> Float32Array:
    """The attributes of ``rows`` as ``attribute_judge.marks`` (N 73: 1 there, 0 not there, NaN unknown)."""
    found = [marks(set(row.present), set(row.absent), row.sex) for row in rows]
    return np.stack(found) if found else np.zeros((0, len(NAMES)), np.float32)


def fingerprint(rows: Sequence[FaceRow], size: int) -> str:
    """16 hexadecimal digits that change when another set of faces, labels or another size is meant."""
    import hashlib

    digest = hashlib.sha256(f"size:{size}".encode())
    for row in rows:
        digest.update(f"\x1e{row.id}\x1f{row.shard}\x1f{row.row_in_shard}\x1f{row.sex}\x1f{row.age_years}".encode())
    return digest.hexdigest()[:16]
