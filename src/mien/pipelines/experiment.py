"""``experiment``: the papers' experiments on faces of a dataset. A request in, a written report out.

What is here loads no network until a request is checked, so that a wrong one is refused at once.
"""

from __future__ import annotations

from dataclasses import replace

from mien.core.progress import OnStage, silent
from mien.pipelines.evaluate import WrittenReport, evaluate_portrait, written
from mien.pipelines.evaluate_requests import ReportRequest
from mien.pipelines.experiment_requests import (
    AblationExperiment,
    ActivationsExperiment,
    InversionExperiment,
    LikenessExperiment,
    TsneExperiment,
    UnfreezingExperiment,
    VerificationExperiment,
)


def distribution(request: ReportRequest) -> WrittenReport:
    """How often each attribute occurs (figure 7; poster, figure 3). Errors: ``request.check``."""
    request.check()
    from mien.pipelines import experiment_encoder

    return written(experiment_encoder.distribution(request), request.out)


def tsne(request: TsneExperiment, *, on_stage: OnStage = silent) -> WrittenReport:
    """A map of features by attribute, and how well each gathers. Errors: ``request.check``, an unknown layer."""
    request.check()
    from mien.pipelines import experiment_encoder

    return written(experiment_encoder.tsne(request, on_stage), request.out)


def activations(request: ActivationsExperiment, *, on_stage: OnStage = silent) -> WrittenReport:
    """Whether single activations are normal. Errors: ``request.check``, an unknown layer, too few faces."""
    request.check()
    from mien.pipelines import experiment_encoder

    return written(experiment_encoder.activations(request, on_stage), request.out)


def verification(request: VerificationExperiment, *, on_stage: OnStage = silent) -> WrittenReport:
    """How well the encoder tells people apart. Errors: ``request.check``, a source without people's names."""
    request.check()
    from mien.pipelines import experiment_encoder

    return written(experiment_encoder.verification(request, on_stage), request.out)


def unfreezing(request: UnfreezingExperiment) -> WrittenReport:
    """Loss curves and accuracies by short real runs, which lie in ``out/runs``. Errors: ``request.check``."""
    request.check()
    if request.rates:
        from mien.pipelines import experiment_rates

        return written(experiment_rates.swept(request), request.out)
    from mien.pipelines import experiment_unfreezing

    return written(experiment_unfreezing.compared(request), request.out)


def ablation(request: AblationExperiment, *, on_stage: OnStage = silent) -> WrittenReport:
    """Three runs of one budget in ``out/runs``, judged beside each other in ``out/report``.

    The same seed, the same batches in the same order and as many of them for each; the same request goes on where it
    was stopped. ``TrainingError`` for a run that was stopped. Other errors: ``request.check``.
    """
    request.check()
    from mien.pipelines.experiment_ablation import trained

    *peers, full = trained(request)
    return evaluate_portrait(
        replace(request.judged, preset="paper", weights=full, peers=tuple(peers)), on_stage=on_stage
    )


def inversion(request: InversionExperiment, *, on_stage: OnStage = silent) -> WrittenReport:
    """Inversions of a photo's activations and of the mixture's. Errors: ``request.check``."""
    request.check()
    from mien.pipelines import experiment_imagine

    return written(experiment_imagine.inversion(request, on_stage), request.out)


def likeness(request: LikenessExperiment, *, on_stage: OnStage = silent) -> WrittenReport:
    """How alike faces made from attributes are to the person described. Errors: ``request.check``, too few people."""
    request.check()
    from mien.pipelines import experiment_imagine

    return written(experiment_imagine.likeness(request, on_stage), request.out)
