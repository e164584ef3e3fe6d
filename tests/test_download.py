"""The download against a server on this machine that serves good, missing, changed, truncated, slow and rude files."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from mien.core.errors import SourceError
from mien.core.records import Box
from mien.datasets import download as module
from mien.datasets.download import Download, Found, Journal, RateLimits, download, host_of
from mien.datasets.reasons import REASONS
from mien.datasets.sources import find
from mien.datasets.sources.pubfig import fetch, read_rectangle, share_inside

FAST = RateLimits(host_pause_seconds=0, first_wait_seconds=0.01, read_seconds=0.6, connect_seconds=2, file_seconds=1.0)


def picture(seed: int, form: str = "JPEG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


GOOD = picture(1)
PAGE = b"<html>this photo is no longer available</html>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.asked[self.path] += 1
            server.agents.add(self.headers["User-Agent"])
            server.starts.append(time.monotonic())
            server.open += 1
            server.most_open = max(server.most_open, server.open)
        try:
            self.answer(server.asked[self.path])
        finally:
            with server.lock:
                server.open -= 1

    def answer(self, times: int) -> None:
        word = self.path.strip("/").partition("/")[0].partition(".")[0]
        if self.path in self.server.files:
            self.give(self.server.files[self.path])
        elif word in ("missing", "removed", "forbidden", "broken"):
            status = {"missing": 404, "removed": 410, "forbidden": 403, "broken": 500}[word]
            self.give(b"no", status)
        elif word == "flaky" and times < 3:
            self.give(b"later", 503, {"Retry-After": "0"})
        elif word == "changed":
            self.give(picture(99))
        elif word == "page":
            self.give(PAGE)
        elif word == "truncated":
            self.give(GOOD[:-200], length=len(GOOD))
        elif word == "cut":  # closes early and never said how long
            self.give(GOOD[:-200], length=None)
        elif word == "slow":
            time.sleep(1.5)
            self.give(GOOD)
        elif word == "dripping":  # a byte now and then, for ever
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            for _ in range(20):
                self.wfile.write(b"x")
                time.sleep(0.2)
        elif word == "moved":
            self.give(b"", 302, {"Location": "/good/after.jpg"})
        elif word == "circle":
            self.give(b"", 302, {"Location": self.path})
        else:
            self.give(GOOD)

    def give(
        self, data: bytes, status: int = 200, headers: dict[str, str] | None = None, length: int | None = -1
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if length is None:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(data) if length < 0 else length))
        self.end_headers()
        self.wfile.write(data)
        if length is None or length > len(data):
            self.close_connection = True

    def handle(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a slow server is left
            super().handle()

    def log_message(self, format: str, *words: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the default of 5 drops connections that come at once

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.agents: set[str] = set()
        self.starts: list[float] = []
        self.open = self.most_open = 0
        self.files: dict[str, bytes] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


ENDS = {
    "good": None,
    "flaky": None,
    "moved": None,
    "missing": "gone",
    "removed": "gone",
    "circle": "gone",
    "forbidden": "refused",
    "broken": "refused",
    "changed": "changed",
    "page": "changed",
    "truncated": "truncated",
    "cut": "truncated",
    "slow": "slow",
    "dripping": "slow",
}


def downloads_for(server: Server, root: Path, *words: str) -> list[Download]:
    return [Download(word, f"{server.address}/{word}.jpg", root / f"{word}.jpg", md5(GOOD)) for word in words]


def test_every_way_a_server_can_answer(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    downloads = downloads_for(server, tmp_path / "images", *ENDS)
    limits = replace(FAST, per_host=8)
    journal = Journal(tmp_path / "journal.jsonl")
    ended = download(downloads, journal, limits=limits, progress=lambda done, total: told.append((done, total)))
    assert ended == ENDS
    assert set(ended.values()) <= {None, *REASONS}
    assert told == [(number, len(ENDS)) for number in range(1, len(ENDS) + 1)]
    there = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert there == ["flaky.jpg", "good.jpg", "moved.jpg"], "nothing half-written, nothing that is not the file listed"
    assert all((tmp_path / "images" / name).read_bytes() == GOOD for name in there)
    asked = server.asked
    assert asked["/missing.jpg"] == asked["/changed.jpg"] == asked["/forbidden.jpg"] == 1, "no use in asking again"
    assert asked["/broken.jpg"] == asked["/truncated.jpg"] == asked["/slow.jpg"] == 3
    assert asked["/flaky.jpg"] == 3
    assert all(agent.startswith("mien/") for agent in server.agents)

    before = asked.copy()
    assert download(downloads, journal, limits=FAST) == ENDS
    again = {name.strip("/").removesuffix(".jpg") for name, times in asked.items() if times > before[name]}
    assert again == {"broken", "truncated", "cut", "slow", "dripping"}, "only what waiting can mend is tried again"


def test_a_killed_run_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    downloads = [
        Download(f"{n}", f"{server.address}/good/{n}.jpg", tmp_path / f"{n}.jpg", md5(GOOD)) for n in range(12)
    ]
    journal = Journal(tmp_path / "journal.jsonl")

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        download(downloads, journal, limits=FAST, progress=stop)
    arrived = {path.stem for path in tmp_path.glob("*.jpg")}
    assert 5 <= len(arrived) < 12
    assert set(download(downloads, journal, limits=FAST).values()) == {None}
    assert all(server.asked[f"/good/{name}.jpg"] == 1 for name in arrived)
    assert not list(tmp_path.glob("*.tmp"))
    (tmp_path / "3.jpg").write_bytes(GOOD[:100])  # damaged on disk: its MD5 says so
    assert set(download(downloads, journal, limits=FAST).values()) == {None}
    assert (tmp_path / "3.jpg").read_bytes() == GOOD


def test_one_link_for_several_faces_is_fetched_once(server: Server, tmp_path: Path) -> None:
    downloads = [Download(f"{n}", f"{server.address}/good.jpg", tmp_path / f"{n}.jpg", md5(GOOD)) for n in range(3)]
    assert download(downloads, Journal(tmp_path / "j"), limits=FAST) == {"0": None, "1": None, "2": None}
    assert server.asked["/good.jpg"] == 1
    assert len(list(tmp_path.glob("*.jpg"))) == 3


def test_it_is_polite(server: Server, tmp_path: Path) -> None:
    downloads = [Download(f"{n}", f"{server.address}/good/{n}.jpg", tmp_path / f"{n}.jpg", md5(GOOD)) for n in range(8)]
    download(downloads, Journal(tmp_path / "j"), limits=RateLimits(host_pause_seconds=0.05))
    assert server.most_open <= 2
    assert server.starts[-1] - server.starts[0] >= 7 * 0.05 * 0.9


def test_a_dead_host_is_left_alone_and_tried_by_the_next_run(server: Server, tmp_path: Path) -> None:
    server.shutdown()
    server.server_close()
    downloads = [Download(f"{n}", f"{server.address}/{n}.jpg", tmp_path / f"{n}.jpg", md5(GOOD)) for n in range(200)]
    tried = Counter[str]()
    real = module._try

    async def counting(*words: object) -> Found:
        tried["tries"] += 1
        return await real(*words)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_try", counting)
        ended = download(downloads, Journal(tmp_path / "j"), limits=FAST)
    assert set(ended.values()) == {"gone"}
    assert tried["tries"] <= 4
    assert not any(found.final for found in Journal(tmp_path / "j").read().values())


def test_more_bytes_than_allowed_are_refused(server: Server, tmp_path: Path) -> None:
    limits = RateLimits(max_bytes=1000, tries=1)
    assert len(GOOD) > 1000
    assert download(downloads_for(server, tmp_path, "good"), Journal(tmp_path / "j"), limits=limits) == {
        "good": "refused"
    }
    assert not list(tmp_path.glob("*.jpg"))


def test_links_that_are_none(tmp_path: Path) -> None:
    for url in ("ftp://example.org/a.jpg", "http://", "nonsense", "http://[::1/a.jpg", "http://a b/c.jpg"):
        ended = download([Download("a", url, tmp_path / "a.jpg", md5(GOOD))], Journal(tmp_path / "j"), limits=FAST)
        assert ended["a"] in ("bad_label_row", "gone"), url


@given(st.text(max_size=40))
def test_no_link_raises(url: str) -> None:
    assert host_of(url) is None or url.strip().lower().startswith("http")


def test_the_journal_forgives_a_half_written_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "journal.jsonl")
    assert journal.read() == {}
    journal.add("a", Found("gone"))
    journal.add("b", Found("slow", final=False))
    with journal.path.open("ab") as file:
        file.write(b'{"key": "c", "outc')
    journal.add("a", Found(None))
    assert journal.read() == {"a": Found(None), "b": Found("slow", final=False)}
    assert json.loads(journal.path.read_text().splitlines()[-1])["key"] == "a"


# PubFig: the list of links that needs all this.

HEAD = "# PubFig Dataset v1.2 - dev_urls.txt\n#\tperson\timagenum\turl\trect\tmd5sum\n"


def pubfig(root: Path, server_address: str) -> Path:
    rows = [
        ("Ada Lovelace", "1", f"{server_address}/good/1.jpg", "5,5,30,30", md5(GOOD)),
        ("Ada Lovelace", "2", f"{server_address}/missing.jpg", "5,5,30,30", md5(GOOD)),
        ("Ada Lovelace", "3", f"{server_address}/changed.jpg?size=o", "5,5,30,30", md5(GOOD)),
        ("Ada Lovelace", "4", f"{server_address}/truncated.jpg", "5,5,30,30", md5(GOOD)),
        ("Ada Lovelace", "5", f"{server_address}/slow.jpg", "5,5,30,30", md5(GOOD)),
        ("Ada Lovelace", "6", f"{server_address}/good/6.jpg", "50,30,90,70", md5(GOOD)),  # mostly outside 60 x 40
        ("Ada Lovelace", "7", f"{server_address}/good/7.jpg", "30,30,5,5", md5(GOOD)),
        (
            "Ada Lovelace",
            "8",
            f"{server_address}/page",
            "5,5,30,30",
            md5(PAGE),
        ),
        ("Zoë/Saldaña", "1", f"{server_address}/good/1.jpg", "20,5,45,30", md5(GOOD).upper()),
        ("Zoë/Saldaña", "1", f"{server_address}/good/2.jpg", "20,5,45,30", md5(GOOD)),
        ("Zoë/Saldaña", "2", f"{server_address}/good/2.jpg", "20,5,45,30", "cafe"),
    ]
    root.mkdir(exist_ok=True)
    (root / "dev_urls.txt").write_text(HEAD + "".join("\t".join(row) + "\n" for row in rows) + "a broken row\n")
    return root


def test_pubfig_from_links_to_rows(server: Server, tmp_path: Path) -> None:
    root = pubfig(tmp_path / "pubfig", server.address)
    source = find("pubfig")
    assert Counter(photo.drop_reason for photo in source.rows(root, None)) == {
        "not_downloaded": 9, "bad_box": 1, "bad_label_row": 2,
    }  # fmt: skip
    told: list[int] = []
    counts = fetch(root, progress=lambda done, total: told.append(total), limits=FAST)
    ends = {"bad_box": 2, "bad_label_row": 2, "changed": 1, "gone": 1, "not_an_image": 1, "slow": 1, "truncated": 1}
    assert counts == {**ends, "kept": 3}
    assert told == [9] * 9
    assert server.asked["/good/7.jpg"] == 0, "a row that is unusable anyway costs nobody anything"
    photos = {photo.key: photo for photo in source.rows(root, None)}
    assert list(photos) == sorted(photos)
    assert len(photos) == 12
    assert Counter(photo.drop_reason or "kept" for photo in photos.values()) == counts
    ada = photos["images/Ada_Lovelace/Ada_Lovelace_0001.jpg"]
    assert (ada.labels.person, ada.box, ada.drop_reason) == ("Ada Lovelace", Box(5, 5, 30, 30), None)
    kept = [photo for photo in photos.values() if photo.drop_reason is None]
    assert all(Path(photo.path).read_bytes() == GOOD for photo in kept)
    assert {photo.labels.person for photo in kept} == {"Ada Lovelace", "Zoë/Saldaña"}
    assert photos["images/Ada_Lovelace/Ada_Lovelace_0006.jpg"].drop_reason == "bad_box"
    assert not (root / "images/Ada_Lovelace/Ada_Lovelace_0006.jpg").exists()
    before = server.asked.copy()
    assert source.fetch is not None
    assert fetch(root, limits=FAST) == counts
    assert {name for name in server.asked if server.asked[name] > before[name]} == {"/truncated.jpg", "/slow.jpg"}


def test_pubfig_attributes_are_read(tmp_path: Path) -> None:
    root = pubfig(tmp_path, "http://127.0.0.1:9")
    table = root / "pubfig_attributes.txt"
    table.write_text("# x\n#\tperson\timagenum\tMale\tSmiling\nAda Lovelace\t1\t-1\t2\nAda Lovelace\t2\t-1\tx\n")
    photos = {photo.key[-8:-4]: photo for photo in find("pubfig").rows(root, None) if "Ada" in photo.key}
    assert photos["0001"].labels.sex == "female"
    assert photos["0001"].labels.attributes == {"Male": False, "Smiling": True}
    assert photos["0002"].drop_reason == "bad_label_row"


def test_other_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"not PubFig: looked for dev_urls.txt or eval_urls.txt"):
        find("pubfig").rows(tmp_path, None)
    (tmp_path / "dev_urls.txt").write_text("hello\nworld\n")
    with pytest.raises(SourceError, match="not PubFig"):
        find("pubfig").rows(tmp_path, None)


@given(st.text(st.sampled_from("0123456789,-. x"), max_size=20))
def test_no_rectangle_raises(text: str) -> None:
    box = read_rectangle(text)
    assert box is None or (box.width > 0 and box.height > 0)


@given(*[st.integers(-50, 150)] * 2, *[st.integers(1, 100)] * 2)
def test_the_share_inside(x: int, y: int, width: int, height: int) -> None:
    box = Box(x, y, x + width, y + height)
    columns = sum(0 <= column < 60 for column in range(x, x + width))
    rows = sum(0 <= row < 40 for row in range(y, y + height))
    inside = columns * rows
    assert share_inside(box, 60, 40) == pytest.approx(inside / (width * height))


@pytest.mark.shared
def test_the_real_lists(shared_data: Path) -> None:
    photos = list(find("pubfig").rows(shared_data / "pubfig", None))
    assert len(photos) == len({photo.key for photo in photos}) == 600
    assert {photo.drop_reason for photo in photos} == {"not_downloaded"}
    assert all(photo.box is not None and photo.labels.person for photo in photos)
    assert not os.path.exists(shared_data / "pubfig" / "images")


@pytest.mark.shared
@pytest.mark.models
def test_links_become_a_dataset(
    server: Server, tmp_path: Path, shared_data: Path, models_cache: Path, cli_here: Callable[..., Result]
) -> None:
    """``mien data prepare pubfig``: links to catalogue, on two photographs of LFW served from here."""
    names = ["AJ_Cook/AJ_Cook_0001.jpg", "Aaron_Eckhart/Aaron_Eckhart_0001.jpg"]
    photos = [(shared_data / "lfw" / "lfw-deepfunneled" / name).read_bytes() for name in names]
    server.files = {f"/{number}.jpg": data for number, data in enumerate(photos)}
    rows = [f"P {n}\t1\t{server.address}/{n}.jpg\t80,80,170,170\t{md5(data)}\n" for n, data in enumerate(photos)]
    rows.append(f"P 2\t1\t{server.address}/missing.jpg\t80,80,170,170\t{md5(GOOD)}\n")
    source_dir = tmp_path / "pubfig"
    source_dir.mkdir()
    (source_dir / "eval_urls.txt").write_text(HEAD + "".join(rows))
    done = cli_here("data", "prepare", "pubfig", source_dir, tmp_path / "dest", "--jobs", 1)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "1 gone, 2 kept" in done.output
    assert "2 of 3 photos kept; dropped: 1 gone" in done.output
    assert len(list(source_dir.glob("images/*/*.jpg"))) == 2
