"""How whatever takes long says how far it is: one type of callback for every room."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[int, int], None]  # (how many are done so far, of how many)
OnStage = Callable[[str], OnProgress]  # the name of a stage -> the callback of that stage


def silent(stage: str) -> OnProgress:
    """An ``OnStage`` that shows nothing."""
    return lambda done, total: None
