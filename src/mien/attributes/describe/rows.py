"""A description as JSON: one object a photo (docs/describe.md has the schema)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.attributes.describe.records import FaceDescription, PhotoDescription
from mien.core.errors import PhotoError
from mien.core.records import Box

SCHEMA = 1  # raised when a key changes its meaning or goes


def photo_row(photo: str, described: PhotoDescription, problem: PhotoError | None = None) -> dict[str, Any]:
    """The object of a photo that could be read; ``problem`` when there is nothing to say of it."""
    return {
        "photo": photo,
        "width_px": described.width_px,
        "height_px": described.height_px,
        "faces": [face_row(number, face) for number, face in enumerate(described.faces, 1)],
        "too_small": [_box(box) for box in described.too_small],
        "problem": _problem(problem),
        "model_version": described.model_version,
        "schema": SCHEMA,
    }


def broken_row(photo: str, problem: PhotoError, model_version: str) -> dict[str, Any]:
    """The object of a file that could not be read."""
    return {
        "photo": photo,
        "width_px": None,
        "height_px": None,
        "faces": [],
        "too_small": [],
        "problem": _problem(problem),
        "model_version": model_version,
        "schema": SCHEMA,
    }


def face_row(number: int, face: FaceDescription) -> dict[str, Any]:
    """The object of one face; ``number`` is the one that its picture shows."""
    head, seen = face.pose, face.quality
    return {
        "number": number,
        "sentence": face.sentence,
        "box": _box(face.box),
        "sex": face.sex,
        "female": _share(face.female),
        "age_years": round(face.age_years, 1),
        "pose": {
            "yaw_degrees": round(head.yaw_degrees, 1),
            "pitch_degrees": round(head.pitch_degrees, 1),
            "roll_degrees": round(head.roll_degrees, 1),
        },
        "quality": {
            "size_px": round(seen.size_px, 1),
            "sharpness": _share(seen.sharpness),
            "highlights": _share(seen.highlights),
            "contrast": _share(seen.contrast),
            "burnt_out": _share(seen.burnt_out),
            "drowned": _share(seen.drowned),
            "outside": _share(seen.outside),
            "grey": seen.grey,
            "score": _share(seen.score),
            "presence": _share(seen.presence),
        },
        "remarks": list(face.remarks),
        "attributes": _shares(face.attributes),
        "present": [name for name in face.attributes if name in face.present],
        "groups": {name: _shares(chances) for name, chances in face.groups.items()},
    }


def _box(box: Box) -> list[float]:
    return [round(value, 1) for value in (box.x0, box.y0, box.x1, box.y1)]


def _share(value: float) -> float:
    return round(value, 4)


def _shares(values: Mapping[str, float]) -> dict[str, float]:
    return {name: _share(value) for name, value in values.items()}


def _problem(problem: PhotoError | None) -> dict[str, str] | None:
    return None if problem is None else {"reason": problem.reason, "message": str(problem)}
