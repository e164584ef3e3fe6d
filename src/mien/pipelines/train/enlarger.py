"""The enlarger: the network that makes faces of 128 px ones of 256 px."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.progress import progress_bars
from mien.pipelines.train.request import Trained, TrainRequest, finished, loop_settings, settings_of, use_threads
from mien.pipelines.train.settings import EnlargerSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from mien.core.progress import OnStage
    from mien.core.records import UInt8Image
    from mien.datasets.batches import FaceDataset
    from mien.datasets.patches import Detailed, DetailRules
    from mien.generators.crowd.sampler import Crowd

DRAWN_AGES_YEARS = (1.0, 90.0)
PREVIEWED, PREVIEWED_DRAWN = 6, 9
MEASURED = 24


def train_enlarger_preset(request: TrainRequest) -> Trained:
    """Train on detailed faces of photographs and on drawn ones; weights are written into RUN."""
    from mien.datasets.batches import FaceDataset
    from mien.datasets.patches import DetailRules, detailed_rows, patch_batches
    from mien.faces.encoder import load_encoder
    from mien.pipelines.crowd import load_crowd
    from mien.training.enlarger import EnlargerTrainingConfig, held_out_gain, preview_sheet, train_enlarger

    own, out = settings_of(request, EnlargerSettings), request.out
    settings = loop_settings(
        request, steps=4000, batch_size=16, precision="auto", preview_every=250, checkpoint_minutes=3.0
    )
    use_threads(request)
    seed = settings.seed
    dataset = FaceDataset.open(request.data)
    rules = DetailRules() if own.faces is None else DetailRules(faces=own.faces)
    seen, held_out = _faces(dataset, detailed_rows(dataset, "train", rules, seed), rules, seed)
    with progress_bars() as bars:
        makes = load_crowd(weights=None if own.crowd is None else str(own.crowd)) if own.drawn else None
        pictures, drawn_by = drawn_faces(makes, own.drawn, seed, out, bars)
    initial, before = begun_with(request.start_from)
    encoder = load_encoder("facenet").network
    config = EnlargerTrainingConfig(
        data=dataset.fingerprint(),
        rules=rules.model_dump(mode="json"),
        drawn_by=drawn_by,
        images_before=before,
    )
    outcome = train_enlarger(
        patch_batches(seen, pictures, settings.batch_size, seed, rules, config.drawn_share),
        encoder,
        out,
        config,
        settings,
        preview=preview_sheet(held_out[:PREVIEWED], pictures[:PREVIEWED_DRAWN]),
        hooks=(held_out_gain(held_out[:MEASURED], encoder, settings.preview_every),) if held_out else (),
        initial=initial,
        resume=bool(request.resume),
    )
    return finished(outcome, out)


def _faces(dataset: FaceDataset, rows: Any, rules: DetailRules, seed: int) -> tuple[Detailed, list[UInt8Image]]:
    """The training faces, and held-out ones at the full size (none where there are none as large)."""
    from mien.core.errors import DatasetError
    from mien.datasets.patches import detailed, detailed_rows

    few = rules.model_copy(update={"faces": MEASURED, "least_px": dataset.stored_size})
    with progress_bars() as bar:
        seen = detailed(dataset, rows, bar("faces with detail"))
        try:
            held_out = list(detailed(dataset, detailed_rows(dataset, "validation", few, seed)).pictures)
        except DatasetError:
            held_out = []
    return seen, held_out


def drawn_faces(makes: Crowd | None, count: int, seed: int, out: Path, on_stage: OnStage) -> tuple[UInt8Image, str]:
    """Faces of a crowd (N S S 3) and what drew them; kept in OUT, so that a run that goes on need not draw again."""
    import io

    import numpy as np

    from mien.core.files import write_bytes
    from mien.generators.crowd.sampler import CHUNK

    if makes is None or not count:
        return np.zeros((0, 128, 128, 3), np.uint8), ""
    version = makes.generator.version
    kept = out / f"drawn-{version}-{seed}-{count}.npy"
    if kept.is_file():
        return np.asarray(np.load(kept)), version
    bar, made = on_stage("faces drawn"), []
    for first in range(0, count, CHUNK):
        part = makes.sample(min(CHUNK, count - first), age=DRAWN_AGES_YEARS, seed=seed, first=first)
        made += [face.image for face in part]
        bar(len(made), count)
    pictures, file = np.stack(made), io.BytesIO()
    np.save(file, pictures)
    write_bytes(kept, file.getvalue())
    return pictures, version


def begun_with(start_from: Path | None) -> tuple[dict[str, Mapping[str, Tensor]] | None, int]:
    """The networks of another RUN or of a weights file, and how many patches they saw."""
    from mien.core.checkpoints import load_weights
    from mien.generators.enlarger import MODEL
    from mien.training.state import initial_weights

    if start_from is None:
        return None, 0
    if start_from.is_dir():
        return initial_weights(start_from)
    tensors, about = load_weights(start_from, model=MODEL)
    return {"enlarger": tensors}, int(about.get("patches_seen", 0))
