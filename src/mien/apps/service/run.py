"""The service as a process."""

from __future__ import annotations

from collections.abc import Callable

from mien.apps.service.app import create_app
from mien.apps.web.server import serve_app
from mien.apps.web.settings import ServiceSettings


def serve(settings: ServiceSettings, *, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve until SIGINT or SIGTERM. ``ready`` is told the address once the socket listens."""
    serve_app(create_app(settings), settings, ready=ready)
