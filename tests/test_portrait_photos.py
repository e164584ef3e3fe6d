"""Portraits of many photos: a few at once, in order; a photo that gives none stops no other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from mien.core.errors import PhotoError
from mien.core.images import write_png
from mien.core.records import UInt8Image
from mien.pipelines.portrait import PortraitRequest
from mien.pipelines.portrait_photos import AT_ONCE, portraits


class Pipeline:
    """As many faces as the first pixel of a photo is bright; a face is the number of its photo and its own."""

    def __init__(self) -> None:
        self.together: list[int] = []

    def faces(self, photo: UInt8Image, *, largest: bool) -> list[int]:
        assert not largest
        return list(range(photo[0, 0, 0]))

    def read(self, photo: UInt8Image, face: int) -> tuple[int, int]:
        if photo[0, 0, 2]:
            raise PhotoError("bad_landmarks", "no face spanned")
        return int(photo[0, 0, 1]), face

    def portraits(self, faces: list[tuple[int, int]], size_px: int) -> list[Any]:
        self.together.append(len(faces))
        return [SimpleNamespace(of=face, size_px=size_px) for face in faces]


def test_faces_of_some_photos_are_drawn_together_and_go_back_to_their_photos(tmp_path: Path) -> None:
    counts = (2, 0, 3, 1, 1, 4)
    photos = [tmp_path / f"{number}.png" for number in range(len(counts))]
    for number, count in enumerate(counts):
        write_png(photos[number], np.full((8, 8, 3), (count, number, number == 4), np.uint8))
    photos.insert(1, tmp_path / "absent.png")
    told: list[tuple[int, int]] = []
    pipeline = Pipeline()
    request = PortraitRequest(tuple(photos), size_px=64)
    made = list(portraits(request, pipeline, on_progress=lambda *said: told.append(said)))  # type: ignore[arg-type]
    assert [one.name for one in made] == [str(photo) for photo in photos]
    assert [len(one.portraits) for one in made] == [2, 0, 0, 3, 1, 0, 4]
    assert [one.of for each in made for one in each.portraits] == [  # type: ignore[attr-defined]
        *((0, face) for face in range(2)), *((2, face) for face in range(3)), (3, 0), *((5, face) for face in range(4))
    ]  # fmt: skip
    problems = {place: one.problem.reason for place, one in enumerate(made) if isinstance(one.problem, PhotoError)}
    assert problems == {1: "missing", 2: "no_face", 5: "bad_landmarks"}
    assert [one.photo is None for one in made] == [place in problems for place in range(7)]
    assert AT_ONCE == 4
    assert pipeline.together == [5, 5]
    assert told == [(done, 7) for done in range(1, 8)]


def test_no_network_is_loaded_for_photos_that_cannot_be_read(tmp_path: Path) -> None:
    request = PortraitRequest((tmp_path / "a.png", tmp_path / "b.png"), weights=__file__)  # no weights
    assert [one.problem is not None for one in portraits(request)] == [True, True]
