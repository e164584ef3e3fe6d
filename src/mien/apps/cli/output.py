"""What the command line prints: one line a call, whatever names and words of others stand in it."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from mien.core.foreign import escaped, one_line


def echo(line: object, *, err: bool = False) -> None:
    """One line on stdout, or on stderr."""
    typer.echo(escaped(line), err=err)


def warn(message: object) -> None:
    """One line on stderr: ``mien: ...``."""
    typer.echo(f"mien: {one_line(message)}", err=True)


def echo_json(row: Mapping[str, Any]) -> None:
    """One JSON object a line on stdout; half a pair of a name that is no valid text as ``\\udcXX``."""
    typer.echo(json.dumps(row, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace"))


@contextmanager
def stoppable() -> Iterator[None]:
    """End by SIGTERM, SIGHUP and Ctrl-C alike: what was begun is tidied up, and the status says which it was."""

    stopped: list[signal.Signals] = []

    def stop(number: int, frame: object) -> NoReturn:
        stopped.append(signal.Signals(number))
        raise SystemExit(128 + number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    usual = (signal.SIG_DFL, signal.default_int_handler)  # under nohup SIGHUP is ignored already, and stays so
    before = {number: signal.signal(number, stop) for number in numbers if signal.getsignal(number) in usual}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if stopped:
            warn(f"stopped by {stopped[0].name}")
