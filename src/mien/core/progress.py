"""How whatever takes long says how far it is: one type of callback for every room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[int, int], None]  # (how many are done so far, of how many)
OnStage = Callable[[str], OnProgress]  # the name of a stage -> the callback of that stage


def silent(stage: str) -> OnProgress:
    """An ``OnStage`` that shows nothing."""
    return lambda done, total: None


@contextmanager
def counted(on_progress: OnProgress, total: int) -> Iterator[Callable[[int], None]]:
    """For work in several parts: yields what is told how many *more* are done, and sums them up to ``total``."""
    done = 0

    def on_advance(more: int) -> None:
        nonlocal done
        done += more
        on_progress(done, total)

    on_progress(0, total)
    yield on_advance
    on_progress(total, total)


@contextmanager
def progress_bars(*, redirect_stdout: bool = True, in_bytes: bool = False) -> Iterator[OnStage]:
    """Yields an ``OnStage`` that shows a bar on stderr for each stage, from its first call until it is complete.

    ``redirect_stdout`` False leaves stdout alone, for a command that writes rows to it meanwhile. ``in_bytes``: what
    is counted is shown as MB.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
    )

    counts = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(30), counts, TimeRemainingColumn(compact=True))
    console = Console(stderr=True)
    bars = Progress(  # elsewhere than on a terminal it would leave an empty line
        *columns, console=console, transient=True, redirect_stdout=redirect_stdout, disable=not console.is_terminal
    )
    tasks: dict[str, TaskID] = {}

    def on_stage(stage: str) -> OnProgress:
        def on_progress(done: int, total: int) -> None:
            if stage not in tasks:
                bars.start()  # not before: a request that is refused writes one line and no empty one
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total, visible=done < total)

        return on_progress

    try:
        yield on_stage
    finally:
        if tasks:
            bars.stop()
