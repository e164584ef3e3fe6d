"""What the command line prints: one line a call, whatever names and words of others stand in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

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
