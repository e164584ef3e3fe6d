"""Faces of one description that are apart: what is free in them is drawn together, a few at a time.

Antithetic variates (Hammersley and Morton, 1956) for more than two: of G independent standard normals g_1 ... g_G

    z_k = sqrt(G / (G - 1)) (g_k - mean of all G)

are standard normal each, so that every face by itself follows the density exactly; but they sum to nothing, and the
correlation of any two is -1 / (G - 1) instead of 0: the faces of a group lie around their mean in all directions.
Face k belongs to group k // G of its seed, whatever else is asked for.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from mien.core.seeding import stream

GROUP = 4


def antithetic_normals(seed: int, index: int, size: int) -> npt.NDArray[np.float64]:
    """The standard normals (``size``) of face ``index`` of a seed."""
    first = index - index % GROUP
    normals = np.stack([stream(seed, "apart", first + k).standard_normal(size) for k in range(GROUP)])
    return np.asarray(math.sqrt(GROUP / (GROUP - 1)) * (normals[index - first] - normals.mean(0)))
