"""The command line: words -> calls. One file a command or group; everything heavy is imported inside the functions."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Annotated

import typer

app = typer.Typer(
    name="mien",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Makes faces: crowds with sex and age under control, frontal portraits, faces from words.",
)

# One module a line; each has `register(app)`.
COMMANDS = ("crowd", "data", "train", "evaluate", "models")


def _version(wanted: bool) -> None:
    if wanted:
        from mien import __version__

        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Makes faces."""


for _name in COMMANDS:
    importlib.import_module(f"mien.apps.cli.{_name}").register(app)


def main() -> None:
    """Run the command line; a MienError becomes one line on stderr and its exit status."""
    from mien.errors import MienError

    try:
        app(prog_name="mien")
    except MienError as error:
        sys.stderr.write(f"mien: {' '.join(str(error).split())}\n")
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.stderr.write("mien: interrupted\n")
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        sys.stderr.write(f"mien: {error.filename or 'disk'}: {error.strerror or error}\n")
        sys.exit(1)
