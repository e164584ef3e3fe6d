"""`mien describe`: what can be said of the faces on photos."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mien.attributes.describe.describer import Describer, PhotoDescription
    from mien.core.errors import PhotoError
    from mien.core.records import UInt8Image

DESCRIPTION = "description.jsonl"
PICTURE_END = ".faces.png"  # tells our pictures from the photos, should OUT hold both
LONGEST_STEM = 80
PHOTO_ENDS = (".jpg", ".jpeg", ".jpe", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm",
              ".avif", ".jp2")  # fmt: skip

HELP = (
    "Describe every face on photos: 73 attributes, sex, age, pose, and how well it can be seen.\n\n"
    "It says how a face looks to a network on one photo, never who it is. It errs, and not on all people alike: more "
    "on children and on women (docs/describe.md). Left and right are the photo's. A photo that cannot be used, or on "
    "which no face is found, stops no other; the exit status is then 1."
)


def describe(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Photos, or directories of photos.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a photo, one a line.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Directory for a picture of each photo with boxes, and description.jsonl."),
    ] = None,
    with_ethnicity: Annotated[
        bool,
        typer.Option(
            "--with-ethnicity",
            help="Also four names of ethnicities. Off: nobody's origin can be seen, and a guess about it can harm.",
        ),
    ] = False,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Heads of a run instead of the packaged ones.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite descriptions that lie in OUT.")] = False,
) -> None:
    """Describe every face on photos (``HELP``)."""
    from mien.attributes.describe.rows import broken_row, photo_row

    files = photo_files(photos)
    if out is not None:
        refuse_to_overwrite(out, force)

    from mien import load

    describer = load("describe", weights=str(weights) if weights else None)
    if out is not None:
        forget_old(out)
    rows: list[dict[str, Any]] = []
    failed = 0
    try:
        with _bar(len(files)) as told:
            for file in files:
                photo, described, problem = describe_one(describer, file, with_ethnicity)
                if photo is None or described is None:
                    assert problem is not None
                    row = broken_row(str(file), problem, describer.model_version)
                else:
                    row = photo_row(str(file), described, problem)
                    if out is not None:
                        row["picture"] = picture_name(file, {str(other.get("picture")) for other in rows})
                        write_picture(out / row["picture"], photo, described)
                rows.append(row)
                _say(file, row, described, problem, as_json)
                failed += problem is not None
                told(1)
    finally:  # an interrupted run still says what lies there
        if out is not None and rows:
            from mien.core.files import write_jsonl

            write_jsonl(out / DESCRIPTION, rows)
    if not as_json and any(row["faces"] for row in rows):
        from mien.apps.cli.describe_table import print_notes

        print_notes(with_ethnicity)
    if failed and len(files) > 1:
        typer.echo(f"mien: {failed} of {len(files)} photos could not be described", err=True)
    if failed:
        raise typer.Exit(1)


def describe_one(
    describer: Describer, file: Path, with_ethnicity: bool = False
) -> tuple[UInt8Image | None, PhotoDescription | None, PhotoError | None]:
    """(the photo, what is on it, what is wrong): the first two are ``None`` for a file that cannot be read."""
    from mien.attributes.describe.describer import problem_of
    from mien.core.errors import PhotoError
    from mien.core.images import read_photo

    try:
        if file.is_dir():
            raise PhotoError("missing", f"{file}: a directory without photos ({', '.join(PHOTO_ENDS)})")
        photo = read_photo(file)
        described = describer.describe(photo, with_ethnicity=with_ethnicity)
    except PhotoError as error:
        return None, None, error
    except Exception as error:  # nothing about one photo may end a run
        return None, None, PhotoError("failed", f"{file}: {type(error).__name__}: {error}")
    return photo, described, problem_of(described, str(file))


def photo_files(given: Sequence[Path]) -> list[Path]:
    """The photos meant: a directory stands for the photos in it (not deeper), by name; an empty one for itself."""
    files: list[Path] = []
    for path in given:
        try:
            inside = [file for file in sorted(path.iterdir()) if _is_photo(file)] if path.is_dir() else []
        except OSError:  # a directory that may not be listed is told of in its turn
            inside = []
        files += inside or [path]
    return files


def _is_photo(file: Path) -> bool:
    name = file.name.lower()
    return name.endswith(PHOTO_ENDS) and not name.startswith(".") and not name.endswith(PICTURE_END) and file.is_file()


def picture_name(file: Path, taken: set[str]) -> str:
    """``IMG 1.jpg`` -> ``IMG-1.faces.png``; with a number where that name is taken, whatever its capitals."""
    stem = re.sub(r"[^\w.-]+", "-", file.stem).strip("-.")[:LONGEST_STEM] or "photo"
    lower = {name.casefold() for name in taken}
    name, number = f"{stem}{PICTURE_END}", 2
    while name.casefold() in lower:
        name, number = f"{stem}-{number}{PICTURE_END}", number + 1
    return name


def write_picture(path: Path, photo: UInt8Image, described: PhotoDescription) -> None:
    """The photo with boxes as PNG; it says of itself that what it tells was guessed."""
    from mien.attributes.describe.picture import draw
    from mien.core.images import write_png

    about = f"described by mien, model {described.model_version}: guesses of a network about looks, not facts"
    write_png(path, draw(photo, described), {"Software": "mien", "Comment": about})


def refuse_to_overwrite(out: Path, force: bool) -> None:
    """``RequestError`` where OUT is a file, or holds descriptions and --force was not given."""
    from mien.core.errors import RequestError

    if out.exists() and not out.is_dir():
        raise RequestError(f"--out: {out} is a file; a directory is wanted")
    if not force and out.is_dir() and ((out / DESCRIPTION).exists() or any(out.glob(f"*{PICTURE_END}"))):
        raise RequestError(f"--out: {out} holds descriptions already; another directory or --force is wanted")


def forget_old(out: Path) -> None:
    """Remove the pictures that an older description of OUT names, and the description; nothing else."""
    try:
        rows = [json.loads(line) for line in (out / DESCRIPTION).read_text(encoding="utf-8").splitlines()]
        names = [Path(str(row.get("picture") or "")).name for row in rows]
    except (OSError, ValueError, AttributeError):
        return
    for name in [*(name for name in names if name.endswith(PICTURE_END)), DESCRIPTION]:
        (out / name).unlink(missing_ok=True)


def _say(
    file: Path, row: dict[str, Any], described: PhotoDescription | None, problem: PhotoError | None, as_json: bool
) -> None:
    """One photo's answer: on stdout what it is, on stderr what is wrong with it."""
    if as_json:  # a name that is no valid text is written as \udcXX, which JSON reads back
        typer.echo(json.dumps(row, ensure_ascii=False, allow_nan=False).encode(errors="backslashreplace"))
    elif described is not None:
        from mien.apps.cli.describe_table import print_description

        print_description(str(file), described)
    if problem is not None:
        sys.stdout.flush()
        typer.echo(f"mien: {' '.join(str(problem).split())}", err=True)


@contextmanager
def _bar(total: int) -> Iterator[Any]:
    """A bar on stderr, where stdout does not show the progress itself and there is more than one photo."""
    if total < 2 or sys.stdout.isatty() or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False) as bar:
        task = bar.add_task("photos", total=total)
        yield lambda done: bar.advance(task, done)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("describe", help=HELP)(describe)
