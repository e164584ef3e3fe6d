"""The service as a process: an HTTP server that is patient with nobody, and stops as it was told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from mien.apps.web.settings import ServiceSettings
from mien.core.errors import RequestError

BACKLOG = 1024
CONNECTIONS = 1000  # open at once; more are answered 503 by the server itself
KEEP_ALIVE_SECONDS = 15


def with_header_timeout(header_seconds: float) -> type[H11Protocol]:
    """A protocol that closes a connection whose next request has begun but whose head is not here in time.

    uvicorn times idle connections only; a client that sends a byte now and then would hold one for ever.
    """

    class HeaderTimeout(H11Protocol):
        _closing: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE:
                self._expect()
            elif self._closing is not None:
                self._closing.cancel()
                self._closing = None

        def connection_lost(self, exc: Exception | None) -> None:
            if self._closing is not None:
                self._closing.cancel()
            super().connection_lost(exc)

        def _expect(self) -> None:
            if self._closing is None:
                self._closing = self.loop.call_later(header_seconds, self._give_up)

        def _give_up(self) -> None:
            self._closing = None
            if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
                self.transport.close()

    return HeaderTimeout


def serve_app(app: FastAPI, settings: ServiceSettings, *, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve until SIGINT or SIGTERM; then finish what was accepted, at most ``stop_seconds``.

    ``ready`` is told the address once the socket listens. ``RequestError`` for an address that cannot be had.
    """
    _log_to_stderr()
    server, listening = server_of(app, settings)
    with contextlib.closing(listening):
        ready(address_of(settings, listening))
        server.run(sockets=[listening])


def server_of(app: FastAPI, settings: ServiceSettings) -> tuple[uvicorn.Server, socket.socket]:
    """The server of an application, and the socket on which it is to run (``server.run(sockets=[socket])``)."""
    listening = _listen(settings)
    config = uvicorn.Config(
        app,
        http=with_header_timeout(settings.header_seconds),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=round(settings.stop_seconds),
        h11_max_incomplete_event_size=32 * 1024,
    )
    return uvicorn.Server(config), listening


def address_of(settings: ServiceSettings, listening: socket.socket) -> str:
    """For example http://127.0.0.1:8000."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listening.getsockname()[1]}"


def _listen(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        place = f"{settings.host}, port {settings.port}"
        raise RequestError(f"--host, --port: {place} cannot be had ({error.strerror or error})") from error
    listening.listen(BACKLOG)
    return listening


class Discreet(logging.Formatter):
    """Of an error it tells the kind and where it arose. Its words stay out: they may hold what was uploaded."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 (the name that logging gave it)
        kind, _, trace = ei
        return "".join([*traceback.format_tb(trace), getattr(kind, "__name__", "")])


def _log_to_stderr() -> None:
    """One line a request: method, route, status, milliseconds. No address, no names, no content."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Discreet("%(asctime)s %(message)s"))
    for name, level in (("mien.service", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger: Any = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False
