"""Sheets of made faces with their labels below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.core.images import caption, resize, sheet
from mien.core.records import MadeFace, UInt8Image

TILE_PX = 128


def labelled_sheet(faces: Sequence[MadeFace], columns: int, tile: int = TILE_PX) -> UInt8Image:
    """All faces, row by row, with sex and age in years below each."""
    tiles = []
    for face in faces:
        image = face.image if face.image.shape[0] == tile else resize(face.image, tile, tile)
        age = "" if face.labels.age_years is None else f" {face.labels.age_years:.0f}"
        tiles.append(np.concatenate([image, caption(f"{face.labels.sex or ''}{age}", tile, 18)]))
    return sheet(tiles, columns)
