"""`mien data`: photos of a source -> a dataset that trains, and a report on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli.data_review import review

if TYPE_CHECKING:
    from mien.datasets.prepare import Job, Progress, Summary

data = typer.Typer(no_args_is_help=True, help="Make photos ready for training, report on them, check their labels.")
data.command()(review)


def register(app: typer.Typer) -> None:
    """Add the group to the app."""
    app.add_typer(data, name="data")


@data.command()
def prepare(
    source_format: Annotated[
        str, typer.Argument(help="lfw, utkface, imdb_wiki, celeba, pubfig, vggface2 or folder.", show_default=False)
    ],
    source_dir: Annotated[Path, typer.Argument(help="Where the photos are.", show_default=False)],
    dest: Annotated[Path, typer.Argument(help="Where the dataset goes; sources add up there.", show_default=False)],
    labels: Annotated[
        Path | None, typer.Option(help="A label file that is not where the format has it.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the source in the catalogue (the format's).", show_default=False)
    ] = None,
    size: Annotated[int, typer.Option(min=32, max=1024, help="Side of the crops, px.")] = 256,
    jobs: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes (one a core).", show_default=False)
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N photos.", show_default=False)] = None,
    download: Annotated[
        bool, typer.Option(help="Bring photos that the source gives as links (pubfig) and that are not there yet.")
    ] = True,
    transfers: Annotated[int, typer.Option(min=1, max=256, help="Transfers at a time when downloading.")] = 16,
) -> None:
    """Detect, align and crop every photo of a source; write catalogue, shards and splits.

    Run it again with another source on the same DEST to add that source. A run that was stopped goes on where it was.
    """
    from mien.datasets.chunks import Networks
    from mien.datasets.prepare import prepare as run

    Networks()  # a missing network is one line here, not a traceback out of a worker
    if download:
        _download(source_format, source_dir, transfers)
    job = _job(source_format, source_dir, labels, name, size, limit)
    summary = _with_bar(job, dest, jobs or _cores(), run)
    _say(summary, dest)


@data.command()
def report(
    dest: Annotated[Path, typer.Argument(help="A dataset that 'mien data prepare' made.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where the report goes.", metavar="REPORT_DIR", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> None:
    """Write report.html, report.json and plots: kept and dropped and why, ages, attributes, poses, samples, terms."""
    from mien.evaluation import report as reports
    from mien.evaluation.dataset import dataset_report

    reports.check_directory(out, force=force)
    typer.echo(reports.write(dataset_report(dest), out))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _download(source_format: str, source_dir: Path, transfers: int) -> None:
    """Bring what a source of links lacks; other sources have nothing to bring."""
    from mien.datasets import sources

    fetch = sources.find(source_format).fetch
    if fetch is None:
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"download {source_format}", total=None)
        counts = fetch(
            source_dir,
            concurrency=transfers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    typer.echo(f"{source_dir}: {', '.join(f'{count} {word}' for word, count in counts.items())}")


def _job(
    source_format: str, source_dir: Path, labels: Path | None, name: str | None, size: int, limit: int | None
) -> Job:
    from itertools import islice

    from mien.datasets import sources
    from mien.datasets.filters import rules_of
    from mien.datasets.prepare import Job

    source = sources.find(source_format)
    photos = tuple(islice(source.rows(source_dir, labels), limit))
    return Job(
        source.name if name is None else name,
        source.name,
        source.licence,
        rules_of(source),
        photos,
        source.false_is_absent,
        size,
    )


def _with_bar(job: Job, dest: Path, jobs: int, run: Callable[..., Summary]) -> Summary:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from mien.datasets.chunks import Networks

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(f"prepare {job.source}", total=len(job.photos), said="loading")
        began = time.monotonic()

        def show(now: Progress) -> None:
            done = now.photos - now.resumed
            speed = done / max(time.monotonic() - began, 1e-9)
            said = f"{speed:.0f} photos/s, {now.kept} kept, {done - now.kept} dropped"
            said += f", {now.resumed} done before" if now.resumed else ""
            bar.update(task, completed=now.photos, total=now.of, said=said)

        return run(job, dest, load_finder=Networks, jobs=jobs, progress=show)


def _say(summary: Summary, dest: Path) -> None:
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(summary.dropped.items())) or "none"
    typer.echo(f"{dest}: {summary.source}: {summary.kept} of {summary.photos} photos kept; dropped: {reasons}")
    done = summary.photos - summary.resumed
    if done == 0:
        typer.echo("all of it was done before", err=True)
        return
    total = sum(summary.steps.values()) or 1.0
    shares = ", ".join(f"{step} {100 * seconds / total:.0f} %" for step, seconds in summary.steps.items())
    typer.echo(f"{done} photos in {summary.seconds:.1f} s ({done / summary.seconds:.1f} photos/s): {shares}", err=True)
