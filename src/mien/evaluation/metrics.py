"""Features -> number. Nothing here knows an image, a network or a generator; names carry the protocol and n.

Every function takes features as rows (N D) and refuses too few of them (``TooFewError``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mien.core.errors import TooFewError
from mien.evaluation.statistics import Float64Array, Interval, Moments

BLOCK_ROWS = 1024  # rows of a distance matrix held at once: 1024 x 10,000 float64 = 80 MB


def metric_name(metric: str, features: str, n: int, **settings: int | float | str) -> str:
    """A name that says what was measured: ``frechet_dlib-resnet128_n2000``, ``precision_dlib-resnet128_k3_n2000``."""
    extra = "".join(f"_{key}{value}" for key, value in settings.items())
    return f"{metric}_{features}{extra}_n{n}"


def frechet_distance(first: Moments, second: Moments) -> float:
    """The squared Fréchet distance of two Gaussians: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).

    Dowson and Landau (1982); used on features of images by Heusel et al. 2017 (eq. 6). The trace of the root is the
    sum of the singular values of C1^(1/2) C2^(1/2), which needs no complex square root. Both sets need more rows than
    columns: with fewer the covariance is singular and the distance mostly measures n (``TooFewError``).
    """
    dimensions = first.mean.size
    if second.mean.size != dimensions:
        raise ValueError(f"Fréchet distance: features of {dimensions} and of {second.mean.size} columns")
    for part in (first, second):
        if part.n <= dimensions:
            raise TooFewError(f"Fréchet distance: {part.n} samples of {dimensions} features, needed are more samples")
    root = np.linalg.svd(_root(first.covariance()) @ _root(second.covariance()), compute_uv=False).sum()
    gap = first.mean - second.mean
    value = gap @ gap + np.trace(first.covariance()) + np.trace(second.covariance()) - 2 * root
    return max(0.0, float(value))


def frechet_interval(first: npt.ArrayLike, second: npt.ArrayLike, *, groups: int = 10) -> Interval:
    """The Fréchet distance of two sets of rows (N D, M D) with a 95 % interval by the grouped jackknife.

    Each of ``groups`` parts is left out of both sets in turn; the spread of the distances gives the standard error
    (Efron and Stein 1981). Rows are taken in their order, which must be arbitrary.
    """
    a, b = _rows(first), _rows(second)
    value = frechet_distance(Moments.of(a), Moments.of(b))
    parts = [
        ([Moments.of(part) for part in np.array_split(rows, groups)], Moments.empty(rows.shape[1])) for rows in (a, b)
    ]
    values = []
    for left_out in range(groups):
        without = []
        for pieces, nothing in parts:
            total = nothing
            for place, piece in enumerate(pieces):
                total = total if place == left_out else total.merge(piece)
            without.append(total)
        if any(part.n <= part.mean.size for part in without):  # too few for a spread, enough for the value
            return Interval(value, float("nan"), float("nan"), min(len(a), len(b)))
        values.append(frechet_distance(*without))
    error = float(np.sqrt((groups - 1) * np.var(values)))
    return Interval(value, max(0.0, value - 1.96 * error), value + 1.96 * error, min(len(a), len(b)))


def _root(covariance: Float64Array) -> Float64Array:
    values, vectors = np.linalg.eigh(covariance)
    root: Float64Array = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


@dataclass(frozen=True, slots=True)
class Manifold:
    """Fidelity and variety of generated against real features, each in [0, 1] but density, which may pass 1."""

    precision: float  # share of generated inside the real manifold
    recall: float  # share of real inside the generated manifold
    density: float  # how many real neighbourhoods hold a generated sample, over k
    coverage: float  # share of real neighbourhoods that hold a generated sample


def manifold(
    real: npt.ArrayLike, made: npt.ArrayLike, *, k: int = 3, counted: npt.NDArray[np.bool_] | None = None
) -> Manifold:
    """Precision and recall (Kynkäänniemi et al. 2019, eqs. 1, 2), density and coverage (Naeem et al. 2020, eqs. 4, 7).

    A sample's neighbourhood is the ball that reaches to its k-th nearest neighbour in its own set, itself left out.
    Generated samples that are not ``counted`` lie inside nothing and have no ball.
    """
    if counted is not None:
        seen = np.asarray(made)[counted]
        if len(seen) <= k:
            return Manifold(0.0, 0.0, 0.0, 0.0)
        found, share = manifold(real, seen, k=k), float(np.mean(counted))
        return replace(found, precision=share * found.precision, density=share * found.density)
    reals, mades = _rows(real), _rows(made)
    for name, rows in (("real", reals), ("generated", mades)):
        if len(rows) <= k:
            raise TooFewError(f"precision and recall: {len(rows)} {name} samples, needed are more than k = {k}")
    real_radii = neighbour_distances(reals, None, k=k)[:, k - 1]
    made_radii = neighbour_distances(mades, None, k=k)[:, k - 1]
    inside_real = np.zeros(len(mades), bool)
    inside_made = np.zeros(len(reals), bool)
    covered = np.zeros(len(reals), bool)
    holders = 0
    for start, distances in _blocks(reals, mades):
        stop = start + len(distances)
        held = distances <= real_radii[start:stop, None]  # real ball holds generated sample
        inside_real |= held.any(0)
        covered[start:stop] = held.any(1)
        holders += int(held.sum())
        inside_made[start:stop] = (distances <= made_radii[None]).any(1)
    return Manifold(
        precision=float(inside_real.mean()),
        recall=float(inside_made.mean()),
        density=holders / (k * len(mades)),
        coverage=float(covered.mean()),
    )


def neighbour_distances(queries: npt.ArrayLike, references: npt.ArrayLike | None, *, k: int = 1) -> Float64Array:
    """Euclidean distances (N k, ascending) of each query row to its k nearest reference rows.

    ``references=None`` means the queries themselves, each one's own row left out.
    """
    return nearest(queries, references, k=k)[0]


def nearest(
    queries: npt.ArrayLike, references: npt.ArrayLike | None, *, k: int = 1
) -> tuple[Float64Array, npt.NDArray[np.int64]]:
    """As ``neighbour_distances``, with the indices (N k) of the neighbours among the references."""
    rows = _rows(queries)
    others = rows if references is None else _rows(references)
    available = len(others) - (references is None)
    if available < k:
        raise TooFewError(f"nearest neighbours: {available} references, needed are {k}")
    all_distances = np.empty((len(rows), k))
    all_indices = np.empty((len(rows), k), np.int64)
    for start, distances in _blocks(rows, others):
        stop = start + len(distances)
        if references is None:
            distances[np.arange(len(distances)), np.arange(start, stop)] = np.inf
        picked = np.argpartition(distances, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(distances, picked, 1)
        order = np.argsort(found, axis=1, kind="stable")
        all_distances[start:stop] = np.take_along_axis(found, order, 1)
        all_indices[start:stop] = np.take_along_axis(picked, order, 1)
    return all_distances, all_indices


def _rows(values: npt.ArrayLike) -> Float64Array:
    rows = np.asarray(values, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"features: shape {rows.shape}, wanted N D")
    return rows


def _blocks(first: Float64Array, second: Float64Array) -> Iterator[tuple[int, Float64Array]]:
    """(start, distances B M) of blocks of rows of ``first`` to all rows of ``second``."""
    # Moving the origin to the mean keeps the digits that |a|^2 + |b|^2 - 2ab would lose far from zero.
    origin = second.mean(0)
    second = second - origin
    squares = (second * second).sum(1)
    for start in range(0, len(first), BLOCK_ROWS):
        rows = first[start : start + BLOCK_ROWS] - origin
        squared = (rows * rows).sum(1)[:, None] + squares[None] - 2 * (rows @ second.T)
        yield start, np.sqrt(np.clip(squared, 0, None))


@dataclass(frozen=True, slots=True)
class Memorisation:
    """How near the samples lie to the training set, against how near unseen real images lie to it."""

    made_median: float
    real_median: float
    ratio: float  # made_median / real_median: well under 1 means copies
    share_nearer: float  # share of samples nearer to training than the 1st percentile of unseen real images
    share_below: float  # share of samples nearer than ``threshold``
    real_share_below: float
    threshold: float


def memorisation(made: npt.ArrayLike, real: npt.ArrayLike, *, threshold: float) -> Memorisation:
    """Compare nearest-training-image distances of samples (N) with those of held-out real images (M).

    ``threshold`` is the distance under which the encoder calls two photos the same person.
    """
    mades, reals = np.asarray(made, np.float64).ravel(), np.asarray(real, np.float64).ravel()
    if min(len(mades), len(reals)) < 10:
        raise TooFewError(f"memorisation: {len(mades)} samples and {len(reals)} real images, needed are 10 of each")
    return Memorisation(
        made_median=float(np.median(mades)),
        real_median=float(np.median(reals)),
        ratio=float(np.median(mades) / max(float(np.median(reals)), 1e-12)),
        share_nearer=float((mades < np.percentile(reals, 1)).mean()),
        share_below=float((mades < threshold).mean()),
        real_share_below=float((reals < threshold).mean()),
        threshold=threshold,
    )


def monotone_share(sweep: npt.ArrayLike) -> float:
    """The share in [0, 1] of steps of a sweep (T) that do not fall; 1 is monotone. Needs two values."""
    values = np.asarray(sweep, np.float64).ravel()
    if len(values) < 2:
        raise TooFewError(f"monotone share: {len(values)} values, needed are 2 or more")
    return float((np.diff(values) >= 0).mean())


def rank_correlation(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Spearman's rank correlation of two series (N) in [-1, 1], ties by mean rank; 0 when one is constant."""
    from scipy.stats import spearmanr

    a, b = np.asarray(first, np.float64).ravel(), np.asarray(second, np.float64).ravel()
    if len(a) != len(b):
        raise ValueError(f"rank correlation: {len(a)} and {len(b)} values")
    if len(a) < 2:
        raise TooFewError(f"rank correlation: {len(a)} values, needed are 2 or more")
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b).statistic)


def area_under_curve(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The area under the ROC curve, in [0, 1], of ``scores`` (N) against ``labels`` (N, true or false), ties half.

    NaN where only one class is there.
    """
    from sklearn.metrics import roc_auc_score

    truth = np.asarray(labels, bool).ravel()
    if not truth.any() or truth.all():
        return float("nan")
    return float(roc_auc_score(truth, np.asarray(scores, np.float64).ravel()))


def mean_absolute_error(estimates: Sequence[float] | npt.ArrayLike, labels: Sequence[float] | npt.ArrayLike) -> float:
    """The mean of |estimate - truth| in the unit of both; needs one pair."""
    a, b = np.asarray(estimates, np.float64).ravel(), np.asarray(labels, np.float64).ravel()
    if len(a) != len(b):
        raise ValueError(f"mean absolute error: {len(a)} estimates and {len(b)} labels")
    if not len(a):
        raise TooFewError("mean absolute error: 0 pairs, needed is 1 or more")
    return float(np.abs(a - b).mean())
