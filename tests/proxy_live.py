"""A reverse proxy for tests: real sockets, a path that it takes off, and the headers that nginx and Caddy send."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
from browsing import served

OF_THE_HOP = ("transfer-encoding", "connection", "content-encoding", "content-length")


@contextmanager
def proxied(make: Callable[[str], Any], *, keep_host: bool, path: str = "/mien") -> Iterator[str]:
    """An app behind a proxy that takes ``path`` off; yields the address at which the proxy offers it.

    ``make`` is told that address. ``keep_host``: the proxy hands the client's Host on (Caddy), else its own (nginx).
    """
    behind = ""

    class Proxy(BaseHTTPRequestHandler):
        def answer(self) -> None:
            if not self.path.startswith(f"{path}/"):
                self.send_error(404)
                return
            host = self.headers["Host"]
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
            headers["Host"] = host if keep_host else urlsplit(behind).netloc
            headers |= {"X-Forwarded-Host": host, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.9"}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            address = behind + self.path[len(path) :]
            with httpx.stream(self.command, address, headers=headers, content=body, timeout=60) as got:
                self.send_response(got.status_code)
                for name, value in got.headers.multi_items():
                    if name not in OF_THE_HOP:
                        self.send_header(name, value)
                self.end_headers()  # the end of the connection is the end of the body
                with suppress(ConnectionError):  # the browser left
                    for part in got.iter_bytes():
                        self.wfile.write(part)
                        self.wfile.flush()

        do_GET = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            return

    front = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=front.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{front.server_port}{path}"
    try:
        with served(make(address)) as behind:
            yield address
    finally:
        front.shutdown()
        front.server_close()
