"""Datasets for reviews: drawn squares in no time, or faces that mien made, some of them with the wrong label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.core.images import encode_jpeg
from mien.core.records import UInt8Image
from mien.datasets import catalog
from mien.datasets.catalog import CatalogRow
from mien.evaluation.label_quality import Suspicions
from mien.evaluation.label_views import CROSSED, View

LICENCE = "made by mien"


def write(dest: Path, crops: Sequence[UInt8Image], labels: Sequence[dict[str, object]]) -> list[CatalogRow]:
    """A prepared dataset of one source with these crops and labels (fields of ``CatalogRow``)."""
    rows = [
        CatalogRow(
            id=f"made:{place:05d}.png", source="made", key=f"{place:05d}.png", licence=LICENCE, sha256=f"{place:064d}",
            split="train", group=f"g{place}", shard=catalog.shard_name("made", 0), row_in_shard=place, photo_width=128,
            photo_height=128, transform=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), yaw_degrees=0.0, pitch_degrees=0.0,
            roll_degrees=0.0, n_faces=1, **said,  # type: ignore[arg-type]
        )
        for place, said in enumerate(labels)
    ]  # fmt: skip
    catalog.write_shard(dest, catalog.shard_name("made", 0), [row.id for row in rows], [encode_jpeg(c) for c in crops])
    catalog.write_catalog(dest, rows)
    size = crops[0].shape[0]
    catalog.write_manifest(
        dest, {"version": catalog.VERSION, "complete": True, "crop": {"size_px": size}, "sources": []}
    )
    return rows


def drawn(dest: Path, count: int = 12) -> list[CatalogRow]:
    """Squares of one grey each; women and men in turn, of 20, 21, ... years; every third smiles."""
    crops = [np.full((64, 64, 3), 10 + 7 * place % 240, np.uint8) for place in range(count)]
    labels: list[dict[str, object]] = [
        {
            "sex": ("female", "male")[place % 2],
            "age_years": 20.0 + place,
            "attributes_present": ("Smiling",) if place % 3 == 0 else (),
            "attributes_absent": () if place % 3 == 0 else ("Smiling",),
        }
        for place in range(count)
    ]
    return write(dest, crops, labels)


def doubts(rows: Sequence[CatalogRow]) -> Suspicions:
    """Face 0 is surely of the other sex, face 1 surely 40 years older, face 2 probably smiles; the rest is right."""
    n = len(rows)
    female = np.array([row.sex == "female" for row in rows], np.float32)
    ages = np.array([row.age_years for row in rows], np.float32)
    smiles = np.array(["Smiling" in row.attributes_present for row in rows], np.float32)
    female[0], ages[1], smiles[2] = 1 - female[0], ages[1] + 40, 0.9
    quality = np.full((n, 3), 0.9, np.float32) + np.arange(n, dtype=np.float32)[:, None] / 1000
    quality[0, 0], quality[1, 1], quality[2, 2] = 0.001, 0.01, 0.1
    one = np.ones(n, np.float32)
    views = {
        "sex": View("sex", female, one, CROSSED),
        "age": View("age", ages, one * 5, CROSSED),
        "Smiling": View("Smiling", smiles, one, CROSSED),
    }
    return Suspicions(("sex", "age", "Smiling"), quality.astype(np.float32), views)
