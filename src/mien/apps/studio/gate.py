"""Who is let in. Plain ASGI around the whole studio: every page, picture and event passes here.

On loopback nobody is asked, but a page elsewhere that points its own name at this machine is refused; where others can
reach the studio, the browser asks for a name and a key of ``mien serve --keys`` (HTTP Basic).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from mien.apps.service.door import App, Message, Receive, Scope, Send
from mien.apps.service.keys import Keys
from mien.apps.service.settings import LOOPBACK_NAMES, MIB, ServiceSettings

CLOSED_PATHS = ("/gradio_api/upload",)  # it would write uploads to the disk; the studio takes photos at /photos
SAFE_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # addresses hold what a user asked for
    (b"x-frame-options", b"SAMEORIGIN"),
]


class Gate:
    """Wraps the application."""

    def __init__(self, app: App, settings: ServiceSettings, keys: Keys | None) -> None:
        self.app, self.settings, self.keys = app, settings, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(scope["path"], headers)
        if refused is not None:
            await _answer(send, *refused)
            return

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *SAFE_HEADERS]
            await send(message)

        await self.app(scope, receive, safe)

    def _refusal(self, path: str, headers: Mapping[bytes, str]) -> tuple[int, str] | None:
        """(status, sentence) for a request that goes no further."""
        host = headers.get(b"host", "")
        if self.keys is None:
            if re.sub(r":\d*$", "", host) not in (*LOOPBACK_NAMES, self.settings.host):
                return 421, "host: another name than that of this studio; allowed: localhost"
        elif not self._known(headers.get(b"authorization", "")):
            return 401, "A name and its key are wanted (mien studio --keys FILE --new-key NAME makes one)."
        origin = headers.get(b"origin")
        if origin and urlsplit(origin).netloc.lower() != host.lower():
            return 403, "origin: a page of another site may not use the studio"
        if path in CLOSED_PATHS:
            return 404, "no such address"
        length = headers.get(b"content-length", "0")
        if length.isdigit() and int(length) > self.settings.upload_mib * MIB:
            return 413, f"photo: too large; allowed are {self.settings.upload_mib} MiB"
        return None

    def _known(self, authorization: str) -> bool:
        assert self.keys is not None
        scheme, _, words = authorization.partition(" ")
        try:
            name, _, key = base64.b64decode(words, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        return scheme.lower() == "basic" and self.keys.holder(key) == name


async def _answer(send: Send, status: int, message: str) -> None:
    body = message.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="mien studio", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *SAFE_HEADERS]})
    await send({"type": "http.response.body", "body": body})
