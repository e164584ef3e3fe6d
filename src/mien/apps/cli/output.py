"""What the command line prints: one line a call, whatever names and words of others stand in it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from mien.core.foreign import escaped, one_line


def echo(line: object, *, err: bool = False) -> None:
    """One line on stdout, or on stderr."""
    _write(escaped(line), err)


def warn(message: object) -> None:
    """One line on stderr: ``mien: ...``."""
    _write(f"mien: {one_line(message)}", True)


def echo_json(row: Mapping[str, Any]) -> None:
    """One JSON object a line on stdout, UTF-8 whatever the console; half a pair of a name as ``\\udcXX``."""
    typer.echo(json.dumps(row, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace"))


def _write(line: str, err: bool) -> None:
    """By hand: click takes a console that knows ASCII alone for one that knows UTF-8."""
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{line}\n")
    stream.flush()


class Named(io.TextIOWrapper):
    """A stdout whose errors say that they are its own: else a full console would read as a full disk."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise OSError(error.errno, error.strerror, "stdout") from error

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, "stdout") from error


class Forgiving(io.TextIOWrapper):
    """A stderr that cannot be written to (full, closed, gone) ends no command and changes no exit status."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            return super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().flush()


def ready_streams() -> None:
    """Make stdout and stderr fit for all that is printed, whatever the console's encoding, and wherever they lead.

    What an encoding has no sign for is written as ``\\u20ac``. A stream that was closed leads nowhere: else the next
    file that is opened would take its place, and get what C libraries print.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 (for the life of the process)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        encoding, lines = sys.stdout.encoding, sys.stdout.line_buffering
        sys.stdout = Named(sys.stdout.detach(), encoding, "backslashreplace", line_buffering=lines)
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        encoding = sys.stderr.encoding
        sys.stderr = Forgiving(sys.stderr.detach(), encoding, "backslashreplace", line_buffering=True)


def leave(status: int) -> NoReturn:
    """End the process with ``status``; 1 where the end of the output could not be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if status == 0 and not isinstance(error, BrokenPipeError):
            warn(f"stdout: {error.strerror or error}")
        status = status or 1
        with contextlib.suppress(OSError, ValueError):  # what is left of the output goes nowhere, without a word
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


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
