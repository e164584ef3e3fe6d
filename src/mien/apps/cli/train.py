"""`mien train`: a thin table of presets; each preset is one function of the same options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

train_app = typer.Typer(no_args_is_help=True, help="Train a model in RUN; the same command with --resume goes on.")


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What the command line says of a run, the same for every model and preset. ``None``: the preset decides."""

    data: Path
    out: Path
    resume: bool
    steps: int | None
    batch: int | None
    seed: int
    threads: int | None
    device: str
    precision: str | None
    minutes: float | None
    start_from: Path | None = None
    density_steps: int | None = None
    rate: float | None = None


def _settings(options: TrainOptions, **defaults: Any) -> Any:
    """``LoopSettings`` from a preset's defaults and what the user said."""
    from mien.training.loop import LoopSettings

    said = {
        "steps": options.steps,
        "batch_size": options.batch,
        "threads": options.threads,
        "precision": options.precision,
        "minutes": options.minutes,
    }
    values = defaults | {key: value for key, value in said.items() if value is not None}
    values |= {"seed": options.seed, "device": options.device}
    return LoopSettings.make(values, where="mien train")


def _finish(outcome: Any, out: Path) -> None:
    """Say where things are; a run that was stopped early is no success."""
    from mien.core.errors import MienError, TrainingError
    from mien.training.logbook import plot_curves

    for run in sorted(book.parent for book in (*out.glob("logbook.jsonl"), *out.glob("*/logbook.jsonl"))):
        try:
            plot_curves(run)
        except MienError as error:  # curves are an extra
            typer.echo(f"mien: {error}", err=True)
    if not outcome.finished:
        raise TrainingError(f"{out}: stopped by {outcome.stopped_by} at step {outcome.step}; --resume goes on")
    typer.echo(f"{out / 'weights.safetensors'}")


def _crowd_paper(options: TrainOptions) -> None:
    from mien.apps.cli.train_data import paper_batches
    from mien.core.errors import RequestError
    from mien.evaluation.detection import detection_rate
    from mien.training.crowd_paper import CrowdPaperConfig, detection_hook, train_paper

    if options.start_from is not None:
        raise RequestError("--from: the paper preset starts at random, as printed; allowed with --preset mien")
    if options.rate is not None:
        raise RequestError("--rate: the paper preset learns at its paper's rate; allowed with --preset mien")
    settings = _settings(options, steps=100_000, batch_size=64, precision="bf16")
    if settings.batch_size % 16:
        raise RequestError(f"--batch: {settings.batch_size} given; the paper preset wants a multiple of 16 (its bins)")
    batch_at, data = paper_batches(options.data, settings.batch_size, settings.seed)
    hook = detection_hook(lambda photos: detection_rate(photos, workers=options.threads or 1).value)
    outcome = train_paper(
        batch_at, options.out, CrowdPaperConfig(), settings, hooks=[hook], data=data, resume=options.resume
    )
    _finish(outcome, options.out)


def _crowd_mien(options: TrainOptions) -> None:
    from mien.apps.cli.train_crowd import train_both

    settings = _settings(options, steps=20_000, batch_size=16, precision="bf16", preview_every=250)
    _finish(train_both(options, settings), options.out)


def _judge(options: TrainOptions) -> None:
    from mien.apps.cli import judge
    from mien.core.errors import RequestError

    if options.start_from is not None:
        raise RequestError("--from: the judge of sex and age starts at random; allowed with --preset attributes")
    _finish(judge.train(options), options.out)


def _judge_attributes(options: TrainOptions) -> None:
    from mien.apps.cli import judge

    _finish(judge.train_attributes(options), options.out)


# model -> preset -> what trains it.
PRESETS: dict[str, dict[str, Callable[[TrainOptions], None]]] = {
    "judge": {"mien": _judge, "attributes": _judge_attributes},
    "crowd": {"mien": _crowd_mien, "paper": _crowd_paper},
}


def _run(model: str, preset: str, options: TrainOptions) -> None:
    from mien.core.errors import RequestError

    presets = PRESETS[model]
    if preset not in presets:
        raise RequestError(f"--preset: no '{preset}' for {model}; allowed: {', '.join(presets)}")
    for name, value in (("--steps", options.steps), ("--batch", options.batch), ("--threads", options.threads)):
        if value is not None and value < 1:
            raise RequestError(f"{name}: {value} given, allowed are 1 and more")
    presets[preset](options)


Data = Annotated[Path, typer.Option("--data", help="A dataset that `mien data prepare` made.")]
Out = Annotated[Path, typer.Option("--out", help="RUN: checkpoints, logbook, previews and weights go here.")]
Preset = Annotated[str, typer.Option("--preset", help="paper: as printed; mien: the best for the compute.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in RUN (or start it).")]
Steps = Annotated[int | None, typer.Option("--steps", help="Batches to train, in all.")]
BatchSize = Annotated[int | None, typer.Option("--batch", help="Images of a batch (of each process).")]
Seed = Annotated[int, typer.Option("--seed", help="Decides weights, order and noise.")]
Threads = Annotated[int | None, typer.Option("--threads", help="CPU threads.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Precision = Annotated[str | None, typer.Option("--precision", help="fp32 or bf16.")]
StartFrom = Annotated[
    Path | None,
    typer.Option("--from", help="Start with the networks of this RUN: go on with other data, or for longer."),
]
DensitySteps = Annotated[
    int | None, typer.Option("--density-steps", min=1, help="Batches of 512 codes for the density (preset mien).")
]
Rate = Annotated[
    float | None, typer.Option("--rate", help="Learning rate of the decoder at its highest (preset mien; 1e-3).")
]
Minutes = Annotated[float | None, typer.Option("--minutes", help="Stop with a checkpoint after so long.")]


@train_app.command("crowd")
def crowd(
    data: Data,
    out: Out,
    preset: Preset = "mien",
    resume: Resume = False,
    steps: Steps = None,
    batch: BatchSize = None,
    seed: Seed = 0,
    threads: Threads = None,
    device: Device = "auto",
    precision: Precision = None,
    minutes: Minutes = None,
    start_from: StartFrom = None,
    density_steps: DensitySteps = None,
    rate: Rate = None,
) -> None:
    """Train the generator of crowds: faces with the sex and age asked for."""
    from mien.core.errors import RequestError

    if rate is not None and not 0 < rate < float("inf"):
        raise RequestError(f"--rate: {rate:g} given; allowed are rates above 0")
    options = TrainOptions(data, out, resume, steps, batch, seed, threads, device, precision, minutes, start_from)
    _run("crowd", preset, replace(options, density_steps=density_steps, rate=rate))


@train_app.command("judge")
def judge(
    data: Data,
    out: Out,
    preset: Preset = "mien",
    resume: Resume = False,
    steps: Steps = None,
    batch: BatchSize = None,
    seed: Seed = 0,
    threads: Threads = None,
    device: Device = "auto",
    precision: Precision = None,
    minutes: Minutes = None,
    start_from: StartFrom = None,
) -> None:
    """Train the judge of sex and age (mien) or that of attributes and race (attributes) of `mien evaluate crowd`."""
    options = TrainOptions(data, out, resume, steps, batch, seed, threads, device, precision, minutes, start_from)
    _run("judge", preset, options)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    from mien.apps.cli import train_attributes, train_enlarger, train_mixture, train_portrait

    train_attributes.register(train_app)
    train_portrait.register(train_app)
    train_mixture.register(train_app)
    train_enlarger.register(train_app)
    app.add_typer(train_app, name="train")
