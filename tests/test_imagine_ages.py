"""The packaged density makes people of the age that is asked for: read by the judge of age, which it does not know."""

from __future__ import annotations

import numpy as np
import pytest

import mien
from mien.attributes import understand_all
from mien.attributes.age_sex import AgeSexJudge
from mien.generators.imagine.density import Condition
from mien.generators.imagine.mien import Imagine

COUNT = 8  # two batches of the painter


@pytest.fixture(scope="module")
def makes() -> Imagine:
    return mien.load("imagine").at(128)


@pytest.fixture(scope="module")
def judge() -> AgeSexJudge:
    return AgeSexJudge.load()


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
    makes: Imagine, judge: AgeSexJudge, words: str, ages_years: tuple[float, float] | None, low: float, high: float
) -> None:
    people = makes.sample(Condition(understand_all(words).attributes, ages_years), count=COUNT, seed=5)
    ages = judge.estimate(np.stack([person.image for person in people])).ages_years
    assert low <= float(np.median(ages)) <= high
