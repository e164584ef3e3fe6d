"""Everything that is decided before a request reaches the application: who, from where, how much, how fast.

Plain ASGI. The body is read whole into memory, within its limit and its time, and handed on; it never touches a disk.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from mien.apps.service.keys import Keys
from mien.apps.service.settings import LOOPBACK_NAMES, MIB, ServiceSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("mien.service")
OPEN_PATHS = ("/healthz", "/readyz")  # asked by machines that hold no key
JSON = ("application/json",)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ALWAYS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]


class Refused(Exception):  # noqa: N818 (an answer, no error)
    """The request goes no further than this answer."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


class Door:
    """Wraps the application. ``types`` says which content types a path takes in POST requests."""

    def __init__(
        self,
        app: App,
        settings: ServiceSettings,
        keys: Keys | None,
        types: Mapping[str, tuple[str, ...]],
        answered: Callable[[str, str, int, float], None],
    ) -> None:
        self.app, self.settings, self.keys, self.types, self.answered = app, settings, keys, types, answered
        self._held = 0  # bytes of bodies in memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        started, status = time.monotonic(), 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *ALWAYS]
            await send(message)

        limit = self._limit(scope)
        reserved = 0
        try:
            self._check(scope, limit)
            reserved = self._reserve(scope, limit)
            body = await self._body(receive, limit)
            if body is not None:
                await self.app(scope, _again(body, receive), told)
        except Refused as refusal:
            await _answer(told, refusal)
        finally:
            self._held -= reserved
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.answered(route, method, status, seconds)
            if route not in OPEN_PATHS:  # asked every few seconds by machines
                log.info("%s %s %d %.0f ms", method, route, status, seconds * 1e3)

    def _limit(self, scope: Scope) -> int:
        """Bytes that the body may have."""
        types = self.types.get(scope["path"], JSON)
        return self.settings.json_kib * 1024 if types == JSON else self.settings.upload_mib * MIB

    def _check(self, scope: Scope, limit: int) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if self.keys is None:
            host = re.sub(r":\d*$", "", headers.get(b"host", ""))
            if host not in (*LOOPBACK_NAMES, self.settings.host, "testserver"):
                # A page elsewhere that points its own name at this machine would be let in by the browser.
                raise Refused(421, "host: another name than that of this service; allowed: localhost")
        elif scope["path"] not in OPEN_PATHS:
            scheme, _, key = headers.get(b"authorization", "").partition(" ")
            given = key.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", "")
            holder = self.keys.holder(given)
            if holder is None:
                wanted = "Authorization: Bearer KEY, or X-API-Key: KEY"
                message = f"key: {'not known' if given else 'not given'}; wanted: {wanted}"
                raise Refused(401, message, {"WWW-Authenticate": "Bearer"})
            scope.setdefault("state", {})["holder"] = holder
        if scope["method"] == "POST" and scope["path"] in self.types:
            allowed = self.types[scope["path"]]
            given = headers.get(b"content-type", "").partition(";")[0].strip().lower()
            if given not in allowed:
                said = f"{given!r} given" if given else "not given"
                raise Refused(415, f"Content-Type: {said}; allowed: {', '.join(allowed)}")
        length = headers.get(b"content-length", "0")
        if length.isdigit() and int(length) > limit:
            raise Refused(413, _too_large(limit), {"Connection": "close"})

    def _reserve(self, scope: Scope, limit: int) -> int:
        """Set memory aside for the body: what its head announces, or all that it may have."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if b"content-length" in headers:
            wanted = int(headers[b"content-length"]) if headers[b"content-length"].isdigit() else limit
        else:
            wanted = limit if b"transfer-encoding" in headers else 0
        if self._held + wanted > self.settings.uploads_mib * MIB:
            raise Refused(429, "the service holds as many uploads as it may; try again in 5 s", {"Retry-After": "5"})
        self._held += wanted
        return wanted

    async def _body(self, receive: Receive, limit: int) -> bytes | None:
        """The body; ``None`` where the client left."""
        parts: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self.settings.upload_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    part = message.get("body", b"")
                    size += len(part)
                    if size > limit:
                        raise Refused(413, _too_large(limit), {"Connection": "close"})
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            seconds = f"{self.settings.upload_seconds:g} s"
            raise Refused(408, f"body: not here after {seconds}", {"Connection": "close"}) from None


def _too_large(limit: int) -> str:
    size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit // 1024} KiB"
    return f"body: too large; allowed are {size}"


def _again(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body first, and then what the server gives (that the client left)."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _answer(send: Send, refusal: Refused) -> None:
    body = json.dumps({"error": str(refusal)}).encode()
    headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    headers += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
