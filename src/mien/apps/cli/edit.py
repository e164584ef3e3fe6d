"""`mien edit`: a photo of a person in, the same person with age, sex or attributes changed out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.apps.cli.options import Credentials, Force, Unmarked
from mien.apps.cli.output import echo, stoppable, warn

if TYPE_CHECKING:
    from mien.pipelines.photo_edit import PhotoEditRequest


def edit(
    photo: Annotated[Path, typer.Argument(help="A photo; its largest face is changed.")],
    out: Annotated[Path, typer.Option("--out", help="Directory of the pictures: 00000.png ... and manifest.jsonl.")],
    words: Annotated[
        str, typer.Argument(metavar="[WORDS]", help="What is to be seen: 'smiling, no glasses'.", show_default=False)
    ] = "",
    age: Annotated[
        list[str] | None, typer.Option("--age", help="Years: 60, or 60-70; may be repeated, a picture for each.")
    ] = None,
    sex: Annotated[str | None, typer.Option("--sex", help="female or male.")] = None,
    avoid: Annotated[str, typer.Option("--avoid", help="What is not to be seen: 'mustache, hat'.")] = "",
    crop: Annotated[
        bool, typer.Option("--crop", help="Only the square around the face, 256 px, instead of the whole photo.")
    ] = False,
    preset: Annotated[
        str, typer.Option("--preset", help="mien: the default; paper: the GAN's encoder (give --weights), 64 px.")
    ] = "mien",
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Preset paper: weights of `mien train encoder`.")
    ] = None,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also the face before and after in one: sheet.png.")] = False,
    credentials: Credentials = None,
    unmarked: Unmarked = False,
    force: Force = False,
) -> None:
    """Change the age, the sex or attributes of a person on PHOTO; hair, background and light stay the photograph's.

    A face embedding is personal data: mien computes it in memory and keeps nothing but the pictures and the manifest.
    A changed photo is synthetic and says so inside; change photos only of people who agree.
    """
    from mien.pipelines.photo_edit import read_request

    request = read_request(
        photo, words, avoid=avoid, ages=age or (), sex=sex, preset=preset, weights=weights, whole=not crop
    )
    _write(request, out, sheet, unmarked, credentials, force)


def _write(
    request: PhotoEditRequest, out: Path, sheet: bool, unmarked: bool, credentials: Path | None, force: bool
) -> None:
    """Make and write the pictures."""
    from mien.core.photos import check_photo
    from mien.core.progress import progress_bars
    from mien.pipelines.faces_out import check_out, opened

    photo = Path(str(request.photo))
    remark = check_photo(photo, "PHOTO")
    check_out(out, force=force, inputs=[photo])
    for line in (
        f"understood: {request.understood}" if request.understood else "", request.left_out,
        f"{photo}: {remark}" if remark else "",
    ):  # fmt: skip
        if line:
            echo(line, err=True)

    from mien.pipelines.photo_edit_model import PhotoEditPipeline
    from mien.pipelines.photo_edit_out import write_edits
    from mien.provenance.marks import Marks

    with stoppable(), opened(out, force=force) as output, progress_bars() as on_stage:
        marks = Marks.load(not unmarked, credentials)
        pipeline = PhotoEditPipeline.load(request.preset, weights=request.weights)
        made = write_edits(output, pipeline, request, marks, sheet=sheet, on_progress=on_stage("pictures"))
    for found in made:
        for warning in found.warnings:
            warn(f"{found.row['file']}: {warning}")
    echo(str(out / "sheet.png") if sheet else f"{len(made)} pictures in {out}")


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("edit")(edit)
