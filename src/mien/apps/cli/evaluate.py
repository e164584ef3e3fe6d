"""`mien evaluate`: what was made, judged beside real faces, as a report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli.output import echo
from mien.core.progress import progress_bars

if TYPE_CHECKING:
    from mien.pipelines.evaluate import WrittenReport

evaluate = typer.Typer(no_args_is_help=True, help="Judge what mien makes, beside real faces: report.json, report.html.")

Data = Annotated[Path, typer.Option(help="A dataset that `mien data prepare` made.", metavar="DEST")]
Out = Annotated[Path, typer.Option(help="Where the report goes.", metavar="REPORT_DIR")]
Force = Annotated[bool, typer.Option("--force", help="Replace a report that is there.")]


def register(app: typer.Typer) -> None:
    """Add ``mien evaluate`` to the command line."""
    app.add_typer(evaluate, name="evaluate")


def say(written: WrittenReport) -> None:
    """What a report says in one line, and where its page lies."""
    echo(written.summary)
    echo(written.page)


def report(make: Callable[..., WrittenReport], request: object) -> None:
    """Make a report with bars of progress, and say what it says."""
    with progress_bars() as on_stage:
        written = make(request, on_stage=on_stage)
    say(written)


@evaluate.command("crowd")
def crowd(
    data: Data,
    out: Out,
    preset: Annotated[
        str | None, typer.Option(help="Which packaged generator: painter, mien or paper.", show_default="painter")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="A weights file of `mien train crowd`, instead of a packaged one.")
    ] = None,
    count: Annotated[int, typer.Option(help="How many faces to make.", min=200)] = 10_000,
    peer: Annotated[
        list[str] | None, typer.Option(help="Another preset or weights file to judge beside; may be repeated.")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="Compare with these sources only; may be repeated.")] = None,
    words: Annotated[
        int, typer.Option(help="How many faces for each word of `mien crowd --with`; 0: leave them out.", min=0)
    ] = 200,
    seed: Annotated[int, typer.Option(help="The seed of the faces and of every draw.", min=0)] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A few hundred faces: a look, not a figure to print.")] = False,
    force: Force = False,
) -> None:
    """Judge the crowd generator: detection, sex, age, race and words, distances, memorisation, groups, and sheets."""
    from mien.pipelines.evaluate import evaluate_crowd
    from mien.pipelines.evaluate_requests import CrowdEvaluation

    request = CrowdEvaluation(
        data=data, out=out, force=force, preset=preset, weights=weights, count=count, peers=tuple(peer or ()),
        sources=tuple(source or ()), words=words, seed=seed, quick=quick,
    )  # fmt: skip
    report(evaluate_crowd, request)


@evaluate.command("judge")
def judge(
    data: Data,
    out: Out,
    preset: Annotated[
        str, typer.Option(help="Which judge: mien (of sex and age) or attributes (of those and race).")
    ] = "mien",
    weights: Annotated[Path | None, typer.Option(help="A weights file instead of the packaged one.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    force: Force = False,
) -> None:
    """Examine a judge itself, that of sex and age or that of attributes and race, on real faces that it never saw."""
    from mien.pipelines.evaluate import evaluate_judge
    from mien.pipelines.evaluate_requests import JudgeEvaluation

    say(evaluate_judge(JudgeEvaluation(data=data, out=out, force=force, preset=preset, weights=weights, split=split)))


@evaluate.command("portrait")
def portrait(
    data: Data,
    out: Out,
    preset: Annotated[str, typer.Option(help="mien, or paper (give --weights).")] = "mien",
    weights: Annotated[
        Path | None, typer.Option(help="Weights of `mien train portrait` instead of the packaged ones.")
    ] = None,
    peer: Annotated[
        list[Path] | None,
        typer.Option(help="Weights to judge beside, of the same preset (an ablation, say); may be repeated."),
    ] = None,
    count: Annotated[int, typer.Option(help="How many people, at most; each has two photos.", min=20)] = 240,
    seed: Annotated[int, typer.Option(help="The seed of the people, their photos and the folds.", min=0)] = 0,
    ages: Annotated[
        int, typer.Option(help="Further faces of each span of ages, and with hats, at most; 0: none.", min=0)
    ] = 40,
    force: Force = False,
) -> None:
    """Judge portraits: identity, pose, expression, consistency, years, detection, sharpness; pages with the photos.

    The report holds photographs of persons. It is written to REPORT_DIR and nowhere else.
    """
    from mien.pipelines.evaluate import evaluate_portrait
    from mien.pipelines.evaluate_requests import PortraitEvaluation

    request = PortraitEvaluation(
        data=data, out=out, force=force, preset=preset, weights=weights, peers=tuple(peer or ()), count=count,
        seed=seed, ages=ages,
    )  # fmt: skip
    report(evaluate_portrait, request)


@evaluate.command("edit")
def edit(
    data: Data,
    out: Out,
    count: Annotated[int, typer.Option(help="How many people, at most; each has two photos.", min=20)] = 40,
    age: Annotated[
        list[float] | None, typer.Option(help="Years, an edit each; may be repeated.", show_default="20 40 60 75")
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option(help="To be changed, an edit each; may be repeated.", show_default="Smiling, Eyeglasses"),
    ] = None,
    sex: Annotated[bool, typer.Option(help="Also an edit to the other sex.")] = True,
    like: Annotated[bool, typer.Option(help="Beside what `imagine --like` makes of the same photos.")] = True,
    seed: Annotated[int, typer.Option(help="The seed of the people and their photos.", min=0)] = 0,
    force: Force = False,
) -> None:
    """Judge edited photos: identity kept, age, sex and attributes asked against judged, and what else changed.

    The report holds photographs of persons. It is written to REPORT_DIR and nowhere else.
    """
    from mien.pipelines.evaluate import evaluate_edit
    from mien.pipelines.evaluate_requests import AGES, ATTRIBUTES, EditEvaluation

    request = EditEvaluation(
        data=data, out=out, force=force, count=count, ages=AGES if age is None else tuple(age),
        attributes=ATTRIBUTES if attribute is None else tuple(attribute), sex=sex, like=like, seed=seed,
    )  # fmt: skip
    with progress_bars() as on_stage:
        written = evaluate_edit(request, on_stage=on_stage)
    say(written)


@evaluate.command("imagine")
def imagine(
    data: Data,
    out: Out,
    sets: Annotated[int, typer.Option(help="How many descriptions, each of another held-out person.", min=200)] = 300,
    samples: Annotated[int, typer.Option(help="How many faces for each description.", min=2, max=64)] = 4,
    slow: Annotated[
        int,
        typer.Option(
            help="Of how many descriptions what is optimised is made: mixture (2 each), photo inverted, visualise.",
            min=0,
        ),
    ] = 0,
    slow_method: Annotated[
        list[str] | None,
        typer.Option(help="With --slow: mixture, invert or visualise; may be given again.", show_default="all three"),
    ] = None,
    slow_steps: Annotated[
        int | None,
        typer.Option(help="With --slow: steps of those methods, at most.", min=1, show_default="400; ours 60"),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights of `mien train mixture`.")] = None,
    decoder: Annotated[Path | None, typer.Option(help="Weights of `mien train crowd` whose decoder draws.")] = None,
    mixture: Annotated[
        Path | None,
        typer.Option(help="With --slow: weights of `mien train mixture --preset paper` instead of the packaged ones."),
    ] = None,
    draw: Annotated[
        Path | None, typer.Option(help="Weights of `mien train mixture --preset draw`, judged beside the others.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of descriptions and faces.", min=0)] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="40 descriptions: a look, not a figure to print.")] = False,
    force: Force = False,
) -> None:
    """Judge faces made from words: attributes, detection, variety, distance from the mean, memorisation."""
    from mien.pipelines.evaluate import evaluate_imagine
    from mien.pipelines.evaluate_requests import SLOW_METHODS, ImagineEvaluation

    request = ImagineEvaluation(
        data=data, out=out, force=force, sets=sets, samples=samples, slow=slow,
        slow_methods=tuple(dict.fromkeys(slow_method or SLOW_METHODS)), slow_steps=slow_steps, weights=weights,
        decoder=decoder, mixture=mixture, draw=draw, seed=seed, quick=quick,
    )  # fmt: skip
    report(evaluate_imagine, request)


@evaluate.command("attributes")
def attributes(
    data: Data,
    out: Out,
    weights: Annotated[Path | None, typer.Option(help="Weights of a run, instead of the packaged ones.")] = None,
    encoder: Annotated[str, typer.Option(help="facenet or vgg-face: what the heads were trained on.")] = "facenet",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    threads: Annotated[int | None, typer.Option(help="CPU threads.", min=1)] = None,
    force: Force = False,
) -> None:
    """Examine the heads: accuracy, balanced accuracy, AUC of 73 attributes, sex and age, by group of people."""
    from mien.pipelines.evaluate import evaluate_attributes
    from mien.pipelines.evaluate_requests import AttributesEvaluation

    request = AttributesEvaluation(
        data=data, out=out, force=force, weights=weights, encoder=encoder, split=split, threads=threads
    )
    say(evaluate_attributes(request))
