"""The paper's mixture as tensors and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.core.errors import WeightsError
from mien.papers.deepface_2016.mixture import ClassMixture, Gaussians

MODEL = "imagine-paper"


def to_tensors(mixture: ClassMixture) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, metadata)."""
    arrays = {
        "means": mixture.gaussians.means,
        "deviations": np.sqrt(mixture.gaussians.variances),
        "weights": mixture.weights,
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in arrays.items()}
    return tensors, {"names": list(mixture.gaussians.names), "layer": mixture.layer, "shape": list(mixture.shape)}


def from_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], *, name: str) -> ClassMixture:
    """Undo ``to_tensors``; ``WeightsError`` says what is missing in the file ``name``."""
    try:
        value = {key: tensor.double().numpy() for key, tensor in tensors.items()}
        gaussians = Gaussians(tuple(metadata["names"]), value["means"], value["deviations"] ** 2)
        shape = tuple(int(size) for size in metadata["shape"])
        return ClassMixture(gaussians, value["weights"], str(metadata["layer"]), shape)
    except (KeyError, ValueError, TypeError) as error:
        raise WeightsError(f"{name}: not the weights of the paper's mixture ({error!r})") from error
