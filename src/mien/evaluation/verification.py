"""Are two photos of one person? Pairs drawn as LFW draws them, and accuracy at the threshold of the other folds.

The protocol is that of Huang et al., *Labeled Faces in the Wild* (2007), view 2: ten folds, no person in two of them,
each with 300 pairs of one person and 300 pairs of two; the threshold for a fold is the best of the nine others. Pairs
here are drawn anew, from the faces that a dataset holds: LFW's own list names people who may not be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import TooFewError
from mien.core.seeding import stream
from mien.evaluation.statistics import Float64Array, Interval

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """N pairs of faces: places in the list of people that they were drawn from, whether one person, and the fold."""

    first: Places  # N
    second: Places  # N
    same: Mask  # N
    fold: Places  # N

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True)
class Verification:
    """How well a similarity tells pairs of one person from pairs of two."""

    accuracy: Interval  # mean of the folds, 95 % interval by their spread, n pairs
    fold_accuracies: Float64Array
    thresholds: Float64Array  # used in each fold: the best of the others
    auc: float
    equal_error_rate: float
    true_accepts: dict[float, float]  # at a share of false accepts


def draw_pairs(people: Sequence[str], *, folds: int = 10, each: int = 300, seed: int = 0) -> Pairs:
    """Pairs of places in ``people``: in every fold ``each`` of one person and as many of two, none twice.

    A pair of one person: a person with two photos or more, then two of these photos, both at random (so that nobody
    with 500 photos rules). ``TooFewError`` where a fold has too few people or photos.
    """
    random = stream(seed, "pairs", folds, each)
    names = sorted(set(people))
    photos: dict[str, list[int]] = {name: [] for name in names}
    for place, name in enumerate(people):
        photos[name].append(place)
    order = random.permutation(len(names))
    rows: list[tuple[int, int, bool, int]] = []
    for fold in range(folds):
        here = [names[k] for k in order[fold::folds]]
        several = [name for name in here if len(photos[name]) > 1]
        available = sum(len(photos[name]) * (len(photos[name]) - 1) // 2 for name in several)
        others = len(here) * (len(here) - 1) // 2
        if min(available, others) < each:
            raise TooFewError(
                f"verification: fold {fold} has {available} pairs of one person and {others} pairs of two people; "
                f"needed are {each} of each"
            )
        found: set[tuple[int, int]] = set()
        while len(found) < each:
            a, b = random.choice(photos[several[int(random.integers(len(several)))]], 2, replace=False)
            found.add((int(min(a, b)), int(max(a, b))))
        rows += [(a, b, True, fold) for a, b in sorted(found)]
        found = set()
        while len(found) < each:
            one, two = (photos[here[int(k)]] for k in random.choice(len(here), 2, replace=False))
            a, b = one[int(random.integers(len(one)))], two[int(random.integers(len(two)))]
            found.add((min(a, b), max(a, b)))
        rows += [(a, b, False, fold) for a, b in sorted(found)]
    first, second, same, fold_of = (np.array(column) for column in zip(*rows, strict=True))
    return Pairs(first.astype(np.int64), second.astype(np.int64), same.astype(bool), fold_of.astype(np.int64))


def cosine(features: npt.ArrayLike, pairs: Pairs) -> Float64Array:
    """Cosine (N) of the features (rows M D) of each pair."""
    rows = np.asarray(features, np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return np.asarray((rows[pairs.first] * rows[pairs.second]).sum(1), np.float64)


def best_threshold(similarity: Float64Array, same: Mask) -> float:
    """The threshold (similar from it on) with the most right answers: midway between two values, lowest of equals."""
    values, inverse = np.unique(similarity, return_inverse=True)
    gains = np.bincount(inverse, np.where(same, -1.0, 1.0), len(values))  # what moving past a value wins
    right = np.concatenate([[0.0], np.cumsum(gains)])  # relative to "all are similar"
    place = int(right.argmax())
    if place == 0:
        return float(values[0])
    if place == len(values):
        return float(np.nextafter(values[-1], np.inf))
    return float((values[place - 1] + values[place]) / 2)


def verify(similarity: npt.ArrayLike, pairs: Pairs, *, false_accepts: Sequence[float] = (0.01, 0.001)) -> Verification:
    """Accuracy of each fold at the best threshold of the others, and the whole curve's figures. Needs two folds."""
    values = np.asarray(similarity, np.float64)
    folds = np.unique(pairs.fold)
    if len(folds) < 2:
        raise TooFewError(f"verification: {len(folds)} folds, needed are 2 or more")
    thresholds = np.array([best_threshold(values[pairs.fold != f], pairs.same[pairs.fold != f]) for f in folds])
    accuracies = np.array(
        [((values >= t) == pairs.same)[pairs.fold == f].mean() for f, t in zip(folds, thresholds, strict=True)]
    )
    mean = float(accuracies.mean())
    half = 1.96 * float(accuracies.std(ddof=1)) / np.sqrt(len(folds))
    rates, accepts = curve(values, pairs.same)
    crossing = int(np.abs(rates - (1 - accepts)).argmin())
    return Verification(
        accuracy=Interval(mean, mean - half, min(1.0, mean + half), len(pairs)),
        fold_accuracies=accuracies,
        thresholds=thresholds,
        auc=float(np.trapezoid(accepts, rates)),
        equal_error_rate=float((rates[crossing] + 1 - accepts[crossing]) / 2),
        true_accepts={share: float(accepts[rates <= share].max()) for share in false_accepts},
    )


def curve(similarity: Float64Array, same: Mask) -> tuple[Float64Array, Float64Array]:
    """Shares of pairs of two people, and of one, that are accepted, as the threshold falls: from (0, 0) to (1, 1)."""
    order = np.argsort(-similarity, kind="stable")
    hits = np.cumsum(same[order]) / max(int(same.sum()), 1)
    false = np.cumsum(~same[order]) / max(int((~same).sum()), 1)
    ends = np.append(np.diff(similarity[order]) != 0, True)  # pairs of equal similarity are accepted together
    return np.concatenate([[0.0], false[ends]]), np.concatenate([[0.0], hits[ends]])
