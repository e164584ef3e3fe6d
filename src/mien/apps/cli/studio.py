"""`mien studio`: the page for people who do not type commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.apps.cli.options import Credentials, Unmarked

DEFAULT_PORT = 7860
STOP_SECONDS = 2.0  # an open page holds a connection for ever


def studio(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; one that others can reach needs --keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="0: any that is free.")] = DEFAULT_PORT,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="File of hashed keys; then the page asks for a name and its key.")
    ] = None,
    new_key: Annotated[
        str | None, typer.Option("--new-key", metavar="NAME", help="Add a key for NAME to --keys, print it, and stop.")
    ] = None,
    credentials: Credentials = None,
    unmarked: Unmarked = False,
) -> None:
    """Open the studio: crowds, faces from words, portraits and descriptions on a local page (docs/studio.md).

    It works offline, photos stay in memory, and nothing is sent anywhere. Stop it with Ctrl-C.
    """
    from mien.errors import RequestError

    if new_key is not None:
        if keys is None:
            raise RequestError("--new-key: --keys not given; a file for the hashed keys is wanted")
        from mien.apps.service.keys import add_key

        typer.echo(add_key(keys, new_key))
        return
    try:
        from mien.apps.service.settings import ServiceSettings
        from mien.apps.studio.run import run
    except ImportError as error:
        raise RequestError(f"studio: {error.name} is not installed; run: pip install 'mien[studio]'") from error
    settings = ServiceSettings.make(
        {
            "host": host,
            "port": port,
            "keys": keys,
            "credentials": credentials,
            "marked": not unmarked,
            "stop_seconds": STOP_SECONDS,
        },
        where="studio",
    )
    run(settings, ready=lambda address: typer.echo(f"mien studio: {address} (Ctrl-C stops it)"), browser=browser)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("studio")(studio)
