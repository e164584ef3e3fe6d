"""Gaussians under conditions on linear scores: levels, half-spaces and intervals, all at once and exactly.

A score is a linear function of a code. Given that several scores lie between bounds, their own law is a truncated
normal. It is sampled by Gibbs steps (Geweke, 1991), begun at a point that the sequential sampler of Geweke,
Hajivassiliou and Keane finds; the same sampler says how probable the conditions are. The code then follows from its
scores by conditioning a Gaussian on linear values (Matheron's rule: draw freely, then correct by what is missing).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import torch

Float64Array = npt.NDArray[np.float64]

SWEEPS = 30
PARTICLES = 256
JITTER = 1e-6
_STANDARD = NormalDist()
_SMALLEST = 1e-300


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is wanted of M scores: each between ``low`` and ``high`` (M each; equal: a level; infinite: open)."""

    low: Float64Array
    high: Float64Array


@dataclass(frozen=True, slots=True)
class Start:
    """Points that keep the bounds, with their weights, and how probable it is to keep them."""

    points: Float64Array  # P M
    weights: Float64Array  # P, sum 1
    log_probability: float


def truncated_normal(draws: np.random.Generator, low: float, high: float) -> float:
    """One draw of a standard normal between ``low`` and ``high`` (low < high), also far out in its tails."""
    flipped = low > 0 or (low > -high and high > 0)  # more of the interval lies above 0: use the precise lower tail
    a, b = (-high, -low) if flipped else (low, high)
    below, above = _normal(a), _normal(b)
    share = below + (above - below) * draws.random()
    value = _STANDARD.inv_cdf(share) if _SMALLEST < share < 1 else b
    value = min(max(value, a), b)
    return -value if flipped else value


def start(mean: Float64Array, covariance: Float64Array, bounds: Bounds, draws: np.random.Generator) -> Start:
    """Weighted points of N(mean, covariance) (M, M M) within ``bounds``, one score after the other."""
    count = len(mean)
    factor = np.linalg.cholesky(covariance + JITTER * np.eye(count))
    normals = np.zeros((PARTICLES, count))
    log_weights = np.zeros(PARTICLES)
    for k in range(count):
        centre = mean[k] + normals[:, :k] @ factor[k, :k]
        low, high = (bounds.low[k] - centre) / factor[k, k], (bounds.high[k] - centre) / factor[k, k]
        if bounds.low[k] == bounds.high[k]:
            normals[:, k] = low
            log_weights += -(low**2) / 2 - math.log(factor[k, k] * math.sqrt(2 * math.pi))
        else:
            normals[:, k], probabilities = _truncated(low, high, draws.random(PARTICLES))
            log_weights += np.log(probabilities)
    peak = log_weights.max()
    weights = np.exp(log_weights - peak)
    return Start(mean + normals @ factor.T, weights / weights.sum(), float(peak + np.log(weights.mean())))


def sample_scores(
    mean: Float64Array, covariance: Float64Array, bounds: Bounds, begin: Start, draws: np.random.Generator
) -> Float64Array:
    """One draw (M) of N(mean, covariance) within ``bounds``."""
    precision = np.linalg.inv(covariance + JITTER * np.eye(len(mean)))
    cumulated = begin.weights.cumsum()
    point = begin.points[min(int(np.searchsorted(cumulated, draws.random())), PARTICLES - 1)].copy()
    free = np.flatnonzero(bounds.low != bounds.high)
    for _ in range(SWEEPS if len(mean) > 1 else 1):
        for k in free:
            deviation = precision[k, k] ** -0.5
            centre = point[k] - precision[k] @ (point - mean) * deviation**2
            low, high = (bounds.low[k] - centre) / deviation, (bounds.high[k] - centre) / deviation
            point[k] = centre + deviation * truncated_normal(draws, low, high)
    return np.asarray(point)


def correction(covariance: Float64Array, directions: Float64Array) -> Float64Array:
    """K M: how a code (covariance K K) moves for each unit that its scores (directions K M) are off."""
    spread = covariance @ directions
    inner = directions.T @ spread
    return np.asarray(np.linalg.solve(inner + JITTER * np.eye(len(inner)), spread.T).T)


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def _truncated(low: Float64Array, high: Float64Array, shares: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Standard normals (P) between ``low`` and ``high`` at ``shares`` of their probability, and that probability."""
    flipped = (low > 0) | ((low > -high) & (high > 0))
    a, b = np.where(flipped, -high, low), np.where(flipped, -low, high)
    below, above = (torch.special.ndtr(torch.from_numpy(x)) for x in (a, b))
    probabilities = (above - below).clamp_min(_SMALLEST)
    values = torch.special.ndtri((below + probabilities * torch.from_numpy(shares)).clamp(_SMALLEST, 1 - 1e-16)).numpy()
    values = np.clip(values, a, b)
    return np.where(flipped, -values, values), probabilities.numpy()
