"""`mien serve`: the same calls over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.apps.cli.options import LOOPBACK, Credentials, Host, NewKey, Port, PublicAddress, Unmarked, key_made, needing
from mien.apps.cli.output import echo

DEFAULT_PORT = 8000


def serve(
    host: Host = LOOPBACK,
    port: Port = DEFAULT_PORT,
    address: PublicAddress = None,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="File of hashed API keys; then every request needs one.")
    ] = None,
    new_key: NewKey = None,
    only: Annotated[
        str | None, typer.Option("--only", help="Serve these alone, for example 'crowd,describe'; all if not given.")
    ] = None,
    jobs: Annotated[
        Path | None,
        typer.Option(
            "--jobs", help="Directory of large requests and their results; without it they end with the process."
        ),
    ] = None,
    waiting: Annotated[int, typer.Option("--waiting", help="Requests that may wait; more are answered 429.")] = 64,
    upload_mib: Annotated[int, typer.Option("--upload-mib", help="Largest upload.")] = 20,
    most_faces: Annotated[int, typer.Option("--most-faces", help="Largest number of faces of one request.")] = 10_000,
    credentials: Credentials = None,
    unmarked: Unmarked = False,
) -> None:
    """Serve crowd, imagine, portrait and describe over HTTP until interrupted; OpenAPI at /docs (docs/service.md).

    On loopback no key is asked for. Uploads stay in memory, and neither they nor who sent them is logged.
    """
    if new_key is not None:
        echo(key_made(keys, new_key))
        return
    from mien.apps.web.settings import ServiceSettings

    settings = ServiceSettings.make(
        {
            "host": host,
            "port": port,
            "address": address,
            "keys": keys,
            "models": tuple(name.strip() for name in (only or "").split(",") if name.strip()),
            "jobs": jobs,
            "waiting": waiting,
            "upload_mib": upload_mib,
            "most_faces": most_faces,
            "credentials": credentials,
            "marked": not unmarked,
        },
        where="serve",
    )
    settings.access_keys()  # refused before the pages are loaded
    with needing("service", "serve"):
        from mien.apps.service.run import serve as run
    run(settings, ready=lambda address: echo(f"mien serves at {address} (documentation: {address}/docs)"))


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("serve")(serve)
