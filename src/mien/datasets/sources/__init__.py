"""Dataset formats, one file each: a directory as it was published -> an iterator of ``SourcePhoto``.

>>> sorted(SOURCES)
['celeba', 'folder', 'imdb_wiki', 'lfw', 'pubfig', 'utkface', 'vggface2']
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping

from mien.core.errors import RequestError
from mien.datasets.sources.contract import Source, SourceRules

__all__ = ["SOURCES", "Source", "SourceRules", "find"]

_NAMES = ("celeba", "folder", "imdb_wiki", "lfw", "pubfig", "utkface", "vggface2")


class _Sources(Mapping[str, Source]):
    """Name -> source; the module of a format is imported when it is first asked for."""

    def __getitem__(self, name: str) -> Source:
        if name not in _NAMES:
            raise KeyError(name)
        source: Source = importlib.import_module(f"{__name__}.{name}").SOURCE
        return source

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)


SOURCES: Mapping[str, Source] = _Sources()


def find(name: str) -> Source:
    """The source called ``name`` (``imdb-wiki`` and ``IMDB_WIKI`` are ``imdb_wiki``); RequestError lists the names."""
    wanted = name.strip().lower().replace("-", "_")
    if wanted in SOURCES:
        return SOURCES[wanted]
    near = difflib.get_close_matches(wanted, _NAMES, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise RequestError(f"unknown source format {name!r}: allowed are {', '.join(_NAMES)}{hint}")
