"""`mien experiment ablation`: section 4.4 of A. Wang's thesis: three runs of one budget, judged beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.pipelines.train.settings import PortraitSettings

# Columns of figures 4-7 and 4-8, from left: (folder, adversarial loss, mask).
RUNS = (("no-mask-no-adversarial", False, False), ("no-adversarial", False, True), ("full", True, True))
STEPS = 4_000
BATCH = 16
PRINTED = PortraitSettings()


def ablation(
    data: Annotated[Path, typer.Option(help="A dataset that `mien data prepare` made.", metavar="DEST")],
    out: Annotated[Path, typer.Option(help="Runs go to DIR/runs, the report to DIR/report.", metavar="DIR")],
    steps: Annotated[int, typer.Option(help="Batches of each run.", min=1)] = STEPS,
    batch: Annotated[int, typer.Option(help="Faces of a batch.", min=2)] = BATCH,
    size: Annotated[int, typer.Option(help="Height and width, px: a multiple of 64.")] = PRINTED.size,
    rate: Annotated[float, typer.Option(help="Learning rate of Adam; the thesis prints none.")] = PRINTED.rate,
    inside: Annotated[
        float | None, typer.Option(help="Learn from crops with so large a share photograph, 0 to 1.")
    ] = None,
    warm: Annotated[
        int, typer.Option(min=0, help="Images that teach texture alone, before landmarks are looked for.")
    ] = PRINTED.warm,
    count: Annotated[int, typer.Option(help="How many held-out people judge them, at most.", min=20)] = 240,
    seed: Annotated[int, typer.Option(help="Weights and order of all three runs, and the people.", min=0)] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop each run with a checkpoint after so long.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> None:
    """The thesis's portraits without mask and adversarial loss, without adversarial loss, and in full.

    The same seed, the same batches in the same order and as many of them for each. The same command goes on where it
    was stopped. The report holds photographs of persons.
    """
    from mien.apps.cli.evaluate_portrait import portrait as judge
    from mien.core.errors import RequestError, TrainingError
    from mien.evaluation import report
    from mien.pipelines.train.portrait import train_paper
    from mien.pipelines.train.request import TrainRequest

    if rate <= 0:
        raise RequestError(f"--rate: {rate:g} given; allowed are rates above 0")
    judged = out / "report"
    report.check_directory(judged, force=force)
    weights = []
    for name, adversarial, masked in RUNS:
        run = out / "runs" / name
        own = PortraitSettings(size=size, inside=inside, rate=rate, warm=warm, adversarial=adversarial, mask=masked)
        request = TrainRequest(
            data=data, out=run, settings=own, resume=True, steps=steps, batch=batch, seed=seed, threads=threads,
            minutes=minutes,
        )  # fmt: skip
        outcome, _ = train_paper(request, own)
        if not outcome.finished:
            raise TrainingError(
                f"{run}: stopped by {outcome.stopped_by} at step {outcome.step}; the same command goes on"
            )
        if outcome.step != steps:
            raise RequestError(f"--steps: {steps} given, but {run} was trained for {outcome.step}: not one budget")
        weights.append(run / "weights.safetensors")
    judge(data, judged, "paper", weights[-1], weights[:-1], count, seed, force)


def register(experiments: typer.Typer) -> None:
    """Add the command to `mien experiment`."""
    experiments.command("ablation")(ablation)
