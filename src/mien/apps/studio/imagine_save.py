"""Made faces as marked PNGs that a browser can show and save, one by one and all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mien.apps.studio.imagine_history import captions_of
from mien.apps.studio.imagine_page import Shown
from mien.apps.studio.state import StudioState
from mien.pipelines.edit_request import EditRequest
from mien.pipelines.pictures import Picture, marked_row, png_of, zipped


@dataclass(frozen=True, slots=True)
class Saved:
    """A sheet in memory."""

    faces: tuple[Shown, ...]
    zip_address: str


def kept_sheet(state: StudioState, pictures: Sequence[Picture], request: EditRequest) -> Saved:
    """Mark the pictures of a sheet and keep them, with a zip of all and their manifest."""
    shown, pngs, rows = [], [], []
    for picture, caption in zip(pictures, captions_of(request), strict=True):
        row = marked_row(picture.row, state.marks)
        data = png_of(picture.image, row, state.marks, picture.comment)
        name = f"mien-{request.seed}-{row['file']}"
        shown.append(Shown(state.keep(data, name).address, caption, name))
        pngs.append(data)
        rows.append(row)
    return Saved(tuple(shown), state.keep(zipped(rows, pngs), "imagined.zip", "application/zip").address)


def kept_row(state: StudioState, pictures: Sequence[Picture], captions: Sequence[str]) -> tuple[Shown, ...]:
    """Mark pictures and keep them, each with its caption."""
    found = []
    for picture, caption in zip(pictures, captions, strict=True):
        row = marked_row(picture.row, state.marks)
        data = png_of(picture.image, row, state.marks, picture.comment)
        found.append(Shown(state.keep(data, str(row["file"])).address, caption, str(row["file"])))
    return tuple(found)
