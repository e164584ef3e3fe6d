"""A density of faces over 12 features, small enough to check by hand, that goes with the tiny decoder of the crowd."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.core.seeding import stream
from mien.generators.imagine.density import AGE, Components, FaceDensity, Frame, Probes
from mien.training.imagine import export_density

FEATURES, AXES = 12, 5
NAMES = ("Smiling", "Male", "Brown Hair", "Eyeglasses")
VERSION = "tiny-7"


def tiny_density(components: int = 3) -> FaceDensity:
    """Random, but the same each time; attributes go together (their directions are not at right angles)."""
    draws = stream(5, "tiny density")
    axes = np.linalg.qr(draws.standard_normal((FEATURES, AXES))).Q
    frame = Frame(
        draws.standard_normal(FEATURES), draws.uniform(0.5, 2, FEATURES), axes, draws.uniform(0.8, 2, AXES), 0.3
    )
    roots = draws.standard_normal((components, AXES, AXES)) / 2
    covariances = roots @ roots.transpose(0, 2, 1) + 0.3 * np.eye(AXES)
    found = Components(np.full(components, 1 / components), draws.standard_normal((components, AXES)), covariances)
    names = (*NAMES, AGE)
    weights = draws.standard_normal((AXES, len(names))) / 2
    weights[:, 1] += weights[:, 0] / 2
    weights[:, -1] /= 10
    intercepts = np.array([0.0, 0.1, -0.1, 0.0, 0.35])
    probes = Probes(names, weights, intercepts, np.full(5, 0.6), np.full(5, -0.6))
    return FaceDensity(frame, found, probes, strictness=1.1)


def write_tiny_density(path: Path) -> Path:
    """Its weights file, as `mien train mixture` writes them."""
    export_density(path, tiny_density(), {"model": "imagine-mien", "version": VERSION})
    return path
