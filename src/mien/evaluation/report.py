"""A report: figures with spread, n and protocol, tables of them, pictures, and where everything came from.

``write`` puts ``report.json`` (for machines), ``report.html`` (for people, one page with its styles inside) and the
pictures as PNG into one directory; each file appears whole or not at all, the page last.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.resources import files as resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mien.core.errors import MienError, RequestError
from mien.core.files import write_json, write_text
from mien.core.version import __version__

if TYPE_CHECKING:
    from mien.core.records import UInt8Image
    from mien.evaluation.statistics import Interval

FORMAT_VERSION = 2  # 2: the provenance is the same record in every report
JSON_FILE, HTML_FILE = "report.json", "report.html"

Better = Literal["higher", "lower", "near the real one", ""]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. ``name`` carries protocol and n; ``label`` is its row and ``subject`` its column."""

    name: str
    label: str
    subject: str  # "generated", "real", ...
    value: float
    n: int
    low: float | None = None  # 95 % interval, where one is known
    high: float | None = None
    unit: str = ""  # "%": the value is a share in [0, 1] and is shown times 100
    better: Better = ""

    @classmethod
    def of(
        cls, interval: Interval, *, name: str, label: str, subject: str, unit: str = "", better: Better = ""
    ) -> Figure:
        """A figure from a value with its interval."""
        return cls(name, label, subject, interval.value, interval.n, interval.low, interval.high, unit, better)

    @property
    def shown(self) -> str:
        """The value as a person reads it."""
        return shown(self.value, self.unit)

    @property
    def spread(self) -> str:
        """The interval as a person reads it, or nothing."""
        if self.low is None or self.high is None or not math.isfinite(self.low + self.high):
            return ""
        return f"{shown(self.low, self.unit)} to {shown(self.high, self.unit)}"


@dataclass(frozen=True, slots=True)
class ReportTable:
    """Rows of ready cells: for example the same figures for every group of people."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class ReportPicture:
    """A plot or a sheet (H W 3 uint8 RGB), written beside the report as ``<name>.png``."""

    name: str
    caption: str
    photo: UInt8Image
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Section:
    """One question and its answer."""

    title: str
    text: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    pictures: tuple[ReportPicture, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportProvenance:
    """What was judged, by whom, and how to do it again: the same record in every report.

    A field that says nothing of a report is left out of its JSON and its page.
    """

    model: str = ""  # what was judged: names and versions of networks
    judges: str = ""  # names and versions of the networks that judged it
    dataset_fingerprint: str = ""  # changes with the faces, their labels and the size they were read at
    n: int | None = None  # faces, people, pairs or descriptions: what the protocol counts
    seed: int | None = None
    details: Mapping[str, str | int | float | None] = field(default_factory=dict)  # what only this report has to say
    software: str = f"mien {__version__}"
    command: str = field(default_factory=lambda: " ".join(["mien", *sys.argv[1:]]))
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))

    def as_dict(self) -> dict[str, str | int | float | None]:
        """Name -> value, in the order of reading; ``details`` stand between what was judged and how."""
        first = {
            "model": self.model,
            "judges": self.judges,
            "dataset_fingerprint": self.dataset_fingerprint,
            "n": self.n,
            "seed": self.seed,
        }
        known = {name: value for name, value in first.items() if value not in ("", None)}
        return {**known, **self.details, "software": self.software, "command": self.command, "date": self.date}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured of one thing, and where it came from."""

    title: str
    summary: str
    sections: tuple[Section, ...]
    provenance: ReportProvenance = field(default_factory=ReportProvenance)

    def figures(self) -> dict[str, Figure]:
        """Every figure by ``name/subject``."""
        return {f"{figure.name}/{figure.subject}": figure for part in self.sections for figure in part.figures}


def shown(value: float, unit: str = "") -> str:
    """Three or four significant digits, with the unit: ``93.4 %``, ``6.12 years``, ``0.0315``; NaN is ``unknown``."""
    if not math.isfinite(value):
        return "unknown"
    if unit == "%":
        return f"{100 * value:.1f} %"
    digits = 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 3 if abs(value) >= 0.1 else 4
    return f"{value:.{digits}f} {unit}".strip()


def as_json(report: Report) -> dict[str, Any]:
    """The report as JSON values; a number that is not finite becomes null."""
    return {
        "format": FORMAT_VERSION,
        "title": report.title,
        "summary": report.summary,
        "provenance": report.provenance.as_dict(),
        "figures": [_finite(asdict(figure)) for part in report.sections for figure in part.figures],
        "sections": [
            {
                "title": part.title,
                "text": part.text,
                "figures": [f"{figure.name}/{figure.subject}" for figure in part.figures],
                "tables": [_finite(asdict(table)) for table in part.tables],
                "pictures": [{"file": f"{p.name}.png", "caption": p.caption} for p in part.pictures],
            }
            for part in report.sections
        ],
    }


def as_html(report: Report) -> str:
    """The page. Pictures are referred to by their file names beside it."""
    try:
        import jinja2
    except ImportError as error:
        raise MienError("reports need jinja2; run: pip install 'mien[evaluate]'") from error
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    source = resources("mien.evaluation").joinpath("assets", "report.html.j2").read_text()
    parts = [
        {"section": part, "rows": _rows(part.figures), "subjects": _subjects(part.figures)} for part in report.sections
    ]
    page: str = environment.from_string(source).render(report=report, parts=parts, shown=shown)
    return page


def check_directory(directory: Path, *, force: bool) -> None:
    """Refuse (``RequestError``) a directory that holds a report already, unless ``force``."""
    if directory.exists() and not directory.is_dir():
        raise RequestError(f"{directory}: a file; --out wants a directory")
    if (directory / JSON_FILE).exists() and not force:
        raise RequestError(f"{directory}: holds a report already; name another directory or add --force")


def write(report: Report, directory: Path) -> Path:
    """Write pictures, ``report.json`` and ``report.html`` into ``directory``; returns the path of the page."""
    from mien.core.images import write_png  # a directory is refused without it

    names = [picture.name for part in report.sections for picture in part.pictures]
    for name in names:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or names.count(name) > 1:
            raise ValueError(f"picture {name!r}: names are lower case letters, digits and '-', each once")
    page = as_html(report)  # before anything is written: a missing template engine leaves nothing behind
    for part in report.sections:
        for picture in part.pictures:
            write_png(directory / f"{picture.name}.png", picture.photo, picture.metadata)
    write_json(directory / JSON_FILE, as_json(report))
    write_text(directory / HTML_FILE, page)
    return directory / HTML_FILE


def _subjects(figures: Iterable[Figure]) -> list[str]:
    return list(dict.fromkeys(figure.subject for figure in figures))


def _rows(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    """Figures of one label in one row, a cell a subject."""
    rows: dict[str, dict[str, Any]] = {}
    for figure in figures:
        row = rows.setdefault(figure.label, {"label": figure.label, "better": figure.better, "cells": {}, "names": []})
        row["cells"][figure.subject] = figure
        if figure.name not in row["names"]:
            row["names"].append(figure.name)
    return list(rows.values())


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
