"""The records that callers get back, gathered for the package's door (``mien.Portrait``, ``mien.MadeFace``, ...)."""

from __future__ import annotations

from mien.attributes.describe.records import FaceDescription, PhotoDescription
from mien.core.records import Box, Face, Labels, MadeFace, Pose
from mien.generators.imagine.mien import Imagined
from mien.pipelines.portrait import Portrait

__all__ = [
    "Box",
    "Face",
    "FaceDescription",
    "Imagined",
    "Labels",
    "MadeFace",
    "PhotoDescription",
    "Portrait",
    "Pose",
]
