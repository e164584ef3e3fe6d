"""``mien models``: the networks of others, which mien fetches once or a user adds from a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.apps.cli.output import echo, warn

models = typer.Typer(no_args_is_help=True, help="The networks of others that mien uses: list, fetch, add, info.")


def register(app: typer.Typer) -> None:
    """Add ``mien models`` to the command line."""
    app.add_typer(models, name="models")


@models.command("list")
def show_list() -> None:
    """Show every network, its licence, and whether it is on this machine."""
    from rich.console import Console
    from rich.table import Table

    from mien.pipelines import networks

    table = Table("name", "what it is", "licence", "download", "on this machine")
    for entry in networks.status():
        here = "-" if entry.size_bytes is None else _here(entry.damage, entry.size_bytes)
        model = entry.model
        table.add_row(model.name, model.what, model.licence, _megabytes(model.archive_bytes), here)
    for own in networks.local_status():
        here = "not added" if own.size_bytes is None else f"added, {_here(own.damage, own.size_bytes)}"
        table.add_row(own.model.name, own.model.what, own.model.licence, "-", here)
    Console().print(table)
    everything: list[networks.Status | networks.LocalStatus] = [*networks.status(), *networks.local_status()]
    for each in everything:
        if each.damage is not None:
            warn(f"{each.path} {each.damage}; run: {each.again}")


def _here(damage: str | None, size_bytes: int) -> str:
    return "damaged" if damage else _megabytes(size_bytes)


@models.command()
def fetch(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Which (default: all).")] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take it from this wheel, archive or network file; no network."),
    ] = None,
) -> None:
    """Bring networks from the package indexes, check their SHA-256, and convert them to safetensors in the cache."""
    from mien.core.progress import progress_bars
    from mien.pipelines import networks

    with progress_bars(in_bytes=True) as on_stage:
        paths = networks.fetch(names or (), from_file=from_file, on_stage=on_stage)
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

    from mien.pipelines import networks

    with Console(stderr=True).status(f"{name}: reading {file.name}"):
        path = networks.add(name, file, colours=colours)
    echo(path)


@models.command()
def info(name: Annotated[str, typer.Argument(help="A name that `mien models list` shows.")]) -> None:
    """Show where a network comes from, its licence and pins, and where its converted weights are."""
    from mien.pipelines import networks

    found = networks.network(name)
    model = found.model
    facts = {"name": name, "what it is": model.what, "author": model.author, "licence": model.licence}
    if isinstance(found, networks.LocalStatus):
        facts |= {"where to get it": found.model.where, "files read": "; ".join(found.model.forms)}
        facts |= {"stored as": "float32"}
    else:
        facts |= {
            "package": f"{found.model.release} on the package index",
            "archive": f"{found.model.filename} ({_megabytes(found.model.archive_bytes)})",
            "archive SHA-256": found.model.archive_sha256,
            "network file": found.model.member,
            "network SHA-256": found.model.member_sha256,
            "stored as": "float16" if found.model.half else "float32",
        }
    here = f"no; run: {found.again}" if found.size_bytes is None else str(found.path)
    facts["on this machine"] = f"damaged: {here} {found.damage}; run: {found.again}" if found.damage else here
    for key, value in facts.items():
        echo(f"{key:<16} {value}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
