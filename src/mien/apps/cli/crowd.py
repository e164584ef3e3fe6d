"""`mien crowd`: labelled faces of people who do not exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from mien.provenance.marks import Marks
    from mien.records import MadeFace

SHEET_COLUMNS = 8
WRITERS = 2  # threads that write files while the next faces are made: waiting for the disk costs no time
MANIFEST = "manifest.jsonl"
FACE_NAME = re.compile(r"\d{5,}\.png")
PAPER_AGE_FROM_YEARS = 10  # its data begins there (generators/crowd/paper.py)


def crowd(
    out: Annotated[Path, typer.Option("--out", help="Directory of the faces: 00000.png ... and manifest.jsonl.")],
    count: Annotated[int, typer.Option("--count", help="How many faces.")] = 64,
    sex: Annotated[
        Literal["female", "male", "any"],
        typer.Option("--sex", help="female, male, or any (an even coin for each face)."),
    ] = "any",
    age: Annotated[
        str, typer.Option("--age", help="Years: one value (30) or a range (20-35), from 1 to 100.")
    ] = "18-75",
    race: Annotated[
        str | None, typer.Option("--race", help="White, Black, Asian, Indian or Other; open if not given.")
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(
            "--with",
            help="Words, separated by commas: 'smiling, eyeglasses, not bald'. `mien crowd --words` lists them.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Face k of a seed is always the same; drawn if not given.")
    ] = None,
    preset: Annotated[
        str, typer.Option("--preset", help="mien: the best (128 px); paper: Sanche's network (64 px).")
    ] = "mien",
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights of a run instead of the packaged ones.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Height and width, px: 128, or 256 (enlarged); paper: 64.")
    ] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Also one picture of all faces, with their labels: sheet.png.")
    ] = False,
    device: Annotated[str | None, typer.Option("--device", help="cpu or cuda; cuda where there is one.")] = None,
    credentials: Annotated[
        Path | None,
        typer.Option("--credentials", help="Directory with certificate.pem and key.pem that sign the pictures."),
    ] = None,
    unmarked: Annotated[
        bool, typer.Option("--unmarked", help="No watermark and no content credentials; the manifest says so.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite faces that lie in OUT.")] = False,
    words: Annotated[
        bool, typer.Option("--words", is_eager=True, callback=lambda on: _words(on), help="List the words of --with.")
    ] = False,
) -> None:
    """Make faces with the sex and age asked for, and write them to OUT with a manifest."""
    from mien.errors import RequestError
    from mien.seeding import fresh_seed

    if count < 1 or count > 1_000_000:
        raise RequestError(f"--count: {count} given; allowed are 1 to 1000000")
    if seed is not None and not 0 <= seed < 2**63:
        raise RequestError(f"--seed: {seed} given; allowed are 0 to 2^63 - 1")
    ages = parse_ages(age)
    wanted = parse_attributes(attributes)
    check_known(preset, race, wanted, ages)
    refuse_to_overwrite(out, force)
    chosen = fresh_seed() if seed is None else seed

    from mien import load
    from mien.files import write_jsonl
    from mien.generators.crowd import CHUNK
    from mien.provenance.marks import Marks

    marks = Marks.load(not unmarked, credentials)
    makes = load("crowd", preset=preset, weights=str(weights) if weights else None, device=device).at(size)
    forget_old(out)
    written: list[Future[dict[str, Any]]] = []
    tiles: list[MadeFace] = []
    try:
        with progress(f"{count} faces", count) as told, ThreadPoolExecutor(WRITERS) as pool:
            for first in range(0, count, CHUNK):
                made = makes.sample(
                    min(CHUNK, count - first), sex=sex, age=ages, race=race, attributes=wanted, seed=chosen, first=first
                )
                for row in written[-CHUNK:]:
                    row.result()  # a full disk ends the run here; and no more than two chunks are ever held
                written += [pool.submit(write_face, out, face, marks) for face in made]
                tiles += made if sheet else []
                told(len(made))
        for row in written:
            row.result()
    finally:  # an interrupted run still says what lies there
        rows = [row.result() for row in written if row.done() and not row.exception()]
        if rows:
            write_jsonl(out / MANIFEST, rows)
    if sheet:
        from mien.apps.cli.sheets import labelled_sheet

        page, about = labelled_sheet(tiles, SHEET_COLUMNS), {"Comment": f"AI-generated by mien; seed {chosen}"}
        first_face = tiles[0]
        marks.write_png(out / "sheet.png", page, about, model=first_face.model, model_version=first_face.model_version)
    typer.echo(str(out / "sheet.png") if sheet else f"{count} faces in {out} (seed {chosen})")


def write_face(out: Path, face: MadeFace, marks: Marks) -> dict[str, Any]:
    """Write OUT/<index>.png, which says of itself what it is; returns its row of the manifest."""
    from mien.apps.pictures import face_row, marked_row, png_of
    from mien.files import write_bytes

    row = marked_row(face_row(face), marks)
    write_bytes(out / row["file"], png_of(face.image, row, marks))
    return row


def parse_ages(text: str) -> tuple[float, float]:
    """'30' or '20-35' -> (low, high) in years."""
    from mien.errors import RequestError
    from mien.generators.crowd import age_range

    low, dash, high = text.partition("-")
    try:
        return age_range((float(low), float(high if dash else low)))
    except ValueError as error:
        raise RequestError(f"--age: '{text}' given; allowed: one age (30) or a range (20-35), from 1 to 100") from error


def parse_attributes(text: str | None) -> dict[str, bool]:
    """'smiling, not bald' -> attribute names of the vocabulary and whether they are wanted."""
    from mien.faces.attributes import parse
    from mien.generators.conditions import ATTRIBUTES

    found = parse(text or "", option="--with", known=ATTRIBUTES, strengths=False)
    return {name: bool(wanted) for name, wanted in found.items()}


def check_known(preset: str, race: str | None, attributes: Mapping[str, bool], ages: tuple[float, float]) -> None:
    """``RequestError`` for a race that there is not, and for what the paper's network was never told."""
    from mien.errors import RequestError
    from mien.generators.conditions import RACES

    if race is not None and race not in RACES:
        raise RequestError(f"--race: '{race}' given; allowed: {', '.join(RACES)}")
    if preset != "paper":
        return
    for option, given in (("--race", race), ("--with", attributes)):
        if given:
            raise RequestError(f"{option}: the preset 'paper' knows sex and age only; wanted: --preset mien")
    if ages[0] < PAPER_AGE_FROM_YEARS:
        given_ages = f"{ages[0]:g} to {ages[1]:g}"
        raise RequestError(f"--age: {given_ages} given; the preset 'paper' knows {PAPER_AGE_FROM_YEARS} to 100 years")


def refuse_to_overwrite(out: Path, force: bool) -> None:
    """``RequestError`` where OUT is a file, or holds faces and --force was not given."""
    from mien.errors import RequestError

    if out.exists() and not out.is_dir():
        raise RequestError(f"--out: {out} is a file; a directory is wanted")
    if not force and out.is_dir() and any(out.glob("*.png")):
        raise RequestError(f"--out: {out} holds faces already; another directory or --force is wanted")


def forget_old(out: Path) -> None:
    """Remove the faces that an older manifest of OUT names, and the manifest: no face is left that it does not name."""
    try:
        rows = [json.loads(line) for line in (out / MANIFEST).read_text().splitlines()]
        names = [Path(str(row["file"])).name for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return
    for name in [*(name for name in names if FACE_NAME.fullmatch(name)), MANIFEST]:
        (out / name).unlink(missing_ok=True)


@contextmanager
def progress(what: str, total: int) -> Iterator[Any]:
    """A bar on stderr; yields a function that is told how many more are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)


def _words(wanted: bool) -> None:
    if wanted:
        from mien.generators.conditions import ATTRIBUTES

        typer.echo(", ".join(ATTRIBUTES.values()))
        raise typer.Exit


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("crowd")(crowd)
