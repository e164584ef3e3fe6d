"""`mien experiment`: the experiments of the papers, a command and a report each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mien.apps.cli.evaluate import Data, Force, report, say

experiment = typer.Typer(
    no_args_is_help=True, help="The papers' experiments on faces of DEST: report.json, report.html and plots."
)

Out = Annotated[Path, typer.Option(help="Where the report goes.", metavar="DIR")]
EncoderName = Annotated[str, typer.Option("--encoder", help="facenet or vgg-face.")]
Count = Annotated[int, typer.Option(help="Faces at most, one of each person.", min=100)]
Seed = Annotated[int, typer.Option(help="Decides which faces are drawn, and every draw.", min=0)]
Settings = Annotated[
    Literal["mien", "paper"],
    typer.Option("--settings", help="How pictures are optimised: mien, or paper (pixels, SGD, blur, jitter)."),
]
Mixture = Annotated[
    Path | None,
    typer.Option(
        "--mixture", metavar="FILE", help="Weights of `mien train mixture --preset paper` instead of the packaged ones."
    ),
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Steps of that optimisation.")]


def register(app: typer.Typer) -> None:
    """Add ``mien experiment`` to the command line."""
    app.add_typer(experiment, name="experiment")


@experiment.command("distribution")
def distribution(data: Data, out: Out, force: Force = False) -> None:
    """How often each attribute occurs (figure 7; poster, figure 3)."""
    from mien.pipelines import experiment as pipeline
    from mien.pipelines.evaluate_requests import ReportRequest

    say(pipeline.distribution(ReportRequest(data=data, out=out, force=force)))


@experiment.command("tsne")
def tsne(
    data: Data,
    out: Out,
    encoder: EncoderName = "facenet",
    layer: Annotated[str | None, typer.Option(help="A tap of the encoder (default: pool, fc7).")] = None,
    count: Count = 4000,
    perplexity: Annotated[float, typer.Option(help="Of t-SNE: how many neighbours it minds.", min=2)] = 30,
    neighbours: Annotated[int, typer.Option(help="k of the purity.", min=1)] = 10,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """A map of encoder features by attribute, and how well each gathers (figure 3; poster, figure 2)."""
    from mien.pipelines import experiment as pipeline
    from mien.pipelines import experiment_requests as requests

    request = requests.TsneExperiment(
        data=data, out=out, force=force, encoder=encoder, layers=(layer,) if layer else (), seed=seed, count=count,
        perplexity=perplexity, neighbours=neighbours,
    )  # fmt: skip
    report(pipeline.tsne, request)


@experiment.command("activations")
def activations(
    data: Data,
    out: Out,
    encoder: EncoderName = "facenet",
    layer: Annotated[list[str] | None, typer.Option(help="A tap of the encoder; may be repeated.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option(help="Looked at closely (default: Black, Male, as the paper); may be repeated.")
    ] = None,
    count: Annotated[int, typer.Option(help="Faces of each attribute at most.", min=20)] = 180,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Tests of normality on every element of a layer, for the faces of an attribute (figure 6)."""
    from mien.pipelines import experiment as pipeline
    from mien.pipelines import experiment_requests as requests

    request = requests.ActivationsExperiment(
        data=data, out=out, force=force, encoder=encoder, layers=tuple(layer or ()), seed=seed, count=count,
        attributes=tuple(attribute or ("Black", "Male")),
    )  # fmt: skip
    report(pipeline.activations, request)


@experiment.command("verification")
def verification(
    data: Data,
    out: Out,
    encoder: EncoderName = "facenet",
    layer: Annotated[str | None, typer.Option(help="A tap of the encoder (default: embedding, fc7).")] = None,
    source: Annotated[str, typer.Option(help="Photos of this source, which must name its people.")] = "lfw",
    folds: Annotated[int, typer.Option(help="Groups of people.", min=2)] = 10,
    pairs: Annotated[int, typer.Option(help="Pairs of one person, and of two, in each fold.", min=10)] = 300,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """LFW's protocol: pairs of one person and of two, told apart at the best threshold of the other folds."""
    from mien.pipelines import experiment as pipeline
    from mien.pipelines import experiment_requests as requests

    request = requests.VerificationExperiment(
        data=data, out=out, force=force, encoder=encoder, layers=(layer,) if layer else (), seed=seed, source=source,
        folds=folds, pairs=pairs,
    )  # fmt: skip
    report(pipeline.verification, request)


@experiment.command("unfreezing")
def unfreezing(
    data: Data,
    out: Out,
    encoder: EncoderName = "facenet",
    layer: Annotated[
        list[str] | None, typer.Option(help="Unfreeze from this tap on, a run each; may be repeated.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Batches of each run.", min=2)] = 80,
    batch: Annotated[int, typer.Option(help="Faces of a batch.", min=2)] = 24,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate of the heads.", min=0)] = 1e-3,
    encoder_lr: Annotated[float, typer.Option("--encoder-lr", help="... of the unfrozen layers.", min=0)] = 5e-5,
    lr_decay_per_layer: Annotated[
        float, typer.Option("--lr-decay-per-layer", help="Of the run whose rate falls with depth.", min=0, max=1)
    ] = 0.8,
    judged: Annotated[int, typer.Option(help="Faces asked in the end, of training and of test people.", min=20)] = 400,
    rate: Annotated[
        list[float] | None,
        typer.Option(help="Try this --lr, the encoder's in step; repeated: a sweep of rates, with the best named."),
    ] = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Loss curves and accuracies after unfreezing different layers (figure 4, table 1), by short real runs.

    With --rate a sweep of learning rates instead (section 5.1), of the heads alone and of one --layer.
    The same command goes on where it was stopped: runs that ended are read from DIR/runs.
    """
    from mien.pipelines import experiment as pipeline
    from mien.pipelines import experiment_requests as requests

    request = requests.UnfreezingExperiment(
        data=data, out=out, force=force, encoder=encoder, layers=tuple(layer or ()), seed=seed, steps=steps,
        batch=batch, rate=lr, encoder_rate=encoder_lr, decay=lr_decay_per_layer, judged=judged,
        rates=tuple(rate or ()),
    )  # fmt: skip
    say(pipeline.unfreezing(request))


@experiment.command("inversion")
def inversion(
    out: Out,
    mixture: Mixture = None,
    words: Annotated[str, typer.Option(help="The set of attributes.")] = "black, man, black hair",
    photo: Annotated[
        Path | None, typer.Option(help="The target; if not given, a face that mien makes of WORDS.")
    ] = None,
    settings: Settings = "paper",
    steps: Steps = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """A target, the inversion of its activations, and that of the mixture's, side by side (figure 5)."""
    from mien.pipelines import experiment as pipeline
    from mien.pipelines import experiment_requests as requests

    request = requests.InversionExperiment(
        mixture=mixture, out=out, words=words, photo=photo, settings=settings, steps=steps, seed=seed, force=force
    )
    report(pipeline.inversion, request)


@experiment.command("likeness")
def likeness(
    data: Data,
    out: Out,
    people: Annotated[int, typer.Option(help="Held-out people (the paper: 9).", min=2)] = 24,
    mixture: Mixture = None,
    pairs: Annotated[int, typer.Option(help="Pairs of one person, and of two, that calibrate.", min=30)] = 150,
    settings: Settings = "paper",
    steps: Steps = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """How alike a face is to the held-out person whose attributes made it, in per cent (figure 8, table 2)."""
    from mien.pipelines import experiment as pipeline
    from mien.pipelines import experiment_requests as requests

    request = requests.LikenessExperiment(
        data=data, out=out, force=force, people=people, mixture=mixture, pairs=pairs, settings=settings,
        steps=steps, seed=seed,
    )  # fmt: skip
    report(pipeline.likeness, request)


@experiment.command("ablation")
def ablation(
    data: Data,
    out: Annotated[Path, typer.Option(help="Runs go to DIR/runs, the report to DIR/report.", metavar="DIR")],
    steps: Annotated[int, typer.Option(help="Batches of each run.", min=1)] = 4_000,
    batch: Annotated[int, typer.Option(help="Faces of a batch.", min=2)] = 16,
    size: Annotated[
        int | None, typer.Option(help="Height and width, px: a multiple of 64.", show_default="320")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Learning rate of Adam; the thesis prints none.", show_default="0.0002")
    ] = None,
    inside: Annotated[
        float | None, typer.Option(help="Learn from crops with so large a share photograph, 0 to 1.")
    ] = None,
    warm: Annotated[
        int | None,
        typer.Option(
            min=0, help="Images that teach texture alone, before landmarks are looked for.", show_default="20000"
        ),
    ] = None,
    mask_from: Annotated[
        int | None,
        typer.Option(min=0, help="Images until texture moves the mask; 200000 keeps a face in it.", show_default="0"),
    ] = None,
    count: Annotated[int, typer.Option(help="How many held-out people judge them, at most.", min=20)] = 240,
    seed: Annotated[int, typer.Option(help="Weights and order of all three runs, and the people.", min=0)] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop each run with a checkpoint after so long.")] = None,
    force: Force = False,
) -> None:
    """The thesis's portraits without mask and adversarial loss, without adversarial loss, and in full.

    The same seed, the same batches in the same order and as many of them for each. The same command goes on where it
    was stopped. The report holds photographs of persons.
    """
    from mien.pipelines import experiment as pipeline
    from mien.pipelines.experiment_requests import AblationExperiment
    from mien.pipelines.train.settings import PortraitSettings

    own = {"size": size, "inside": inside, "rate": rate, "warm": warm, "mask_from": mask_from}
    given = {name: value for name, value in own.items() if value is not None}
    settings = PortraitSettings.make(given, where="experiment ablation")
    request = AblationExperiment(
        data=data, out=out, force=force, settings=settings,
        steps=steps, batch=batch, count=count, seed=seed, threads=threads, minutes=minutes,
    )  # fmt: skip
    report(pipeline.ablation, request)
