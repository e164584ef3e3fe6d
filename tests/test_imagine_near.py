"""Neighbours of a face: near it, and with one thing changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagine_tiny import NAMES, tiny_density

from mien.core.errors import RequestError
from mien.core.seeding import stream
from mien.generators.imagine.density import AGE, Condition, Float64Array
from mien.generators.imagine.near import changed, near

DENSITY = tiny_density()
FACE = DENSITY.frame.features(stream(3, "face").standard_normal((1, 5)))[0]
NOTHING = DENSITY.compile(Condition())


def test_at_closeness_one_it_is_the_same_face() -> None:
    same = near(DENSITY, FACE, NOTHING, stream(1, "near"), closeness=1)
    np.testing.assert_allclose(same, FACE, atol=1e-9)


def test_closer_is_nearer_and_each_draw_is_another() -> None:
    def distance(closeness: float) -> float:
        made = [near(DENSITY, FACE, NOTHING, stream(1, "near", k), closeness=closeness) for k in range(40)]
        assert len({tuple(each) for each in made}) == 40
        return float(np.mean([np.linalg.norm(each - FACE) for each in made]))

    far, middle, close = (distance(r) for r in (0.0, 0.7, 0.98))
    assert far > 1.2 * middle > 2 * close


def test_neighbours_of_draws_are_draws_of_the_gaussian() -> None:
    """The walk leaves a Gaussian as it is: mean and covariance of many steps are those of the component."""
    one = tiny_density(components=1)
    code = one.components.means[0] + one.components.factors[0] @ stream(2, "begin").standard_normal(5)
    features, seen = one.frame.features(code[None])[0], []
    compiled = one.compile(Condition())
    for k in range(6000):
        features = near(one, features, compiled, stream(4, "walk", k), closeness=0.5)
        seen.append(one.frame.codes(features[None])[0])
    np.testing.assert_allclose(np.mean(seen, 0), one.components.means[0], atol=0.12)
    np.testing.assert_allclose(np.cov(np.array(seen).T), one.components.covariances[0], atol=0.15)


def test_neighbours_keep_the_wish() -> None:
    condition = Condition({"Smiling": True, "Male": False})
    compiled = DENSITY.compile(condition)
    for k in range(20):
        made = near(DENSITY, FACE, compiled, stream(1, "near", k), closeness=0.8)
        scores = DENSITY.probes.scores(DENSITY.frame.codes(made[None]))[0]
        for column, low, high in zip(compiled.columns, compiled.bounds.low, compiled.bounds.high, strict=True):
            assert low - 1e-5 <= scores[column] <= high + 1e-5


def degree_of(features: Float64Array, attribute: str) -> float:
    """How far an attribute is there, on the scale of ``changed``."""
    column = DENSITY.probes.index(attribute)
    score = float(DENSITY.probes.scores(DENSITY.frame.codes(features[None]))[0][column])
    if attribute == AGE:
        return score
    absent, present = float(DENSITY.probes.absent[column]), float(DENSITY.probes.present[column])
    return (score - absent) / (present - absent)


@given(st.sampled_from([*NAMES, AGE]), st.floats(-0.2, 1.2))
def test_one_thing_comes_to_the_degree_asked_for(attribute: str, degree: float) -> None:
    after = changed(DENSITY, FACE, attribute, degree)
    assert degree_of(after, attribute) == pytest.approx(degree, abs=1e-4)


def test_what_is_there_already_changes_nothing() -> None:
    same = changed(DENSITY, FACE, "Smiling", degree_of(FACE, "Smiling"))
    np.testing.assert_allclose(same, FACE, atol=1e-9)


def test_the_rest_is_kept_better_than_by_the_density_alone() -> None:
    others = [k for k, name in enumerate(DENSITY.probes.names) if name != "Smiling"]

    def side_effects(keep: float | None) -> float:
        before, after = (
            DENSITY.probes.scores(DENSITY.frame.codes(each[None]))[0][others]
            for each in (FACE, changed(DENSITY, FACE, "Smiling", 1.5, keep=keep))
        )
        return float(np.abs(after - before).sum())

    loose, kept, tight = (side_effects(keep) for keep in (None, 1.0, 0.2))
    assert loose > kept > tight


def test_wrong_requests_say_what_is_allowed() -> None:
    with pytest.raises(RequestError, match=r"closeness: 2 given; allowed are 0 \(anybody\) to 1"):
        near(DENSITY, FACE, NOTHING, stream(1, "near"), closeness=2)
    with pytest.raises(RequestError, match="attribute: 'Bald' given; allowed: Smiling"):
        changed(DENSITY, FACE, "Bald", 1)
