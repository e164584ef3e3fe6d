"""The faces of sheets as pictures: each is made once, marked, and kept for the page and for what is handed out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mien.apps.studio.crowd_cast import CastFace
from mien.apps.studio.crowd_sheet import SIZES_PX, SheetFace
from mien.apps.studio.state import JobProgress, Kept, StudioState
from mien.core.records import Labels, MadeFace, UInt8Image
from mien.pipelines.pictures import Picture, marked_row, png_of, zipped

TOGETHER = 16  # faces that the generator makes at once; between two lots others have their turn
MOST_FACES = 2048
DRAWN_PX = SIZES_PX[0]  # the generator's own size

Frame = SheetFace | CastFace
Place = tuple[int, Frame, int]  # number of the frame on its sheet, the face in it, the size of its picture in px


@dataclass(frozen=True, slots=True)
class CachedFace:
    """One face, as pixels, as its row of a manifest, and as a marked PNG that the browser may fetch."""

    picture: Picture
    kept: Kept


class FaceCache:
    """Made faces by place and frame; the oldest go. Thread-safe."""

    def __init__(self, state: StudioState) -> None:
        self.state = state
        self._faces: OrderedDict[Place, CachedFace] = OrderedDict()
        self._lock = threading.Lock()
        self.model_version = ""  # of the faces; known once one was made

    def get(self, place: Place) -> CachedFace | None:
        """The face, if it is there and the browser can still have it."""
        with self._lock:
            found = self._faces.get(place)
            if found is None or self.state.kept(found.kept.address) is None:
                return None
            self._faces.move_to_end(place)
            return found

    def make(self, places: Sequence[Place]) -> Iterator[JobProgress]:
        """Make those that are not there yet; yields as ``StudioState.ask`` does. ``MienError`` as the service."""
        missing = [place for place in places if self.get(place) is None]
        wanted = [replace(frame.request, size_px=None if size == DRAWN_PX else size) for _, frame, size in missing]
        for progress in self.state.ask("crowd", wanted, together=TOGETHER):
            if progress.number is not None:
                self._keep(missing[progress.number], progress.answer[0])
            yield progress

    def archive(self, places: Sequence[Place]) -> bytes:
        """A zip of PNGs and manifest.jsonl; all must have been made."""
        faces = [found for found in map(self.get, places) if found is not None]
        return zipped([found.picture.row for found in faces], [found.kept.data for found in faces])

    def _keep(self, place: Place, picture: Picture) -> None:
        number, frame, _ = place
        name = frame.file_name(number)
        row = marked_row({**picture.row, **frame.more, "file": name}, self.state.marks)
        kept = self.state.keep(png_of(picture.image, row, self.state.marks, picture.comment), name)
        with self._lock:
            self.model_version = str(row["model_version"]).partition("+")[0]  # less the enlarger's
            self._faces[place] = CachedFace(Picture(picture.image, row, picture.comment), kept)
            while len(self._faces) > MOST_FACES:
                self._faces.popitem(last=False)


def as_faces(places: Sequence[Place], cache: FaceCache) -> list[MadeFace]:
    """The same faces as records, for a sheet."""
    found = [one.picture for place in places if (one := cache.get(place)) is not None]
    return [_record(picture.image, picture.row) for picture in found]


def _record(image: UInt8Image, row: Mapping[str, Any]) -> MadeFace:
    labels = Labels(row["sex"], row["age"])
    return MadeFace(image, labels, row["seed"], row["index"], row["model"], row["model_version"])
