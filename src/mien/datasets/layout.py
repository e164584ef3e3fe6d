"""The names of the files of a prepared dataset, and whether a directory holds one: nothing heavy is imported."""

from __future__ import annotations

import re
from pathlib import Path

from mien.core.errors import DatasetError, RequestError

CATALOG = "catalog.parquet"
DATASET = "dataset.json"
SHARDS = "shards"


def require_dataset(dest: Path) -> None:
    """Refuse (``DatasetError``) a directory without a catalogue, before anything that takes seconds is imported."""
    if not (dest / CATALOG).is_file():
        raise DatasetError(f"{dest}: no prepared dataset (make one with 'mien data prepare')")


def check_source_name(name: str) -> None:
    """Refuse (``RequestError``) a name of a source that cannot be part of file names."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name):
        raise RequestError(f"--name {name!r}: allowed are lower case letters, digits, '_' and '-', 40 at most")
