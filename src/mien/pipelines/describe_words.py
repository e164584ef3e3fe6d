"""What front ends need to show a description: its sections, colours, and the words for what is seen poorly."""

from __future__ import annotations

from mien.attributes.describe.picture import COLOURS
from mien.attributes.describe.records import (
    WHAT_ETHNICITY_IS,
    WHY_NO_ETHNICITY,
    FaceDescription,
    PhotoDescription,
    counted,
)
from mien.attributes.describe.sections import Entry, sections
from mien.faces.quality import MEANING

__all__ = [
    "COLOURS",
    "MEANING",
    "WHAT_ETHNICITY_IS",
    "WHY_NO_ETHNICITY",
    "Entry",
    "FaceDescription",
    "PhotoDescription",
    "counted",
    "sections",
]
