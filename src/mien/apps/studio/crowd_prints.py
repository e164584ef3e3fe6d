"""The faces of sheets as pictures: each is made once, marked, and kept for the page and for what is handed out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mien.apps.studio.crowd_sheet import SIZES_PX, Frame
from mien.apps.studio.rooms import Kept, Rooms, Step
from mien.apps.web.models import FacesJob, Picture
from mien.core.records import MadeFace
from mien.pipelines.pictures import marked_row, png_of, zipped

TOGETHER = 16  # faces that the generator makes at once; between two lots others have their turn
MOST_PRINTS = 2048
DRAWN_PX = SIZES_PX[0]  # the generator's own size

Place = tuple[int, Frame, int]  # number of the frame on its sheet, the face in it, the size of its picture in px


@dataclass(frozen=True, slots=True)
class Print:
    """One face, as pixels, as its row of a manifest, and as a marked PNG that the browser may fetch."""

    picture: Picture
    kept: Kept


class Prints:
    """Made faces by place and frame; the oldest go. Thread-safe."""

    def __init__(self, rooms: Rooms) -> None:
        self.rooms = rooms
        self._prints: OrderedDict[Place, Print] = OrderedDict()
        self._lock = threading.Lock()
        self.model_version = ""  # of the faces; known once one was made

    def get(self, place: Place) -> Print | None:
        """The print, if it is there and the browser can still have it."""
        with self._lock:
            found = self._prints.get(place)
            if found is None or self.rooms.kept(found.kept.address) is None:
                return None
            self._prints.move_to_end(place)
            return found

    def make(self, places: Sequence[Place]) -> Iterator[Step]:
        """Make those that are not there yet; yields as ``Rooms.ask`` does. ``MienError`` as the service."""
        missing = [place for place in places if self.get(place) is None]
        orders = [
            FacesJob(frame.seed, frame.index, 1, frame.request, None if size == DRAWN_PX else size)
            for _, frame, size in missing
        ]
        for step in self.rooms.ask("crowd", orders, together=TOGETHER):
            if step.number is not None:
                self._keep(missing[step.number], step.answer[0])
            yield step

    def archive(self, places: Sequence[Place]) -> bytes:
        """A zip of PNGs and manifest.jsonl; all must have been made."""
        prints = [found for found in map(self.get, places) if found is not None]
        return zipped([found.picture.row for found in prints], [found.kept.data for found in prints])

    def _keep(self, place: Place, picture: Picture) -> None:
        number, frame, _ = place
        name = f"{number:05d}-{frame.noun}-{frame.age_years:.0f}.png"
        row = marked_row({**picture.row, "file": name}, self.rooms.marks)
        kept = self.rooms.keep(png_of(picture.image, row, self.rooms.marks, picture.comment), name)
        with self._lock:
            self.model_version = str(row["model_version"]).partition("+")[0]  # less the enlarger's
            self._prints[place] = Print(Picture(picture.image, row, picture.comment), kept)
            while len(self._prints) > MOST_PRINTS:
                self._prints.popitem(last=False)


def as_faces(places: Sequence[Place], prints: Prints) -> list[MadeFace]:
    """The same faces as records, for a sheet."""
    found = [(place[1], prints.get(place)) for place in places]
    return [
        MadeFace(one.picture.image, frame.labels, frame.seed, frame.index, *_model(one.picture.row))
        for frame, one in found
        if one is not None
    ]


def _model(row: Mapping[str, str]) -> tuple[str, str]:
    return row["model"], row["model_version"]
