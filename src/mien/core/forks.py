"""A model that was loaded before a fork must answer after it.

The threads that share a sum (OpenMP, OpenCV) do not survive a fork, and whoever calls them in the child waits for ever.
A child therefore works with one thread, also where a server's hook asks for more. CUDA cannot be used after a fork at
all: torch says so.
"""

from __future__ import annotations

import os
import sys
import warnings
from functools import cache
from typing import Any

_threads = 0  # of OpenCV in this process, while it forks


@cache
def work_in_forks() -> None:
    """From now on, forked children of this process work with one thread each; called when a model is loaded."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


def _opencv() -> Any:
    return sys.modules.get("cv2")


def _before() -> None:
    """OpenCV's pool is closed before: a child that inherits one can neither use nor close it."""
    global _threads
    if _opencv() is not None:
        _threads = _opencv().getNumThreads()
        _opencv().setNumThreads(1)


def _in_parent() -> None:
    if _opencv() is not None:
        _opencv().setNumThreads(_threads)


def _in_child() -> None:
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)

        def set_num_threads(number: int) -> None:
            """Stay with one thread, and say so: with more the next sum would wait for ever."""
            if number != 1:
                warnings.warn(
                    f"torch.set_num_threads({number}) in a process forked after mien.load: it keeps one thread; for "
                    "more, load in each process, or start processes with multiprocessing's 'spawn'",
                    RuntimeWarning,
                    stacklevel=2,
                )

        torch.set_num_threads = set_num_threads
