"""`mien character`: one person who does not exist, several times."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.apps.cli.options import Credentials, Device, Force, Unmarked, Years
from mien.apps.cli.output import echo, stoppable

EXAMPLE = '"a woman of 30 with curly hair"'


def character(
    text: Annotated[str, typer.Argument(metavar="WORDS", help=f"Who it is: {EXAMPLE}.")],
    out: Annotated[Path, typer.Option("--out", help="Directory: 00000.png ..., manifest.jsonl, and sheet.png.")],
    seed: Annotated[
        int | None, typer.Option("--seed", help="A seed is always the same person; drawn if not given.")
    ] = None,
    age: Years = None,
    size: Annotated[int | None, typer.Option("--size", help="Height and width, px: 256 or 128.")] = None,
    device: Device = None,
    credentials: Credentials = None,
    unmarked: Unmarked = False,
    force: Force = False,
) -> None:
    """Make one person at five angles, with four expressions and of four ages, and one picture of all: sheet.png."""
    from mien.apps.cli.options import say_understood
    from mien.core.errors import RequestError
    from mien.core.seeding import fresh_seed
    from mien.pipelines.faces_out import check_out, opened
    from mien.pipelines.request import imagine_request

    seed = fresh_seed() if seed is None else seed
    read = imagine_request(text, age=age, seed=seed, size_px=size)
    if not read.request.description.attributes and read.request.description.ages_years is None:
        raise RequestError(f"WORDS: none given; say who it is, for example {EXAMPLE}")
    check_out(out, force=force)
    say_understood(read)

    from mien.core.progress import progress_bars
    from mien.pipelines.character import write_character
    from mien.provenance.marks import Marks

    with stoppable(), opened(out, force=force) as output, progress_bars() as bars:
        marks = Marks.load(not unmarked, credentials)
        write_character(output, read.request, marks, device=device, on_progress=bars("pictures"))
    echo(f"{out / 'sheet.png'} (seed {seed})")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("character")(character)
