"""Photo -> what can be said of the faces on it: attributes, sex, age, pose and quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mien.attributes.describe.records import ETHNICITY, FaceDescription, PhotoDescription
from mien.attributes.reader import AttributeReader, HeadPredictions
from mien.attributes.vocabulary import GROUPS, NAMES
from mien.core.errors import PhotoError, RequestError
from mien.core.limits import check_yes_no
from mien.core.memory import keep_freed_memory
from mien.core.photo_inputs import PhotoInput, photo_of
from mien.core.photos import PhotoFile
from mien.core.records import Face, UInt8Image
from mien.faces import align, quality
from mien.faces.find import FaceFinder
from mien.faces.pose import pose

CROP_PX = 256  # what the heads were trained on
LEAST_FACE_PX = 16.0  # the longer side of the box around the mesh; below it answers come near to chance
CHUNK = 16  # faces read at once
DOUBTED_SCORE, DOUBTED_PRESENCE = 0.7, 0.95  # under both, what was found is no face


class FindsFaces(Protocol):
    """What a describer wants of ``faces.find.FaceFinder``."""

    def faces(self, photos: Sequence[UInt8Image], thorough: bool = False) -> list[list[Face]]:
        """All faces of each photo, the largest first."""


class Reader(Protocol):
    """What a describer wants of ``attributes.reader.AttributeReader``."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Of the weights, with ``version``."""

    def read(self, crops: UInt8Image, /) -> HeadPredictions:
        """Read aligned crops (N S S 3)."""


class Describer:
    """The networks (detector, mesh, heads on their encoder), loaded once."""

    def __init__(self, finder: FindsFaces, reader: Reader) -> None:
        self.finder, self.reader = finder, reader

    @classmethod
    def load(cls, preset: str = "mien", *, weights: str | Path | None = None, device: str | None = None) -> Describer:
        """The heads that travel with the package, or those of a run's ``weights``, and the fetched networks.

        ``WeightsError`` says what is missing and how to bring it; ``RequestError`` for another preset than ``mien`` and
        another device than the CPU.
        """
        if preset != "mien":
            raise RequestError(f"preset: '{preset}' given; allowed: mien (heads of another training: weights=FILE)")
        if device not in (None, "cpu"):
            raise RequestError(f"device: '{device}' given; faces are described on the cpu")
        keep_freed_memory()
        return cls(FaceFinder.load(), AttributeReader.load(weights))

    @property
    def model_version(self) -> str:
        """The version of the heads."""
        return str(self.reader.metadata.get("version", "unknown"))

    def describe(self, photo: PhotoInput | PhotoFile, *, with_ethnicity: bool = False) -> PhotoDescription:
        """Every face on a photo (whatever ``core.photo_inputs.photo_of`` takes), the largest first.

        A face under ``LEAST_FACE_PX`` is only counted. A face that is found in a corner of a large photo is read from
        its own pixels, so give photos in full size. ``PhotoError`` for a file that cannot be read; a photo without
        faces is no error here. ``RequestError`` for what is no photo.
        """
        check_yes_no(with_ethnicity, "with_ethnicity")
        read = photo if isinstance(photo, PhotoFile) else photo_of(photo)
        pixels = read.photo
        found = [face for face in self.finder.faces([pixels], thorough=True)[0] if _is_a_face(face)]
        large = [face for face in found if _size(face) >= LEAST_FACE_PX]
        faces: list[FaceDescription] = []
        for start in range(0, len(large), CHUNK):
            faces += self._read(pixels, large[start : start + CHUNK], with_ethnicity)
        height, width = pixels.shape[:2]
        small = tuple(quality.mesh_box(face) for face in found if _size(face) < LEAST_FACE_PX)
        return PhotoDescription(width, height, tuple(faces), small, self.model_version, read.remark)

    def _read(self, photo: UInt8Image, faces: Sequence[Face], with_ethnicity: bool) -> list[FaceDescription]:
        crops = np.stack([align.warp(photo, align.crop_transform(face.mesh, CROP_PX), CROP_PX) for face in faces])
        readings = self.reader.read(crops)
        return [described(photo, face, readings, place, with_ethnicity) for place, face in enumerate(faces)]


def described(
    photo: UInt8Image, face: Face, readings: HeadPredictions, place: int, with_ethnicity: bool = False
) -> FaceDescription:
    """Put together what was found, read (at ``place`` of ``readings``) and measured of one face."""
    groups = [group for group in GROUPS if with_ethnicity or group.name != ETHNICITY]
    shown = {name for group in groups for name in group.members}
    attributes = {n: float(p) for n, p in zip(NAMES, readings.probabilities[place], strict=True) if n in shown}
    return FaceDescription(
        face=face,
        box=quality.mesh_box(face),
        female=float(readings.female[place]),
        age_years=float(readings.age_years[place]),
        attributes=attributes,
        present=frozenset(n for n, yes in zip(NAMES, readings.present[place], strict=True) if yes and n in shown),
        groups={
            group.name: dict(zip(group.classes, map(float, readings.groups[group.name][place]), strict=True))
            for group in groups
        },
        pose=pose(face.mesh),
        quality=quality.measure(photo, face),
    )


def problem_of(photo: PhotoDescription, name: str) -> PhotoError | None:
    """Why nothing could be said of a photo: reason ``no_face`` or ``too_small``; ``None`` where a face is described."""
    if photo.faces:
        return None
    size = f"{photo.width_px} x {photo.height_px} px"
    if photo.too_small:
        largest = max(max(box.width, box.height) for box in photo.too_small)
        wanted = f"wanted are {LEAST_FACE_PX:.0f} px and more"
        message = (
            f"{name}: too small to be described: the largest face of the photo ({size}) has {largest:.0f} px; {wanted}"
        )
        return PhotoError("too_small", message)
    hint = "is it upright? a face under a fortieth of the longer side, or seen from behind, is not found"
    return PhotoError("no_face", f"{name}: no face found on the photo ({size}); {hint}")


def _size(face: Face) -> float:
    box = quality.mesh_box(face)
    return max(box.width, box.height)


def _is_a_face(face: Face) -> bool:
    """Whether a crop and a pose can be had of its mesh, and detector and mesh do not both doubt it.

    Tiles are looked at for groups, and in patterns and writing they see faces too. On 151 photos of LFW the two false
    ones had a score of 0.55 and 0.51 and a presence of 0.59 and 0.93; true ones had one or the other higher.
    """
    if not np.isfinite(face.mesh).all() or (face.detection.score < DOUBTED_SCORE and face.presence < DOUBTED_PRESENCE):
        return False
    try:
        align.crop_transform(face.mesh, CROP_PX)
        pose(face.mesh)
    except PhotoError:
        return False
    return True
