"""`mien crowd`: labelled faces of people who do not exist."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mien.apps.cli.bulk import bulk_of, write_bulk
from mien.apps.cli.options import (
    Address,
    Credentials,
    EngineName,
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

DEFAULT_COUNT = 64


def crowd(
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Directory of the faces: 00000.png ... and manifest.jsonl.")
    ],
    text: Annotated[
        str, typer.Argument(metavar="[WORDS]", help="Who they are: 'bearded men in their thirties, smiling'.")
    ] = "",
    count: Annotated[int | None, typer.Option("--count", help="How many faces.", show_default="64")] = None,
    sex: Annotated[
        Literal["female", "male", "any"],
        typer.Option("--sex", help="female, male, or any (an even coin for each face)."),
    ] = "any",
    age: Annotated[
        str | None, typer.Option("--age", help="Years: one value (30) or a range (20-35), from 1 to 100 (18-75).")
    ] = None,
    race: Annotated[
        str | None, typer.Option("--race", help="White, Black, Asian, Indian or Other; open if not given.")
    ] = None,
    attributes: Annotated[
        str, typer.Option("--with", help="Words: 'smiling, eyeglasses, not bald'. `mien crowd --words` lists them.")
    ] = "",
    cast: Annotated[
        Path | None,
        typer.Option("--cast", help="People from a CSV file: columns name, sex, age, words, race, look, seed, count."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Face k of a seed is always the same; drawn if not given.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help="painter; mien: ten times as fast, blurred; paper: Sanche's network.",
            show_default="painter; mien with --weights",
        ),
    ] = None,
    look: Annotated[
        str | None, typer.Option("--look", help="Of photographs (painter): studio, natural, news or any.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights of a run instead of the packaged ones.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Height and width, px: 256 or 128 (mien: 128); paper: 64.")
    ] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Also one picture of all faces, with their labels: sheet.png.")
    ] = False,
    device: Annotated[str | None, typer.Option("--device", help="cpu or cuda; cuda where there is one.")] = None,
    credentials: Credentials = None,
    unmarked: Unmarked = False,
    force: Force = False,
    resume: Resume = False,
    shards: Shards = None,
    shard_faces: ShardFaces = None,
    engine: EngineName = "local",
    address: Address = None,
    workers: Workers = None,
    words: Annotated[
        bool, typer.Option("--words", is_eager=True, callback=lambda on: _words(on), help="List the words of --with.")
    ] = False,
) -> None:
    """Make faces with the sex and age asked for, and write them to OUT with a manifest."""
    from mien.core.limits import check_seed
    from mien.core.seeding import fresh_seed
    from mien.pipelines.crowd import check_preset, preset_of
    from mien.pipelines.crowd_out import earlier_seed, load_looks, tasks_of, write_crowd
    from mien.pipelines.faces_out import check_out, opened
    from mien.pipelines.request import FacesRequest, crowd_request

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
        tasks, number, looks = partial(tasks_of, read.request, look=look), read.request.count, [look]
    else:
        _refuse_beside_cast({"WORDS": text, "--count": count, "--sex": None if sex == "any" else sex, "--age": age,
                             "--race": race, "--with": attributes, "--look": look})  # fmt: skip
        check_seed(seed)
        check_preset(preset, FacesRequest(), device)
        people = _cast(cast, preset)
        from mien.pipelines.cast import cast_tasks

        tasks, number, looks = partial(cast_tasks, people), people.count, [row.look for row in people.rows]
    folder = Path(out)
    check_out(folder, force=force, resume=resume)
    if cast is None:
        say_understood(read)
    else:
        _say_left_out(people)

    from mien.core.progress import progress_bars
    from mien.provenance.marks import Marks

    with stoppable(), opened(folder, force=force, resume=resume) as output:
        marks = Marks.load(not unmarked, credentials)
        if seed is None:
            seed = earlier_seed(output.earlier()) if resume else None
        seed = fresh_seed() if seed is None else seed
        model_of = load_looks(looks, preset, weights=weights, device=device, size_px=size)
        with progress_bars() as bars:
            made = write_crowd(
                model_of, tasks(seed), number, output, marks, sheet=sheet, about=f"seed {seed}",
                on_progress=bars(f"{number} faces"),
            )  # fmt: skip
    there = f", {number - made} were there" if made < number else ""
    echo(folder / "sheet.png" if sheet else f"{number} faces in {out} (seed {seed}{there})")


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
