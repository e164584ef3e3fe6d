"""Nothing half-written: bytes go to a temporary name in the same directory, are synced, and are renamed."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mien.core.errors import WeightsError

TEMPORARY = ".mien-*.tmp"  # what a run that was killed may leave behind


def stage_bytes(path: str | os.PathLike[str], data: bytes, *, mode: int = 0o666) -> Path:
    """Write ``data``, synced, under a temporary name beside ``path``, which is returned; the folder is made.

    ``mode`` is what the user's umask is taken from. A full disk leaves no temporary behind.
    """
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / TEMPORARY.replace("*", secrets.token_hex(8))
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        name.unlink(missing_ok=True)
        raise
    return name


def write_bytes(path: str | os.PathLike[str], data: bytes, *, mode: int = 0o666) -> None:
    """Write ``data`` to ``path`` atomically; a full disk leaves the old file as it was and no temporary behind."""
    staged = stage_bytes(path, data, mode=mode)
    try:
        os.replace(staged, path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    sync_folder(Path(path).parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can."""
    with contextlib.suppress(OSError):  # Windows opens no folder, some file systems sync none
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically.

    A file name that is no valid text (a lone surrogate in Python) is written as ``\\udcXX``, which JSON reads back.
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON document atomically: keys in the order given, two blanks of indent, a final newline."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def json_line(row: Any) -> str:
    """One line of JSON lines, with its newline."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def write_jsonl(path: str | os.PathLike[str], rows: Iterable[Any]) -> None:
    """Write JSON lines atomically."""
    write_text(path, "".join(map(json_line, rows)))


def check_weights(path: str | os.PathLike[str] | None) -> None:
    """``WeightsError`` where weights are named and there is no such file; to be told before a network is loaded."""
    if path is not None and not Path(path).is_file():
        raise WeightsError(f"{path}: no such weights file")
