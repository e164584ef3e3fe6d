"""A prepared dataset as arrays: kept faces, their labels, decoded crops by row, validity masks, balanced draws.

Decoded crops of one size are kept beside the dataset in ``DEST/cache`` (built once), so that a training step reads
pixels and decodes nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError
from mien.core.images import decode_crop
from mien.core.progress import OnProgress
from mien.core.records import Float32Array, UInt8Image
from mien.datasets import catalog, corrections
from mien.datasets.catalog import CatalogRow
from mien.faces import align

if TYPE_CHECKING:
    import polars as pl

Rows = npt.NDArray[np.int64]

AGE_EDGES_YEARS = (10, 20, 30, 40, 50, 60, 70, 80, 100)  # the paper's 8 bins of age: it prints their number, not edges


@dataclass(frozen=True, eq=False)
class FaceDataset:
    """The kept faces of DEST in catalogue order, as people corrected them. Row k of every array here is ``faces[k]``.

    Faces that a reviewer rejected keep their rows, so that caches stay valid, but have no label and are in no ``rows``.
    """

    dest: Path
    faces: tuple[CatalogRow, ...]
    corrections: str = ""  # digest of what people changed; "": nothing

    @classmethod
    def open(cls, dest: str | os.PathLike[str], *, corrected: bool = True) -> FaceDataset:
        """Read the catalogue; ``DatasetError`` where DEST is no prepared dataset or holds no face.

        ``corrected`` False is what the sources said, whatever people made of it.
        """
        where = Path(dest)
        manifest = catalog.read_manifest(where)
        if manifest is not None and not manifest.get("complete"):
            raise DatasetError(f"{dest}: a 'mien data prepare' stopped half way; run the same command again to end it")
        rows = catalog.read_catalog(where) if manifest is not None else []
        said = [row for row in rows if row.shard is not None and row.row_in_shard is not None]
        kept = tuple(corrections.corrected(where, said) if corrected else said)
        if not kept:
            raise DatasetError(f"{dest}: no prepared dataset with faces in it (make one with 'mien data prepare')")
        return cls(where, kept, corrections.digest(new for new, old in zip(kept, said, strict=True) if new != old))

    def __len__(self) -> int:
        return len(self.faces)

    def rows(self, split: str | None = None, source: str | None = None) -> Rows:
        """Rows of one split and source (``None``: all), ascending."""
        found = [
            k
            for k, face in enumerate(self.faces)
            if face.drop_reason is None
            and (split is None or face.split == split)
            and (source is None or face.source == source)
        ]
        return np.array(found, np.int64)

    @cached_property
    def female(self) -> Float32Array:
        """1 female, 0 male, NaN unknown."""
        return np.array([np.nan if f.sex is None else float(f.sex == "female") for f in self.faces], np.float32)

    @cached_property
    def ages_years(self) -> Float32Array:
        """Ages in years, NaN unknown."""
        return np.array([np.nan if f.age_years is None else f.age_years for f in self.faces], np.float32)

    @property
    def table(self) -> pl.DataFrame:
        """The catalogue rows of ``faces`` as a polars frame, in their order (needs polars)."""
        import polars

        table = polars.from_arrow(catalog.rows_to_table(self.faces))
        if not isinstance(table, polars.DataFrame):
            raise TypeError("the catalogue is not a table")
        return table

    @cached_property
    def crops_fingerprint(self) -> str:
        """16 hexadecimal digits of which crops these are, and in which order: what caches of them go by."""
        digest = hashlib.sha256("\n".join(f"{f.id} {f.sha256} {f.shard} {f.row_in_shard}" for f in self.faces).encode())
        return digest.hexdigest()[:16]

    @cached_property
    def _fingerprint(self) -> str:
        if not self.corrections:
            return self.crops_fingerprint
        return hashlib.sha256(f"{self.crops_fingerprint} {self.corrections}".encode()).hexdigest()[:16]

    def fingerprint(self) -> str:
        """16 hexadecimal digits of these crops, their order and what people changed of their labels."""
        return self._fingerprint

    def pixels(self, size: int, on_progress: OnProgress | None = None) -> npt.NDArray[np.uint8]:
        """All crops at ``size`` px: N S S 3, a memory map of DEST/cache (built by the first call)."""
        path = self.dest / "cache" / f"crops-{size}-{self.crops_fingerprint}.npy"
        if not path.is_file():
            self._decode_all(path, size, on_progress)
        return np.asarray(np.load(path, mmap_mode="r"))

    def _decode_all(self, path: Path, size: int, on_progress: OnProgress | None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            shape = (len(self.faces), size, size, 3)
            pixels = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            by_shard: dict[str, list[int]] = {}
            for k, face in enumerate(self.faces):
                by_shard.setdefault(str(face.shard), []).append(k)
            done = 0
            for shard, members in by_shard.items():
                jpegs = catalog.read_shard(self.dest, shard)
                for k in members:
                    pixels[k] = decode_crop(jpegs[int(self.faces[k].row_in_shard or 0)], size)
                done += len(members)
                if on_progress is not None:
                    on_progress(done, len(self.faces))
            pixels.flush()
            del pixels
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)

    def crops(self, rows: Rows, size: int) -> UInt8Image:
        """The crops of ``rows``: N S S 3."""
        return np.ascontiguousarray(self.pixels(size)[rows])

    def decoded(self, rows: Rows, size: int | None = None) -> UInt8Image:
        """As ``crops``, decoded from the shards without a cache; ``size`` None is the size that they are stored at."""
        by_shard: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            by_shard.setdefault(str(self.faces[int(row)].shard), []).append(place)
        found: dict[int, UInt8Image] = {}
        for shard, places in by_shard.items():
            wanted = [int(self.faces[int(rows[place])].row_in_shard or 0) for place in places]
            for place, jpeg in zip(places, catalog.read_shard(self.dest, shard, wanted), strict=True):
                found[place] = decode_crop(jpeg, size)
        side = size or self.stored_size
        return (
            np.stack([found[place] for place in range(len(rows))])
            if len(rows)
            else np.zeros((0, side, side, 3), np.uint8)
        )

    def mask(self, row: int, size: int) -> Float32Array:
        """S S, 1 where the crop's pixel lies inside the photo, 0 where the border was mirrored."""
        face = self.faces[row]
        return align.valid_mask(self.transform(row, size), face.photo_height or 0, face.photo_width or 0, size)

    def mirrored_from(self, row: int, size: int) -> Float32Array:
        """S S 2: where in the crop each pixel of it comes from, its border being mirrored (``align.mirrored_from``)."""
        face = self.faces[row]
        return align.mirrored_from(self.transform(row, size), face.photo_height or 0, face.photo_width or 0, size)

    def masks(self, rows: Rows, size: int) -> Float32Array:
        """N S S, as ``mask``."""
        return np.stack([self.mask(int(row), size) for row in rows])

    def transform(self, row: int, size: int) -> npt.NDArray[np.float64]:
        """2 x 3: photo pixels -> pixels of the crop at ``size``."""
        stored = np.array(self.faces[row].transform, np.float64).reshape(2, 3)
        return align.rescaled(stored, self.stored_size, size)

    @cached_property
    def stored_size(self) -> int:
        """Side of the crops in the shards, px."""
        manifest = catalog.read_manifest(self.dest) or {}
        return int(manifest.get("crop", {}).get("size_px", 256))


def age_bin(ages_years: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Bin 0 to 7 of ``AGE_EDGES_YEARS``; -1 outside 10 to 100 and where the age is unknown (NaN)."""
    ages = np.asarray(ages_years, np.float64)
    bins = np.searchsorted(np.array(AGE_EDGES_YEARS), ages, side="right") - 1
    inside = (ages >= AGE_EDGES_YEARS[0]) & (ages <= AGE_EDGES_YEARS[-1])
    return np.where(inside, np.minimum(bins, len(AGE_EDGES_YEARS) - 2), -1).astype(np.int64)


def sex_age_bins(data: FaceDataset, rows: Rows) -> list[Rows]:
    """The paper's 16 bins (2 sexes x 8 ages) of ``rows``: first women by age, then men.

    Faces of unknown sex or of an age outside 10 to 100 are in none. ``DatasetError`` names an empty bin.
    """
    female, bins = data.female[rows], age_bin(data.ages_years[rows])
    found = []
    for name, value in (("female", 1.0), ("male", 0.0)):
        for k, (low, high) in enumerate(itertools.pairwise(AGE_EDGES_YEARS)):
            members = rows[(female == value) & (bins == k)]
            if not len(members):
                raise DatasetError(f"{data.dest}: no {name} face of {low} to {high} years; every bin needs one")
            found.append(members)
    return found


def balanced(bins: Sequence[Rows], count: int, generator: np.random.Generator) -> Rows:
    """``count`` rows, an equal share from each bin (``count`` must be a multiple of their number), with replacement."""
    if count % len(bins):
        raise DatasetError(f"a balanced batch of {count} given; allowed are multiples of {len(bins)} (the bins)")
    share = count // len(bins)
    return np.concatenate([members[generator.integers(0, len(members), share)] for members in bins])
