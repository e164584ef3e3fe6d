"""Made faces as marked PNGs that a browser can show and save, one by one and all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mien.apps.studio.imagine_page import Shown
from mien.apps.studio.imagine_story import Step
from mien.apps.studio.rooms import Rooms
from mien.apps.web.models import Picture
from mien.pipelines.pictures import marked_row, png_of, zipped


@dataclass(frozen=True, slots=True)
class Saved:
    """A sheet in memory."""

    faces: tuple[Shown, ...]
    zip_address: str


def kept_sheet(rooms: Rooms, pictures: Sequence[Picture], step: Step) -> Saved:
    """Mark the pictures of a step and keep them, with a zip of all and their manifest."""
    shown, pngs, rows = [], [], []
    for picture, caption in zip(pictures, step.captions, strict=True):
        row = marked_row(picture.row, rooms.marks)
        data = png_of(picture.image, row, rooms.marks, picture.comment)
        name = f"mien-{step.seed}-{row['file']}"
        shown.append(Shown(rooms.keep(data, name).address, caption, name))
        pngs.append(data)
        rows.append(row)
    return Saved(tuple(shown), rooms.keep(zipped(rows, pngs), "imagined.zip", "application/zip").address)


def kept_row(rooms: Rooms, pictures: Sequence[Picture], captions: Sequence[str]) -> tuple[Shown, ...]:
    """Mark pictures and keep them, each with its caption."""
    found = []
    for picture, caption in zip(pictures, captions, strict=True):
        row = marked_row(picture.row, rooms.marks)
        data = png_of(picture.image, row, rooms.marks, picture.comment)
        found.append(Shown(rooms.keep(data, str(row["file"])).address, caption, str(row["file"])))
    return tuple(found)
