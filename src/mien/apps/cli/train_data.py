"""What `mien train` reads from a prepared dataset."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def paper_batches(dest: Path, batch_size: int, seed: int) -> tuple[Callable[[int], Any], str]:
    """Batches of the paper's preset, an equal share from each of 16 bins; and the dataset's fingerprint."""
    import numpy as np

    from mien.core.images import to_photos, to_tensor
    from mien.core.records import Sex
    from mien.core.seeding import stream
    from mien.datasets.batches import AGE_EDGES_YEARS, FaceDataset, balanced, sex_age_bins
    from mien.faces.align import window
    from mien.papers.cgan_sanche.networks import FRAME, SIZE_PX
    from mien.training.crowd_paper import paper_batch

    data = FaceDataset.open(dest)
    rows = data.rows("train")
    ages, female = data.ages_years, data.female
    inside = (ages[rows] >= AGE_EDGES_YEARS[0]) & (ages[rows] <= AGE_EDGES_YEARS[-1]) & np.isfinite(female[rows])
    rows = rows[inside]
    bins = sex_age_bins(data, rows)
    pixels = data.pixels(128)
    photos = np.concatenate([to_photos(window(to_tensor(pixels[part]), *FRAME, SIZE_PX)) for part in blocks(rows, 64)])

    def batch_at(step: int) -> Any:
        chosen = balanced(bins, batch_size, stream(seed, "batches", step))
        sexes: list[Sex] = ["female" if value == 1 else "male" for value in female[chosen]]
        return paper_batch(photos[np.searchsorted(rows, chosen)], sexes, ages[chosen].tolist())

    return batch_at, data.fingerprint()


def blocks(rows: Any, size: int) -> list[Any]:
    """``rows`` in pieces of at most ``size``."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
