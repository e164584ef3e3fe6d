"""How well an attribute gathers in a space of features: numbers that go with a picture of it.

Two numbers, for every attribute at once. *Purity*: the share of a face's k nearest neighbours that are on its own side
(marked or not), averaged over the marked, over the unmarked, and then over both sides, so that a rare attribute counts
as much as a frequent one. 1: the sides lie apart; labels dealt at random give 0.5 whatever their share. *Silhouette*
(Rousseeuw 1987, eq. 1): mean distance to the other side less that to the own one, over the larger; 0 where the sides
lie in each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import MienError, TooFewError
from mien.evaluation.metrics import nearest
from mien.evaluation.statistics import Float64Array

Mask = npt.NDArray[np.bool_]
LEAST_MARKED = 10


@dataclass(frozen=True, slots=True)
class Gathering:
    """How well each of A attributes gathers among N points. Arrays are of length A, NaN where a side is too small."""

    n: int
    k: int
    marked: npt.NDArray[np.int64]
    purity: Float64Array
    shuffled: Float64Array  # mean purity of shuffled labels
    shuffled_high: Float64Array  # the highest purity of all shuffles
    silhouette: Float64Array


def gathering(
    points: npt.ArrayLike, marked: Mask, random: np.random.Generator, *, k: int = 10, shuffles: int = 100
) -> Gathering:
    """Purity, its value for shuffled labels, and silhouette of every column of ``marked`` (N A) over points (N D).

    A column with fewer than ``LEAST_MARKED`` points on a side gives NaN; fewer than k + 1 points raise ``TooFewError``.
    """
    values = np.asarray(points, np.float64)
    if len(values) != len(marked):
        raise ValueError(f"gathering: {len(values)} points and {len(marked)} labels")
    _, neighbours = nearest(values, None, k=k)
    rounds = np.stack([purity(neighbours, marked[random.permutation(len(marked))]) for _ in range(shuffles)])
    enough = np.minimum(marked.sum(0), (~marked).sum(0)) >= LEAST_MARKED
    hide = np.where(enough, 1.0, np.nan)
    return Gathering(
        n=len(values),
        k=k,
        marked=marked.sum(0),
        purity=purity(neighbours, marked) * hide,
        shuffled=rounds.mean(0) * hide,
        shuffled_high=rounds.max(0) * hide,
        silhouette=silhouettes(values, marked) * hide,
    )


def purity(neighbours: npt.NDArray[np.int64], marked: Mask) -> Float64Array:
    """Purity (A) in [0, 1] of labels (N A) by the indices (N k) of each point's neighbours; NaN: an empty side."""
    shares = marked[neighbours].mean(1)  # N A: neighbours that are marked
    own = np.where(marked, shares, 1 - shares)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_marked = (own * marked).sum(0) / marked.sum(0)
        of_unmarked = (own * ~marked).sum(0) / (~marked).sum(0)
    return np.asarray((of_marked + of_unmarked) / 2, np.float64)


def silhouettes(points: npt.ArrayLike, marked: Mask) -> Float64Array:
    """The mean silhouette (A) in [-1, 1] of each two-sided labelling (N A); NaN where a side has under two points.

    As ``sklearn.metrics.silhouette_score`` for two clusters, for all labellings with one matrix of distances.
    """
    values = np.asarray(points, np.float64)
    values = values - values.mean(0)
    squares = (values * values).sum(1)
    total = np.zeros(marked.shape[1])
    counts = marked.sum(0).astype(np.float64)
    weights = marked.astype(np.float64)
    for start in range(0, len(values), 1024):
        rows = slice(start, min(start + 1024, len(values)))
        squared = squares[rows, None] + squares[None] - 2 * values[rows] @ values.T
        distances = np.sqrt(np.clip(squared, 0, None))  # B N
        distances[np.arange(rows.stop - start), np.arange(start, rows.stop)] = 0
        to_marked = distances @ weights  # B A: sums
        to_others = distances.sum(1, keepdims=True) - to_marked
        mine = marked[rows]
        own_count = np.where(mine, counts, len(values) - counts) - 1
        other_count = np.where(mine, len(values) - counts, counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            own = np.where(mine, to_marked, to_others) / own_count
            other = np.where(mine, to_others, to_marked) / other_count
            total += ((other - own) / np.maximum(own, other)).sum(0)
    small = np.minimum(counts, len(values) - counts) < 2
    return np.where(small, np.nan, total / len(values))


def tsne_map(features: npt.ArrayLike, seed: int, *, perplexity: float = 30, components: int = 50) -> Float64Array:
    """Features (N D) -> a map (N 2) by t-SNE (van der Maaten and Hinton 2008) of their first principal components.

    The same features and seed give the same map. ``TooFewError`` unless there are more than 3 x perplexity points.
    """
    values = np.asarray(features, np.float64)
    if len(values) <= 3 * perplexity:
        raise TooFewError(f"t-SNE: {len(values)} faces at perplexity {perplexity:g}, needed are more than 3 times it")
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise MienError("t-SNE needs scikit-learn; run: pip install 'mien[evaluate]'") from error
    state = seed % 2**32
    reduced = PCA(min(components, *values.shape), svd_solver="randomized", random_state=state).fit_transform(values)
    mapped = TSNE(2, perplexity=perplexity, init="pca", learning_rate="auto", random_state=state).fit_transform(reduced)
    return np.asarray(mapped, np.float64)
