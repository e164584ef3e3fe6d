"""Regression of the identity embedding on the code of a drawn face: what ``mien imagine`` keeps of a person.

FaceNet's embedding of the pictures (not of the features that they were drawn from, of which a decoder shows a part),
predicted linearly. Nothing of it is a judge: those of the evaluation see with other networks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mien.generators.imagine.density import FaceDensity, Float64Array
from mien.generators.imagine.people import reduced

RANK = 64  # directions kept: 98 % of what a code says of the embedding
PENALTY = 0.03


def identity_regression(codes: Float64Array, embeddings: npt.ArrayLike) -> tuple[Float64Array, Float64Array]:
    """Codes N K and embeddings N D -> (K D, D): embedding = code @ first + second, by ridge regression."""
    known, wanted = np.asarray(codes, np.float64), np.asarray(embeddings, np.float64)
    centre, mean = known.mean(0), wanted.mean(0)
    off = known - centre
    gram = off.T @ off + PENALTY * len(off) * np.eye(off.shape[1])
    found = np.linalg.solve(gram, off.T @ (wanted - mean))
    return np.asarray(found), np.asarray(mean - centre @ found)


def with_people(density: FaceDensity, codes: Float64Array, embeddings: npt.ArrayLike) -> FaceDensity:
    """The density, told from codes (N K) and the embeddings (N D) of their pictures what tells people apart."""
    pooled = np.einsum("c,cij->ij", density.components.weights, density.components.covariances)
    reading, _ = identity_regression(codes, embeddings)
    return replace(density, people=reduced(reading, np.asarray(pooled), min(RANK, *reading.shape)))
