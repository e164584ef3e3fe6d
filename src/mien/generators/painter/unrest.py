"""Which codes become caricatures: how much their pictures still change when they should be done, predicted.

In the last step of sampling a good picture hardly changes; a face that the painter knows little of is still being
made up. The log of that change is nearly a linear function of the code (and hardly depends on the noise), so that it is
predicted before anything is painted, and whoever promises too much of it is drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Float64Array = npt.NDArray[np.float64]
TENSOR = "unrest"
RIDGE = 0.12  # of the faces: penalty of the weights, in variances of a code
CALM = 70.0  # per cent of faces are calm enough


@dataclass(frozen=True)
class Unrest:
    """The predicted log of the change, and the ``most`` of it that a face may have."""

    weights: Float64Array  # K
    intercept: float
    most: float

    def of(self, codes: npt.ArrayLike) -> Float64Array:
        """Codes N K -> N."""
        return np.asarray(np.asarray(codes, np.float64) @ self.weights + self.intercept)

    @classmethod
    def fit(cls, codes: npt.ArrayLike, changes: npt.ArrayLike) -> Self:
        """Ridge regression of the log of ``changes`` (N, above 0) on ``codes`` (N K)."""
        known, values = np.asarray(codes, np.float64), np.log(np.asarray(changes, np.float64))
        centre, mean = known.mean(0), values.mean()
        inner = known - centre
        penalty = RIDGE * len(known) * inner.var()
        weights = np.linalg.solve(inner.T @ inner + penalty * np.eye(inner.shape[1]), inner.T @ (values - mean))
        intercept = float(mean - centre @ weights)
        return cls(weights, intercept, float(np.percentile(known @ weights + intercept, CALM)))

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor]) -> Self | None:
        """Undo ``tensors``; None where a weights file has none."""
        if TENSOR not in tensors:
            return None
        values = tensors[TENSOR].double().numpy()
        return cls(values[:-2], float(values[-2]), float(values[-1]))

    def tensors(self) -> dict[str, Tensor]:
        """What a weights file keeps: weights, intercept and most, one after the other."""
        return {TENSOR: torch.from_numpy(np.array([*self.weights, self.intercept, self.most], np.float32))}
