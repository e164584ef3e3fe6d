"""Reading directories and label files, for all formats: names only, no pixel is read here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from mien.core.errors import SourceError
from mien.core.formats import is_photo_name
from mien.core.records import SourcePhoto
from mien.core.tables import text_of, what_no_table_is

_SKIPPED_DIRECTORIES = frozenset({"__MACOSX", "@eaDir"})


def image_names(root: Path, *, depth: int | None = None) -> list[str]:
    """Paths of all images below ``root``, relative to it, with ``/``, sorted; ``depth`` 1 is ``root`` alone.

    Links to directories are followed, each directory once. 200,000 names take about a second of one core.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()
    pending = [("", 1)]
    while pending:
        below, level = pending.pop()
        directory = os.path.join(root, below)
        status = os.stat(directory)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(directory) as entries:
            for entry in entries:
                if is_photo_name(entry.name):  # before is_dir: saves a system call a file on some file systems
                    if not entry.is_dir():
                        found.append(below + entry.name)
                elif (depth is None or level < depth) and _is_walkable(entry):
                    pending.append((f"{below}{entry.name}/", level + 1))
    found.sort()
    return found


def passed_over(root: Path, used: Collection[str], labels: Path | None = None) -> Counter[str]:
    """How many files below ``root`` are neither one of the paths ``used`` nor the file of labels, by reason:
    ``hidden``, an ending that no photo has (``.mov``; ``no ending``), or ``not of the format``.
    """
    known = {os.path.normpath(path) for path in (*used, root / "labels.csv", *([labels] if labels else ()))}
    found: Counter[str] = Counter()
    for directory, _, names in os.walk(root):
        for name in names:
            if os.path.normpath(os.path.join(directory, name)) in known:
                continue
            if name.startswith("."):
                found["hidden"] += 1
            elif is_photo_name(name):
                found["not of the format"] += 1
            else:
                found[os.path.splitext(name)[1].lower() or "no ending"] += 1
    return found


def _is_walkable(entry: os.DirEntry[str]) -> bool:
    return not entry.name.startswith(".") and entry.name not in _SKIPPED_DIRECTORIES and entry.is_dir()


ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def existing_directory(source_dir: Path, looked_for: str) -> Path:
    """``source_dir`` itself, or a SourceError that says what the format looks for."""
    if not source_dir.is_dir():
        what = "is a file" if source_dir.exists() else "does not exist"
        if source_dir.suffix.lower() in ARCHIVES:
            what += " (an archive: unpack it first)"
        raise SourceError(f"{source_dir}: {what}; looked for a directory with {looked_for}")
    return source_dir


def label_file(labels: Path | None, candidates: Iterable[Path]) -> Path | None:
    """The label file that was given (SourceError if it is not there), else the first candidate that exists."""
    if labels is not None:
        if not labels.is_file():
            raise SourceError(f"{labels}: no such label file")
        return labels
    return next((path for path in candidates if path.is_file()), None)


def read_lines(path: Path) -> list[str]:
    """The lines of a label file (as ``tables.text_of`` reads it)."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error
    if what := what_no_table_is(data):
        raise SourceError(f"{path}: {what}")
    return text_of(data).split("\n")


def text_key(name: str) -> str:
    """A name as valid Unicode: bytes that are not UTF-8 (``os.fsdecode`` surrogates) become ``\\xNN``."""
    try:
        return os.fsencode(name).decode("utf-8", errors="backslashreplace")
    except UnicodeEncodeError:  # half a pair of UTF-16, from a label file
        return name.encode("utf-8", errors="backslashreplace").decode("utf-8")


def with_unique_keys(photos: Iterable[SourcePhoto]) -> Iterator[SourcePhoto]:
    """The same photos; the second and later ones of a key get ``#2``, ``#3``, ..."""
    times: dict[str, int] = {}
    for photo in photos:
        key = photo.key
        while (count := times.get(key, 0) + 1) > 1:
            times[key] = count
            key = f"{photo.key}#{count}"
        times[key] = 1
        yield photo if key == photo.key else replace(photo, key=key)


def in_order(photos: Iterable[SourcePhoto]) -> Iterator[SourcePhoto]:
    """The photos sorted by key (stable), keys made unique."""
    return with_unique_keys(sorted(photos, key=lambda photo: photo.key))
