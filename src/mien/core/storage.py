"""Where the files of a bulk run go: a folder, or any place that fsspec has a URL for (s3://, gs://, ...).

A file gets its name when it is whole: a folder by a temporary name beside it, a store by one upload.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.core.errors import MienError, RequestError
from mien.core.files import TEMPORARY, sync_folder


def is_url(place: str) -> bool:
    """Whether a place is one of a store; a single letter before ``:`` is a drive."""
    scheme, found, _ = place.partition("://")
    return bool(found) and len(scheme) > 1


@dataclass(frozen=True, slots=True)
class Storage:
    """A folder or a URL. It may be sent to other processes; it opens the store anew in each call.

    Raises:
        RequestError: a URL of a kind that is unknown, or whose package is not installed.
        MienError: a store that does not answer or refuses.
    """

    place: str

    @property
    def folder(self) -> Path | None:
        """The folder; ``None`` where it is a URL."""
        return None if is_url(self.place) else Path(self.place)

    def names(self) -> set[str]:
        """The files there, by name."""
        if self.folder is not None:
            return {file.name for file in self.folder.iterdir()} if self.folder.is_dir() else set()
        with self._store() as (store, root):
            store.invalidate_cache()
            return {path.rpartition("/")[2] for path in store.ls(root, detail=False)} if store.exists(root) else set()

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        if self.folder is not None:
            return (self.folder / name).read_bytes()
        with self._store() as (store, root):
            return bytes(store.cat_file(f"{root}/{name}"))

    def remove(self, name: str) -> None:
        """Remove a file."""
        if self.folder is not None:
            (self.folder / name).unlink(missing_ok=True)
            return
        with self._store() as (store, root):
            store.rm_file(f"{root}/{name}")

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        with self.new_file(name) as path:
            path.write_bytes(data)

    @contextmanager
    def new_file(self, name: str) -> Iterator[Path]:
        """A local file to be written; at the end of the block it gets its name, and after an error it is gone."""
        if self.folder is None:
            with tempfile.TemporaryDirectory(prefix="mien-") as scratch:
                yield Path(scratch) / name
                with self._store() as (store, root):
                    store.put_file(str(Path(scratch) / name), f"{root}/{name}")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        staged = self.folder / TEMPORARY.replace("*", secrets.token_hex(8))
        try:
            yield staged
            with open(staged, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(staged, self.folder / name)
        finally:
            staged.unlink(missing_ok=True)
        sync_folder(self.folder)

    @contextmanager
    def _store(self) -> Iterator[tuple[Any, str]]:
        """(The fsspec file system, the path in it)."""
        import fsspec

        try:
            store, root = fsspec.core.url_to_fs(self.place)
        except (ImportError, ValueError) as error:
            raise RequestError(f"--out: {self.place}: {str(error).splitlines()[0]}") from error
        try:
            yield store, root.rstrip("/")
        except MienError:
            raise
        except Exception as error:  # every store has errors of its own: no credentials, no bucket, no network
            said = (str(error) or type(error).__name__).splitlines()[0]
            raise MienError(f"--out: {self.place}: {said}") from error
