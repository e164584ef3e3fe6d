"""Photos -> faces: the detector and the mesh in one hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mien.core.errors import PhotoError
from mien.core.images import resize
from mien.core.records import Box, Detection, Face, UInt8Image
from mien.faces import detector, landmarks

TILED_PX = 2048  # longer side of what tiles are cut from
PRESENCE = 0.5  # probability below which the mesh does not lie on a face


@dataclass(frozen=True, slots=True)
class FaceFinder:
    """The two networks, loaded once."""

    blazeface: detector.BlazeFace
    mesh: landmarks.FaceMesh

    @classmethod
    def load(cls, device: str | torch.device = "cpu") -> FaceFinder:
        """Both networks from the cache of fetched models; ``WeightsError`` says how to fetch them."""
        return cls(detector.load_detector(device), landmarks.load_mesh(device))

    def faces(self, photos: Sequence[UInt8Image], thorough: bool = False) -> list[list[Face]]:
        """All faces of each photo, largest first; none where there is none. ``thorough``: tiles too, for groups.

        A detection on which the mesh sees no face (``presence`` under 0.5) is left out: on real photos true faces have
        0.9 or more and false ones under 0.2.
        """
        found = _detect_shrunken(self.blazeface, photos) if thorough else detector.detect(self.blazeface, photos)
        meshed = landmarks.locate(self.mesh, photos, found)
        return [[face for face in faces if face.presence >= PRESENCE] for faces in meshed]

    def largest(self, photo: UInt8Image) -> Face | None:
        """The largest face of a photo, ``None`` of none; its parts are searched only where the whole shows no face."""
        found = self.faces([photo])[0] or self.faces([photo], thorough=True)[0]
        return found[0] if found else None

    def wanted(self, photo: UInt8Image, name: str) -> Face:
        """The largest face of a photo that must have one; ``PhotoError`` names the photo that has none."""
        face = self.largest(photo)
        if face is None:
            raise PhotoError("no_face", f"{name}: no face found; wanted is an upright photo with a face")
        return face


def _detect_shrunken(blazeface: detector.BlazeFace, photos: Sequence[UInt8Image]) -> list[list[Detection]]:
    """Thorough detection on copies of at most ``TILED_PX``, in pixels of the photos.

    The finest tile is a quarter of the longer side, shown at 128 px, so a copy of 2,048 px still holds four times what
    the detector sees; a photo of 27 million pixels is searched in about half of the time.
    """
    scales = [min(1.0, TILED_PX / max(photo.shape[:2])) for photo in photos]
    shown = [
        photo if scale == 1 else resize(photo, *(max(round(length * scale), 1) for length in photo.shape[:2]))
        for photo, scale in zip(photos, scales, strict=True)
    ]
    found = detector.detect(blazeface, shown, thorough=True)
    return [
        [_moved(each, photo.shape[1] / small.shape[1], photo.shape[0] / small.shape[0]) for each in list_]
        for list_, photo, small in zip(found, photos, shown, strict=True)
    ]


def _moved(found: Detection, across: float, down: float) -> Detection:
    """A detection in the pixels of an image ``across`` times as wide and ``down`` times as high."""
    box = found.box
    x0, x1 = ((x + 0.5) * across - 0.5 for x in (box.x0, box.x1))
    y0, y1 = ((y + 0.5) * down - 0.5 for y in (box.y0, box.y1))
    keypoints = (found.keypoints + 0.5) * np.array([across, down], np.float32) - 0.5
    return Detection(Box(x0, y0, x1, y1), keypoints.astype(np.float32), found.score)


def central_index(found: Sequence[Detection] | Sequence[Face], photo: UInt8Image) -> int | None:
    """Which of the faces of a photo is the one meant: the nearest to the centre, weighted by size; ``None`` of none.

    The cost is the distance of the box's centre from the photo's, in units of the box's longer side.
    """
    if not found:
        return None
    height, width = photo.shape[:2]
    costs = []
    for face in found:
        box = face.detection.box if isinstance(face, Face) else face.box
        x, y = box.centre
        distance = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2)
        costs.append(distance / max(box.width, box.height, 1e-6))
    return int(np.argmin(costs))
