"""`mien portrait`: any photo in, the same person looking ahead, neutral, on a plain background out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.apps.cli.options import Address, Credentials, EngineName, Force, Unmarked, Workers
from mien.apps.cli.output import echo, stoppable, warn

if TYPE_CHECKING:
    from mien.core.records import UInt8Image
    from mien.pipelines.engine import Engine
    from mien.pipelines.faces_out import RunOutput
    from mien.pipelines.portrait import Portrait, PortraitRequest
    from mien.provenance.marks import Marks

SIZE_PX = 256
TILE_PX = 160


def portrait(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or directories of photos; one portrait a face.")],
    out: Annotated[Path, typer.Option("--out", help="Directory of the portraits: 00000.png ... and manifest.jsonl.")],
    largest: Annotated[bool, typer.Option("--largest", help="Only the largest face of each photo.")] = False,
    size: Annotated[
        int, typer.Option("--size", help="Height and width, px; to 128 as drawn, above enlarged.")
    ] = SIZE_PX,
    background: Annotated[
        str, typer.Option("--background", help="white, transparent, or a colour as #rrggbb.")
    ] = "white",
    preset: Annotated[
        str, typer.Option("--preset", help="mien: the default; paper: A. Wang's network (give --weights).")
    ] = "mien",
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights of `mien train portrait` instead of the packaged ones.")
    ] = None,
    refine: Annotated[
        int | None,
        typer.Option("--refine", help="Steps of drawing again until the person is read in it; 0: none, quickest."),
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the preset; a wrong name lists them all."),
    ] = None,
    sheet: Annotated[
        bool, typer.Option("--sheet", help="Also one picture: photo, aligned crop, portrait, mask: sheet.png.")
    ] = False,
    credentials: Credentials = None,
    unmarked: Unmarked = False,
    force: Force = False,
    engine: EngineName = "local",
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Make a frontal, neutral portrait of each face in PHOTOS.

    A face embedding is personal data: mien computes it in memory, uses it for the portrait and keeps nothing but the
    pictures and the manifest that you asked for. Portraits are synthetic and say so in their metadata; they are no
    evidence of how a person looks.
    """
    from mien.pipelines.describe import photo_files
    from mien.pipelines.engine import Engine
    from mien.pipelines.portrait import PortraitRequest, read_settings

    settings = read_settings(preset, given or (), refine)
    request = PortraitRequest(tuple(photo_files(photos)), preset, weights, largest, size, background, settings)
    _write(request, out, sheet, unmarked, credentials, force, Engine(engine, address, workers))


def _write(
    request: PortraitRequest,
    out: Path,
    sheet: bool,
    unmarked: bool,
    credentials: Path | None,
    force: bool,
    engine: Engine,
) -> None:
    """Make and write the portraits; a photo that gives none stops no other."""
    from mien.core.errors import MienError
    from mien.core.progress import progress_bars
    from mien.pipelines.faces_out import check_out, opened

    check_out(out, force=force, inputs=[Path(str(photo)) for photo in request.photos])

    from mien.pipelines.portrait_photos import portraits
    from mien.provenance.marks import Marks

    tiles: list[UInt8Image] = []
    failed: list[str] = []
    with stoppable(), opened(out, force=force) as output:
        marks = Marks.load(not unmarked, credentials)
        with progress_bars() as on_stage:
            for made in portraits(request, engine=engine, on_progress=on_stage("photos")):
                if made.portraits and not output.rows:  # now that there are networks and a face, what lay there may go
                    output.begin()
                failed += [str(made.problem)] if made.problem else []
                if made.remark:
                    warn(f"{made.name}: {made.remark}")
                for number, found in enumerate(made.portraits):
                    _write_one(output, found, found.row(len(output.rows), made.name, number), request, marks)
                    if sheet and made.photo is not None:
                        tiles += sheet_row(made.photo, found, request.colour)
        count = len(output.rows)
        if not count:
            output.begin()
        if tiles:
            from mien.core.images import sheet as laid_out
            from mien.pipelines.portrait import ABOUT

            page, about = laid_out(tiles, 8 if count > 4 else 4), {"Comment": ABOUT}
            versions = {name: output.rows[0][name] for name in ("model", "model_version")}
            output.add("sheet.png", marks.png(page, about, title="sheet.png", **versions))
    for line in failed:
        warn(line)
    if failed:
        photos = len(request.photos)
        raise MienError(f"{len(failed)} of {photos} photos gave no portrait; {count} portraits are in {out}")
    echo(str(out / "sheet.png") if sheet else f"{count} portraits in {out}")


def _write_one(output: RunOutput, found: Portrait, row: dict[str, Any], request: PortraitRequest, marks: Marks) -> None:
    """Write one portrait, which says of itself what it is, and its warnings."""
    from mien.pipelines.portrait import ABOUT

    output.put_face(row["index"], found.on(request.colour), row, marks, ABOUT)
    for warning in found.warnings:
        warn(f"warning: {row['file']} ({row['photo']}, face {row['face']}): {warning}")


def sheet_row(photo: UInt8Image, found: Portrait, colour: tuple[int, int, int] | None) -> list[UInt8Image]:
    """Photo, aligned crop, portrait, mask: four tiles."""
    import numpy as np

    from mien.core.images import resize

    height, width = photo.shape[:2]
    scale = TILE_PX / max(height, width)
    small = resize(photo, max(1, round(height * scale)), max(1, round(width * scale)))
    tile = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    top, left = (TILE_PX - small.shape[0]) // 2, (TILE_PX - small.shape[1]) // 2
    tile[top : top + small.shape[0], left : left + small.shape[1]] = small
    mask = np.repeat(np.asarray(found.mask * 255 + 0.5, np.uint8)[..., None], 3, 2)
    others = (found.crop, found.on(colour or (255, 255, 255)), mask)
    return [tile, *(resize(other, TILE_PX, TILE_PX) for other in others)]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("portrait")(portrait)
