"""`describe`: photos in, what can be said of the faces on them out; with a picture of each photo where asked for.

What is here reads and checks requests; the networks are imported for the first photo that can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import PhotoError
from mien.core.files import check_weights
from mien.core.formats import SUFFIXES, is_photo_name
from mien.core.progress import OnProgress
from mien.pipelines.engine import LOCAL, Engine
from mien.pipelines.faces_out import DESCRIPTIONS, check_out, opened
from mien.pipelines.pictures import safe_stem

if TYPE_CHECKING:
    from mien.attributes.describe.describer import Describer
    from mien.attributes.describe.records import PhotoDescription
    from mien.core.photo_inputs import PhotoInput
    from mien.core.photos import PhotoFile
    from mien.core.records import UInt8Image

PICTURE_END = ".faces.png"  # tells our pictures from the photos, should OUT hold both


@dataclass(frozen=True, slots=True)
class DescribeRequest:
    """Photos to be described: files, or directories of them. ``RequestError`` where ``out`` cannot be written to."""

    photos: tuple[Path, ...]
    with_ethnicity: bool = False  # off: nobody's origin can be seen
    weights: Path | None = None  # of `mien train attributes`; None: the packaged ones
    out: Path | None = None  # directory for a picture of each photo and description.jsonl
    force: bool = False  # overwrite descriptions that lie there

    def __post_init__(self) -> None:
        if self.out is not None:
            check_out(self.out, force=self.force, kind=DESCRIPTIONS)

    @property
    def files(self) -> list[Path]:
        """The photos meant: a directory stands for the photos in it (not deeper), by name; an empty one for itself."""
        return photo_files(self.photos)


@dataclass(frozen=True, slots=True)
class DescribedPhoto:
    """What is said of one photo."""

    name: str
    row: dict[str, Any]  # as in description.jsonl (docs/describe.md)
    description: PhotoDescription | None  # None: the file cannot be read
    problem: PhotoError | None  # why no face of it is described


def describe(
    request: DescribeRequest,
    describer: Describer | None = None,
    *,
    engine: Engine = LOCAL,
    on_photo: Callable[[DescribedPhoto], None] | None = None,
    on_progress: OnProgress | None = None,
) -> list[dict[str, Any]]:
    """Describe every photo; one that cannot be used stops no other.

    Args:
        describer: what reads the faces; by default the networks that the request names, loaded for the first photo
            that can be read. Workers of a cluster always load their own.
        engine: who does the work.
        on_photo: called with each photo when it is described.
        on_progress: called with (photos done, photos in all) after each.

    Returns:
        The row of each photo; its ``problem`` says why nothing is said of it.

    Raises:
        WeightsError: weights that are missing or of another model, or a network that was not fetched.
    """
    files = request.files
    if describer is None:
        check_weights(request.weights)
    rows: list[dict[str, Any]] = []
    taken: set[str] = set()  # names of pictures
    with opened(request.out, force=request.force, kind=DESCRIPTIONS) if request.out else nullcontext() as output:
        own = describer if engine.name == "local" else None
        work = partial(photo_worker, request.weights, request.with_ethnicity, output is not None, own)
        for file, (described, picture) in zip(files, engine.run(files, work, on_progress=on_progress), strict=True):
            if output is not None and not rows:
                output.begin()
            if picture is not None:
                described.row["picture"] = picture_name(file, taken)
                taken.add(described.row["picture"])
            if output is not None:
                output.put(len(rows), described.row, picture)
            rows.append(described.row)
            if on_photo is not None:
                on_photo(described)
    return rows


def photo_worker(
    weights: Path | None, with_ethnicity: bool, pictures: bool, describer: Describer | None = None
) -> Callable[[Path], tuple[DescribedPhoto, bytes | None]]:
    """What describes one file, and draws it where ``pictures`` are wanted; it loads networks when they are needed."""

    def work(file: Path) -> tuple[DescribedPhoto, bytes | None]:
        nonlocal describer
        read = _read(file)
        if isinstance(read, PhotoError):
            return _unread(file, read), None
        describer = describer or _loaded(weights)
        described = _described(describer, read, file, with_ethnicity)
        shown = described.description if pictures else None
        return described, None if shown is None else _picture(read.photo, shown)

    return work


def describe_photo(
    describer: Describer, photo: PhotoInput | PhotoFile, name: str = "photo", *, with_ethnicity: bool = False
) -> DescribedPhoto:
    """One photo (whatever ``core.photo_inputs.photo_of`` takes); ``name`` is what its row and its problem call it."""
    from mien.attributes.describe.describer import problem_of
    from mien.attributes.describe.rows import photo_row

    found = describer.describe(photo, with_ethnicity=with_ethnicity)
    problem = problem_of(found, name)
    return DescribedPhoto(name, photo_row(name, found, problem), found, problem)


def describe_file(describer: Describer, file: Path, with_ethnicity: bool = False) -> DescribedPhoto:
    """One file; that it cannot be read, or that something else fails, is its ``problem``."""
    read = _read(file)
    if isinstance(read, PhotoError):
        return _unread(file, read)
    return _described(describer, read, file, with_ethnicity)


def _loaded(weights: Path | None) -> Describer:
    from mien.attributes.describe.describer import Describer

    return Describer.load(weights=weights)


def _read(file: Path) -> PhotoFile | PhotoError:
    from mien.core.photos import read_photo_file

    try:
        if file.is_dir():
            return PhotoError("missing", f"{file}: a directory without photos ({', '.join(SUFFIXES)})")
        return read_photo_file(file)
    except PhotoError as error:
        return error
    except Exception as error:  # nothing about one photo may end a run
        return _failed(file, error)


def _described(describer: Describer, read: PhotoFile, file: Path, with_ethnicity: bool) -> DescribedPhoto:
    try:
        return describe_photo(describer, read, str(file), with_ethnicity=with_ethnicity)
    except Exception as error:  # as in _read
        return _unread(file, error if isinstance(error, PhotoError) else _failed(file, error), describer.model_version)


def _failed(file: Path, error: Exception) -> PhotoError:
    return PhotoError("failed", f"{file}: {type(error).__name__}: {error}")


def _unread(file: Path, problem: PhotoError, model_version: str = "") -> DescribedPhoto:
    """A photo of which nothing can be said; where no network saw it, none is named."""
    from mien.attributes.describe.rows import photo_row

    return DescribedPhoto(str(file), photo_row(str(file), None, problem, model_version), None, problem)


def photo_files(given: Sequence[Path]) -> list[Path]:
    """``given`` with the photos of its directories in their place; an empty directory stands for itself."""
    files: list[Path] = []
    for path in given:
        try:
            inside = [file for file in sorted(path.iterdir()) if _is_photo(file)] if path.is_dir() else []
        except OSError:  # a directory that may not be listed is told of in its turn
            inside = []
        files += inside or [path]
    return files


def _is_photo(file: Path) -> bool:
    return is_photo_name(file.name) and not file.name.lower().endswith(PICTURE_END) and file.is_file()


def picture_name(file: Path, taken: set[str]) -> str:
    """``IMG 1.jpg`` -> ``IMG-1.faces.png``; with a number where that name is taken, whatever its capitals."""
    stem = safe_stem(file.stem) or "photo"
    lower = {name.casefold() for name in taken}
    name, number = f"{stem}{PICTURE_END}", 2
    while name.casefold() in lower:
        name, number = f"{stem}-{number}{PICTURE_END}", number + 1
    return name


def _picture(photo: UInt8Image, described: PhotoDescription) -> bytes:
    """The photo with boxes as PNG; it says of itself that what it tells was guessed."""
    from mien.attributes.describe.picture import draw
    from mien.core.images import encode_png

    about = f"described by mien, model {described.model_version}: guesses of a network about looks, not facts"
    return encode_png(draw(photo, described), {"Software": "mien", "Comment": about})
