"""`mien crowd`: labelled faces of people who do not exist."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mien.apps.cli.options import Credentials, Force, Unmarked


def crowd(
    out: Annotated[Path, typer.Option("--out", help="Directory of the faces: 00000.png ... and manifest.jsonl.")],
    text: Annotated[
        str, typer.Argument(metavar="[WORDS]", help="Who they are: 'bearded men in their thirties, smiling'.")
    ] = "",
    count: Annotated[int, typer.Option("--count", help="How many faces.")] = 64,
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
    words: Annotated[
        bool, typer.Option("--words", is_eager=True, callback=lambda on: _words(on), help="List the words of --with.")
    ] = False,
) -> None:
    """Make faces with the sex and age asked for, and write them to OUT with a manifest."""
    from mien.apps.cli.options import say_understood
    from mien.core.seeding import fresh_seed
    from mien.pipelines.crowd import check_preset, load_crowd, preset_of, write_crowd
    from mien.pipelines.faces_out import refuse_to_overwrite
    from mien.pipelines.request import crowd_request

    said = ", ".join(filter(None, (text, attributes)))
    option = "WORDS" if text else "--with"
    seed = fresh_seed() if seed is None else seed
    read = crowd_request(said, sex=sex, age=age, race=race, option=option, count=count, seed=seed, size_px=size)
    preset = preset_of(preset, weights)
    check_preset(preset, read.request, device, look)
    refuse_to_overwrite(out, force)
    say_understood(read)

    from mien.core.progress import progress_bars
    from mien.provenance.marks import Marks

    marks = Marks.load(not unmarked, credentials)
    model = load_crowd(preset, weights=str(weights) if weights else None, device=device, look=look)
    with progress_bars() as bars:
        on_progress = bars(f"{count} faces")
        write_crowd(model, read.request, out, marks, sheet=sheet, on_progress=on_progress)
    typer.echo(str(out / "sheet.png") if sheet else f"{count} faces in {out} (seed {seed})")


def _words(wanted: bool) -> None:
    if wanted:
        from mien.pipelines.request import ATTRIBUTES

        typer.echo(", ".join(ATTRIBUTES.values()))
        raise typer.Exit


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("crowd")(crowd)
