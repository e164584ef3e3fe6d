"""Progress on stderr: one bar for each stage of what runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.core.progress import OnProgress, OnStage


@contextmanager
def stage_bars(*, redirect_stdout: bool = True) -> Iterator[OnStage]:
    """Yields what gives each stage its own bar, shown from its first call on; a stage that is complete loses it.

    ``redirect_stdout`` False: what is written to stdout meanwhile stays there, for where stdout is no terminal.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
    shown = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=redirect_stdout)
    with shown as bars:
        tasks: dict[str, TaskID] = {}

        def on_stage(stage: str) -> OnProgress:
            def on_progress(done: int, total: int) -> None:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(stage, total=total)
                bars.update(tasks[stage], completed=done, total=total, visible=done < total)

            return on_progress

        yield on_stage
