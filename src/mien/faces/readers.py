"""The two networks that read a face, in one hand."""

from __future__ import annotations

from dataclasses import dataclass

from mien.faces.encoder import Encoder
from mien.faces.landmarks import FaceMesh


@dataclass(frozen=True, slots=True)
class FaceReaders:
    """Who it is, and where it looks; both differentiable to the pixels."""

    encoder: Encoder
    mesh: FaceMesh
