"""Photos -> faces: the detector and the mesh in one hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mien.faces import detector, landmarks
from mien.records import Detection, Face, UInt8Image

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
        found = detector.detect(self.blazeface, photos, thorough=thorough)
        meshed = landmarks.locate(self.mesh, photos, found)
        return [[face for face in faces if face.presence >= PRESENCE] for faces in meshed]

    def central(self, photos: Sequence[UInt8Image]) -> list[Face | None]:
        """The central face of each photo (the person meant, in LFW), or ``None``; faster than ``faces``.

        Only the most central detection is meshed, and the others of a photo only where that one is no face.
        """
        found = detector.detect(self.blazeface, photos)
        picks = [central_index(f, p) for f, p in zip(found, photos, strict=True)]
        first = [[] if i is None else [f[i]] for f, i in zip(found, picks, strict=True)]
        meshed = landmarks.locate(self.mesh, photos, first)
        answers = [faces[0] if faces and faces[0].presence >= PRESENCE else None for faces in meshed]
        for k, (detections, pick) in enumerate(zip(found, picks, strict=True)):
            if answers[k] is None and len(detections) > 1:
                others = [found_one for j, found_one in enumerate(detections) if j != pick]
                faces = [f for f in landmarks.locate(self.mesh, [photos[k]], [others])[0] if f.presence >= PRESENCE]
                again = central_index(faces, photos[k])
                answers[k] = None if again is None else faces[again]
        return answers


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
