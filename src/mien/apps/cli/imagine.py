"""`mien imagine`: faces of people who do not exist, from words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.apps.cli.bulk import bulk_of, write_bulk
from mien.apps.cli.options import Address, Credentials, EngineName, Force, Resume, ShardFaces, Shards, Unmarked, Workers
from mien.apps.cli.output import echo, stoppable

COUNT_LIMIT = 100_000
EXAMPLE = '"a smiling woman with brown hair"'


def imagine(
    text: Annotated[
        str, typer.Argument(metavar="WORDS", help=f"What the face is like: {EXAMPLE}, 'smiling:0.5, not mustache'.")
    ] = "",
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="Directory of the faces: 00000.png ... and manifest.jsonl."),
    ] = None,
    count: Annotated[int, typer.Option("--count", help="How many different people who share the description.")] = 4,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Face k of a seed is always the same; drawn if not given.")
    ] = None,
    avoid: Annotated[str, typer.Option("--avoid", help="What the face is not like: 'mustache, hat'.")] = "",
    age: Annotated[str | None, typer.Option("--age", help="Years: one value (30) or a range (20-35).")] = None,
    typical: Annotated[
        bool, typer.Option("--typical", help="What is not mentioned stays average, instead of as in the data.")
    ] = False,
    like: Annotated[
        Path | None, typer.Option("--like", help="Begin with the person of this photo and change only what WORDS ask.")
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="mien: the best; paper: the mixture as printed.")] = "mien",
    method: Annotated[
        str, typer.Option("--method", help="mixture; invert (the activations of --photo); visualise (classes).")
    ] = "mixture",
    photo: Annotated[
        Path | None, typer.Option("--photo", help="Method invert: the photo to invert, or to move toward WORDS.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights of `mien train mixture` instead of the packaged ones.")
    ] = None,
    size: Annotated[
        int | None, typer.Option("--size", help="Height and width, px: 256, or 128 (as drawn, before it is enlarged).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the method; a wrong name lists them all."),
    ] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also one picture of all faces: sheet.png.")] = False,
    device: Annotated[str | None, typer.Option("--device", help="cpu or cuda; cuda where there is one.")] = None,
    credentials: Credentials = None,
    unmarked: Unmarked = False,
    force: Force = False,
    resume: Resume = False,
    shards: Shards = None,
    shard_faces: ShardFaces = None,
    engine: EngineName = "local",
    address: Address = None,
    workers: Workers = None,
    words: Annotated[bool, typer.Option("--words", help="List the words and stop.")] = False,
) -> None:
    """Make faces from words, and write them to OUT with a manifest."""
    if words:
        from mien.apps.cli.attributes import attributes

        attributes()
        return
    from mien.apps.cli.options import say_understood
    from mien.core.errors import RequestError
    from mien.core.seeding import fresh_seed
    from mien.pipelines.faces_out import check_out, opened
    from mien.pipelines.imagine_settings import checked_settings
    from mien.pipelines.request import check_count, imagine_request

    if out is None:
        raise RequestError("--out: not given; a directory for the faces is wanted")
    given = {"age": age, "typical": typical, "like": like, "photo": photo, "weights": weights, "size": size}
    own = checked_settings(preset, method, given | {"device": device}, settings or ())
    bulk = bulk_of(out, shards, shard_faces, engine, address, workers, beside={"--sheet": sheet})
    if resume and bulk is None:
        raise RequestError("--resume: given without --shards; only shards are gone on with")
    check_count(count, COUNT_LIMIT)
    asked = seed
    seed = fresh_seed() if seed is None else seed
    read = imagine_request(text, avoid=avoid, age=age, typical=typical, count=count, seed=seed, size_px=size)
    described = read.request.description
    if not described.attributes and described.ages_years is None and method != "invert" and like is None:
        raise RequestError(f"WORDS: none given; say what the face is like, for example {EXAMPLE} (see --words)")
    if bulk is None:
        check_out(Path(out), force=force)
    say_understood(read)

    from mien.core.progress import progress_bars
    from mien.pipelines.imagine import ImagineRequest, sampler_of
    from mien.pipelines.imagine_out import write_curves, write_imagined, write_stages
    from mien.provenance.marks import Marks

    request = ImagineRequest(
        preset=preset, method=method, wanted=described.attributes, ages_years=described.ages_years, typical=typical,
        like=like, photo=photo, seed=seed, weights=weights, device=device, size_px=size, settings=own,
    )  # fmt: skip
    if bulk is not None:
        from mien.pipelines.face_jobs import ImagineJob, Marking

        job = ImagineJob(request, count, Marking(not unmarked, credentials))
        write_bulk(job, out, bulk, asked, force=force, resume=resume)
        return
    with stoppable(), opened(Path(out), force=force) as output:
        marks = Marks.load(not unmarked, credentials)
        sampler = sampler_of(request)
        with progress_bars() as bars:
            on_progress = bars(f"{count} faces")
            write_imagined(output, sampler, seed, count, request.wanted, marks, sheet=sheet, on_progress=on_progress)
        if request.setting("curves", False):
            write_curves(output, sampler)
        if request.setting("stages", False):
            write_stages(output, sampler, marks)
    echo(str(Path(out) / "sheet.png") if sheet else f"{count} faces in {out} (seed {seed})")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("imagine")(imagine)
