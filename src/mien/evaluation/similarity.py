"""How alike two faces are, in per cent: table 2 of Cate, Dalvi and Hussain, *DeepFace* (2016).

The paper asked PicTriev, which no longer exists and never said what its per cent mean. Here 0 is the mean cosine of
embeddings of different people and 100 that of two photographs of the same person; a value may lie outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import TooFewError

Float64Array = npt.NDArray[np.float64]

LEAST_PAIRS = 30


@dataclass(frozen=True, slots=True)
class SimilarityScale:
    """Cosine -> per cent."""

    different: float  # mean cosine of different people
    same: float  # mean cosine of the same person

    @classmethod
    def of(cls, same: npt.ArrayLike, different: npt.ArrayLike) -> SimilarityScale:
        """From the cosines of pairs of both kinds; 30 of each at least (``TooFewError``)."""
        pairs = {"same": np.asarray(same, np.float64), "different": np.asarray(different, np.float64)}
        for kind, values in pairs.items():
            if len(values) < LEAST_PAIRS:
                raise TooFewError(f"similarity: {len(values)} pairs of {kind} people, needed are {LEAST_PAIRS} or more")
        found = cls(float(pairs["different"].mean()), float(pairs["same"].mean()))
        if found.same <= found.different:
            raise ValueError(f"similarity: same people {found.same:.3f}, different people {found.different:.3f}")
        return found

    def percent(self, cosines: npt.ArrayLike) -> Float64Array:
        """Cosines (N) -> per cent (N)."""
        values = np.asarray(cosines, np.float64)
        return np.asarray(100 * (values - self.different) / (self.same - self.different))


def cosines(ours: npt.ArrayLike, theirs: npt.ArrayLike) -> Float64Array:
    """Embeddings N D and N D -> the cosine of each pair (N)."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"embeddings of shapes {a.shape} and {b.shape}, wanted N D twice")
    return np.asarray((a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)).clip(1e-12))
