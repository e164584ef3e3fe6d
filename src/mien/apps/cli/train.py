"""`mien train MODEL`: one command a model; what a preset reads is said in ``pipelines/train/presets.py``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mien.apps.cli.output import echo, warn

train_app = typer.Typer(no_args_is_help=True, help="Train a model in RUN; the same command with --resume goes on.")

HELP = {
    "crowd": "Train the generator of crowds: faces with the sex and age asked for.",
    "encoder": "Train what takes a photo and returns the noise of the paper's generator (--preset paper).",
    "attributes": "Train the heads that read 73 attributes, sex and age from a face.",
    "mixture": "Fit what `mien imagine` draws from: how faces with the wanted attributes look to an encoder.",
    "portrait": "Train what draws a face from its features as it looks ahead, neutral, on white.",
    "enlarger": "Train the enlarger that crowd, imagine and portrait share: 128 px to 256 px.",
    "painter": "Train the painter, a flow that draws whole faces from codes, and the density over its codes.",
    "judge": "Train a judge of `mien evaluate crowd`: of sex and age (mien), or of attributes and race (attributes).",
}


def command(model: str) -> Callable[..., None]:
    """The function of ``mien train MODEL``."""

    def run(
        data: Annotated[Path, typer.Option("--data", help="A dataset that `mien data prepare` made.")],
        out: Annotated[Path, typer.Option("--out", help="RUN: checkpoints, logbook, previews and weights go here.")],
        preset: Annotated[
            str, typer.Option("--preset", help="mien: the best for the compute; paper: as printed.")
        ] = "mien",
        settings: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="NAME=VALUE", help="A setting of the preset; a wrong name lists them all."),
        ] = None,
        resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in RUN (or start it).")] = False,
        steps: Annotated[int | None, typer.Option("--steps", help="Batches to train, in all.")] = None,
        batch: Annotated[int | None, typer.Option("--batch", help="Images of a batch (of each process).")] = None,
        seed: Annotated[int | None, typer.Option("--seed", help="Decides weights, order and noise (0).")] = None,
        threads: Annotated[int | None, typer.Option("--threads", help="CPU threads.")] = None,
        device: Annotated[str | None, typer.Option("--device", help="auto, cpu or cuda.")] = None,
        precision: Annotated[str | None, typer.Option("--precision", help="auto, fp32 or bf16.")] = None,
        minutes: Annotated[
            float | None, typer.Option("--minutes", help="Stop, with a checkpoint, after so long.")
        ] = None,
        start_from: Annotated[
            Path | None, typer.Option("--from", help="Start with the networks of this RUN: other data, or longer.")
        ] = None,
    ) -> None:
        from mien.pipelines.train.presets import train

        trained = train(
            model, preset, data=data, out=out, said=settings or (), resume=resume, steps=steps, batch=batch, seed=seed,
            threads=threads, device=device, precision=precision, minutes=minutes, start_from=start_from,
        )  # fmt: skip
        for remark in trained.remarks:
            warn(remark)
        if trained.weights is not None:
            echo(trained.weights)

    run.__doc__ = HELP[model]
    return run


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    for model in HELP:
        train_app.command(model)(command(model))
    app.add_typer(train_app, name="train")
