"""Is each element of a feature normally distributed? Tests over all elements, not over a chosen few.

Two tests: D'Agostino and Pearson's K squared (1973; skewness and kurtosis, by scipy) and Anderson and Darling's A
squared (1952) against a normal of unknown mean and deviation, with Stephens' correction and p-values (D'Agostino and
Stephens 1986, table 4.9). Many tests at once find by chance: Benjamini and Hochberg's rule (1995) holds the share of
false ones among the elements that are called not normal at the level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import MienError, TooFewError
from mien.evaluation.statistics import Float64Array

Mask = npt.NDArray[np.bool_]
LEAST = 20  # samples: scipy's kurtosis test is a poor approximation below
BLOCK = 2048  # elements at once


@dataclass(frozen=True, slots=True)
class Normality:
    """Of each of D elements over n samples. An element that never varies has NaN everywhere."""

    n: int
    skew: Float64Array
    kurtosis: Float64Array  # excess: 0 for a normal
    dagostino_p: Float64Array
    anderson_p: Float64Array
    at_least: Float64Array  # share of samples at the element's lowest value: what a ReLU cuts off

    @property
    def constant(self) -> Mask:
        """D: elements that never vary."""
        return np.isnan(self.dagostino_p)

    def varying(self, values: Float64Array) -> Float64Array:
        """``values`` (D) of the elements that vary."""
        return values[~self.constant]


def normality(rows: npt.ArrayLike) -> Normality:
    """Both tests on every column of rows (n D). ``TooFewError`` under 20 rows."""
    try:
        from scipy import stats
    except ImportError as error:
        raise MienError("tests of normality need scipy; run: pip install 'mien[evaluate]'") from error
    values = np.asarray(rows)
    if values.ndim != 2:
        raise ValueError(f"normality: shape {values.shape}, wanted n D")
    if len(values) < LEAST:
        raise TooFewError(f"normality: {len(values)} samples, needed are {LEAST} or more")
    n, width = values.shape
    found = np.full((5, width), np.nan)  # skew, kurtosis, K squared p, A squared p, share at the lowest
    for start in range(0, width, BLOCK):
        part = slice(start, start + BLOCK)
        block = values[:, part].astype(np.float64)
        lowest = block.min(0)
        found[4, part] = (block == lowest).mean(0)
        varies = block.max(0) > lowest
        if not varies.any():
            continue
        places = np.flatnonzero(varies) + start
        block = block[:, varies]
        block = (block - block.mean(0)) / block.std(0, ddof=1)
        found[0, places] = stats.skew(block)
        found[1, places] = stats.kurtosis(block)
        found[2, places] = stats.normaltest(block).pvalue
        found[3, places] = anderson_p(anderson_squared(block), n)
    return Normality(n, found[0], found[1], found[2], found[3], found[4])


def anderson_squared(standardised: Float64Array) -> Float64Array:
    """A squared (D) of columns (n D) of mean 0 and deviation 1 (divisor n - 1) against the normal."""
    from scipy.special import log_ndtr

    ordered = np.sort(standardised, 0)
    n = len(ordered)
    weights = (2 * np.arange(1, n + 1) - 1)[:, None]
    # log(1 - F(x)) = log F(-x), of the samples from the last to the first
    total = (weights * (log_ndtr(ordered) + log_ndtr(-ordered[::-1]))).sum(0)
    return np.asarray(-n - total / n, np.float64)


def anderson_p(squared: Float64Array, n: int) -> Float64Array:
    """The p-values of A squared for n samples, mean and deviation estimated (Stephens; 0.752 corrected is 5 %)."""
    a = squared * (1 + 0.75 / n + 2.25 / n**2)
    high = np.minimum(a, 13.0)  # beyond, the fit would rise again; p is 1e-31 there
    p = np.where(
        a >= 0.6,
        np.exp(1.2937 - 5.709 * high + 0.0186 * high**2),
        np.where(
            a >= 0.34,
            np.exp(0.9177 - 4.279 * high - 1.38 * high**2),
            np.where(
                a >= 0.2,
                1 - np.exp(-8.318 + 42.796 * high - 59.938 * high**2),
                1 - np.exp(-13.436 + 101.14 * high - 223.73 * high**2),
            ),
        ),
    )
    return np.asarray(np.clip(p, 0, 1), np.float64)


def rejected(p_values: Float64Array, *, level: float = 0.05, false_discovery: bool = True) -> Mask:
    """Which of D elements are called not normal at ``level``: by Benjamini and Hochberg, or each test by itself.

    NaN (an element that never varies) is never among them.
    """
    found = np.zeros(len(p_values), np.bool_)
    known = ~np.isnan(p_values)
    p = p_values[known]
    if not false_discovery:
        found[known] = p < level
        return found
    from scipy.stats import false_discovery_control

    found[known] = false_discovery_control(p) <= level if len(p) else False
    return found


def mean_squared_correlation(rows: npt.ArrayLike) -> float:
    """The mean squared correlation of two different elements (columns of n D), in [0, 1]; chance gives 1 / (n - 1).

    By the Gram matrix of the standardised rows, so that D may be large. Elements that never vary are left out.
    """
    values = np.asarray(rows, np.float64)
    values = values[:, values.max(0) > values.min(0)]
    n, width = values.shape
    if n < 3 or width < 2:
        raise TooFewError(f"correlation: {n} samples of {width} varying elements, needed are 3 of 2")
    values = (values - values.mean(0)) / values.std(0, ddof=1)
    gram = values @ values.T
    squares = float((gram * gram).sum()) / (n - 1) ** 2  # of all pairs of elements, each with itself too
    return float(max(0.0, (squares - width) / (width * (width - 1))))
