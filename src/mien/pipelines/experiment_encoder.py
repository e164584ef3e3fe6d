"""Experiments of Cate et al. (2016) on a face encoder: distribution, t-SNE, activations, verification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien.core.errors import DatasetError
from mien.core.progress import OnStage
from mien.core.seeding import stream
from mien.datasets.batches import FaceDataset
from mien.datasets.features import features
from mien.evaluation.experiments.activations import NARROW, activations_report
from mien.evaluation.experiments.distribution import distribution_report
from mien.evaluation.experiments.tsne import tsne_report
from mien.evaluation.experiments.verification import verification_report
from mien.evaluation.labels import attribute_labels, one_a_person
from mien.evaluation.report import Report, ReportProvenance
from mien.evaluation.verification import Pairs, draw_pairs
from mien.faces.encoder import Encoder, load_encoder
from mien.pipelines.evaluate_requests import ReportRequest
from mien.pipelines.experiment_requests import (
    ACTIVATED,
    MAPPED,
    VERIFIED,
    ActivationsExperiment,
    TsneExperiment,
    VerificationExperiment,
)

Array = npt.NDArray[Any]


def distribution(request: ReportRequest) -> Report:
    """How often each attribute occurs."""
    faces = FaceDataset.open(request.data)
    found = attribute_labels(faces.faces)
    return distribution_report(found, ReportProvenance(dataset_fingerprint=faces.fingerprint(), n=len(found)))


def tsne(request: TsneExperiment, on_stage: OnStage) -> Report:
    """A map of one layer's features, one face of each person."""
    faces, network = FaceDataset.open(request.data), load_encoder(request.encoder)
    tap = request.layers[0] if request.layers else MAPPED[network.name]
    everyone = attribute_labels(faces.faces)
    drawn = one_a_person(everyone.people, stream(request.seed, "faces"))
    chosen = everyone.pick(np.sort(drawn[: request.count]))
    values = encoded(faces, network, chosen.rows, tap, on_stage)
    on_stage(f"t-SNE of {len(chosen):,} faces")(0, 1)
    about = provenance(faces, network, request.seed, len(chosen), layer=tap)
    return tsne_report(
        values, chosen, tap, about, seed=request.seed, perplexity=request.perplexity, k=request.neighbours
    )


def activations(request: ActivationsExperiment, on_stage: OnStage) -> Report:
    """Tests of normality of the elements of layers, for the faces of some attributes."""
    faces, network = FaceDataset.open(request.data), load_encoder(request.encoder)
    taps = list(request.layers or ACTIVATED[network.name])
    everyone = attribute_labels(faces.faces)
    chosen = everyone.pick(np.sort(one_a_person(everyone.people, stream(request.seed, "faces"))))
    kept: dict[str, Array] = {}

    def fetch(tap: str, rows: Array) -> Array:
        if tap in kept:
            return kept[tap][np.searchsorted(chosen.rows, rows)]
        values = encoded(faces, network, rows, tap, on_stage)
        if values.shape[1] <= NARROW:  # every attribute will be asked for
            kept[tap] = encoded(faces, network, chosen.rows, tap, on_stage)
        return values

    about = provenance(faces, network, request.seed, len(chosen), layers=", ".join(taps))
    named, count, seed = request.named(), request.count, request.seed
    return activations_report(chosen, fetch, taps, named, about, count=count, seed=seed)


def verification(request: VerificationExperiment, on_stage: OnStage) -> Report:
    """Pairs of photographs of one person and of two, told apart by the distance of a layer's features."""
    faces, network = FaceDataset.open(request.data), load_encoder(request.encoder)
    tap = request.layers[0] if request.layers else VERIFIED[network.name]
    named = [int(row) for row in faces.rows(None, request.source) if faces.faces[int(row)].person is not None]
    if not named:
        raise DatasetError(
            f"{request.data}: no face of '{request.source}' with a person's name; allowed are sources that name people"
        )
    people = [str(faces.faces[row].person) for row in named]
    drawn = draw_pairs(people, folds=request.folds, each=request.pairs, seed=request.seed)
    values = {"one view": _verified(faces, network, named, tap, drawn, on_stage)}
    about = provenance(faces, network, request.seed, len(drawn), layer=tap)
    return verification_report(values, people, drawn, tap, about)


def encoded(data: FaceDataset, encoder: Encoder, rows: Array, tap: str, on_stage: OnStage) -> Array:
    """Features (N D float32) of ``rows``; computed once, then read from the cache of DEST.

    FaceNet's embedding is a linear layer over ``pool``, which is in the cache as soon as anything was trained on it.
    """
    bottleneck = getattr(encoder.network, "bottleneck", None)
    if tap == "embedding" and isinstance(bottleneck, torch.nn.Linear):
        with torch.inference_mode():
            codes = bottleneck(torch.from_numpy(encoded(data, encoder, rows, "pool", on_stage)))
            return np.asarray(torch.nn.functional.normalize(codes).numpy())
    return features(data, encoder, rows, tap=tap, on_progress=on_stage(f"{encoder.name} {tap}")).astype(np.float32)


def _verified(
    data: FaceDataset, encoder: Encoder, rows: Sequence[int], tap: str, pairs: Pairs, on_stage: OnStage
) -> Array:
    """Features (N D) of ``rows`` at ``tap``; those of faces in no pair are not computed and stay zero."""
    wanted = np.unique(np.concatenate([pairs.first, pairs.second]))
    values = encoded(data, encoder, np.array(rows, np.int64)[wanted], tap, on_stage)
    found = np.zeros((len(rows), values.shape[1]), np.float32)
    found[wanted] = values
    return found


def provenance(
    data: FaceDataset, encoder: Encoder, seed: int, n: int, **details: str | int | float
) -> ReportProvenance:
    """What a report on an encoder and faces of a dataset says of itself."""
    return ReportProvenance(model=encoder.name, dataset_fingerprint=data.fingerprint(), n=n, seed=seed, details=details)
