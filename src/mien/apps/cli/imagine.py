"""`mien imagine`: faces of people who do not exist, from words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli.bulk import bulk_of, write_bulk
from mien.apps.cli.options import (
    FACES_IN,
    Address,
    Credentials,
    Device,
    EngineName,
    FaceSeed,
    Force,
    Resume,
    ShardFaces,
    Shards,
    Unmarked,
    Workers,
    Years,
    say_understood,
)
from mien.apps.cli.output import echo, stoppable

if TYPE_CHECKING:
    from mien.pipelines.imagine import ImagineRequest
    from mien.pipelines.request import Read

COUNT_LIMIT = 100_000
EXAMPLE = '"a smiling woman with brown hair"'
Words = Annotated[
    str, typer.Argument(metavar="WORDS", help=f"What the face is like: {EXAMPLE}, 'smiling:0.5, not mustache'.")
]
Out = Annotated[str | None, typer.Option("--out", metavar="DIR", help=FACES_IN)]
Count = Annotated[int, typer.Option("--count", help="How many different people who share the description.")]
Avoid = Annotated[str, typer.Option("--avoid", help="What the face is not like: 'mustache, hat'.")]
Typical = Annotated[
    bool, typer.Option("--typical", help="What is not mentioned stays average, instead of as in the data.")
]
Like = Annotated[
    Path | None, typer.Option("--like", help="Begin with the person of this photo and change only what WORDS ask.")
]
Preset = Annotated[str, typer.Option("--preset", help="mien: the best; paper: the mixture as printed.")]
Method = Annotated[
    str, typer.Option("--method", help="mixture; invert (the activations of --photo); visualise (classes).")
]
Photo = Annotated[
    Path | None, typer.Option("--photo", help="Method invert: the photo to invert, or to move toward WORDS.")
]
Weights = Annotated[
    Path | None, typer.Option("--weights", help="Weights of `mien train mixture` instead of the packaged ones.")
]
Size = Annotated[
    int | None, typer.Option("--size", help="Height and width, px: 256, or 128 (as drawn, before it is enlarged).")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A setting of the method; a wrong name lists them all."),
]
Sheet = Annotated[bool, typer.Option("--sheet", help="Also one picture of all faces: sheet.png.")]
List = Annotated[
    bool, typer.Option("--words", is_eager=True, callback=lambda on: _words(on), help="List the words and stop.")
]


def imagine(
    text: Words = "",
    out: Out = None,
    count: Count = 4,
    seed: FaceSeed = None,
    avoid: Avoid = "",
    age: Years = None,
    typical: Typical = False,
    like: Like = None,
    preset: Preset = "mien",
    method: Method = "mixture",
    photo: Photo = None,
    weights: Weights = None,
    size: Size = None,
    settings: Settings = None,
    sheet: Sheet = False,
    device: Device = None,
    credentials: Credentials = None,
    unmarked: Unmarked = False,
    force: Force = False,
    resume: Resume = False,
    shards: Shards = None,
    shard_faces: ShardFaces = None,
    engine: EngineName = "local",
    address: Address = None,
    workers: Workers = None,
    words: List = False,
) -> None:
    """Make faces from words, and write them to OUT with a manifest."""
    from mien.core.errors import RequestError
    from mien.core.seeding import fresh_seed
    from mien.pipelines.faces_out import check_out
    from mien.pipelines.imagine_settings import checked_settings

    if out is None:
        raise RequestError("--out: not given; a directory for the faces is wanted")
    given = {"age": age, "typical": typical, "like": like, "photo": photo, "weights": weights, "size": size}
    own = checked_settings(preset, method, given | {"device": device}, settings or ())
    bulk = bulk_of(out, shards, shard_faces, engine, address, workers, beside={"--sheet": sheet})
    if resume and bulk is None:
        raise RequestError("--resume: given without --shards; only shards are gone on with")
    drawn = fresh_seed() if seed is None else seed
    read = _read(text, avoid, age, count, drawn, wordless=method == "invert" or like is not None)
    if bulk is None:
        check_out(Path(out), force=force)
    _look_at({"--like": like, "--photo": photo})
    say_understood(read)
    from mien.pipelines.imagine import ImagineRequest

    described = read.request.description
    request = ImagineRequest(
        preset=preset, method=method, wanted=described.attributes, ages_years=described.ages_years, typical=typical,
        like=like, photo=photo, seed=drawn, weights=weights, device=device, size_px=size, settings=own,
    )  # fmt: skip
    if bulk is None:
        return _write(request, count, Path(out), sheet, (not unmarked, credentials), force=force)
    from mien.pipelines.face_jobs import ImagineJob, Marking

    job = ImagineJob(request, count, Marking(not unmarked, credentials))
    return write_bulk(job, out, bulk, seed, force=force, resume=resume)


def _look_at(photos: Mapping[str, Path | None]) -> None:
    """``RequestError`` for a photo of an option that cannot be read; tell what it holds beside its first picture."""
    from mien.core.photos import check_photo

    for option, path in photos.items():
        if path is not None and (remark := check_photo(path, option)):
            echo(f"{path}: {remark}", err=True)


def _read(text: str, avoid: str, age: str | None, count: int, seed: int, *, wordless: bool) -> Read:
    """The words as a request; ``wordless``: a photo says what the face is like, and words may be left out."""
    from mien.core.errors import RequestError
    from mien.pipelines.request import check_count, imagine_request

    check_count(count, COUNT_LIMIT)
    read = imagine_request(text, avoid=avoid, age=age, count=count, seed=seed)
    described = read.request.description
    if not described.attributes and described.ages_years is None and not wordless:
        raise RequestError(f"WORDS: none given; say what the face is like, for example {EXAMPLE} (see --words)")
    return read


def _write(
    request: ImagineRequest, count: int, folder: Path, sheet: bool, marking: tuple[bool, Path | None], *, force: bool
) -> None:
    from mien.core.progress import progress_bars
    from mien.pipelines.faces_out import opened
    from mien.pipelines.imagine import sampler_of
    from mien.pipelines.imagine_out import write_curves, write_imagined, write_stages
    from mien.provenance.marks import Marks

    with stoppable(), opened(folder, force=force) as output:
        marks = Marks.load(*marking)
        sampler = sampler_of(request)
        with progress_bars() as bars:
            on_progress, seed = bars(f"{count} faces"), request.seed
            write_imagined(output, sampler, seed, count, request.wanted, marks, sheet=sheet, on_progress=on_progress)
        if request.setting("curves", False):
            write_curves(output, sampler)
        if request.setting("stages", False):
            write_stages(output, sampler, marks)
    echo(str(folder / "sheet.png") if sheet else f"{count} faces in {folder} (seed {request.seed})")


def _words(wanted: bool) -> None:
    if wanted:
        from mien.apps.cli.attributes import attributes

        attributes()
        raise typer.Exit


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("imagine")(imagine)
