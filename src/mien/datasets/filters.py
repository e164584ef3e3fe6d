"""Which photo and which face of it are taken, as small pure rules; every refusal is one word of ``reasons``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mien.core.records import Box, Detection, UInt8Image
from mien.datasets.sources.contract import Source
from mien.faces.find import central_index

Choice = Literal["largest", "central", "only"]

MIN_OVERLAP = 0.1  # of union: below it no detected face belongs to the source's rectangle
MIN_PRESENCE = 0.5  # probability that the mesh lies on a face


@dataclass(frozen=True, slots=True)
class Rules:
    """What a source asks of a photo: sides in px, colour, and which face is the one that its labels speak of."""

    min_width_px: int = 1
    min_height_px: int = 1
    colour: bool = False
    choose: Choice = "largest"


def rules_of(source: Source) -> Rules:
    """The rules of a source, and which face its labels speak of: in LFW the one in the centre, else the largest."""
    asked = source.rules
    choose: Choice = "central" if source.name == "lfw" else "largest"
    return Rules(asked.min_width_px, asked.min_height_px, asked.colour, choose)


def refuse_size(rules: Rules, width: int, height: int) -> str | None:
    """``too_small`` when a photo of this width and height (px) is below the rule."""
    return "too_small" if width < rules.min_width_px or height < rules.min_height_px else None


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (first.width * first.height + second.width * second.height - shared)


def choose_face(
    found: Sequence[Detection], choose: Choice, photo: UInt8Image, box: Box | None = None
) -> tuple[Detection | None, str | None]:
    """The face that the labels of a photo speak of, or why there is none: (face, None) or (None, reason).

    With a rectangle of the source it is the face that overlaps it best; else the largest, the one nearest the centre
    of the photo (``central``), or the only one (``only``).
    """
    if not found:
        return None, "no_face"
    if box is not None:
        best = max(found, key=lambda face: overlap(face.box, box))
        return (best, None) if overlap(best.box, box) >= MIN_OVERLAP else (None, "no_face_in_box")
    if choose == "only" and len(found) > 1:
        return None, "several_faces"
    if choose == "central":
        place = central_index(found, photo)
        return (None, "no_face") if place is None else (found[place], None)
    return max(found, key=lambda face: face.box.width * face.box.height), None
