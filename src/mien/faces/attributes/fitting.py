"""The calibration of trained heads, fitted on faces that they did not learn from."""

from __future__ import annotations

import numpy as np

from mien.faces.attributes.calibration import Calibration, best_threshold, fit_line, fit_platt, fit_temperature
from mien.faces.attributes.reader import RawReadings
from mien.faces.attributes.targets import Truths, group_classes
from mien.faces.attributes.vocabulary import GROUPS, NAMES


def fit(raw: RawReadings, truths: Truths) -> Calibration:
    """Calibrate raw readings of N faces against what is known of them; what is unknown of all stays as it is."""
    marked = truths.marked
    lines = [fit_platt(raw.scores[marked, k], truths.marks[marked, k] > 0.5) for k in range(len(NAMES))]
    slope, intercept = np.array([line[0] for line in lines]), np.array([line[1] for line in lines])
    plain = Calibration(slope, intercept, 0.5 + 0 * slope, 0.5 + 0 * slope, np.ones(len(GROUPS)))
    chances, truth = plain.probabilities(raw.scores[marked]), truths.marks[marked] > 0.5
    temperature = []
    for place, logits in enumerate(raw.groups):
        classes = group_classes(truths, place)
        known = classes >= 0
        temperature.append(fit_temperature(logits[known], classes[known]))
    aged = ~np.isnan(truths.ages_years)
    age_slope, age_intercept = fit_line(raw.age_years[aged], truths.ages_years[aged])
    return Calibration(
        slope,
        intercept,
        np.array([best_threshold(chances[:, k], truth[:, k], "accuracy") for k in range(len(NAMES))]),
        np.array([best_threshold(chances[:, k], truth[:, k], "balanced") for k in range(len(NAMES))]),
        np.array(temperature),
        age_slope,
        age_intercept,
    )
