"""From one face to its neighbours: more like this one, and this one with a single thing changed.

Both work on the code of a face under the density (``density.py``) and keep it as probable as the density allows.

*Near*: ``c' = m + r (c - m) + sqrt(1 - r^2) t L z`` with the mean m and the factor L of the face's own Gaussian and a
normal z. At r = 1 it is the face itself, at r = 0 any face of that Gaussian, and for every r the Gaussian (at
temperature t) is left as it is: neighbours are drawn from the density, not from a ball around the face. L is
wider along what tells people apart (``people.py``), as where the face came from.

*Changed*: the smallest move in the metric of the face's own Gaussian that brings one score to a level, where the
Gaussian was first conditioned on all other scores staying as they are, each but for a noise of ``KEEP`` of its own
deviation. With no such condition (``FaceDensity.move``) grey hair brings age and a tie with it; with an exact one the
code is torn off the density, because 74 scores of 192 coefficients hold each other fast.
"""

from __future__ import annotations

import math

import numpy as np

from mien.attributes import GROUP_OF
from mien.core.errors import RequestError
from mien.generators.imagine.conditional import correction
from mien.generators.imagine.density import AGE, CompiledCondition, FaceDensity, Float64Array
from mien.generators.imagine.nuisance import NUISANCE

CLOSENESS = 0.85
SMALLEST = 1e-9
KEEP = 1.0  # chosen among 0.25, 0.5, 1 and none by looking: below 0.5 a smile that goes leaves a grimace


def near(
    density: FaceDensity,
    features: Float64Array,
    compiled: CompiledCondition,
    draws: np.random.Generator,
    *,
    closeness: float = CLOSENESS,
    temperature: float = 1.0,
) -> Float64Array:
    """Features (F) of a face like that of ``features`` (F) that keeps the compiled bounds.

    ``closeness`` is r above, in [0, 1]; ``temperature`` scales the deviation of what is new. ``RequestError`` for
    another closeness.
    """
    if not 0 <= closeness <= 1:
        raise RequestError(f"closeness: {closeness:g} given; allowed are 0 (anybody) to 1 (the same face)")
    code = density.frame.codes(features[None])[0]
    own = _own(density, code)
    mean, factor = density.components.means[own], density.factors[own]
    new = temperature * factor @ draws.standard_normal(len(code))
    moved = mean + closeness * (code - mean) + math.sqrt(1 - closeness**2) * new
    return np.asarray(density.frame.features(density.move(moved, compiled, own)[None])[0])


def changed(
    density: FaceDensity, features: Float64Array, attribute: str, degree: float, *, keep: float | None = KEEP
) -> Float64Array:
    """Features (F) with one attribute brought to a degree, and the rest kept.

    ``degree``: 0 like the faces without the attribute, 1 like those with it; of ``AGE`` it is years / 100. What lies
    in the group of the attribute (with ``AGE`` baby to senior) is free to move. ``keep`` None keeps nothing but what
    the density wants kept. ``RequestError`` for an unknown attribute.
    """
    probes = density.probes
    column = probes.index(attribute)
    code = density.frame.codes(features[None])[0]
    covariance = density.components.covariances[_own(density, code)]
    if keep is not None:
        kept = [k for k, name in enumerate(probes.names) if _group(name) != _group(attribute)]
        covariance = _given_scores(covariance, probes.weights[:, kept], keep)
    wanted = degree if attribute == AGE else probes.level(attribute, degree)
    missing = wanted - probes.scores(code[None])[0][column]
    move = correction(covariance, probes.weights[:, [column]])[:, 0] * missing
    after = density.frame.features((code + move)[None]) - density.frame.features(code[None])
    return np.asarray(features + after[0])


def _group(attribute: str) -> str:
    if attribute in NUISANCE:
        return attribute
    return AGE if attribute == AGE else GROUP_OF[attribute].name  # the group of baby to senior has the same name


def _own(density: FaceDensity, code: Float64Array) -> int:
    """The component that a code (K) most probably comes from."""
    return int(density.components.log_each(code[None])[0].argmax())


def _given_scores(covariance: Float64Array, directions: Float64Array, noise: float) -> Float64Array:
    """K K: the covariance given scores (directions K M), each with a noise of that share of its deviation."""
    spread = covariance @ directions  # K M
    inner = directions.T @ spread
    seen = inner + noise**2 * np.diag(np.diag(inner)) + SMALLEST * np.eye(len(inner))  # scores may not vary at all
    return np.asarray(covariance - spread @ np.linalg.solve(seen, spread.T))
