"""`mien train sex`: the second reader of sex, a small head on dlib's network, beside the attribute heads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli import train as common

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mien.faces.attributes.reader import AttributeReader
    from mien.faces.attributes.second_reader import Network
    from mien.photos.batches import FaceDataset, Rows
    from mien.training.loop import Outcome
    from mien.training.second_reader import SecondReaderConfig


def sex(
    data: common.Data,
    out: common.Out,
    heads: Annotated[
        Path | None,
        typer.Option("--heads", metavar="FILE", help="Attribute heads of a run, instead of the packaged ones."),
    ] = None,
    encoder: Annotated[str, typer.Option(help="facenet or vgg-face: what the heads were trained on.")] = "facenet",
    resume: common.Resume = False,
    steps: common.Steps = None,
    batch: common.BatchSize = None,
    seed: common.Seed = 0,
    threads: common.Threads = None,
    device: common.Device = "auto",
    precision: common.Precision = None,
    minutes: common.Minutes = None,
) -> None:
    """Train the second reader of sex: a head on dlib's network, and its sum with the attribute heads."""
    import numpy as np
    import torch

    from mien.errors import DatasetError, RequestError
    from mien.faces.attributes.reader import AttributeReader
    from mien.faces.dlib_resnet import DlibResNet
    from mien.photos.batches import FaceDataset
    from mien.training import second_reader as training

    for name, count in (("--steps", steps), ("--batch", batch), ("--threads", threads)):
        if count is not None and count < 1:
            raise RequestError(f"{name}: {count} given, allowed are 1 and more")
    if threads is not None:
        torch.set_num_threads(threads)
    dataset, reader = FaceDataset.open(data), AttributeReader.load(heads, encoder)
    network = DlibResNet.load().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rows = {split: _known(dataset, split) for split in ("train", "validation")}
    for split, known in rows.items():
        if len(set(dataset.female[known].tolist())) < 2:
            raise DatasetError(f"{data}: no faces of both sexes in the split '{split}'")
    size = batch or training.BATCH
    planned = steps or training.EPOCHS * training.epoch_steps(len(rows["train"]), size)
    options = common.TrainOptions(data, out, resume, planned, size, seed, threads, device, precision, minutes)
    settings = common._settings(options, precision="bf16", checkpoint_minutes=5.0)
    config = training.SecondReaderConfig()
    outcome = training.train_second_reader(
        looks_of_rows(dataset, network, rows["train"], "train"),
        dataset.female[rows["train"]],
        np.asarray(dataset.ages_years[rows["train"]]),
        out,
        config,
        settings,
        resume=resume,
    )
    _write(outcome, dataset, reader, network, rows, config, out)
    common._finish(outcome, out)


def _known(dataset: FaceDataset, split: str) -> Rows:
    """The faces of known sex in a split."""
    import numpy as np

    rows = dataset.rows(split)
    return rows[np.isfinite(dataset.female[rows])]


def looks_of_rows(dataset: FaceDataset, network: Network, rows: Rows, what: str) -> npt.NDArray[np.float16]:
    """N D: what dlib's network sees of faces, computed once and kept; a bar on stderr."""
    from mien.apps.cli.train_crowd import progress_bars
    from mien.photos.second_looks import second_looks

    with progress_bars() as told:
        return second_looks(dataset, network, rows, progress=told(f"dlib's features, {what}"))


def _write(
    outcome: Outcome,
    dataset: FaceDataset,
    reader: AttributeReader,
    network: Network,
    rows: dict[str, Rows],
    config: SecondReaderConfig,
    out: Path,
) -> None:
    """Fit the sum on the validation split and write ``RUN/weights.safetensors``."""
    from dataclasses import asdict

    import numpy as np
    import torch

    from mien.apps.cli.evaluate_attributes import read_split
    from mien.checkpoints import save_weights
    from mien.faces.attributes.heads import SEX
    from mien.faces.attributes.second_reader import MODEL, SexHead, fit_sum, logit_of
    from mien.faces.attributes.vocabulary import GROUPS

    head = outcome.shown["head"]
    assert isinstance(head, SexHead)
    held_out = rows["validation"]
    faces, raw = read_split(dataset, reader, "validation")
    known = np.isin(faces.rows["validation"], held_out)
    first = logit_of(raw.groups[GROUPS.index(SEX)])[known]
    with torch.no_grad():
        seen = torch.from_numpy(looks_of_rows(dataset, network, held_out, "validation")).float()
        second = head.eval()(seen).float().numpy()
    female = dataset.female[held_out]
    total = fit_sum(first, second, female)
    wrong = [int(((logits > 0) != (female > 0.5)).sum()) for logits in (first, second, total.logit(first, second))]
    about = {
        "model": MODEL,
        "version": f"1-{dataset.fingerprint()[:8]}-{_digest(config)}-{outcome.step}",
        "head": config.head.model_dump(),
        "config": config.model_dump(),
        "first": str(reader.metadata.get("version")),
        "sum": asdict(total),
        "training_faces": len(rows["train"]),
        "images_seen": outcome.images,
        "fitted_on": len(held_out),
        "errors_on_validation": dict(zip(("first", "second", "together"), wrong, strict=True)),
        "sources": sorted({dataset.faces[int(row)].source for row in rows["train"]}),
        "input": "dlib-resnet level1 and level0 of mien's aligned crop, mean of the face and its mirror image",
    }
    save_weights(out / "weights.safetensors", head.state_dict(), about, dtype=torch.float16)
    typer.echo(
        f"of {len(held_out)} validation faces read wrongly: {wrong[0]} by the heads, {wrong[1]} by the second reader, "
        f"{wrong[2]} by both together"
    )


def _digest(config: SecondReaderConfig) -> str:
    """Four hexadecimal digits of what was trained and how."""
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:4]


def register(train_app: typer.Typer) -> None:
    """Add the command to `mien train`."""
    train_app.command("sex")(sex)
