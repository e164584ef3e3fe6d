"""`mien experiment unfreezing --rate ... --rate ...`: the same short runs at each of several learning rates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mien.datasets.batches import FaceDataset
from mien.evaluation.experiments.rates import RateRun, rates_report
from mien.evaluation.report import Report
from mien.faces.encoder import load_encoder
from mien.pipelines.experiment_encoder import provenance
from mien.pipelines.experiment_requests import UnfreezingExperiment
from mien.pipelines.experiment_unfreezing import FALLING, RunData, check_layers, examined, gather, name_of, run_of
from mien.training.settings import NotFiniteError


def swept(request: UnfreezingExperiment) -> Report:
    """The report on the heads alone and on one depth, at each of ``request.rates``; ended runs are read."""
    network, data = load_encoder(request.encoder), FaceDataset.open(request.data)
    layer = request.layers[-1] if request.layers else FALLING[request.encoder]
    check_layers(network, [layer])
    faces = gather(request, data, network)
    found = [
        _at(request, data, faces, depth, rate, request.out / "runs")
        for depth in (None, layer)
        for rate in sorted(request.rates)
    ]
    share = request.encoder_rate / request.rate
    about = provenance(data, network, request.seed, request.judged, steps=request.steps, batch=request.batch)
    about = replace(about, details={**about.details, "encoder_rate_of_the_heads": share})
    return rates_report(found, examined(faces), about)


def _at(
    request: UnfreezingExperiment, data: FaceDataset, faces: RunData, layer: str | None, rate: float, room: Path
) -> RateRun:
    """One run at one rate."""
    plan = replace(request, rate=rate, encoder_rate=request.encoder_rate / request.rate * rate)
    name = name_of(plan, layer)
    try:
        return RateRun(name, rate, run_of(plan, data, faces, f"{name}, rate {rate:g}", layer, room))
    except NotFiniteError:  # that is what a rate too high does, and what the sweep is to show
        return RateRun(name, rate, None)
