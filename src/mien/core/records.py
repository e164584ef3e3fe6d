"""The values that pass every door: frozen records, one a thing.

Coordinates are pixels of the photo they came from: x to the right, y down, (0, 0) the centre of the top left pixel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

Sex = Literal["female", "male"]
UInt8Image = npt.NDArray[np.uint8]  # H W C, RGB
Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle in photo pixels; ``x1`` and ``y1`` are exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2


@dataclass(frozen=True, slots=True)
class Detection:
    """What the detector says of one face: box, six key points (6, 2) and score in [0, 1], together."""

    box: Box
    keypoints: Float32Array  # 6 2: eye at image left, eye at image right, nose, mouth, ear at image left, ear at right
    score: float


@dataclass(frozen=True, slots=True)
class Pose:
    """Head rotation in degrees (docs/conventions.md): 0, 0, 0 looks straight into the camera, upright."""

    yaw_degrees: float
    pitch_degrees: float
    roll_degrees: float

    def row(self) -> dict[str, float]:
        """In JSON, to a tenth of a degree."""
        return {name: round(getattr(self, name), 1) for name in ("yaw_degrees", "pitch_degrees", "roll_degrees")}


@dataclass(frozen=True, slots=True, eq=False)  # each is itself alone: pictures have no one equality
class Face:
    """One face found in one photo: the detection and its 468 mesh points in photo pixels, together."""

    detection: Detection
    mesh: Float32Array  # 468 3: x, y in photo pixels, z in the same unit, nearer is negative
    presence: float  # probability in [0, 1] that the mesh lies on a face


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of a face. ``None`` and a missing key mean unknown, never absent."""

    sex: Sex | None = None
    age_years: float | None = None
    person: str | None = None
    race: str | None = None
    attributes: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourcePhoto:
    """One row of a source before any pixel was read: where the photo is and what its source says of it."""

    key: str  # unique and stable within the source: the path relative to SOURCE_DIR, with '/' and, if needed, '#n'
    path: str  # absolute or relative to the working directory
    labels: Labels
    box: Box | None = None  # a face rectangle that the source gives, in photo pixels
    drop_reason: str | None = None  # already unusable by its labels or rectangle, and why
    landmarks: tuple[tuple[float, float], ...] | None = None  # five x, y: eye at image left, at right, nose, mouth ends
    split: str | None = None  # train, validation or test, where the source has splits of its own


@dataclass(frozen=True, slots=True, eq=False)  # each is itself alone: pictures have no one equality
class MadeFace:
    """A synthesised face: the image (H W 3 uint8 RGB), the labels asked for, and what made it."""

    image: UInt8Image
    labels: Labels
    seed: int
    index: int
    model: str
    model_version: str
