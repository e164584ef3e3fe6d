"""Gradio imported without what the studio has no use for: stub files that it writes (more than half of the time that
its import takes), and proxies, since nothing is fetched from elsewhere."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def without_stub_files() -> Iterator[None]:
    """Inside the block gradio's components have no source file, as far as ``inspect`` tells.

    For each of its 80 component classes gradio parses its own sources and writes a ``.pyi`` beside them, whenever it is
    imported (``gradio.component_meta.create_or_modify_pyi``): 1 s, and a write into installed packages that a user
    may not be allowed. It leaves out classes without a file, so that is what it is told.
    """
    known = inspect.getfile

    def getfile(object: Any) -> str:  # the name that callers may give
        if isinstance(object, type) and object.__module__.startswith("gradio."):
            raise OSError("no stub is wanted")
        return known(object)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = known


@contextmanager
def without_proxies() -> Iterator[None]:
    """Inside the block no proxy is set. Gradio makes a client of HTTP as it is imported, which is never used here, and
    behind a SOCKS proxy that would fail without a further package.
    """
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)
