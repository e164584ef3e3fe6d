"""The studio as a process: the server of ``mien serve`` with another application."""

from __future__ import annotations

import contextlib
import os
import threading
import urllib.request
import webbrowser
from collections.abc import Callable

from mien.apps.studio.app import create_app
from mien.apps.web.server import serve_app
from mien.apps.web.settings import ServiceSettings


def run(
    settings: ServiceSettings, *, ready: Callable[[str], None] = lambda address: None, browser: bool = False
) -> None:
    """Serve until SIGINT or SIGTERM. ``ready`` is told the address once the socket listens; ``browser`` opens it.

    ``RequestError`` for an address that cannot be had, or that others can reach without keys.
    """

    def listens(address: str) -> None:
        ready(address)
        if browser:
            threading.Thread(target=_open, args=(address,), daemon=True).start()

    serve_app(create_app(settings), settings, ready=listens)


def _open(address: str) -> None:
    """Open the page once the server answers; where there is no browser, nothing happens."""
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"{address}/healthz", timeout=30).close()
    if (
        os.name != "posix"
        or os.environ.get("DISPLAY")
        or os.environ.get("WAYLAND_DISPLAY")
        or os.uname().sysname == "Darwin"
    ):
        webbrowser.open(address)
