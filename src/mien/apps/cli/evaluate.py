"""``mien evaluate``: what was made, judged beside real faces, as a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from mien.core.contract import Generator
    from mien.core.records import UInt8Image
    from mien.evaluation.crowd import MadeCrowd, RealCrowd
    from mien.evaluation.faces import Faces, Row
    from mien.evaluation.features import Advance, Judges, Track
    from mien.evaluation.report import Provenance

evaluate = typer.Typer(no_args_is_help=True, help="Judge what mien makes, beside real faces: report.json, report.html.")

SWEEP_AGES = tuple(range(5, 81, 5))  # years
PRESETS = ("mien", "paper")


def register(app: typer.Typer) -> None:
    """Add ``mien evaluate`` to the command line."""
    from mien.apps.cli import evaluate_attributes, evaluate_imagine, evaluate_portrait

    evaluate_attributes.register(evaluate)
    evaluate_imagine.register(evaluate)
    evaluate_portrait.register(evaluate)
    app.add_typer(evaluate, name="evaluate")


@evaluate.command("crowd")
def crowd(
    data: Annotated[Path, typer.Option(help="A dataset that `mien data prepare` made.", metavar="DEST")],
    out: Annotated[Path, typer.Option(help="Where the report goes.", metavar="REPORT_DIR")],
    preset: Annotated[str, typer.Option(help="Which packaged generator: mien or paper.")] = "mien",
    weights: Annotated[
        Path | None, typer.Option(help="A weights file of either preset, instead of a packaged one.")
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
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> None:
    """Judge the crowd generator: detection, sex, age, race and words, distances, memorisation, groups, and sheets."""
    from dataclasses import replace

    from mien.evaluation import report
    from mien.evaluation.crowd import judge_crowd
    from mien.evaluation.features import NetworkJudges

    report.check_directory(out, force=force)
    subjects = [("generated", *_subject(str(weights) if weights else preset))]
    subjects += [(_column(name), *_subject(name)) for name in peer or ()]
    judges = NetworkJudges.load()
    count, words = (min(count, 400), min(words, 20)) if quick else (count, words)
    with tracking() as track:
        real, labels, fetch, about = _real(data, subjects[0][1].size_px, source or [], judges, seed, quick, track)
        made = [
            _made(
                name,
                generator,
                subjects[0][1].size_px,
                labels,
                count if place == 0 else len(labels),
                words,
                seed,
                quick,
                track,
            )
            for place, (name, generator, _) in enumerate(subjects)
        ]
        provenance = replace(
            about,
            model=" + ".join(f"{generator.name} {generator.version}" for _, generator, _ in subjects),
            judges=judges.version,
            n=count,
            seed=seed,
            details={
                "weights_sha256": " + ".join(_sha256(path) for _, _, path in subjects),
                "generated_each_word": words,
                **about.details,
                "quick": "yes: too few faces to quote" if quick else "no",
            },
        )
        title = f"The crowd of {subjects[0][1].name}, judged"
        found = judge_crowd(made, real, judges, title=title, provenance=provenance, track=track, nearest_crops=fetch)
    page = report.write(found, out)
    typer.echo(found.summary)
    typer.echo(page)


@evaluate.command("judge")
def judge(
    data: Annotated[Path, typer.Option(help="A dataset that `mien data prepare` made.", metavar="DEST")],
    out: Annotated[Path, typer.Option(help="Where the report goes.", metavar="REPORT_DIR")],
    preset: Annotated[
        str, typer.Option(help="Which judge: mien (of sex and age) or attributes (of those and race).")
    ] = "mien",
    weights: Annotated[Path | None, typer.Option(help="A weights file instead of the packaged one.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> None:
    """Examine a judge itself, that of sex and age or that of attributes and race, on real faces that it never saw."""
    from mien.core.errors import RequestError
    from mien.pipelines import evaluate_judge as desk

    examined = {"mien": desk.examine, "attributes": desk.examine_attributes}
    if preset not in examined:
        raise RequestError(f"--preset: no judge '{preset}'; allowed: {', '.join(examined)}")
    typer.echo(examined[preset](data, out, weights, split, force))


def _column(name: str) -> str:
    """How a peer is called in the report: its preset, or the last two parts of its path."""
    return name if name in PRESETS else "/".join(Path(name).parts[-2:])


def _subject(name: str) -> tuple[Generator, Path | None]:
    """A generator by preset or weights file, and its weights file where that is known."""
    import mien
    from mien.core.checkpoints import WEIGHTS, load_weights
    from mien.core.errors import RequestError

    if name in PRESETS:
        packaged = WEIGHTS / f"crowd-{name}.safetensors"
        return mien.load("crowd", preset=name).generator, packaged if packaged.is_file() else None
    if not Path(name).is_file():
        raise RequestError(f"{name}: neither a preset ({', '.join(PRESETS)}) nor a weights file")
    model = str(load_weights(name)[1].get("model"))
    if model not in {f"crowd-{preset}" for preset in PRESETS}:
        raise RequestError(f"{name}: weights of '{model}', wanted those of a crowd generator")
    return mien.load("crowd", preset=model.removeprefix("crowd-"), weights=name).generator, Path(name)


def _real(
    data: Path, size: int, sources: Sequence[str], judges: Judges, seed: int, quick: bool, track: Track
) -> tuple[RealCrowd, Faces, Any, Provenance]:
    """The real side: held-out faces, another half, training features, how to read training crops, and which data."""

    from mien.evaluation import faces
    from mien.evaluation.crowd import RealCrowd
    from mien.evaluation.crowd_attributes import RealMarks
    from mien.evaluation.features import stored_identity
    from mien.evaluation.report import Provenance
    from mien.pretrained import registry as store

    limit = 300 if quick else None

    def rows(split: str, labelled: bool, most: int | None) -> list[Row]:
        found = faces.dataset_rows(data, split, sources=sources, labelled=labelled)
        return faces.shuffled(found, most, seed=seed)

    def read(chosen: Sequence[Row], what: str) -> Faces:
        with track(f"real faces: {what}", len(chosen)) as advance:
            return faces.read_faces(data, chosen, size, progress=advance)

    tested, validated = rows("test", True, limit), rows("validation", True, limit)
    everyone = rows("test", False, None)
    training = faces.dataset_rows(data, "train", sources=sources)  # in catalogue order: one cache for every seed
    training = faces.shuffled(training, 1000) if quick else training
    by_source = {
        name: read([row for row in everyone if row.source == name][:limit], name)
        for name in sorted({row.source for row in everyone})
    }
    held_out = read(tested, "held out")
    marked = [row for row in everyone if row.present][:limit]
    real = RealCrowd(
        held_out=held_out,
        other_half=read(validated, "other half"),
        training=stored_identity(data, training, size, judges, store.cache_dir(), track=track),
        by_source=by_source,
        marks=RealMarks(read(marked, "with attributes").crops, faces.real_marks(marked)) if marked else None,
    )

    def fetch(places: np.ndarray[Any, Any]) -> UInt8Image:
        return faces.read_faces(data, [training[int(place)] for place in places], size).crops

    about: dict[str, str | int | float | None] = {
        "real_held_out": len(tested),
        "real_other_half": len(validated),
        "training_faces": len(training),
        "sources": ", ".join(sorted({row.source for row in tested})),
        "crop_px": size,
    }
    fingerprint = faces.fingerprint([*tested, *validated, *training], size)
    return real, held_out, fetch, Provenance(dataset_fingerprint=fingerprint, details=about)


def _made(
    name: str,
    generator: Generator,
    size: int,
    labels: Faces,
    count: int,
    each_word: int,
    seed: int,
    quick: bool,
    track: Track,
) -> MadeCrowd:
    """Faces with the labels of the held-out ones, pairs with the sex swapped, and an age sweep of the same noises.

    Where the generator knows them, also faces with the race of the held-out ones, and faces with each word.
    """
    import numpy as np

    from mien.apps.cli.evaluate_labels import make, raced_faces, word_faces
    from mien.core.contract import FaceRequest
    from mien.core.records import Labels
    from mien.evaluation.crowd import MadeCrowd
    from mien.evaluation.faces import Faces
    from mien.generators.crowd.sampler import AGES_YEARS

    places = np.arange(count) % len(labels)
    female = labels.female[places]
    ages = np.clip(labels.ages_years[places], *AGES_YEARS)  # a few held-out labels are beyond what may be asked for
    asked = [
        FaceRequest(seed, index, Labels(sex="female" if female[index] else "male", age_years=float(ages[index])))
        for index in range(count)
    ]
    people = 8 if quick else 64
    sexes = np.arange(people) % 2 == 0
    sweep = [
        FaceRequest(seed + 1, person, Labels(sex="female" if sexes[person] else "male", age_years=float(age)))
        for age in SWEEP_AGES
        for person in range(people)
    ]
    pairs = [
        FaceRequest(seed + 2, person, Labels(sex=sex, age_years=20.0 + 4 * person))
        for person in range(12)
        for sex in ("female", "male")
    ]  # fmt: skip
    with track(f"{name}: faces made", len(asked) + len(sweep) + len(pairs)) as advance:
        crops = [make(generator, requests, size, advance) for requests in (asked, sweep, pairs)]
    return MadeCrowd(
        name=name,
        faces=Faces(crops[0], female, ages, ("",) * count),
        sweep=crops[1].reshape(len(SWEEP_AGES), people, *crops[1].shape[1:]),
        swapped=crops[2].reshape(12, 2, *crops[2].shape[1:]),
        sweep_female=sexes,
        sweep_ages_years=tuple(float(age) for age in SWEEP_AGES),
        raced=raced_faces(name, generator, size, labels, ages, seed, track),
        words=word_faces(name, generator, size, labels, each_word, seed + 3, track),
    )


def _sha256(path: Path | None) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path is not None else "unknown"


@contextmanager
def tracking() -> Iterator[Track]:
    """Progress bars on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:

        @contextmanager
        def track(what: str, total: int) -> Iterator[Advance]:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.advance(task, done)
            bar.remove_task(task)

        yield track
