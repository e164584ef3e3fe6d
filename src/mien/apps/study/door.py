"""Who may come in: on this machine anybody who names it rightly, elsewhere those who were given a key.

Participants have browsers and no headers of their own: the key stands in the address they were sent (``?key=...``),
and moves into a cookie at once.
"""

from __future__ import annotations

import re
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from mien.apps.service.door import OPEN_PATHS, Door, Refused, Scope
from mien.apps.service.settings import LOOPBACK_NAMES

KEY_COOKIE = "mien_study_key"
CLOSED_PATH = "/closed"
SAFE_METHODS = ("GET", "HEAD")


class StudyDoor(Door):
    """As the service's door, with the key in a cookie."""

    def _check(self, scope: Scope, limit: int) -> None:
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if self.keys is None:
            if re.sub(r":\d*$", "", host) not in (*LOOPBACK_NAMES, self.settings.host, "testserver"):
                raise Refused(421, "host: another name than that of this study; allowed: localhost")
        elif scope["path"] not in OPEN_PATHS and not scope["path"].startswith("/static/"):
            self._let_in(scope, headers)
        if scope["method"] not in SAFE_METHODS:
            origin = headers.get(b"origin")
            if origin is not None and urlsplit(origin).netloc != host:
                raise Refused(403, "origin: a page of another site; nothing was changed")
        length = headers.get(b"content-length", "0")
        if length.isdigit() and int(length) > limit:
            raise Refused(413, f"body: too large; allowed are {limit // 1024} KiB", {"Connection": "close"})

    def _let_in(self, scope: Scope, headers: dict[bytes, str]) -> None:
        assert self.keys is not None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]
        if given and self.keys.holder(given) is not None and scope["method"] == "GET":
            secure = "; Secure" if scope.get("scheme") == "https" else ""
            cookie = f"{KEY_COOKIE}={given}; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000{secure}"
            raise Refused(303, "welcome", {"Location": "/" + scope["path"].lstrip("/"), "Set-Cookie": cookie})
        if self.keys.holder(cookie_of(headers.get(b"cookie", ""), KEY_COOKIE)) is None:
            if scope["method"] not in SAFE_METHODS or scope["path"].startswith("/api/"):
                raise Refused(401, "key: not given or not known; wanted: the whole address of the invitation")
            scope["path"] = CLOSED_PATH  # a page that says so


def cookie_of(header: str, name: str) -> str:
    """The value of a cookie, or nothing."""
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
