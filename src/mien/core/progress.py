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
def progress_bars() -> Iterator[OnStage]:
    """Yields an ``OnStage`` that shows a bar on stderr for each stage."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bars:

        def bar(stage: str) -> OnProgress:
            task = bars.add_task(stage, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield bar
