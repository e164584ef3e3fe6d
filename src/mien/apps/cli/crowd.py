"""`mien crowd`: labelled faces of people who do not exist."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mien.apps.cli.bulk import bulk_of, write_bulk
from mien.apps.cli.options import (
    FACES_IN,
    Address,
    Credentials,
    Device,
    EngineName,
    FaceSeed,
    Force,
    Resume,
    ShardFaces,
    Shards,
    Unmarked,
    Workers,
    say_understood,
)
from mien.apps.cli.output import echo, stoppable, warn

if TYPE_CHECKING:
    from mien.pipelines.cast import Cast
    from mien.pipelines.request import Read

DEFAULT_COUNT = 64
Out = Annotated[str, typer.Option("--out", metavar="DIR", help=FACES_IN)]
Words = Annotated[
    str, typer.Argument(metavar="[WORDS]", help="Who they are: 'bearded men in their thirties, smiling'.")
]
Count = Annotated[int | None, typer.Option("--count", help="How many faces.", show_default="64")]
Sex = Annotated[
    Literal["female", "male", "any"],
    typer.Option("--sex", case_sensitive=False, help="female, male, or any (an even coin for each face)."),
]
Age = Annotated[
    str | None, typer.Option("--age", help="Years: one value (30) or a range (20-35), from 1 to 100 (18-75).")
]
Race = Annotated[str | None, typer.Option("--race", help="White, Black, Asian, Indian or Other; open if not given.")]
With = Annotated[
    str, typer.Option("--with", help="Words: 'smiling, eyeglasses, not bald'. `mien crowd --words` lists them.")
]
CastList = Annotated[
    Path | None,
    typer.Option("--cast", help="People from a CSV file: columns name, sex, age, words, race, look, seed, count."),
]
PRESETS = "painter; mien: ten times as fast, blurred; paper: Sanche's network."
Preset = Annotated[str | None, typer.Option("--preset", help=PRESETS, show_default="painter; mien with --weights")]
LookName = Annotated[str | None, typer.Option("--look", help="Of photographs (painter): studio, natural, news or any.")]
Weights = Annotated[Path | None, typer.Option("--weights", help="Weights of a run instead of the packaged ones.")]
Size = Annotated[int | None, typer.Option("--size", help="Height and width, px: 256 or 128 (mien: 128); paper: 64.")]
Sheet = Annotated[bool, typer.Option("--sheet", help="Also one picture of all faces, with their labels: sheet.png.")]
List = Annotated[
    bool, typer.Option("--words", is_eager=True, callback=lambda on: _words(on), help="List the words of --with.")
]


@dataclass(frozen=True, slots=True)
class _People:
    """Who is to be made: their tasks for a seed, how many, the looks that they need, and what is said of the text."""

    tasks: Callable[[int], Any]
    count: int
    looks: Sequence[str | None]
    say: Callable[[], None]


def crowd(
    out: Out,
    text: Words = "",
    count: Count = None,
    sex: Sex = "any",
    age: Age = None,
    race: Race = None,
    attributes: With = "",
    cast: CastList = None,
    seed: FaceSeed = None,
    preset: Preset = None,
    look: LookName = None,
    weights: Weights = None,
    size: Size = None,
    sheet: Sheet = False,
    device: Device = None,
    credentials: Credentials = None,
    unmarked: Unmarked = False,
    force: Force = False,
    resume: Resume = False,
    shards: Shards = None,
    shard_faces: ShardFaces = None,
    engine: EngineName = "local",
    address: Address = None,
    workers: Workers = None,
    words: List = False,
) -> None:
    """Make faces with the sex and age asked for, and write them to OUT with a manifest."""
    from mien.pipelines.crowd import check_preset, preset_of
    from mien.pipelines.request import crowd_request

    preset = preset_of(preset, weights)
    bulk = bulk_of(out, shards, shard_faces, engine, address, workers, beside={"--sheet": sheet, "--cast": cast})
    if cast is None:
        said, option = ", ".join(filter(None, (text, attributes))), "WORDS" if text else "--with"
        number = DEFAULT_COUNT if count is None else count
        read = crowd_request(said, sex=sex, age=age, race=race, option=option, count=number, seed=seed)
        check_preset(preset, read.request, device, look)
        if bulk is not None:
            from mien.pipelines.face_jobs import CrowdJob, Marking

            say_understood(read)
            job = CrowdJob(read.request, preset, look, weights, device, size, Marking(not unmarked, credentials))
            write_bulk(job, out, bulk, seed, force=force, resume=resume)
            return
        people = _of_words(read, look)
    else:
        _refuse_beside_cast({"WORDS": text, "--count": count, "--sex": None if sex == "any" else sex, "--age": age,
                             "--race": race, "--with": attributes, "--look": look})  # fmt: skip
        people = _of_cast(cast, preset, device, seed)
    made_of = {"weights": weights, "device": device, "size_px": size}
    _write(people, Path(out), seed, preset, made_of, sheet, (not unmarked, credentials), force=force, resume=resume)


def _of_words(read: Read, look: str | None) -> _People:
    from mien.pipelines.crowd_out import tasks_of

    return _People(
        partial(tasks_of, read.request, look=look), read.request.count, [look], partial(say_understood, read)
    )


def _of_cast(cast: Path, preset: str, device: str | None, seed: int | None) -> _People:
    from mien.core.limits import check_seed
    from mien.pipelines.cast import cast_tasks
    from mien.pipelines.crowd import check_preset
    from mien.pipelines.request import FacesRequest

    check_seed(seed)
    check_preset(preset, FacesRequest(), device)
    people = _cast(cast, preset)
    looks = [row.look for row in people.rows]
    return _People(partial(cast_tasks, people), people.count, looks, partial(_say_left_out, people))


def _write(
    people: _People, folder: Path, seed: int | None, preset: str, made_of: dict[str, Any], sheet: bool,
    marking: tuple[bool, Path | None], *, force: bool, resume: bool,
) -> None:  # fmt: skip
    """Make the faces; ``made_of``: the weights, device and size of the networks."""
    from mien.pipelines.faces_out import check_out, opened

    check_out(folder, force=force, resume=resume)
    people.say()

    from mien.core.progress import progress_bars
    from mien.core.seeding import fresh_seed
    from mien.pipelines.crowd_out import earlier_seed, load_looks, write_crowd
    from mien.provenance.marks import Marks

    with stoppable(), opened(folder, force=force, resume=resume) as output:
        marks = Marks.load(*marking)
        if seed is None:
            seed = earlier_seed(output.earlier()) if resume else None
        seed = fresh_seed() if seed is None else seed
        model_of = load_looks(people.looks, preset, **made_of)
        with progress_bars() as bars:
            made = write_crowd(
                model_of, people.tasks(seed), people.count, output, marks, sheet=sheet, about=f"seed {seed}",
                on_progress=bars(f"{people.count} faces"),
            )  # fmt: skip
    there = f", {people.count - made} were there" if made < people.count else ""
    echo(folder / "sheet.png" if sheet else f"{people.count} faces in {folder} (seed {seed}{there})")


def _refuse_beside_cast(given: dict[str, object]) -> None:
    """Each row of a cast list says that for itself."""
    from mien.core.errors import RequestError

    for option, value in given.items():
        if value not in (None, ""):
            raise RequestError(f"{option}: '{value}' given with --cast; each row of the list says it for itself")


def _cast(path: Path, preset: str) -> Cast:
    """The list; every cell that cannot be read is told, one a line, before the error that ends the run."""
    from mien.core.errors import CellsError, RequestError
    from mien.pipelines.cast import read_cast_file

    try:
        return read_cast_file(path, preset)
    except CellsError as error:
        for cell in error.cells:
            warn(f"{path}: {cell}")
        number = "1 cell" if len(error.cells) == 1 else f"{len(error.cells)} cells"
        raise RequestError(f"{path}: {number} cannot be read; no face was made") from error


def _say_left_out(people: Cast) -> None:
    if people.not_read:
        echo(f"columns that are not read: {', '.join(people.not_read)}", err=True)
    for remark in people.remarks:
        echo(str(remark), err=True)


def _words(wanted: bool) -> None:
    if wanted:
        from mien.pipelines.request import ATTRIBUTES

        typer.echo(", ".join(ATTRIBUTES.values()))
        raise typer.Exit


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("crowd")(crowd)
