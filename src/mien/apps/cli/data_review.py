"""`mien data review`: the labels of a dataset, the most suspicious first, before people who know better."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli.options import LOOPBACK, Host, Port, needing

if TYPE_CHECKING:
    from mien.evaluation.label_views import Told

DEFAULT_PORT = 8002


def review(
    dest: Annotated[Path, typer.Argument(help="A dataset that 'mien data prepare' made.", show_default=False)],
    what: Annotated[
        list[str] | None,
        typer.Option(
            "--what",
            help="Label to check: sex, age, an attribute, or 'attributes': all. May be given again. (sex, age)",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the N most suspicious faces.", show_default=False)
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="NAME", help="Who reviews; the page asks if not given.", show_default=False),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URL",
            help="Where decisions are kept: DEST/review.sqlite, or postgresql+psycopg://USER@HOST/DATABASE.",
            show_default=False,
        ),
    ] = None,
    host: Host = LOOPBACK,
    port: Port = DEFAULT_PORT,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys", help="File of hashed keys (mien serve --keys FILE --new-key NAME); then everybody needs one."
        ),
    ] = None,
) -> None:
    """Show faces with their labels in a browser, the most suspicious first; accept, correct or reject them by keys.

    Several people may review at once. Nothing in DEST is overwritten; training and evaluation honour what was said.
    """
    with needing("review", "review"):
        from mien.apps.review import run
        from mien.apps.service.settings import ServiceSettings
    settings = ServiceSettings.make({"host": host, "port": port, "keys": keys}, where="data review")
    settings.check_open()
    with _progress() as told:
        room, opened = run.open_room(dest, what=what or (), store=store, limit=limit, told=told)
    try:
        typer.echo(run.summary(room), err=True)
        run.serve(room, settings, by=by, ready=lambda address: typer.echo(f"mien reviews {dest} at {address}"))
    finally:
        opened.close()


@contextmanager
def _progress() -> Iterator[Told]:
    """A bar for each thing that is done, in its turn."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Bar(*columns, console=Console(stderr=True)) as bar:

        def told(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of)
            bar.update(tasks[what], completed=done, total=of)

        yield told
