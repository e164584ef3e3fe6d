"""`mien study`: people judge faces, real or generated; made, run, and reported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.apps.cli.options import LOOPBACK, Host, NewKey, Port, PublicAddress, key_made, needing
from mien.apps.cli.output import echo

if TYPE_CHECKING:
    from mien.pipelines.study import Design

DEFAULT_PORT = 8100
OUT_HELP = "Directory of the study: study.json and pictures/."
STORE_HELP = "Where answers lie: a file, or postgresql+psycopg://...; OUT/answers.sqlite if not given."

study = typer.Typer(no_args_is_help=True, help="Real or generated? People judge faces: make, run and report a study.")


@study.command("make")
def make(
    out: Annotated[Path, typer.Argument(help=OUT_HELP, metavar="OUT")],
    real: Annotated[Path, typer.Option(help="Photographs: a prepared dataset, or a directory of square crops.")],
    model: Annotated[
        list[str],
        typer.Option(help="Generated faces: a name and their directory; may be repeated.", metavar="NAME=DIR"),
    ],
    split: Annotated[str, typer.Option(help="Of a prepared dataset: train, validation or test.")] = "test",
    source: Annotated[list[str] | None, typer.Option(help="Of a prepared dataset: these sources only.")] = None,
    pictures: Annotated[int, typer.Option(help="How many of each model, and as many real ones as of all.", min=1)] = 60,
    trials: Annotated[int, typer.Option(help="Faces that each participant judges, half of them real.", min=2)] = 60,
    practice: Annotated[int, typer.Option(help="Trials before those, with the right answer told.", min=0)] = 4,
    catch: Annotated[int, typer.Option(help="Obvious trials that test attention, besides.", min=0)] = 8,
    catch_misses: Annotated[int, typer.Option(help="Who gets more of those wrong is set aside.", min=0)] = 1,
    fastest_ms: Annotated[int, typer.Option(help="Quicker answers are left out.", min=0)] = 200,
    exposure_ms: Annotated[
        int | None, typer.Option(help="Show each face so long, then cover it; until answered if not given.", min=10)
    ] = None,
    size: Annotated[int | None, typer.Option(help="Pixels; those of the smallest source if not given.", min=16)] = None,
    background: Annotated[
        str, typer.Option(help="whole: the crops as they are. oval: brows to chin, grey around.")
    ] = "whole",
    match: Annotated[
        bool, typer.Option("--match/--no-match", help="The same shares of sexes and ages in every source, where known.")
    ] = True,
    title: Annotated[str, typer.Option(help="What participants read first.")] = "Real or generated?",
    contact: Annotated[str, typer.Option(help="Whom participants may ask: a name and an address.")] = "",
    consent: Annotated[
        Path | None, typer.Option(help="A text to add to the page of consent; paragraphs apart by empty lines.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of every draw; drawn itself if not given.", min=0)] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a study in OUT that nobody answered.")] = False,
) -> None:
    """Freeze a study: pictures treated alike, stripped of metadata and hashed, and the design, before any answer."""
    from mien.core.progress import progress_bars
    from mien.core.seeding import fresh_seed
    from mien.pipelines.study import Rule, StudyRequest, make_study

    request = StudyRequest(
        title=title,
        seed=fresh_seed() if seed is None else seed,
        pictures=pictures,
        trials=trials,
        practice=practice,
        catch=catch,
        rule=Rule(catch_misses=catch_misses, fastest_ms=fastest_ms),
        background=background,  # type: ignore[arg-type]
        size_px=size,
        exposure_ms=exposure_ms,
        match=match,
        contact=contact,
        consent=_text(consent),
    )
    models = [_pair(text) for text in model]
    with progress_bars() as on_stage:
        design = make_study(
            out, request, real, models, split=split, sources=source or (), force=force, on_stage=on_stage
        )
    _tell(out, design)


@study.command("run")
def run(
    out: Annotated[Path, typer.Argument(help=OUT_HELP, metavar="OUT")],
    store: Annotated[str | None, typer.Option(help=STORE_HELP)] = None,
    host: Host = LOOPBACK,
    port: Port = DEFAULT_PORT,
    address: PublicAddress = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="File of hashed keys; then participants need an invitation.")
    ] = None,
    new_key: NewKey = None,
) -> None:
    """Serve the page on which people take part, until interrupted; closed pages and stopped servers lose no answer."""
    from mien.core.errors import RequestError

    if new_key is not None:
        key = key_made(keys, new_key)
        echo(key)
        echo(f"Invite with the address of the study and ?key={key}")
        return
    from mien.apps.web.settings import ServiceSettings
    from mien.pipelines.study import open_answers

    settings = ServiceSettings.make({"host": host, "port": port, "address": address, "keys": keys}, where="study run")
    settings.access_keys("study run OUT")  # refused before the pages are loaded
    with needing("study", "study"):
        from mien.apps.study.app import create_study
        from mien.apps.web.server import serve_app
    answers = open_answers(out, store)
    if answers.people()[0]:
        raise RequestError(f"--store: {answers.store.address} holds simulated participants; give one of its own")
    app = create_study(out, answers, settings)
    serve_app(app, settings, ready=lambda address: echo(f"the study is at {address}"))


@study.command("report")
def report(
    study_dir: Annotated[Path, typer.Argument(help=OUT_HELP, metavar="OUT")],
    out: Annotated[Path, typer.Option(help="Where the report goes.", metavar="REPORT")],
    store: Annotated[str | None, typer.Option(help=STORE_HELP)] = None,
    seed: Annotated[int, typer.Option(help="Of the resampling.", min=0)] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> None:
    """What the answers say: error rates beside those of real faces, d', pairs of models, times; with intervals.

    The report holds photographs of persons. It may be made while the study runs.
    """
    from mien.pipelines.study import report_study

    summary, page = report_study(study_dir, out, store=store, seed=seed, force=force)
    echo(summary)
    echo(page)


@study.command("simulate")
def simulate(
    out: Annotated[Path, typer.Argument(help=OUT_HELP, metavar="OUT")],
    store: Annotated[str, typer.Option(help="A new file for the made-up answers, for `mien study report --store`.")],
    sensitivity: Annotated[
        list[str], typer.Option(help="d' of a model: 0 cannot be told from real, 2 mostly can.", metavar="NAME=D")
    ],
    people: Annotated[int, typer.Option(help="How many participants.", min=2)] = 40,
    people_sd: Annotated[float, typer.Option(help="How much they differ in what they lean to.", min=0)] = 0.35,
    pictures_sd: Annotated[float, typer.Option(help="How much pictures of a source differ.", min=0)] = 0.5,
    inattentive: Annotated[float, typer.Option(help="Share who answer without looking.", min=0, max=1)] = 0.0,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Make up participants of known sensitivity: to see beforehand how wide the intervals will be."""
    from mien.core.errors import RequestError
    from mien.pipelines.study import simulate_study

    wanted = {}
    for text in sensitivity:
        name, _, number = text.rpartition("=")
        try:
            wanted[name] = float(number)
        except ValueError as error:
            raise RequestError(f"--sensitivity: {text!r} given; wanted NAME=D, for example mien=0.8") from error
    found = simulate_study(
        out, store, wanted, people=people, people_sd=people_sd, pictures_sd=pictures_sd, inattentive=inattentive,
        seed=seed,
    )  # fmt: skip
    *models, real = found
    for one in models:
        share = f"{100 * one.judged_real:.1f} % judged real"
        echo(f"{one.source}: d' {one.d_prime:.3f}, {share} (over all people and pictures of this kind)")
    echo(f"real: {100 * real.judged_real:.1f} % judged real")


def _pair(text: str) -> tuple[str, Path]:
    from mien.core.errors import RequestError

    name, sign, folder = text.partition("=")
    if not sign or not name.strip() or not folder:
        raise RequestError(f"--model: {text!r} given; wanted NAME=DIR, for example mien=out/crowd")
    return name.strip(), Path(folder)


def _text(path: Path | None) -> str:
    from mien.core.errors import RequestError

    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise RequestError(f"--consent: {path} is not a text file that can be read (UTF-8)") from error


def _tell(out: Path, design: Design) -> None:
    for source in design.sources:
        why: dict[str, Any] = design.left_out.get(source, {})
        told = ", ".join(f"{n} {reason}" for reason, n in why.items())
        echo(f"{source}: {len(design.of('trial', source))} pictures{f' (left out: {told})' if told else ''}")
    matched = f"matched by {design.matched}" if design.matched else "not matched by sex and age"
    echo(
        f"{out}: {design.size_px} px, {matched}; each participant judges {design.trials} faces and {design.catches} "
        f"catch trials (seed {design.seed})"
    )
    echo(f"run it with: mien study run {out}")


def register(app: typer.Typer) -> None:
    """Add ``mien study`` to the command line."""
    app.add_typer(study, name="study")
