"""Who is let into the studio: every page, picture and event passes here.

On loopback nobody is asked, but a page elsewhere that points its own name at this machine is refused; where others can
reach the studio, the browser asks for a name and a key of ``mien serve --keys`` (HTTP Basic).
"""

from __future__ import annotations

import base64
import binascii

from mien.apps.web.auth import Headers, HTTPRejection, Receive, RequestPolicy, Scope, Send
from mien.apps.web.keys import Keys
from mien.apps.web.settings import MIB

CLOSED_PATHS = ("/gradio_api/upload",)  # it would write uploads to the disk; the studio takes photos at /photos
REALM = 'Basic realm="mien studio", charset="UTF-8"'


class StudioMiddleware(RequestPolicy):
    """Wraps the studio."""

    name = "studio"
    always = (
        *RequestPolicy.always,
        (b"referrer-policy", b"no-referrer"),  # addresses hold what a user asked for
        (b"x-frame-options", b"SAMEORIGIN"),
    )

    def check(self, scope: Scope, headers: Headers) -> None:
        """A known name and key (or without keys a known host), a page of this studio, and no large photo."""
        if self.keys is None:
            self.check_host(scope, headers)
        elif not _known(self.keys, headers.get(b"authorization", "")):
            message = "A name and its key are wanted (mien studio --keys FILE --new-key NAME makes one)."
            raise HTTPRejection(401, message, {"WWW-Authenticate": REALM})
        self.check_origin(headers)
        if scope["path"] in CLOSED_PATHS:
            raise HTTPRejection(404, "no such address")
        self.check_length(headers, self.settings.upload_mib * MIB)

    async def go_in(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Hand on without what says "I was forwarded from there": Gradio would take its own address from it."""
        kept = [pair for pair in scope["headers"] if not pair[0].lower().startswith((b"x-forwarded-", b"forwarded"))]
        await self.app({**scope, "headers": kept}, receive, send)

    def words(self, refusal: HTTPRejection) -> tuple[bytes, bytes]:
        """In plain text: people read it."""
        return b"text/plain; charset=utf-8", str(refusal).encode()


def _known(keys: Keys, authorization: str) -> bool:
    scheme, _, words = authorization.partition(" ")
    try:
        name, _, key = base64.b64decode(words, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and keys.holder(key) == name
