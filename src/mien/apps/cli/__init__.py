"""The command line: words -> calls. One file a command or group; everything heavy is imported inside the functions."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Annotated, Any

import typer

from mien.apps.cli.output import leave, ready_streams, warn

app = typer.Typer(
    name="mien",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Makes faces: crowds with sex and age under control, frontal portraits, faces from words.",
)

TEXTS = ("--with", "--avoid", "--words")  # options that may be empty
PHOTO_COMMANDS = ("describe", "portrait", "edit", "verify")
LEAST_COLUMNS = 40  # of a console, for tables and help

# One module a line; each has `register(app)`.
COMMANDS = (
    "crowd",
    "portrait",
    "imagine",
    "character",
    "edit",
    "describe",
    "attributes",
    "data",
    "train",
    "evaluate",
    "experiment",
    "models",
    "verify",
    "serve",
    "study",
    "studio",
)


def _version(wanted: bool) -> None:
    if wanted:
        from mien.core.version import __version__

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


# ClickException. By its version, typer brings a copy of click's errors of its own or uses click's.
_WORDS_NOT_UNDERSTOOD: Any = typer.BadParameter.__mro__[2]


def main() -> None:
    """Run the command line; a MienError or a misused option becomes one line on stderr and its exit status."""
    ready_streams()
    if os.environ.get("COLUMNS", "").isdecimal() and int(os.environ["COLUMNS"]) < LEAST_COLUMNS:
        os.environ["COLUMNS"] = str(LEAST_COLUMNS)  # containers say 0, and tables would be empty
    # Threads that wait by spinning make torch ten times slower beside any other busy process; read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    leave(_run())


def _run() -> int:
    """The exit status of the command, after what is wrong with it was told."""
    from mien.core.errors import MienError

    try:
        _check_nothing_is_empty(sys.argv[1:])
        status = app(prog_name="mien", standalone_mode=False)  # the code of a typer.Exit, else None
        if status == 130:  # typer has taken the Ctrl-C for itself
            warn("interrupted")
        return status if isinstance(status, int) else 0
    except MienError as error:
        warn(error)
        return error.exit_status
    except _WORDS_NOT_UNDERSTOOD as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help is already printed, or is the message
            sys.stdout.write(error.format_message())
        else:
            warn(usage_line(error))
        return int(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        warn("interrupted")
        return 130
    except BrokenPipeError:
        return 1
    except OSError as error:
        warn(f"{error.filename or 'disk'}: {error.strerror or error}")
        return 1


def _check_nothing_is_empty(words: list[str]) -> None:
    """``RequestError`` for a path that is an empty word, as an unset variable of a shell makes it: it would be the
    directory where one is, and faces of others would be read or written over.
    """
    from mien.core.errors import RequestError

    before = ""
    for word in words:
        option, equals, value = word.partition("=")
        name = ""
        if option.startswith("--") and equals and not value:
            name = option
        elif not word and before.startswith("--"):
            name = before
        elif not word and before and words[0] in PHOTO_COMMANDS and (words[0] != "edit" or before == "edit"):
            name = "PHOTO"
        if name and name not in TEXTS:
            raise RequestError(f"{name}: '' given; is a variable of the shell empty?")
        before = word


def usage_line(error: Any) -> str:
    """What typer says of words that it does not understand, as one line: the option, what was given, what to do."""
    text = " ".join(error.format_message().split()).removesuffix(".")
    text = re.sub(r"^Invalid value for '(.+?)': (Value error, )?", r"\1: ", text)
    known, is_not, allowed = text.partition(" is not one of ")
    text = known + is_not + allowed.replace("'", "")
    if " is not " not in text and hasattr(error.__cause__, "errors"):  # pydantic says what it wanted, not what it got
        text += f", given {error.__cause__.errors()[0].get('input')!r}"
    place = getattr(error, "ctx", None)
    return f"{text[:1].lower()}{text[1:]} (see {place.command_path if place else 'mien'} --help)"
