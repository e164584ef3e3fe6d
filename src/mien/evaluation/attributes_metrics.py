"""How well marks are predicted: accuracy, balanced accuracy, area under the curve, average precision, calibration.

The protocol, the same for every figure: faces with a row in the labels of attributes, of people never seen; an
attribute is *marked* (1) or *not marked* (0: absent, or present and unsure), and every face counts for every
attribute. Means over the 73 weigh attributes equally. Accuracy and balanced accuracy each use their own thresholds,
which were chosen on other people (the validation split).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.evaluation.metrics import area_under_curve

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures of A attributes on N faces; NaN where an attribute has only one kind of face."""

    n: int
    share: Float64Array  # A: of the faces that are marked
    majority: Float64Array  # A: accuracy of saying the more frequent answer of the training data everywhere
    accuracy: Float64Array  # A, at the accuracy threshold
    balanced_accuracy: Float64Array  # A, at the balanced threshold
    auc: Float64Array  # A
    average_precision: Float64Array  # A
    calibration_error: Float64Array  # A: mean gap of probability and share of marks over ten bins of equal size


def scores(
    probabilities: npt.ArrayLike,
    marks: npt.ArrayLike,
    *,
    accuracy_threshold: npt.ArrayLike,
    balanced_threshold: npt.ArrayLike,
    usual: npt.ArrayLike,
) -> Scores:
    """Figures of probabilities (N A) against marks (N A, 0 or 1); ``usual`` (A): the majority of the training data."""
    probabilities, truth = np.asarray(probabilities, np.float64), np.asarray(marks) > 0.5
    at_accuracy = probabilities >= np.asarray(accuracy_threshold, np.float64)
    at_balanced = probabilities >= np.asarray(balanced_threshold, np.float64)
    columns = range(truth.shape[1])
    return Scores(
        n=len(truth),
        share=truth.mean(0),
        majority=(truth == (np.asarray(usual) > 0.5)).mean(0),
        accuracy=(at_accuracy == truth).mean(0),
        balanced_accuracy=np.array([balanced_accuracy(at_balanced[:, k], truth[:, k]) for k in columns]),
        auc=np.array([area_under_curve(probabilities[:, k], truth[:, k]) for k in columns]),
        average_precision=np.array([average_precision(probabilities[:, k], truth[:, k]) for k in columns]),
        calibration_error=np.array([calibration_error(probabilities[:, k], truth[:, k]) for k in columns]),
    )


def quick_scores(
    probabilities: npt.ArrayLike, marks: npt.ArrayLike, *, accuracy_threshold: npt.ArrayLike,
    balanced_threshold: npt.ArrayLike,
) -> tuple[Float64Array, Float64Array, Float64Array]:  # fmt: skip
    """Accuracy, balanced accuracy and area under the curve (A each) as ``scores`` has them, all attributes at once.

    A bootstrap asks for them hundreds of times. The area is Mann and Whitney's U over the number of pairs.
    """
    from scipy.stats import rankdata

    probabilities, truth = np.asarray(probabilities, np.float64), np.asarray(marks) > 0.5
    right = (probabilities >= np.asarray(balanced_threshold, np.float64)) == truth
    marked = truth.sum(0)
    others = len(truth) - marked
    ranks = (rankdata(probabilities, axis=0) * truth).sum(0)
    with np.errstate(invalid="ignore"):  # no face, or no other face, is marked: 0 / 0
        balanced = ((right & truth).sum(0) / marked + (right & ~truth).sum(0) / others) / 2
        area = (ranks - marked * (marked + 1) / 2) / (marked * others)
    return ((probabilities >= np.asarray(accuracy_threshold, np.float64)) == truth).mean(0), balanced, area


def balanced_accuracy(predictions: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """The mean of the shares that are right among the marked and among the others; NaN with one class only."""
    from sklearn.metrics import balanced_accuracy_score

    truth = np.asarray(labels, bool)
    if not truth.any() or truth.all():
        return float("nan")
    return float(balanced_accuracy_score(truth, np.asarray(predictions, bool)))


def average_precision(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Mean precision over the marked faces as the threshold falls past each; NaN with one class only."""
    from sklearn.metrics import average_precision_score

    truth = np.asarray(labels, bool)
    if not truth.any() or truth.all():
        return float("nan")
    return float(average_precision_score(truth, np.asarray(scores, np.float64)))


def calibration_error(probabilities: npt.ArrayLike, truth: npt.ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error over bins of equal size (Naeini et al. 2015); NaN for fewer faces than bins."""
    x, right = np.asarray(probabilities, np.float64), np.asarray(truth, np.float64)
    if len(x) < bins:
        return float("nan")
    parts = np.array_split(np.argsort(x, kind="stable"), bins)
    return float(sum(len(part) * abs(x[part].mean() - right[part].mean()) for part in parts) / len(x))
