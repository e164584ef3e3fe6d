"""Scores -> probabilities that mean what they say, and the thresholds that turn them into yes and no.

Everything here is fitted on people that the heads did not learn from (the validation split) and never on those that
they are examined with.

Platt (1999, "Probabilistic outputs for support vector machines"): probability = sigmoid(slope * score + intercept), by
maximum likelihood, with his smoothed targets. A softmax gets one temperature (Guo et al. 2017, "On calibration of
modern neural networks"). Accuracy and balanced accuracy want different thresholds. Of honest probabilities the first is
highest with the threshold 0.5, the second with the share of photos that are marked, and those are the thresholds here.
Searching them on the validation split does worse on other people (halves of that split, by people: accuracy 88.3 % with
searched thresholds and 88.5 % with 0.5, balanced accuracy 83.0 % and 83.4 %): 73 searches find chance, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Goal = Literal["accuracy", "balanced"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fitted numbers: by attribute (73, in the order of ``NAMES``), by group (42) and for sex and age."""

    slope: Float64Array  # 73
    intercept: Float64Array  # 73
    accuracy_threshold: Float64Array  # 73: probability from which on "marked" is the best guess
    balanced_threshold: Float64Array  # 73: probability from which on both kinds of errors are rarest together
    temperature: Float64Array  # 42
    age_slope: float = 1.0
    age_intercept_years: float = 0.0

    @classmethod
    def none(cls, attributes: int, groups: int) -> Calibration:
        """The calibration that changes nothing."""
        ones = np.ones(attributes)
        return cls(ones, 0 * ones, 0.5 * ones, 0.5 * ones, np.ones(groups))

    def probabilities(self, scores: npt.ArrayLike) -> Float64Array:
        """Scores (N 73) -> probabilities (N 73)."""
        return sigmoid(np.asarray(scores, np.float64) * self.slope + self.intercept)


def sigmoid(x: npt.ArrayLike) -> Float64Array:
    """1 / (1 + exp(-x)), without overflow."""
    values = np.asarray(x, np.float64)
    small = np.exp(-np.abs(values))
    found: Float64Array = np.where(values >= 0, 1, small) / (1 + small)
    return found


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> Float64Array:
    """Logits (N K) -> probabilities (N K) at a temperature; higher is less sure."""
    values = np.asarray(logits, np.float64) / temperature
    powers = np.exp(values - values.max(1, keepdims=True))
    found: Float64Array = powers / powers.sum(1, keepdims=True)
    return found


def fit_platt(scores: npt.ArrayLike, marked: npt.ArrayLike, *, steps: int = 60) -> tuple[float, float]:
    """Slope and intercept for scores (N) and labels (N); Newton's method on the convex negative log likelihood.

    Without both a marked and an unmarked face nothing can be fitted: (1, 0). A slope that would turn the order of the
    scores round (noise, in tiny samples) is refused likewise: slope 0 and the share of marks remain.
    """
    x, truth = np.asarray(scores, np.float64), np.asarray(marked, bool)
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return 1.0, 0.0
    target = np.where(truth, (positive + 1) / (positive + 2), 1 / (negative + 2))
    middle, spread = x.mean(), max(float(x.std()), 1e-12)
    z = (x - middle) / spread
    share = float(np.log((positive + 1) / (negative + 1)))

    def cost(line: Float64Array) -> float:
        values = line[0] * z + line[1]
        return float((np.logaddexp(0, values) - target * values).sum())

    line = np.array([0.0, share])
    for _ in range(steps):
        p = sigmoid(line[0] * z + line[1])
        error, weight = p - target, np.maximum(p * (1 - p), 1e-12)
        gradient = np.array([(error * z).sum(), error.sum()])
        hessian = np.array([[(weight * z * z).sum(), (weight * z).sum()], [(weight * z).sum(), weight.sum()]])
        step = np.linalg.solve(hessian + 1e-9 * len(z) * np.eye(2), gradient)
        before, length = cost(line), 1.0
        while length > 1e-6 and cost(line - length * step) > before:  # far from the minimum Newton leaps too far
            length /= 2
        line = line - length * step
        if np.abs(length * step).max() < 1e-9:
            break
    slope, intercept = float(line[0]), float(line[1])
    if slope <= 0:
        return 0.0, share
    return float(slope / spread), float(intercept - slope * middle / spread)


def fit_temperature(logits: npt.ArrayLike, classes: npt.ArrayLike) -> float:
    """The temperature in [0.2, 10] of the highest likelihood for logits (N K) and true classes (N); 1 without faces."""
    values, truth = np.asarray(logits, np.float64), np.asarray(classes, np.int64)
    if not len(values):
        return 1.0

    def cost(log_temperature: float) -> float:
        probabilities = softmax(values, float(np.exp(log_temperature)))[np.arange(len(truth)), truth]
        return float(-np.log(np.maximum(probabilities, 1e-12)).mean())

    low, high = np.log(0.2), np.log(10.0)
    for _ in range(40):  # golden section: the cost has one valley
        first, second = high - 0.618034 * (high - low), low + 0.618034 * (high - low)
        if cost(first) <= cost(second):
            high = second
        else:
            low = first
    return float(np.exp((low + high) / 2))


def best_threshold(probabilities: npt.ArrayLike, marked: npt.ArrayLike, goal: Goal) -> float:
    """The threshold t ("marked" from t on) of the highest ``goal`` on probabilities (N) and labels (N).

    Equally good ones: the middle of the widest run of them. 0.5 where there is no choice (one kind of face only).
    """
    x, truth = np.asarray(probabilities, np.float64), np.asarray(marked, bool)
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return 0.5
    order = np.argsort(x, kind="stable")
    values, sorted_truth = x[order], truth[order]
    # Cut k: the k lowest are "not marked".
    missed = np.concatenate([[0], np.cumsum(sorted_truth)])
    right = np.concatenate([[0], np.cumsum(~sorted_truth)])
    if goal == "accuracy":
        score = (right + positive - missed) / len(x)
    else:
        score = (right / negative + (positive - missed) / positive) / 2
    edges = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2, [1.0]])
    possible = np.concatenate([[True], values[1:] > values[:-1], [True]])  # no cut between equal values
    best = np.flatnonzero(possible & (score >= score[possible].max() - 1e-12))
    widths = np.array([_width(values, int(k)) for k in best])
    return float(np.clip(edges[best[int(widths.argmax())]], 1e-6, 1 - 1e-6))


def _width(values: Float64Array, k: int) -> float:
    """How far the values on both sides of cut k lie apart."""
    if k in (0, len(values)):
        return 0.0
    return float(values[k] - values[k - 1])


def fit_line(estimates: npt.ArrayLike, labels: npt.ArrayLike) -> tuple[float, float]:
    """Slope and intercept of the least squares line from estimates (N) to labels (N); (1, 0) for fewer than 10."""
    x, y = np.asarray(estimates, np.float64), np.asarray(labels, np.float64)
    if len(x) < 10 or x.std() < 1e-9:
        return 1.0, 0.0
    slope = float(((x - x.mean()) * (y - y.mean())).mean() / x.var())
    return slope, float(y.mean() - slope * x.mean())
