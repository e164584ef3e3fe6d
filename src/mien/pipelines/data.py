"""Photos of a source -> a prepared dataset, and a report on one; wrong requests are refused before torch is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mien.core.errors import RequestError
from mien.core.progress import OnStage, silent
from mien.datasets.layout import check_source_name
from mien.datasets.layout import require_dataset as require_dataset
from mien.pipelines.engine import LOCAL, Engine

if TYPE_CHECKING:
    from mien.datasets.prepare import Summary


TRANSFERS = 16


@dataclass(frozen=True, slots=True)
class PrepareRequest:
    """A directory of photos and where its dataset goes; sources add up in ``dest``."""

    source_format: str  # of ``mien.datasets.sources``
    source_dir: Path
    dest: Path
    labels: Path | None = None  # a label file that is not where the format has it
    name: str | None = None  # of the source in the catalogue; None: that of the format
    size_px: int = 256  # side of the crops
    jobs: int | None = None  # processes; None: one a core
    limit: int | None = None  # only the first photos
    download: bool | None = None  # bring photos that the source gives as links; None: yes
    transfers: int | None = None  # at a time, when downloading; None: ``TRANSFERS``
    engine: Engine = LOCAL  # ray: instead of ``jobs``; photos and ``dest`` are reached from every node

    def __post_init__(self) -> None:
        if self.engine.name != "local" and self.jobs is not None:
            raise RequestError("--jobs: given with --engine ray; --workers says how many processes it has")


@dataclass(frozen=True, slots=True)
class PreparedSource:
    """What was done to one source; ``downloaded``: how many of its links ended in which way; ``passed_over``: how many
    files of its directory were no photo of the format, by reason (not counted with ``limit``).
    """

    summary: Summary
    downloaded: Mapping[str, int]
    passed_over: Mapping[str, int]
    remarks: Sequence[str] = ()  # on the label file


def prepare_dataset(request: PrepareRequest, *, on_stage: OnStage = silent) -> PreparedSource:
    """Detect, align and crop every photo of a source; write catalogue, shards and splits of ``request.dest``.

    A run that was stopped goes on where it was. ``RequestError`` for an unknown format or name, ``SourceError`` where
    SOURCE_DIR is not of the format, ``WeightsError`` where a network of others was not fetched.
    """
    from mien.datasets import sources
    from mien.datasets.sources.listing import passed_over

    source = sources.find(request.source_format)
    name = source.name if request.name is None else request.name
    check_source_name(name)
    if source.fetch is None:
        for option, value in (("--download", request.download), ("--transfers", request.transfers)):
            if value is not None:
                raise RequestError(f"{option}: {source.name} has no links to bring; only pubfig uses it")
    rows = source.rows(request.source_dir, request.labels)
    from mien.datasets import chunks
    from mien.datasets.filters import rules_of
    from mien.datasets.prepare import SourceJob, prepare

    chunks.Networks()  # a missing network is one line here, not a traceback out of a worker
    downloaded: Mapping[str, int] = {}
    if request.download is not False and source.fetch is not None:
        told = on_stage(f"download {source.name}")
        downloaded = source.fetch(request.source_dir, concurrency=request.transfers or TRANSFERS, progress=told)
        rows = source.rows(request.source_dir, request.labels)  # some are there now
    photos = tuple(islice(rows, request.limit))
    over: Mapping[str, int] = {}
    if request.limit is None:
        over = passed_over(request.source_dir, {photo.path for photo in photos}, request.labels)
    job = SourceJob(
        name,
        source.name,
        source.licence,
        rules_of(source),
        photos,
        source.false_is_absent,
        request.size_px,
    )
    summary = prepare(
        job,
        request.dest,
        load_finder=chunks.Networks,
        jobs=request.jobs or _cores(),
        run=None if request.engine.name == "local" else request.engine.run,
        on_progress=on_stage(f"prepare {name}"),
    )
    return PreparedSource(
        summary, downloaded, over, source.remarks(request.source_dir, request.labels) if source.remarks else ()
    )


def report_dataset(dest: Path, out: Path, *, force: bool = False) -> Path:
    """Write the report on a dataset into the directory ``out``; returns the path of the page.

    ``RequestError`` where a report lies there already and not ``force``; ``DatasetError`` where ``dest`` is none.
    """
    from mien.evaluation import report

    report.check_directory(out, force=force)
    require_dataset(dest)
    from mien.evaluation.dataset import dataset_report

    return report.write(dataset_report(dest), out)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
