"""Whether the files of the cache are as they were when they were converted: told by digest, and cheaply afterwards.

``checked.json`` in the cache says for each file the SHA-256 that was written or found right, and the size and time it
had then. A file of that size and time is taken for the same; another is read once more. A cache that cannot be written
is read once a process.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Any

from mien.core.files import write_json
from mien.core.foreign import json_of

CHECKED = "checked.json"
_LENGTH_BYTES = 8  # a file of weights says first how long its header is
_this_process: dict[tuple[str, int, int], str] = {}  # (path, size, time) -> SHA-256


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def note(cache: Path, path: Path) -> None:
    """Remember a file of ``cache`` as it was just written."""
    _write(cache, path, sha256_of(path))


def damage(cache: Path, path: Path, pinned: str = "") -> str | None:
    """What is wrong with a file of ``cache`` that is there: "is empty", "was cut off ...", "was altered"; or ``None``.

    ``pinned`` is the SHA-256 that it should have where ``note`` was never told of it; empty: not known.
    """
    size = path.stat().st_size
    if size == 0:
        return "is empty"
    noted = _read(cache).get(path.name, {})
    if noted.get("bytes") == size and noted.get("mtime_ns") == path.stat().st_mtime_ns:
        return None
    wanted = noted.get("sha256") or pinned
    if wanted and _digest(path) != wanted:
        whole = noted.get("bytes") or _whole_bytes(path)
        return f"was cut off: {size} of {whole} bytes" if isinstance(whole, int) and size < whole else "was altered"
    if not wanted and _whole_bytes(path) != size:
        return "is no whole file of weights"
    _write(cache, path, str(wanted) or _digest(path))
    return None


def _digest(path: Path) -> str:
    at = (str(path), path.stat().st_size, path.stat().st_mtime_ns)
    if at not in _this_process:
        _this_process[at] = sha256_of(path)
    return _this_process[at]


def said_of(path: Path) -> dict[str, Any]:
    """The metadata that mien wrote into a file of weights; empty where there is none that can be read."""
    try:
        said = json_of(_header(path)["__metadata__"]["mien"])
    except (ValueError, KeyError, TypeError):
        return {}
    return said if isinstance(said, dict) else {}


def _header(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = json_of(file.read(length)) if length < path.stat().st_size else None
    return {**header, "": length} if isinstance(header, dict) else {}


def _whole_bytes(path: Path) -> int | None:
    """How long a file of weights says that it is; ``None`` where that cannot be read."""
    try:
        header = _header(path)
        length = int(header.pop(""))
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, IndexError):
        return None
    return _LENGTH_BYTES + length + max(ends, default=0)


def _read(cache: Path) -> dict[str, dict[str, object]]:
    try:
        found = json_of((cache / CHECKED).read_bytes())
    except (OSError, ValueError):
        return {}
    return {name: about for name, about in found.items() if isinstance(about, dict)} if isinstance(found, dict) else {}


def _write(cache: Path, path: Path, digest: str) -> None:
    at = path.stat()
    about = {"sha256": digest, "bytes": at.st_size, "mtime_ns": at.st_mtime_ns}
    with contextlib.suppress(OSError):  # a cache that cannot be written is read again by the next process
        write_json(cache / CHECKED, {**_read(cache), path.name: about})
