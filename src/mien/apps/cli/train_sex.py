"""`mien train sex`: further readers of sex, small heads on other networks, beside the attribute heads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli import train as common

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mien.attributes.reader import AttributeReader
    from mien.attributes.sex_readers import SexHead
    from mien.attributes.sex_sights import Network, Sight
    from mien.datasets.batches import FaceDataset, Rows
    from mien.training.loop import Outcome
    from mien.training.sex_readers import SexReaderConfig


def sex(
    data: common.Data,
    out: common.Out,
    networks: Annotated[
        str, typer.Option(metavar="NAMES", help="What sex is read from: dlib-resnet, faceres, or both.")
    ] = "dlib-resnet,faceres",
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
    """Train further readers of sex: heads on other networks, and their sum with the attribute heads."""
    import torch

    from mien.attributes.reader import AttributeReader
    from mien.core.errors import DatasetError, RequestError
    from mien.datasets.batches import FaceDataset
    from mien.training import sex_readers as training

    for name, count in (("--steps", steps), ("--batch", batch), ("--threads", threads)):
        if count is not None and count < 1:
            raise RequestError(f"{name}: {count} given, allowed are 1 and more")
    sights = sights_named(networks)
    if threads is not None:
        torch.set_num_threads(threads)
    dataset, reader = FaceDataset.open(data), AttributeReader.load(heads, encoder)
    loaded = [(sight, sight.load()) for sight in sights]
    rows = {split: known_rows(dataset, split) for split in ("train", "validation")}
    for split, known in rows.items():
        if len(set(dataset.female[known].tolist())) < 2:
            raise DatasetError(f"{data}: no faces of both sexes in the split '{split}'")
    size = batch or training.BATCH
    planned = steps or training.EPOCHS * training.epoch_steps(len(rows["train"]), size)
    options = common.TrainOptions(data, out, resume, planned, size, seed, threads, device, precision, minutes)
    settings = common._settings(options, precision="bf16", checkpoint_minutes=5.0)
    heads_of: dict[str, SexHead] = {}
    for sight, network in loaded:
        looks = looks_of_rows(dataset, sight, network, rows["train"], "train")
        outcome, heads_of[sight.network] = training.train_sex_readers(
            looks,
            dataset.female[rows["train"]],
            dataset.ages_years[rows["train"]],
            out / sight.network,
            training.config_of(sight),
            settings,
            starts=sight.starts,
            resume=resume,
        )
        if not outcome.finished:
            common._finish(outcome, out)  # says so
    _write(heads_of, outcome, dataset, reader, loaded, rows, out)
    common._finish(outcome, out)


def sights_named(networks: str) -> list[Sight]:
    """The sights of ``--networks``; ``RequestError`` with what is allowed."""
    from mien.attributes.sex_sights import SIGHTS, sight_of
    from mien.core.errors import RequestError

    names = [name.strip() for name in networks.split(",") if name.strip()]
    allowed = ", ".join(sight.network for sight in SIGHTS)
    for name in names or [networks]:
        if all(name != sight.network for sight in SIGHTS):
            raise RequestError(f"--networks: '{name}' given, allowed: {allowed}")
    return [sight_of(name) for name in dict.fromkeys(names)]


def known_rows(dataset: FaceDataset, split: str) -> Rows:
    """The faces of known sex in a split."""
    import numpy as np

    rows = dataset.rows(split)
    return rows[np.isfinite(dataset.female[rows])]


def looks_of_rows(
    dataset: FaceDataset, sight: Sight, network: Network, rows: Rows, what: str
) -> npt.NDArray[np.float16]:
    """N D: what is seen of faces, computed once and kept; a bar on stderr."""
    from mien.apps.cli.train_crowd import progress_bars
    from mien.datasets.sex_looks import sex_looks

    with progress_bars() as told:
        return sex_looks(dataset, sight, network, rows, progress=told(f"{sight.network}'s features, {what}"))


def _write(
    heads_of: dict[str, SexHead],
    outcome: Outcome,
    dataset: FaceDataset,
    reader: AttributeReader,
    loaded: list[tuple[Sight, Network]],
    rows: dict[str, Rows],
    out: Path,
) -> None:
    """Fit the sums on the validation split and write ``RUN/weights.safetensors``."""
    from dataclasses import asdict

    import numpy as np
    import torch

    from mien.apps.cli.evaluate_attributes import read_split
    from mien.attributes.heads import SEX
    from mien.attributes.sex_readers import MODEL, SexReader, fit_sums, logit_of, packed
    from mien.attributes.sex_sights import networks_of
    from mien.attributes.vocabulary import GROUPS
    from mien.core.checkpoints import save_weights
    from mien.training.sex_readers import config_of

    held_out = rows["validation"]
    faces, raw = read_split(dataset, reader, "validation")
    known = np.isin(faces.rows["validation"], held_out)
    first = logit_of(raw.groups[GROUPS.index(SEX)])[known]
    tensors: dict[str, torch.Tensor] = {}
    said, heads = [], {}
    for sight, network in loaded:
        head = heads_of[sight.network]
        looks = torch.from_numpy(looks_of_rows(dataset, sight, network, held_out, "validation"))
        said.append(SexReader(sight, network, head).logits_of(looks))
        tensors |= {f"{sight.network}.{name}": value for name, value in packed(head).items()}
        heads[sight.network] = head.config.model_dump()
    others, female = np.stack(said, 1), dataset.female[held_out]
    sights = [sight for sight, _ in loaded]
    sums = fit_sums(first, others, female, sights)
    each = {"heads": first} | {sight.network: others[:, k] for k, sight in enumerate(sights)}
    each["together"] = sums[networks_of(sights)].logit(first, others)
    wrong = {name: int(((logits > 0) != (female > 0.5)).sum()) for name, logits in each.items()}
    configs = [config_of(sight) for sight in sights]
    digest = _digest(configs, [sight.starts for sight in sights])
    about = {
        "model": MODEL,
        "version": f"1-{dataset.fingerprint()[:8]}-{digest}-{outcome.step}",
        "heads": heads,
        "config": {s.network: config.model_dump() for s, config in zip(sights, configs, strict=True)},
        "starts": {sight.network: sight.starts for sight in sights},
        "first": str(reader.metadata.get("version")),
        "sums": {chosen: asdict(total) for chosen, total in sums.items()},
        "training_faces": len(rows["train"]),
        "images_seen": outcome.images,
        "fitted_on": len(held_out),
        "errors_on_validation": wrong,
        "sources": sorted({dataset.faces[int(row)].source for row in rows["train"]}),
        "input": "maps of mien's aligned crop, mean of the face and its mirror image: "
        + ", ".join(f"{s.network} {' and '.join(tap for tap, _, _ in s.looks)}" for s in sights),
    }
    save_weights(out / "weights.safetensors", tensors, about, dtype=None)
    told = ", ".join(f"{count} by {name}" for name, count in wrong.items() if name != "together")
    typer.echo(f"of {len(held_out)} validation faces read wrongly: {told}, {wrong['together']} by all together")


def _digest(configs: list[SexReaderConfig], starts: list[int]) -> str:
    """Four hexadecimal digits of what was trained and how."""
    said = "".join(config.model_dump_json() for config in configs) + str(starts)
    return hashlib.sha256(said.encode()).hexdigest()[:4]


def register(train_app: typer.Typer) -> None:
    """Add the command to `mien train`."""
    train_app.command("sex")(sex)
