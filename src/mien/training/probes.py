"""Linear probes: soft labels for faces that carry none, from faces of another source that do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

FloatArray = npt.NDArray[np.float32]


def ridge(features: FloatArray, targets: FloatArray, weights: FloatArray, penalty: float = 0.05) -> FloatArray:
    """Weighted ridge regression: features N F (standardised), targets N A, weights N A >= 0 -> F + 1 A coefficients.

    ``penalty`` is in units of the total weight; the last row is the intercept, which is not penalised.
    """
    x = torch.from_numpy(np.column_stack([features, np.ones(len(features), np.float32)])).double()
    found = []
    for column in range(targets.shape[1]):
        weight = torch.from_numpy(weights[:, column]).double()
        gram = (x * weight[:, None]).T @ x
        ridge_matrix = torch.full((x.shape[1],), penalty * float(weight.sum()), dtype=torch.float64)
        ridge_matrix[-1] = 0.0
        gram += torch.diag(ridge_matrix + 1e-9)
        right = x.T @ (weight * torch.from_numpy(targets[:, column]).double())
        found.append(torch.linalg.solve(gram, right))
    return torch.stack(found, 1).float().numpy()


def balanced_weights(present: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> FloatArray:
    """N A weights: for each attribute both sides weigh the same, unknown faces nothing."""
    weights = np.zeros(present.shape, np.float32)
    for side in (present & known, ~present & known):
        weights += side / np.maximum(side.sum(0, keepdims=True), 1)
    return np.asarray(weights * len(present) / 2, np.float32)


def scores(features: FloatArray, coefficients: FloatArray) -> FloatArray:
    """Soft labels N A in [-1, 1]."""
    return np.asarray(np.clip(features @ coefficients[:-1] + coefficients[-1], -1, 1), np.float32)
