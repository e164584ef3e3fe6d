"""Options that several commands share, each worded once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli.output import echo

if TYPE_CHECKING:
    from mien.pipelines.request import Read

Credentials = Annotated[
    Path | None,
    typer.Option("--credentials", help="Directory with certificate.pem and key.pem that sign the pictures."),
]
Unmarked = Annotated[
    bool, typer.Option("--unmarked", help="No watermark and no content credentials; the manifest says so.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite faces that lie in OUT.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on where a run into OUT ended: faces that lie there as asked for stay.")
]
EngineName = Annotated[
    str, typer.Option("--engine", help="Who does the work: local, or ray (a cluster; pip install 'mien\\[cluster]').")
]
Address = Annotated[
    str | None,
    typer.Option("--address", help="Of a running Ray cluster, host:port or auto; else one is started here."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Processes of the cluster, one core each.", show_default="every core")
]
Shards = Annotated[
    str | None,
    typer.Option("--shards", help="Faces in shards for trainers: tar (WebDataset) or parquet; OUT may be s3://..."),
]
ShardFaces = Annotated[int | None, typer.Option("--shard-faces", help="Faces a shard.", show_default="1000")]

FaceSeed = Annotated[
    int | None, typer.Option("--seed", help="Face k of a seed is always the same; drawn if not given.")
]
Years = Annotated[str | None, typer.Option("--age", help="Years: one value (30) or a range (20-35).")]
Device = Annotated[str | None, typer.Option("--device", help="cpu or cuda; cuda where there is one.")]
FACES_IN = "Directory of the faces: 00000.png ... and manifest.jsonl."

Host = Annotated[str, typer.Option("--host", help="Address to listen on; one that others can reach needs --keys.")]
Port = Annotated[int, typer.Option("--port", help="0: any that is free.")]
PublicAddress = Annotated[
    str | None,
    typer.Option("--address", metavar="URL", help="Where a reverse proxy offers it: https://faces.example/mien."),
]
NewKey = Annotated[
    str | None, typer.Option("--new-key", metavar="NAME", help="Add a key for NAME to --keys, print it, and stop.")
]
LOOPBACK = "127.0.0.1"


def key_made(keys: Path | None, name: str) -> str:
    """A new key for ``name`` in the file ``keys``; ``RequestError`` where there is no file, or the name has a key."""
    from mien.apps.web.keys import add_key
    from mien.core.errors import RequestError

    if keys is None:
        raise RequestError("--new-key: --keys not given; a file for the hashed keys is wanted")
    return add_key(keys, name)


@contextmanager
def needing(extra: str, command: str) -> Iterator[None]:
    """What is imported within may be absent: then ``RequestError`` tells which extra of mien brings it."""
    from mien.core.errors import RequestError

    try:
        yield
    except ImportError as error:
        if not isinstance(error, ModuleNotFoundError) or not error.name:  # it is there and does not work
            raise RequestError(f"{command}: {error}") from error
        message = f"{command}: {error.name} is not installed; run: pip install 'mien[{extra}]'"
        raise RequestError(message) from error


def say_understood(read: Read) -> None:
    """Tell on stderr what a text was taken for, and what of it was left out."""
    if read.understood:
        echo(f"understood: {read.understood}", err=True)
    if read.left_out:
        echo(read.left_out, err=True)
