"""`mien train enlarger`: the network that makes faces of 128 px ones of 256 px."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.apps.cli import train as common

if TYPE_CHECKING:
    from mien.core.records import UInt8Image
    from mien.datasets.batches import FaceDataset
    from mien.datasets.patches import Detailed, DetailRules

DRAWN = 768
DRAWN_AGES_YEARS = (1.0, 90.0)
PREVIEWED, PREVIEWED_DRAWN = 6, 9
MEASURED = 24


def enlarger(
    data: common.Data,
    out: common.Out,
    resume: common.Resume = False,
    steps: common.Steps = None,
    batch: common.BatchSize = None,
    seed: common.Seed = 0,
    threads: common.Threads = None,
    device: common.Device = "auto",
    precision: common.Precision = None,
    minutes: common.Minutes = None,
    start_from: common.StartFrom = None,
    faces: Annotated[int | None, typer.Option("--faces", min=1, help="Photographed faces to learn from.")] = None,
    drawn: Annotated[
        int, typer.Option("--drawn", min=0, help="Faces drawn by the crowd, to learn from as well; 0: none.")
    ] = DRAWN,
    crowd: Annotated[
        Path | None, typer.Option("--crowd", help="Weights of `mien train crowd` that draw them, not the packaged.")
    ] = None,
) -> None:
    """Train the enlarger that crowd, imagine and portrait share: 128 px to 256 px."""
    import torch

    from mien.core.errors import RequestError
    from mien.datasets.batches import FaceDataset
    from mien.datasets.patches import DetailRules, detailed_rows, patch_batches
    from mien.faces.encoder import load_encoder
    from mien.training.enlarger import EnlargerTrainingConfig, held_out_gain, preview_sheet, train_enlarger
    from mien.training.state import initial_weights

    for name, value in (("--steps", steps), ("--batch", batch), ("--threads", threads)):
        if value is not None and value < 1:
            raise RequestError(f"{name}: {value} given, allowed are 1 and more")
    options = common.TrainOptions(data, out, resume, steps, batch, seed, threads, device, precision, minutes)
    settings = common._settings(
        options, steps=4000, batch_size=16, precision="bf16", preview_every=250, checkpoint_minutes=3.0
    )
    if threads:
        torch.set_num_threads(threads)
    dataset = FaceDataset.open(data)
    rules = DetailRules() if faces is None else DetailRules(faces=faces)
    seen, held_out = _faces(dataset, detailed_rows(dataset, "train", rules, seed), rules, seed)
    pictures, drawn_by = _drawn(drawn, crowd, seed, out)
    initial, before = (None, 0) if start_from is None else initial_weights(start_from)
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
        resume=resume,
    )
    common._finish(outcome, out)


def _faces(dataset: FaceDataset, rows: Any, rules: DetailRules, seed: int) -> tuple[Detailed, list[UInt8Image]]:
    """The training faces, and held-out ones at the full size (none where there are none as large)."""
    from mien.apps.cli.train_crowd import progress_bars
    from mien.core.errors import DatasetError
    from mien.datasets.patches import detailed, detailed_rows

    few = rules.model_copy(update={"faces": MEASURED, "least_px": dataset.stored_size})
    with progress_bars() as told:
        seen = detailed(dataset, rows, told("faces with detail"))
        try:
            held_out = list(detailed(dataset, detailed_rows(dataset, "validation", few, seed)).pictures)
        except DatasetError:
            held_out = []
    return seen, held_out


def _drawn(count: int, crowd: Path | None, seed: int, out: Path) -> tuple[UInt8Image, str]:
    """Faces of a crowd (N S S 3) and what drew them; kept in OUT, so that a run that goes on need not draw again."""
    import io

    import numpy as np

    from mien.apps.cli.crowd import progress
    from mien.core.files import write_bytes
    from mien.generators.crowd.sampler import CHUNK, Crowd

    if not count:
        return np.zeros((0, 128, 128, 3), np.uint8), ""
    makes = Crowd.load(weights=None if crowd is None else str(crowd))
    version = str(getattr(makes.generator, "version", ""))
    kept = out / f"drawn-{version}-{seed}-{count}.npy"
    if kept.is_file():
        return np.asarray(np.load(kept)), version
    with progress("faces drawn", count) as told:
        made = []
        for first in range(0, count, CHUNK):
            part = makes.sample(min(CHUNK, count - first), age=DRAWN_AGES_YEARS, seed=seed, first=first)
            made += [face.image for face in part]
            told(len(part))
    pictures, file = np.stack(made), io.BytesIO()
    np.save(file, pictures)
    write_bytes(kept, file.getvalue())
    return pictures, version


def register(train_app: typer.Typer) -> None:
    """Add the command to `mien train`."""
    train_app.command("enlarger")(enlarger)
