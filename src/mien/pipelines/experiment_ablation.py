"""Section 4.4 of A. Wang's thesis: three runs of one budget that differ in mask and adversarial loss."""

from __future__ import annotations

from pathlib import Path

from mien.core.errors import RequestError, TrainingError
from mien.pipelines.experiment_requests import AblationExperiment
from mien.pipelines.train import portrait
from mien.pipelines.train.request import TrainRequest

# Columns of figures 4-7 and 4-8, from left: (folder, adversarial loss, mask).
RUNS = (("no-mask-no-adversarial", False, False), ("no-adversarial", False, True), ("full", True, True))


def trained(request: AblationExperiment) -> list[Path]:
    """The weights of each run, in the order of ``RUNS``; a run that was stopped goes on."""
    weights = []
    for name, adversarial, masked in RUNS:
        run = request.out / "runs" / name
        own = request.settings.model_copy(update={"adversarial": adversarial, "mask": masked})
        options = TrainRequest(
            data=request.data, out=run, settings=own, resume=True, steps=request.steps, batch=request.batch,
            seed=request.seed, threads=request.threads, minutes=request.minutes,
        )  # fmt: skip
        outcome, _ = portrait.train_paper(options, own)
        if not outcome.finished:
            raise TrainingError(
                f"{run}: stopped by {outcome.stopped_by} at step {outcome.step}; the same command goes on"
            )
        if outcome.step != request.steps:
            raise RequestError(
                f"--steps: {request.steps} given, but {run} was trained for {outcome.step}: not one budget"
            )
        weights.append(run / "weights.safetensors")
    return weights
