"""Everything that is decided before a request reaches the service: who, from where, how much, how fast.

The body is read whole into memory, within its limit and its time, and handed on; it never touches a disk.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping

from mien.apps.web.auth import (
    OPEN_PATHS,
    App,
    Headers,
    HTTPRejection,
    Message,
    Receive,
    RequestPolicy,
    Scope,
    Send,
    too_large,
)
from mien.apps.web.keys import Keys
from mien.apps.web.settings import MIB, ServiceSettings
from mien.core.formats import MAIN_TYPES

log = logging.getLogger("mien.service")
JSON = ("application/json",)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class AuthMiddleware(RequestPolicy):
    """Wraps the service. ``types`` says which content types a path takes in POST requests; ``limits`` how many bytes,
    where that is not as of any JSON or photo; ``without_key`` which paths are had without a key.
    """

    always = (*RequestPolicy.always, (b"cache-control", b"no-store"))

    def __init__(
        self,
        app: App,
        settings: ServiceSettings,
        keys: Keys | None,
        types: Mapping[str, tuple[str, ...]],
        answered: Callable[[str, str, int, float], None],
        without_key: Collection[str] = OPEN_PATHS,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(app, settings, keys)
        self.types, self.limits = types, limits or {}
        self.answered, self.without_key = answered, frozenset(without_key)
        self._held = 0  # bytes of bodies in memory

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """As every entrance does, counted and noted: method, route, status, milliseconds, and no more."""
        started, status = time.monotonic(), 500
        try:
            status = await super().answer(scope, receive, send)
        finally:
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"
            self.answered(route, method, status, seconds)
            if route not in OPEN_PATHS:  # asked every few seconds by machines
                log.info("%s %s %d %.0f ms", method, route, status, seconds * 1e3)
        return status

    def limit(self, scope: Scope) -> int:
        """Bytes that the body may have."""
        types = self.types.get(scope["path"], JSON)
        usual = self.settings.json_kib * 1024 if types == JSON else self.settings.upload_mib * MIB
        return self.limits.get(scope["path"], usual)

    def check(self, scope: Scope, headers: Headers) -> None:
        """A known key (or without keys a known host), a type that is taken, a length that is allowed."""
        if self.keys is None:
            self.check_host(scope, headers)
        elif scope["path"] not in self.without_key:
            scope.setdefault("state", {})["holder"] = self._holder(self.keys, headers)
        if scope["method"] == "POST" and scope["path"] in self.types:
            allowed = self.types[scope["path"]]
            given = headers.get(b"content-type", "").partition(";")[0].strip().lower()
            if given not in allowed:
                said = f"{given!r} given" if given else "not given"
                named = allowed if allowed == JSON else MAIN_TYPES
                way = "" if allowed == JSON else "; the photo alone is the body (curl --data-binary @photo.jpg)"
                raise HTTPRejection(415, f"Content-Type: {said}; allowed: {', '.join(named)}{way}")
            packed = headers.get(b"content-encoding", "identity").strip().lower()
            if packed != "identity":
                raise HTTPRejection(415, f"Content-Encoding: {packed!r} given; bodies are sent as they are")
            if not given.startswith(("image/", *JSON)) and headers.get(b"sec-fetch-site") == "cross-site":
                # A browser sends such a type without asking this service first whether the page may.
                raise HTTPRejection(403, "origin: a page of another site must say Content-Type: image/...")
        self.check_length(headers, self.limit(scope))

    async def go_in(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Read the body, then hand both on."""
        limit = self.limit(scope)
        reserved = self._reserve(headers, limit)
        try:
            body = await self._body(receive, limit)
            if body is not None:
                await self.app(scope, _again(body, receive), send)
        finally:
            self._held -= reserved

    def _holder(self, keys: Keys, headers: Headers) -> str:
        """Whose key the request brings."""
        scheme, _, key = headers.get(b"authorization", "").partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else headers.get(b"x-api-key", "")
        holder = keys.holder(given)
        if holder is None:
            wanted = "Authorization: Bearer KEY, or X-API-Key: KEY"
            message = f"key: {'not known' if given else 'not given'}; wanted: {wanted}"
            raise HTTPRejection(401, message, {"WWW-Authenticate": "Bearer"})
        return holder

    def _reserve(self, headers: Headers, limit: int) -> int:
        """Set memory aside for the body: what its head announces, or all that it may have."""
        if b"content-length" in headers:
            wanted = int(headers[b"content-length"]) if headers[b"content-length"].isdigit() else limit
        else:
            wanted = limit if b"transfer-encoding" in headers else 0
        if self._held + wanted > self.settings.uploads_mib * MIB:
            raise HTTPRejection(
                429, "the service holds as many uploads as it may; try again in 5 s", {"Retry-After": "5"}
            )
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
                        raise too_large(limit)
                    parts.append(part)
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            seconds = f"{self.settings.upload_seconds:g} s"
            raise HTTPRejection(408, f"body: not here after {seconds}", {"Connection": "close"}) from None


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
