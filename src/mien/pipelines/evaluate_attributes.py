"""The attribute heads examined on people that they never saw."""

from __future__ import annotations

import torch

from mien.attributes.reader import AttributeReader, HeadLogits, raw_readings
from mien.core.errors import DatasetError
from mien.datasets.batches import FaceDataset
from mien.evaluation.attributes import HeldOutPredictions, examine
from mien.evaluation.report import Report, ReportProvenance
from mien.pipelines.evaluate_requests import AttributesEvaluation
from mien.pipelines.train.attributes import LabelledFaces, look_at
from mien.training.attributes import AttributesConfig


def examined(request: AttributesEvaluation) -> Report:
    """The report on the heads of ``request``, which was checked."""
    split = request.split
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    dataset, reader = FaceDataset.open(request.data), AttributeReader.load(request.weights, request.encoder)
    faces, raw = _read_split(dataset, reader, split)
    rows, labels = faces.rows[split], faces.labels[split]
    if not len(rows):
        raise DatasetError(f"{request.data}: no face with attributes, sex or age in the split '{split}'")
    people = [dataset.faces[int(row)] for row in rows]
    return examine(
        HeldOutPredictions(
            reader.calibrated(raw),
            labels,
            tuple(face.source for face in people),
            tuple(face.race or "" for face in people),
            tuple(face.person or "" for face in people),
        ),
        reader.calibration,
        reader.metadata.get("usual", [0.0] * labels.attributes.shape[1]),
        title="The attribute heads, examined",
        provenance=ReportProvenance(
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


def _read_split(dataset: FaceDataset, reader: AttributeReader, split: str) -> tuple[LabelledFaces, HeadLogits]:
    """The faces of a split, and what the readers say of them, from features that are computed once and kept."""
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
    return faces, HeadLogits.concatenate(parts)
