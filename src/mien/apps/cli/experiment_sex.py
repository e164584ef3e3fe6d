"""`mien experiment sex`: the readers of sex by cross-validation over the people of all splits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mien.attributes.sex_sights import Sight
    from mien.datasets.batches import FaceDataset, Rows

Sizes = tuple[tuple[int, ...], tuple[int, ...], int]  # widths of a head's looks, of what they are brought to; starts
FACENET_INNER = 256  # what a head brings FaceNet's pooled features to: as the attribute heads' layer of sex and age


def sex(
    data: Annotated[Path, typer.Option(help="A dataset that `mien data prepare` made.", metavar="DEST")],
    out: Annotated[Path, typer.Option(help="Where the report goes; runs lie in DIR/runs.", metavar="DIR")],
    folds: Annotated[int, typer.Option(help="Groups of people.", min=2)] = 5,
    networks: Annotated[
        str, typer.Option(metavar="NAMES", help="What sex is read from beside FaceNet: dlib-resnet, faceres, or both.")
    ] = "dlib-resnet,faceres",
    steps: Annotated[int | None, typer.Option(help="Batches of each head.", min=1)] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of the folds and the heads.", min=0)] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> None:
    """How often sex is read as labelled, each person by heads that never saw them: every face of known sex counts.

    The same command goes on where it was stopped.
    """
    import numpy as np
    import torch

    from mien.apps.cli.experiment import done, provenance
    from mien.apps.cli.train_sex import sights_named
    from mien.core.errors import DatasetError
    from mien.datasets.batches import FaceDataset
    from mien.evaluation import report
    from mien.evaluation.experiments.sex import Sexed, folds_of, sex_report

    report.check_directory(out, force=force)
    if threads is not None:
        torch.set_num_threads(threads)
    sights = sights_named(networks)
    dataset = FaceDataset.open(data)
    rows = np.flatnonzero(np.isfinite(dataset.female))
    if len(set(dataset.female[rows].tolist())) < 2:
        raise DatasetError(f"{data}: no faces of both sexes")
    people = [dataset.faces[int(row)] for row in rows]
    fold = folds_of([face.person or face.id for face in people], folds, seed)
    seen = looks_by_reader(dataset, sights, rows)
    runs = out / "runs" / f"{dataset.fingerprint()[:8]}-{folds}-{seed}"  # other faces, folds or seed: other runs
    logits = {
        name: cross_validated(looks, sizes, dataset, rows, fold, runs / name, seed=seed, steps=steps)
        for name, (looks, sizes) in seen.items()
    }
    faces = Sexed(
        dataset.female[rows],
        np.asarray(dataset.ages_years[rows], np.float32),
        tuple(face.source for face in people),
        tuple(str(face.split) for face in people),
        tuple(face.race or "" for face in people),
    )
    about = provenance(dataset, faces=len(rows), folds=folds, seed=seed, readers=", ".join(seen))
    done(sex_report(faces, logits, fold, about), out)


def looks_by_reader(
    dataset: FaceDataset, sights: list[Sight], rows: Rows
) -> dict[str, tuple[npt.NDArray[np.float16], Sizes]]:
    """Reader -> (what it sees of ``rows``, N D; the sizes of its head)."""
    import numpy as np

    from mien.apps.cli.experiment import encoded
    from mien.apps.cli.train_sex import looks_of_rows
    from mien.faces.encoder import load_encoder

    pool = encoded(dataset, load_encoder("facenet"), rows, "pool").astype(np.float16)
    found: dict[str, tuple[npt.NDArray[np.float16], Sizes]] = {
        "facenet": (pool, ((pool.shape[1],), (FACENET_INNER,), 1))
    }
    for sight in sights:
        looks = looks_of_rows(dataset, sight, sight.load(), rows, "all splits")
        found[sight.network] = (looks, (sight.widths, sight.inner, sight.starts))
    return found


def cross_validated(
    looks: npt.NDArray[np.float16],
    sizes: Sizes,
    dataset: FaceDataset,
    rows: Rows,
    fold: npt.NDArray[np.int64],
    out: Path,
    *,
    seed: int,
    steps: int | None,
) -> npt.NDArray[np.float64]:
    """Logits of "female" (N) of faces, those of each fold by a head that learnt from the others; runs in ``out``."""
    import numpy as np
    import torch

    from mien.attributes.sex_readers import SexHeadConfig
    from mien.core.errors import TrainingError
    from mien.training import sex_readers as training
    from mien.training.loop import LoopSettings

    config = training.SexReaderConfig(head=SexHeadConfig(widths=sizes[0], inner=sizes[1]))
    found = np.zeros(len(rows))
    for part in np.unique(fold):
        own, others = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        planned = steps or training.EPOCHS * training.epoch_steps(len(others), training.BATCH)
        settings = LoopSettings.make(
            {
                "steps": planned,
                "batch_size": training.BATCH,
                "seed": seed,
                "precision": "bf16",
                "checkpoint_minutes": 5.0,
            },
            where="mien experiment sex",
        )
        female, ages = dataset.female[rows[others]], dataset.ages_years[rows[others]]
        run = out / f"fold-{part}"
        outcome, head = training.train_sex_readers(
            looks[others], female, ages, run, config, settings, starts=sizes[2], resume=True
        )
        if not outcome.finished:  # a head that has not learnt to its end judges nobody
            raise TrainingError(f"{run}: stopped by {outcome.stopped_by}; the same command goes on")
        with torch.inference_mode():
            for start in range(0, len(own), 2048):
                some = own[start : start + 2048]
                found[some] = head(torch.from_numpy(looks[some].astype(np.float32))).numpy()
    return found


def register(experiment: typer.Typer) -> None:
    """Add the command to `mien experiment`."""
    experiment.command("sex")(sex)
