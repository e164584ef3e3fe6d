"""The density of ``mien imagine`` as tensors and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.core.errors import WeightsError
from mien.generators.imagine.density import Components, FaceDensity, Frame, Probes

MODEL = "imagine-mien"


def to_tensors(density: FaceDensity) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, metadata). Of the Gaussians the lower half of each Cholesky factor is kept."""
    frame, components, probes = density.frame, density.components, density.probes
    rows, columns = np.tril_indices(components.means.shape[1])
    known = {} if density.people is None else {"people": density.people}
    arrays = known | {
        "mean": frame.mean,
        "deviation": frame.deviation,
        "axes": frame.axes,
        "scale": frame.scale,
        "weights": components.weights,
        "means": components.means,
        "factors": components.factors[:, rows, columns],
        "probes": probes.weights,
        "intercepts": probes.intercepts,
        "present": probes.present,
        "absent": probes.absent,
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)).float() for name, value in arrays.items()}
    return tensors, {"names": list(probes.names), "rest": frame.rest, "strictness": density.strictness}


def from_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], *, name: str) -> FaceDensity:
    """Undo ``to_tensors``; ``WeightsError`` says what is missing in the file ``name``."""
    try:
        value = {key: tensor.double().numpy() for key, tensor in tensors.items()}
        size = value["means"].shape[1]
        rows, columns = np.tril_indices(size)
        factors = np.zeros((len(value["means"]), size, size))
        factors[:, rows, columns] = value["factors"]
        axes = np.linalg.qr(value["axes"])  # rounding took a little of the right angles
        frame = Frame(
            value["mean"],
            value["deviation"],
            axes.Q * np.sign(np.diag(axes.R)),
            value["scale"],
            float(metadata["rest"]),
        )
        components = Components(
            value["weights"] / value["weights"].sum(), value["means"], factors @ factors.transpose(0, 2, 1)
        )
        probes = Probes(
            tuple(metadata["names"]), value["probes"], value["intercepts"], value["present"], value["absent"]
        )
        return FaceDensity(frame, components, probes, float(metadata["strictness"]), value.get("people"))
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise WeightsError(f"{name}: not the weights of a density of faces ({error!r})") from error
