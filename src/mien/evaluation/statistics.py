"""Streaming first and second moments in float64: add batches, merge parts, read mean and covariance.

The update is the pairwise one of Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise algorithm for
computing sample variances": it keeps the centred sum of products, so that a mean far from zero costs no digits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import TooFewError
from mien.core.seeding import stream

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean (D) and centred sum of products (D D) of the rows seen so far; adding returns a new value."""

    n: int
    mean: Float64Array  # D
    scatter: Float64Array  # D D: sum over rows of (x - mean)(x - mean)^T

    @classmethod
    def empty(cls, dimensions: int) -> Moments:
        """No rows yet, of ``dimensions`` columns."""
        return cls(0, np.zeros(dimensions), np.zeros((dimensions, dimensions)))

    @classmethod
    def of(cls, rows: npt.ArrayLike) -> Moments:
        """The moments of rows (N D)."""
        values = np.asarray(rows, np.float64)
        if values.ndim != 2:
            raise ValueError(f"rows: shape {values.shape}, wanted N D")
        if not len(values):
            return cls.empty(values.shape[1])
        mean = values.mean(0)
        centred = values - mean
        return cls(len(values), mean, centred.T @ centred)

    def merge(self, other: Moments) -> Moments:
        """The moments of both sets of rows together."""
        if self.mean.shape != other.mean.shape:
            raise ValueError(f"moments of {self.mean.size} and of {other.mean.size} columns cannot be merged")
        n = self.n + other.n
        if n == 0:
            return self
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.n / n)
        scatter = self.scatter + other.scatter + np.outer(delta, delta) * (self.n * other.n / n)
        return Moments(n, mean, scatter)

    def add(self, rows: npt.ArrayLike) -> Moments:
        """These moments and those of rows (N D)."""
        return self.merge(Moments.of(rows))

    def covariance(self) -> Float64Array:
        """The unbiased covariance (D D), divisor n - 1; needs two rows or more (``TooFewError``)."""
        if self.n < 2:
            raise TooFewError(f"covariance: {self.n} rows, needed are 2 or more")
        return self.scatter / (self.n - 1)


def moments(batches: Iterable[npt.ArrayLike], dimensions: int) -> Moments:
    """The moments of all rows of all batches (each N D)."""
    total = Moments.empty(dimensions)
    for batch in batches:
        total = total.add(batch)
    return total


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95 % interval and the number of samples behind it."""

    value: float
    low: float
    high: float
    n: int


def proportion(hits: int, n: int) -> Interval:
    """A share in [0, 1] with its Wilson score interval (Wilson 1927), which stays sane at 0 and 1."""
    if n < 1:
        raise TooFewError("proportion: 0 samples, needed is 1 or more")
    if not 0 <= hits <= n:
        raise ValueError(f"proportion: {hits} of {n}")
    from scipy.stats import binomtest

    found = binomtest(hits, n).proportion_ci(0.95, method="wilson")
    share = hits / n
    return Interval(share, min(share, float(found.low)), max(share, float(found.high)), n)


def difference(first: Interval, second: Interval) -> Interval:
    """The difference of two shares of independent samples, with Newcombe's interval (1998, method 10).

    ``first`` and ``second`` are those of ``proportion``; n is that of the smaller sample.
    """
    value = first.value - second.value
    low = value - float(np.hypot(first.value - first.low, second.high - second.value))
    high = value + float(np.hypot(first.high - first.value, second.value - second.low))
    return Interval(value, max(-1.0, low), min(1.0, high), min(first.n, second.n))


def mean_interval(values: npt.ArrayLike, *, seed: int = 0, rounds: int = 500) -> Interval:
    """The mean of values (N) with its percentile bootstrap interval; needs one value or more."""
    array = np.asarray(values, np.float64).ravel()
    if not len(array):
        raise TooFewError("mean: 0 samples, needed is 1 or more")
    random = stream(seed, "bootstrap", len(array))
    means = [float(array[random.integers(0, len(array), len(array))].mean()) for _ in range(rounds)]
    low, high = np.percentile(means, [2.5, 97.5])
    value = float(array.mean())
    return Interval(value, min(value, float(low)), max(value, float(high)), len(array))
