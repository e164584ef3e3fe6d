"""`mien studio`: the page for people who do not type commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.apps.cli.options import LOOPBACK, Credentials, Host, NewKey, Port, PublicAddress, Unmarked, key_made, needing
from mien.apps.cli.output import echo

DEFAULT_PORT = 7860
STOP_SECONDS = 2.0  # an open page holds a connection for ever


def studio(
    host: Host = LOOPBACK,
    port: Port = DEFAULT_PORT,
    address: PublicAddress = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="File of hashed keys; then the page asks for a name and its key.")
    ] = None,
    new_key: NewKey = None,
    credentials: Credentials = None,
    unmarked: Unmarked = False,
) -> None:
    """Open the studio: crowds, faces from words, portraits and descriptions on a local page (docs/studio.md).

    It works offline, photos stay in memory, and nothing is sent anywhere. Stop it with Ctrl-C.
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
            "credentials": credentials,
            "marked": not unmarked,
            "stop_seconds": STOP_SECONDS,
        },
        where="studio",
    )
    settings.access_keys("studio")  # refused before the pages are loaded
    with needing("studio", "studio"):
        from mien.apps.studio.run import run
    run(settings, ready=lambda address: echo(f"mien studio: {address} (Ctrl-C stops it)"), browser=browser)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("studio")(studio)
