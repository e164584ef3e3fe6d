"""What many or bad uploads together may not do: fill the memory, reach the disk, leave words in the log."""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import sys
import threading
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_generator import FakeGenerator
from service_live import FAKES, fake_crowd, fake_describe, live
from starlette.testclient import TestClient
from test_service_api import PNG, SETTINGS, send, wait_until

from mien.apps.service.app import create_app
from mien.apps.web.server import Discreet
from mien.apps.web.settings import MIB, ServiceSettings
from mien.apps.web.worker import FullError, MemoryBudget
from mien.core.images import encode_jpeg, encode_png

WHITE_MEGAPIXEL = np.full((1000, 1000, 3), 255, np.uint8)


def test_small_uploads_of_large_photos_fill_no_memory() -> None:
    """2.9 MB decoded each, of which two are allowed at once: the third is told to come again."""
    go_on, inside = threading.Event(), threading.Semaphore(0)

    def slow(order: Any) -> dict[str, Any]:
        inside.release()
        assert go_on.wait(30)
        return {}

    settings = ServiceSettings(photos_mib=6)
    with TestClient(create_app(settings, specs=[fake_describe(slow)])) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        service = client.app.state.service  # type: ignore[attr-defined]
        upload = encode_png(WHITE_MEGAPIXEL)
        assert len(upload) < 30_000
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(send(client, upload).status_code)) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert inside.acquire(timeout=20)
        wait_until(lambda: service.photos.now == 6_000_000)
        refused = send(client, upload)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        go_on.set()
        for thread in threads:
            thread.join(20)
        assert answers == [200, 200]
        assert service.photos.now == 0
        assert send(client, upload).status_code == 200


def test_one_photo_alone_is_always_let_in() -> None:
    allowance = MemoryBudget(10)
    with allowance.held(100), pytest.raises(FullError), allowance.held(1):
        pass
    with pytest.raises(ZeroDivisionError), allowance.held(5):
        raise ZeroDivisionError
    assert allowance.now == 0


def test_a_bomb_in_the_text_of_a_picture_is_not_unpacked() -> None:
    """A text chunk of 300 KB that unpacks to 300 MB: the pixels are read, the text is not."""
    packed = zlib.compress(b"Comment" + bytes(300 * 2**20), 9)
    chunk = b"zTXt" + b"Comment\0\0" + packed
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    upload = PNG[:33] + chunk + PNG[33:]
    with TestClient(create_app(SETTINGS, specs=FAKES)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        answer = send(client, upload)
        assert answer.status_code == 200, answer.text
        assert send(client, PNG).status_code == 200


def test_too_many_jobs_are_told_to_come_again(tmp_path: Path) -> None:
    stay = threading.Event()

    class Stays(FakeGenerator):
        def draw(self, requests: Any) -> Any:
            stay.wait(20)
            return FakeGenerator.draw(self, requests)

    settings = ServiceSettings(direct_faces=1, jobs_waiting=2, jobs=tmp_path)
    with TestClient(create_app(settings, specs=[fake_crowd(Stays())])) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert [client.post("/v1/crowd", json={"count": 2}).status_code for _ in range(3)] == [202, 202, 429]
        refused = client.post("/v1/crowd", json={"count": 2})
        assert int(refused.headers["retry-after"]) >= 1
        stay.set()


watched: list[str] | None = None


def _audit(event: str, values: tuple[Any, ...]) -> None:
    if watched is None or event not in ("open", "os.mkdir", "os.rename", "tempfile.mkstemp", "tempfile.mkdtemp"):
        return
    flags = values[2] if event == "open" and isinstance(values[2], int) else 0
    if event != "open" or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        watched.append(f"{event} {values[0]}")


def test_nothing_is_opened_for_writing_while_a_photo_is_read_and_a_face_is_made(tmp_path: Path) -> None:
    global watched
    sys.addaudithook(_audit)
    with live(ServiceSettings(port=0, jobs=tmp_path)) as running:

        def post(path: str, body: bytes, kind: str) -> int:
            request = urllib.request.Request(f"{running.address}{path}", body, {"Content-Type": kind})
            with urllib.request.urlopen(request, timeout=30) as answer:
                return int(answer.status)

        noise = np.random.default_rng(1).integers(0, 255, (1200, 1200, 3)).astype(np.uint8)
        post("/v1/crowd", b"{}", "application/json")  # a first signature may make the certificate
        watched = []
        try:
            with open(os.devnull, "w"):
                pass
            assert [line.split()[1] for line in watched] == [os.devnull]  # it does see
            for data, kind in ((encode_png(noise), "image/png"), (encode_jpeg(noise), "image/jpeg")):
                assert post("/v1/describe", data, kind) == 200
            assert post("/v1/crowd", b"{}", "application/json") == 200
            seen = watched[1:]
        finally:
            watched = None
    assert seen == []


def test_the_log_holds_no_words_of_an_error() -> None:
    """What an unexpected error says may be what was uploaded: its kind and place are enough."""
    try:
        raise ValueError("the embedding is [0.1, 0.2]")
    except ValueError:
        record = logging.getLogger("x").makeRecord("x", logging.ERROR, "f", 1, "failed", (), sys.exc_info())
    line = Discreet("%(message)s").format(record)
    assert "embedding is" not in line.replace('raise ValueError("the embedding is [0.1, 0.2]")', "")
    assert line.endswith("ValueError")
    assert "test_service_limits.py" in line


def test_only_the_tests_own_client_may_call_itself_testserver() -> None:
    with live(ServiceSettings(port=0)) as running:
        with socket.create_connection(("127.0.0.1", running.port), timeout=20) as caller:
            caller.sendall(b"GET /healthz HTTP/1.1\r\nHost: testserver\r\n\r\n")
            assert caller.recv(100).startswith(b"HTTP/1.1 421 ")
        request = urllib.request.Request(f"{running.address}/v1/crowd", b"{}", {"Content-Type": "application/json"})
        request.add_header("Host", f"rebound.example:{running.port}")
        with pytest.raises(urllib.error.HTTPError, match="421") as refused:
            urllib.request.urlopen(request, timeout=20)
        assert json.loads(refused.value.read())["error"].startswith("host: ")


def test_the_default_allowances_fit_the_units_memory() -> None:
    """What uploads and photos may hold, and the models beside them (about 1 GiB)."""
    settings = ServiceSettings()
    unit = (Path(__file__).resolve().parent.parent / "deploy" / "mien.service").read_text()
    assert "MemoryMax=4G" in unit
    assert (settings.uploads_mib + settings.photos_mib + 1024) * MIB < 3 * 2**30
