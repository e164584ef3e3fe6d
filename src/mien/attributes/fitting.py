"""The calibration of trained heads, fitted on faces that they did not learn from."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.attributes.calibration import Calibration, fit_line, fit_platt, fit_temperature
from mien.attributes.reader import HeadLogits
from mien.attributes.targets import FaceLabels, group_classes
from mien.attributes.vocabulary import NAMES


def fit(raw: HeadLogits, labels: FaceLabels, shares: npt.ArrayLike | None = None) -> Calibration:
    """Calibrate raw readings of N faces against what is known of them; what is unknown of all stays as it is.

    ``shares`` (73): how many photos are marked in general (in the training split, which is larger); by default, how
    many of these.
    """
    marked = labels.marked
    lines = [fit_platt(raw.scores[marked, k], labels.attributes[marked, k] > 0.5) for k in range(len(NAMES))]
    slope, intercept = np.array([line[0] for line in lines]), np.array([line[1] for line in lines])
    if shares is None:
        shares = labels.attributes[marked].mean(0) if marked.any() else np.full(len(NAMES), 0.5)
    temperature = []
    for place, logits in enumerate(raw.groups):
        classes = group_classes(labels, place)
        known = classes >= 0
        temperature.append(fit_temperature(logits[known], classes[known]))
    aged = ~np.isnan(labels.ages_years)
    age_slope, age_intercept = fit_line(raw.age_years[aged], labels.ages_years[aged])
    return Calibration(
        slope,
        intercept,
        np.full(len(NAMES), 0.5),
        np.clip(np.asarray(shares, np.float64), 1e-4, 1 - 1e-4),
        np.array(temperature),
        age_slope,
        age_intercept,
    )
