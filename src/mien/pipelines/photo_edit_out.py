"""Edited photos written into a directory, with their manifest and a sheet of the face before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mien.core.progress import OnProgress
from mien.pipelines.faces_out import RunOutput
from mien.pipelines.photo_edit import ABOUT, PhotoEditRequest
from mien.pipelines.pictures import Picture

if TYPE_CHECKING:
    from mien.core.records import UInt8Image
    from mien.pipelines.photo_edit import EditedPhoto
    from mien.pipelines.photo_edit_model import PhotoEditPipeline
    from mien.provenance.marks import Marks

SHEET_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class Written:
    """One picture that lies in OUT."""

    row: dict[str, Any]
    warnings: tuple[str, ...]


def write_edits(
    output: RunOutput,
    pipeline: PhotoEditPipeline,
    request: PhotoEditRequest,
    marks: Marks,
    *,
    sheet: bool = False,
    on_progress: OnProgress | None = None,
) -> list[Written]:
    """Write a picture for each of what is wanted; an interrupted run still says what lies there."""
    found: list[Written] = []
    tiles: list[UInt8Image] = []
    for index, made in enumerate(pipeline.edits(request, on_progress=on_progress)):
        if not index:
            output.begin()
            tiles.append(made.crops[0])
        row = output.put_face(index, made.image, made.row(index, str(request.photo)), marks, ABOUT)
        found.append(Written(row, made.warnings))
        tiles.append(made.crops[1])
    if sheet and found:
        from mien.core.images import sheet as laid_out

        versions = {"model": found[0].row["model"], "model_version": found[0].row["model_version"]}
        page = marks.png(
            laid_out(tiles, min(SHEET_COLUMNS, len(tiles))), {"Comment": ABOUT}, title="sheet.png", **versions
        )
        output.add("sheet.png", page)
    return found


def picture_of(made: EditedPhoto, index: int = 0, photo: str = "photo") -> Picture:
    """An edited photo with its row, for what answers with pictures."""
    return Picture(made.image, made.row(index, photo), ABOUT)
