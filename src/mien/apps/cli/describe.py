"""`mien describe`: what can be said of the faces on photos."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli.options import Address, EngineName, Workers
from mien.apps.cli.output import echo_json, stoppable, warn

if TYPE_CHECKING:
    from mien.core.progress import OnProgress
    from mien.pipelines.describe import DescribedPhoto

HELP = (
    "Describe every face on photos: 73 attributes, sex, age, pose, and how well it can be seen.\n\n"
    "It says how a face looks to a network on one photo, never who it is. It errs, and not on all people alike: more "
    "on children and on women (docs/describe.md). Left and right are the photo's. A photo that cannot be used, or on "
    "which no face is found, stops no other; the exit status is then 1."
)


def describe(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photos, or directories of photos.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a photo, one a line.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for a picture of each photo with boxes, and description.jsonl."),
    ] = None,
    with_ethnicity: Annotated[
        bool,
        typer.Option(
            "--with-ethnicity",
            help="Also four names of ethnicities. Off: nobody's origin can be seen, and a guess about it can harm.",
        ),
    ] = False,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Heads of a run instead of the packaged ones.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite descriptions that lie in OUT.")] = False,
    engine: EngineName = "local",
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Describe every face on photos (``HELP``)."""
    from mien.pipelines.describe import DescribeRequest
    from mien.pipelines.describe import describe as described
    from mien.pipelines.engine import Engine

    work = Engine(engine, address, workers)
    request = DescribeRequest(tuple(photos), with_ethnicity, weights, out, force)
    with stoppable(), _bar(len(request.files)) as on_progress:
        rows = described(request, engine=work, on_photo=lambda photo: _say(photo, as_json), on_progress=on_progress)
    if not as_json and any(row["faces"] for row in rows):
        from mien.apps.cli.describe_table import print_notes

        print_notes(with_ethnicity)
    failed = sum(row["problem"] is not None for row in rows)
    if failed and len(rows) > 1:
        warn(f"{failed} of {len(rows)} photos could not be described")
    if failed:
        raise typer.Exit(1)


def _say(photo: DescribedPhoto, as_json: bool) -> None:
    """One photo's answer: on stdout what it is, on stderr what is wrong with it."""
    if as_json:  # a name that is no valid text is written as \udcXX, which JSON reads back
        echo_json(photo.row)
    elif photo.description is not None:
        from mien.apps.cli.describe_table import print_description

        print_description(photo.name, photo.description)
    if "remark" in photo.row:
        sys.stdout.flush()
        warn(f"{photo.name}: {photo.row['remark']}")
    if photo.problem is not None:
        sys.stdout.flush()
        warn(photo.problem)


@contextmanager
def _bar(total: int) -> Iterator[OnProgress | None]:
    """A bar on stderr, where stdout does not show the progress itself and there is more than one photo."""
    if total < 2 or sys.stdout.isatty() or not sys.stderr.isatty():
        yield None
        return
    from mien.core.progress import progress_bars

    with progress_bars(redirect_stdout=False) as on_stage:
        yield on_stage("photos")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("describe", help=HELP)(describe)
