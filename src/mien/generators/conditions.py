"""Labels as numbers: the condition that a density over faces reads. An unknown label is zeros, its flag included."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mien.core.errors import RequestError
from mien.core.records import Labels

RACES = ("White", "Black", "Asian", "Indian", "Other")
# Attributes of the vocabulary of Kumar et al. that a crowd can be asked for, and their words on the command line.
ATTRIBUTES: Mapping[str, str] = {
    "Smiling": "smiling",
    "Eyeglasses": "eyeglasses",
    "Mustache": "mustache",
    "No Beard": "no-beard",
    "Bald": "bald",
    "Black Hair": "black-hair",
    "Brown Hair": "brown-hair",
    "Blond Hair": "blond-hair",
    "Gray Hair": "gray-hair",
    "Wearing Hat": "hat",
    "Mouth Closed": "mouth-closed",
    "Wearing Lipstick": "lipstick",
}
AGE_YEARS = (1.0, 100.0)
AGE_WAVES = 4
_AGE = 2 + 2 * AGE_WAVES
WIDTH = 2 + _AGE + 1 + len(RACES) + 2 * len(ATTRIBUTES)


def condition(labels: Labels, scores: Mapping[str, float] | None = None) -> npt.NDArray[np.float32]:
    """Labels -> WIDTH values. ``scores`` in [-1, 1] stand for attributes where given (soft labels of training)."""
    values = np.zeros(WIDTH, np.float32)
    if labels.sex is not None:
        values[0:2] = 1.0, (1.0 if labels.sex == "female" else -1.0)
    if labels.age_years is not None:
        values[2 : 2 + _AGE] = _age(labels.age_years)
    place = 2 + _AGE
    if labels.race is not None:
        if labels.race not in RACES:
            raise RequestError(f"race: '{labels.race}' given; allowed: {', '.join(RACES)}")
        values[place] = 1.0
        values[place + 1 + RACES.index(labels.race)] = 1.0
    place += 1 + len(RACES)
    given = {name: (1.0 if wanted else -1.0) for name, wanted in labels.attributes.items() if name in ATTRIBUTES}
    given |= dict(scores or {})
    for number, name in enumerate(ATTRIBUTES):
        if name in given:
            values[place + 2 * number : place + 2 * number + 2] = 1.0, given[name]
    return values


# Where each label lies, so that training can drop them one by one.
GROUPS: tuple[slice, ...] = (
    slice(0, 2),
    slice(2, 2 + _AGE),
    slice(2 + _AGE, 3 + _AGE + len(RACES)),
    *(slice(k, k + 2) for k in range(3 + _AGE + len(RACES), WIDTH, 2)),
)


def _age(years: float) -> list[float]:
    """1, the age from -1 (birth) to 1 (100 years), and waves of it (closer together for children, by a square root)."""
    share = min(max(years, 0.0), 110.0) / 100
    rooted = math.sqrt(share)
    waves = [f(math.pi * 2.0**k * rooted) for k in range(AGE_WAVES) for f in (math.sin, math.cos)]
    return [1.0, 2 * share - 1, *waves]
