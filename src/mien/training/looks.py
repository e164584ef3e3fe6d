"""Linear scores of what photograph a code comes from, so that a look can be asked of the code as attributes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mien.generators.imagine.density import FaceDensity
from mien.training.probes import balanced_weights, ridge

PENALTY = 0.05


def with_looks(
    density: FaceDensity, codes: npt.NDArray[np.float64], looks: Mapping[str, npt.NDArray[np.bool_]]
) -> FaceDensity:
    """The density with one score more for each look that some but not all faces have: ``look studio``, ...

    ``codes`` N K; ``looks``: name -> which of the N photographs look so.
    """
    probes, values = density.probes, codes.astype(np.float32)
    for look, has in looks.items():
        if not has.any() or has.all():
            continue
        signs = np.where(has, 1.0, -1.0).astype(np.float32)[:, None]
        found = ridge(values, signs, balanced_weights(has[:, None], np.ones_like(has)[:, None]), PENALTY)[:, 0]
        scores = values @ found[:-1] + found[-1]
        probes = replace(
            probes,
            names=(*probes.names, f"look {look}"),
            weights=np.concatenate([probes.weights, found[:-1, None].astype(np.float64)], 1),
            intercepts=np.append(probes.intercepts, float(found[-1])),
            present=np.append(probes.present, float(scores[has].mean())),
            absent=np.append(probes.absent, float(scores[~has].mean())),
        )
    return replace(density, probes=probes)
