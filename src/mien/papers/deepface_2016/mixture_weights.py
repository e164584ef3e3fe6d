"""The paper's mixture as tensors and back.

At a layer of many numbers the Gaussians are kept as the mean over attributes and the leading directions in which the
attributes differ (singular value decomposition), a byte a number: a quarter of the size at fp16. What is lost stands in
``report.json`` of the training (``stored_error``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core.errors import WeightsError
from mien.core.quantise import packed, unpacked
from mien.papers.deepface_2016.mixture import ClassMixture, Gaussians

MODEL = "imagine-paper"
WIDE = 8192  # numbers of a layer, from which on its Gaussians are kept by their directions
MEAN_RANK, DEVIATION_RANK = 48, 16
CENTRE, SCORES, AXES = ".centre", ".scores", ".axes"
Float64Array = npt.NDArray[np.float64]


def to_tensors(mixture: ClassMixture) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, metadata)."""
    means, deviations = mixture.gaussians.means, np.sqrt(mixture.gaussians.variances)
    arrays = {"weights": mixture.weights}
    if means.shape[1] < WIDE:
        arrays |= {"means": means, "deviations": deviations}
    else:
        arrays |= _directions("means", means, MEAN_RANK) | _directions("deviations", deviations, DEVIATION_RANK)
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in arrays.items()}
    described = {"names": list(mixture.gaussians.names), "layer": mixture.layer, "shape": list(mixture.shape)}
    return packed(tensors, large=DEVIATION_RANK * WIDE - 1), described


def from_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], *, name: str) -> ClassMixture:
    """Undo ``to_tensors``; ``WeightsError`` says what is missing in the file ``name``."""
    try:
        value = {key: tensor.double().numpy() for key, tensor in unpacked(tensors).items()}
        means, deviations = (_whole(value, key) for key in ("means", "deviations"))
        gaussians = Gaussians(tuple(metadata["names"]), means, deviations.clip(0) ** 2)
        shape = tuple(int(size) for size in metadata["shape"])
        return ClassMixture(gaussians, value["weights"], str(metadata["layer"]), shape)
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{name}: not the weights of the paper's mixture ({error!r})") from error


def _directions(name: str, rows: Float64Array, rank: int) -> dict[str, Float64Array]:
    """Rows A D as their mean (D), and the scores (A R) of each along R axes (R D)."""
    centre = rows.mean(0)
    left, sizes, axes = np.linalg.svd(rows - centre, full_matrices=False)
    scores = left[:, :rank] * sizes[:rank]
    return {name + CENTRE: centre, name + SCORES: scores, name + AXES: axes[:rank]}


def _whole(value: Mapping[str, Float64Array], name: str) -> Float64Array:
    """The rows A D of a name, whichever way they are kept."""
    if name in value:
        return value[name]
    return value[name + CENTRE] + value[name + SCORES] @ value[name + AXES]
