"""Pages in a real browser: what tests of the studio, the review and the study share."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 60_000  # a busy machine is no failure
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
DESK = {"viewport": {"width": 1360, "height": 900}}


def chromium_path() -> str:
    """The system's Chromium; skips (fails in CI) where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        message = f"no Chromium on PATH ({', '.join(NAMES)}); Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium until the block ends. (No longer: while Playwright runs, nobody else may start an event loop.)"""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright absent: pip install --group dev")
    path = chromium_path()
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def served(app: Any, settings: Any = None) -> Iterator[str]:
    """An application in a thread of this process; its address."""
    from mien.apps.web.server import address_of, server_of
    from mien.apps.web.settings import ServiceSettings

    settings = settings or ServiceSettings(port=0, stop_seconds=2)
    server, listening = server_of(app, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield address_of(settings, listening)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


def faults(page: Any) -> list[str]:
    """What axe-core finds on a page that shuts somebody out: its findings of serious and critical impact."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe absent: pip install --group dev")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']} ({one['impact']}): {place['target']} {place['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for place in one["nodes"]
    ]


class Visit:
    """One person at a page: remembers what the page fetched and what it complained of."""

    def __init__(self, opened: Any, address: str, **how: Any) -> None:
        self.address = address
        self.context = opened.new_context(**{**DESK, **how}, accept_downloads=True)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.fetched: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.fetched.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    @property
    def foreign(self) -> list[str]:
        """Addresses of other machines that the page asked."""
        here = urlsplit(self.address).netloc
        return [url for url in self.fetched if urlsplit(url).scheme not in ("data", "blob")
                and urlsplit(url).netloc != here]  # fmt: skip

    def open(self, query: str = "") -> Any:
        """Go to the page."""
        self.page.goto(f"{self.address}/{query}", timeout=PATIENCE_MS)
        return self.page

    def until(self, condition: str) -> None:
        """Wait until an expression of JavaScript is true."""
        self.page.wait_for_function(condition, timeout=PATIENCE_MS)

    def shot(self, name: str, **how: Any) -> None:
        """A screenshot into $MIEN_SCREENSHOTS, for eyes; nothing where it is not set."""
        folder = os.environ.get("MIEN_SCREENSHOTS")
        if folder:
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"), **how)

    def close(self) -> None:
        """Leave."""
        self.context.close()
