"""The judge of sex and age on the command line: ``mien train judge`` and ``mien evaluate judge``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.apps.cli.train import TrainOptions
    from mien.training.loop import Outcome

READ_PX = 192  # the stored window is cut from crops of this size


def train(options: TrainOptions) -> Outcome:
    """Train on the train split of a dataset (faces of known sex or age) and write ``RUN/weights.safetensors``."""
    import torch

    from mien.checkpoints import save_weights
    from mien.errors import DatasetError
    from mien.evaluation.faces import dataset_rows, fingerprint, read_faces
    from mien.faces.age_sex import MODEL
    from mien.training.age_sex import AgeSexConfig, stored_window, train_judge

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    rows = [r for r in dataset_rows(options.data, "train") if r.sex is not None or r.age_years is not None]
    if not rows:
        raise DatasetError(f"{options.data}: no face of known sex or age in the split 'train'")
    faces = read_faces(options.data, rows, READ_PX, each=stored_window)
    said: dict[str, Any] = {
        "steps": options.steps,
        "batch_size": options.batch,
        "seed": options.seed,
        "precision": options.precision,
    }
    config = AgeSexConfig.make({key: value for key, value in said.items() if value is not None}, where="mien train")
    outcome = train_judge(
        faces.crops, faces.ages_years, faces.female, options.out, config,
        resume=options.resume, threads=options.threads, minutes=options.minutes, device=options.device,
    )  # fmt: skip
    about = {
        "model": MODEL,
        "version": f"1-{fingerprint(rows, READ_PX)[:8]}-{outcome.step}",
        "config": config.model_dump(),
        "images_seen": outcome.images,
        "sources": sorted({row.source for row in rows}),
        "training_faces": len(rows),
        "input": "inner square of mien's aligned crop, 64 px, RGB, -1 to 1",
    }
    tensors = outcome.shown["judge"].state_dict()
    save_weights(options.out / "weights.safetensors", tensors, about, dtype=torch.float16)
    return outcome


def examine(data: Path, out: Path, weights: Path | None, split: str, force: bool) -> Path:
    """Examine the packaged judge (or ``weights``) on a split; returns the path of the page."""
    import sys
    from datetime import UTC, datetime

    import mien
    from mien.evaluation import age_sex, report
    from mien.evaluation.faces import dataset_rows, fingerprint, read_faces
    from mien.faces.age_sex import AgeSexJudge

    report.check_directory(out, force=force)
    judge = AgeSexJudge.load(None if weights is None else str(weights))
    rows = [row for row in dataset_rows(data, split) if row.sex is not None or row.age_years is not None]
    faces = read_faces(data, rows, 128)
    provenance = {
        "mien": mien.__version__,
        "weights": str(judge.metadata.get("version")),
        "split": split,
        "dataset_fingerprint": fingerprint(rows, 128),
        "command": " ".join(["mien", *sys.argv[1:]]),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    found = age_sex.examine(
        faces, judge.estimate(faces.crops), title="The judge of sex and age, examined", provenance=provenance
    )
    return report.write(found, out)
