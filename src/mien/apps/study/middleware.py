"""Who may come in: on this machine anybody who names it rightly, elsewhere those who were given a key.

Participants have browsers and no headers of their own: the key stands in the address they were sent (``?key=...``),
and moves into a cookie at once.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from mien.apps.web.auth import Headers, HTTPRejection, Scope
from mien.apps.web.keys import Keys
from mien.apps.web.middleware import AuthMiddleware
from mien.apps.web.settings import ServiceSettings

KEY_COOKIE = "mien_study_key"
CLOSED_PATH = "/closed"
SAFE_METHODS = ("GET", "HEAD")


class StudyMiddleware(AuthMiddleware):
    """As the service's door, with the key in a cookie."""

    name = "study"

    def check(self, scope: Scope, headers: Headers) -> None:
        """An invitation (or without keys a known host), a page of this study, a length that is allowed."""
        if self.keys is None:
            self.check_host(scope, headers)
        elif scope["path"] not in self.without_key and not scope["path"].startswith("/static/"):
            _let_in(self.keys, self.settings, scope, headers)
        if scope["method"] not in SAFE_METHODS:
            self.check_origin(headers)
        self.check_length(headers, self.limit(scope))


def _let_in(keys: Keys, settings: ServiceSettings, scope: Scope, headers: Headers) -> None:
    given = parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]
    if given and keys.holder(given) is not None and scope["method"] == "GET":
        secure = "; Secure" if settings.over_tls(scope.get("scheme")) else ""
        cookie = f"{KEY_COOKIE}={given}; Path={settings.cookie_path}; HttpOnly; SameSite=Lax; Max-Age=2592000{secure}"
        raise HTTPRejection(
            303, "welcome", {"Location": f"{settings.public_path}/{scope['path'].lstrip('/')}", "Set-Cookie": cookie}
        )
    if keys.holder(cookie_of(headers.get(b"cookie", ""), KEY_COOKIE)) is None:
        if scope["method"] not in SAFE_METHODS or scope["path"].startswith("/api/"):
            raise HTTPRejection(401, "key: not given or not known; wanted: the whole address of the invitation")
        scope["path"] = CLOSED_PATH  # a page that says so


def cookie_of(header: str, name: str) -> str:
    """The value of a cookie, or nothing."""
    try:
        found = SimpleCookie(header).get(name)
    except CookieError:
        return ""
    return found.value if found else ""
