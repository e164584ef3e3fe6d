"""A description as JSON: one object a photo (docs/describe.md has the schema)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mien.core.errors import PhotoError

if TYPE_CHECKING:  # a row of a file that cannot be read loads no network
    from mien.attributes.describe.records import FaceDescription, PhotoDescription
    from mien.core.records import Box

SCHEMA = 1  # raised when a key changes its meaning or goes
# Of ``Quality``, in [0, 1]; whether it is grey stands between the first six and the last two.
SHARES = ("sharpness", "highlights", "contrast", "burnt_out", "drowned", "outside", "score", "presence")


def photo_row(
    photo: str, described: PhotoDescription | None, problem: PhotoError | None = None, model_version: str = ""
) -> dict[str, Any]:
    """The object of a photo: ``None`` of a file that could not be read; ``problem`` where there is nothing to say."""
    return {
        "photo": photo,
        "width_px": described.width_px if described else None,
        "height_px": described.height_px if described else None,
        "faces": [face_row(number, face) for number, face in enumerate(described.faces, 1)] if described else [],
        "too_small": [_box(box) for box in described.too_small] if described else [],
        "problem": None if problem is None else {"reason": problem.reason, "message": str(problem)},
        "model_version": described.model_version if described else model_version,
        "schema": SCHEMA,
        **({"remark": described.remark} if described and described.remark else {}),  # of an animation and the like
    }


def face_row(number: int, face: FaceDescription) -> dict[str, Any]:
    """The object of one face; ``number`` is the one that its picture shows."""
    seen = face.quality
    return {
        "number": number,
        "sentence": face.sentence,
        "box": _box(face.box),
        "sex": face.sex,
        "female": _share(face.female),
        "age_years": round(face.age_years, 1),
        "pose": face.pose.row(),
        "quality": {
            "size_px": round(seen.size_px, 1),
            **{name: _share(getattr(seen, name)) for name in SHARES[:6]},
            "grey": seen.grey,
            **{name: _share(getattr(seen, name)) for name in SHARES[6:]},
        },
        "remarks": list(face.remarks),
        "attributes": _shares(face.attributes),
        "present": [name for name in face.attributes if name in face.present],
        "groups": {name: _shares(classes) for name, classes in face.groups.items()},
    }


def _box(box: Box) -> list[float]:
    return [round(value, 1) for value in (box.x0, box.y0, box.x1, box.y1)]


def _share(value: float) -> float:
    return round(value, 4)


def _shares(values: Mapping[str, float]) -> dict[str, float]:
    return {name: _share(value) for name, value in values.items()}
