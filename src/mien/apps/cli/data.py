"""`mien data`: photos of a source -> a dataset that trains, and a report on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli.data_review import review
from mien.apps.cli.options import Address, EngineName, Workers
from mien.apps.cli.output import echo, warn

if TYPE_CHECKING:
    from mien.pipelines.data import PreparedSource

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
        bool | None,
        typer.Option(
            "--download/--no-download",
            help="Bring photos that the source gives as links (pubfig) and that are not there yet.",
            show_default="download",
        ),
    ] = None,
    transfers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Transfers at a time (pubfig).", show_default="16")
    ] = None,
    engine: EngineName = "local",
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Detect, align and crop every photo of a source; write catalogue, shards and splits.

    Run it again with another source on the same DEST to add that source. A run that was stopped goes on where it was.
    """
    from mien.core.progress import progress_bars
    from mien.pipelines.data import PrepareRequest, prepare_dataset
    from mien.pipelines.engine import Engine

    work = Engine(engine, address, workers)
    request = PrepareRequest(
        source_format, source_dir, dest, labels, name, size, jobs, limit, download, transfers, work
    )
    with progress_bars() as on_stage:
        prepared = prepare_dataset(request, on_stage=on_stage)
    if prepared.downloaded:
        echo(f"{source_dir}: {', '.join(f'{count} {word}' for word, count in prepared.downloaded.items())}")
    _say(prepared, dest)


@data.command()
def report(
    dest: Annotated[Path, typer.Argument(help="A dataset that 'mien data prepare' made.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where the report goes.", metavar="REPORT_DIR", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace a report that is there.")] = False,
) -> None:
    """Write report.html, report.json and plots: kept and dropped and why, ages, attributes, poses, samples, terms."""
    from mien.pipelines.data import report_dataset

    echo(report_dataset(dest, out, force=force))


def _say(prepared: PreparedSource, dest: Path) -> None:
    summary = prepared.summary
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(summary.dropped.items())) or "none"
    echo(f"{dest}: {summary.source}: {summary.kept} of {summary.photos} photos kept; dropped: {reasons}")
    for remark in prepared.remarks:
        warn(remark)
    if prepared.passed_over:
        over = sorted(prepared.passed_over.items(), key=lambda pair: (-pair[1], pair[0]))
        echo(f"passed over, no photos of the format: {', '.join(f'{count} {reason}' for reason, count in over)}")
    done = summary.photos - summary.resumed
    if done == 0:
        echo("all of it was done before", err=True)
        return
    total = sum(summary.steps.values()) or 1.0
    shares = ", ".join(f"{step} {100 * seconds / total:.0f} %" for step, seconds in summary.steps.items())
    echo(f"{done} photos in {summary.seconds:.1f} s ({done / summary.seconds:.1f} photos/s): {shares}", err=True)
