"""Crowds, preset paper: Sanche's conditional GAN as printed, on batches with an equal share from each of 16 bins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import RequestError
from mien.pipelines.train.request import Trained, TrainRequest, finished, loop_settings, settings_of
from mien.pipelines.train.settings import CrowdPaperSettings

if TYPE_CHECKING:
    from mien.papers.cgan_sanche.networks import Ages


def train_paper_preset(request: TrainRequest) -> Trained:
    """Train generator and discriminator in RUN; weights are written there."""
    from mien.evaluation.detection import detection_rate
    from mien.papers.cgan_sanche.networks import SancheConfig
    from mien.training.crowd_paper import CrowdPaperConfig, detection_hook, train_paper

    settings = loop_settings(request, steps=100_000, batch_size=64, precision="auto")
    if settings.batch_size % 16:
        raise RequestError(f"--batch: {settings.batch_size} given; the paper preset wants a multiple of 16 (its bins)")
    own = settings_of(request, CrowdPaperSettings)
    config = CrowdPaperConfig(networks=SancheConfig(ages=own.ages, hidden=own.hidden))
    batch_at, data = paper_batches(request.data, settings.batch_size, settings.seed, own.ages)
    hook = detection_hook(lambda photos: detection_rate(photos, workers=request.threads or 1).value)
    outcome = train_paper(batch_at, request.out, config, settings, hooks=[hook], data=data, resume=bool(request.resume))
    return finished(outcome, request.out)


def paper_batches(
    dest: Path, batch_size: int, seed: int, told: Ages = "years", *, split: str = "train"
) -> tuple[Callable[[int], Any], str]:
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
    rows = data.rows(split)
    ages, female = data.ages_years, data.female
    inside = (ages[rows] >= AGE_EDGES_YEARS[0]) & (ages[rows] <= AGE_EDGES_YEARS[-1]) & np.isfinite(female[rows])
    rows = rows[inside]
    bins = sex_age_bins(data, rows)
    pixels = data.pixels(128)
    photos = np.concatenate([to_photos(window(to_tensor(pixels[part]), *FRAME, SIZE_PX)) for part in blocks(rows, 64)])

    def batch_at(step: int) -> Any:
        chosen = balanced(bins, batch_size, stream(seed, "batches", step))
        sexes: list[Sex] = ["female" if value == 1 else "male" for value in female[chosen]]
        return paper_batch(photos[np.searchsorted(rows, chosen)], sexes, ages[chosen].tolist(), told)

    return batch_at, data.fingerprint()


def blocks(rows: Any, size: int) -> list[Any]:
    """``rows`` in pieces of at most ``size``."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]
