"""`mien evaluate attributes`: the heads examined on people that they never saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mien.attributes.reader import AttributeReader, RawReadings
    from mien.datasets.batches import FaceDataset


def attributes(
    data: Annotated[Path, typer.Option(help="A dataset that `mien data prepare` made.", metavar="DEST")],
    out: Annotated[Path, typer.Option(help="Where the report goes.", metavar="REPORT_DIR")],
    weights: Annotated[Path | None, typer.Option(help="Weights of a run, instead of the packaged ones.")] = None,
    encoder: Annotated[str, typer.Option(help="facenet or vgg-face: what the heads were trained on.")] = "facenet",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> None:
    """Examine the heads: accuracy, balanced accuracy, AUC of 73 attributes, sex and age, by group of people."""
    import torch

    from mien.attributes.reader import AttributeReader
    from mien.core.errors import DatasetError, RequestError
    from mien.datasets.batches import FaceDataset
    from mien.evaluation import report
    from mien.evaluation.attributes import Examined, examine

    if split not in SPLITS:
        raise RequestError(f"--split: '{split}' given, allowed: {', '.join(SPLITS)}")
    report.check_directory(out, force=force)
    if threads is not None:
        torch.set_num_threads(threads)
    dataset, reader = FaceDataset.open(data), AttributeReader.load(weights, encoder)
    faces, raw = read_split(dataset, reader, split)
    rows, truths = faces.rows[split], faces.truths[split]
    if not len(rows):
        raise DatasetError(f"{data}: no face with attributes, sex or age in the split '{split}'")
    people = [dataset.faces[int(row)] for row in rows]
    found = examine(
        Examined(
            reader.calibrated(raw),
            truths,
            tuple(face.source for face in people),
            tuple(face.race or "" for face in people),
            tuple(face.person or "" for face in people),
        ),
        reader.calibration,
        reader.metadata.get("usual", [0.0] * truths.marks.shape[1]),
        title="The attribute heads, examined",
        provenance=report.Provenance(
            model=f"attributes {reader.metadata.get('version')}",
            dataset_fingerprint=dataset.fingerprint(),
            n=len(rows),
            details={
                "encoder": reader.encoder.name,
                "split": split,
                "arithmetic": "bf16 features, fp32 heads; "
                + ("each face with its mirror image" if reader.heads.config.mirrored else "faces as they are"),
            },
        ),
    )
    page = report.write(found, out)
    typer.echo(found.summary)
    typer.echo(page)


SPLITS = ("train", "validation", "test")


def read_split(dataset: FaceDataset, reader: AttributeReader, split: str) -> tuple[Any, RawReadings]:
    """The faces of a split, and what the readers say of them, from features that are computed once and kept."""
    import torch

    from mien.attributes.reader import RawReadings, raw_readings
    from mien.pipelines.train.attributes import LabelledFaces, look_at
    from mien.training.attributes import AttributesConfig

    config = AttributesConfig.make(reader.metadata["config"], where="the weights' configuration")
    faces = LabelledFaces.open(dataset, reader.encoder, config, (split,))
    if config.unfreeze_from is not None:  # another encoder than the one that the cache knows
        features = look_at(
            dataset, reader.encoder, faces.rows[split], config.heads.looks, mirrored=config.heads.mirrored
        )
    else:
        features = faces.seen(split)
    parts = [
        raw_readings(reader.heads, torch.from_numpy(features[start : start + 512]).float())
        for start in range(0, len(features), 512)
    ]
    return faces, RawReadings.joined(parts)


def register(evaluate: typer.Typer) -> None:
    """Add the command to `mien evaluate`."""
    evaluate.command("attributes")(attributes)
