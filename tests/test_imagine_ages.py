"""The packaged density makes people of the age that is asked for: read by the judge of age, which it does not know."""

from __future__ import annotations

import numpy as np
import pytest

import mien
from mien.attributes import understand_all
from mien.attributes.age_sex import AgeSexJudge
from mien.generators.imagine.density import Condition

COUNT = 12


@pytest.mark.parametrize(
    ("words", "ages_years", "low", "high"),
    [
        ("child, smiling", None, 0, 13),
        ("smiling", (5.0, 12.0), 0, 13),
        ("smiling", None, 18, 60),
        ("woman", (60.0, 80.0), 52, 85),
        ("senior, man", None, 55, 95),
    ],
)
def test_people_are_of_the_age_asked_for(
    words: str, ages_years: tuple[float, float] | None, low: float, high: float
) -> None:
    people = (
        mien.load("imagine")
        .at(128)
        .sample(Condition(understand_all(words).attributes, ages_years), count=COUNT, seed=5)
    )
    ages = AgeSexJudge.load().estimate(np.stack([person.image for person in people])).ages_years
    assert low <= float(np.median(ages)) <= high
