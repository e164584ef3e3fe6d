"""What every dataset format promises (one file a format, ``SOURCES`` in this package lists them)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mien.core.progress import OnProgress
from mien.core.records import SourcePhoto


class Rows(Protocol):
    """The photos of a directory: ``rows(source_dir, labels)``, without reading a pixel.

    ``labels`` is a label file; ``None`` looks for the format's own names inside and beside SOURCE_DIR. The order is
    that of the sorted keys, the same on every machine. Raises ``SourceError`` when called if SOURCE_DIR is not of the
    format or its label file as a whole is unreadable; one bad row or value never raises: that photo is yielded with
    its ``drop_reason``, a word of ``mien.datasets.reasons``.
    """

    def __call__(self, source_dir: Path, labels: Path | None = None) -> Iterator[SourcePhoto]: ...


class Fetch(Protocol):
    """Brings the photos of a source that is a list of links. Returns how many rows ended in which way."""

    def __call__(
        self, source_dir: Path, *, concurrency: int = 16, progress: OnProgress | None = None
    ) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True)
class SourceRules:
    """What a source asks of the pixels; the step that reads them holds it: ``too_small``, ``grey``."""

    min_width_px: int = 0
    min_height_px: int = 0
    colour: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """One dataset format."""

    name: str
    licence: str
    rows: Rows
    rules: SourceRules = SourceRules()
    false_is_absent: bool = True  # False: an attribute that is False may also be unsure (LFW: data by thresholds)
    fetch: Fetch | None = None
    remarks: Callable[[Path, Path | None], list[str]] | None = None  # what to tell of its label file
