"""What every application of mien that listens (service, studio, study) asks of a request before it goes in.

Plain ASGI around the whole application. A kind of entrance says in ``check`` what it asks, with the questions here, and
in ``go_in`` what happens to what was let in.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from mien.apps.web.keys import Keys
from mien.apps.web.settings import MIB, ServiceSettings

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Mapping[bytes, str]

OPEN_PATHS = ("/healthz", "/readyz")  # asked by machines that hold no key
IN_TESTS = "testserver"  # where Starlette's client for tests says that it arrived; a socket has a number


class HTTPRejection(Exception):  # noqa: N818 (an answer, no error)
    """The request goes no further than this answer."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, dict(headers or {})


class RequestPolicy(ABC):
    """Wraps the application; ``keys`` is None where nobody is asked for one."""

    name: ClassVar[str] = "service"  # as it is called in sentences
    always: ClassVar[tuple[tuple[bytes, bytes], ...]] = ((b"x-content-type-options", b"nosniff"),)

    def __init__(self, app: App, settings: ServiceSettings, keys: Keys | None) -> None:
        self.app, self.settings, self.keys = app, settings, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and scope["method"] == "HEAD":  # whatever answers GET
            await self.answer({**scope, "method": "GET"}, receive, _heads_alone(send))
        elif scope["type"] == "http":
            await self.answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Let a request in, or say why not; returns the status that was sent."""
        status = 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *self.always]
            await send(message)

        try:
            headers = headers_of(scope)
            self.check(scope, headers)
            await self.go_in(scope, headers, receive, told)
        except HTTPRejection as refusal:
            await _answer(told, refusal, *self.words(refusal))
        return status

    @abstractmethod
    def check(self, scope: Scope, headers: Headers) -> None:
        """``HTTPRejection`` for a request that goes no further."""

    async def go_in(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Hand a request on to the application."""
        await self.app(scope, receive, send)

    def words(self, refusal: HTTPRejection) -> tuple[bytes, bytes]:
        """(content type, body) of a refusal."""
        return b"application/json", json.dumps({"error": str(refusal)}).encode()

    def check_host(self, scope: Scope, headers: Headers) -> None:
        """A page elsewhere that points its own name at this machine would be let in by the browser; here it is not."""
        host = re.sub(r":\d*$", "", headers.get(b"host", "")).lower().removesuffix(".")
        arrived = (scope.get("server") or ("",))[0]  # not the client, which X-Forwarded-For may name
        if host not in self.settings.host_names and not (arrived == host == IN_TESTS):
            raise HTTPRejection(421, f"host: another name than that of this {self.name}; allowed: localhost")

    def check_origin(self, headers: Headers) -> None:
        """What a page of another site sends, the browser says so."""
        origin = urlsplit(headers.get(b"origin", "").lower()).netloc
        own = (headers.get(b"host", "").lower(), urlsplit((self.settings.address or "").lower()).netloc)
        if headers.get(b"origin") and origin not in own:
            raise HTTPRejection(403, f"origin: a page of another site may not use the {self.name}; nothing was changed")

    def check_length(self, headers: Headers, limit: int) -> None:
        """A body that announces itself as larger than ``limit`` bytes is not waited for."""
        length = headers.get(b"content-length", "0")
        if length.isdecimal() and int(length) > limit:
            raise too_large(limit)


def _heads_alone(send: Send) -> Send:
    """A ``send`` that sends no bodies."""

    async def told(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return told


def headers_of(scope: Scope) -> dict[bytes, str]:
    """The headers of a request, names in small letters; of two with one name the latter."""
    return {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}


def too_large(limit: int) -> HTTPRejection:
    """The refusal of a body of more than ``limit`` bytes."""
    size = f"{limit // MIB} MiB" if limit >= MIB else f"{limit // 1024} KiB"
    return HTTPRejection(413, f"body: too large; allowed are {size}", {"Connection": "close"})


async def _answer(send: Send, refusal: HTTPRejection, kind: bytes, body: bytes) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    headers += [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
