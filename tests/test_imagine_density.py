"""The density of faces: its likelihood, its conditions, its seeds, and its weights file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imagine_tiny import AXES, FEATURES, NAMES, tiny_density

from mien.checkpoints import load_weights
from mien.errors import RequestError, WeightsError
from mien.generators.imagine.density import AGE, FaceDensity, Wish
from mien.generators.imagine.weights import MODEL, from_tensors
from mien.seeding import sample_generator, stream
from mien.training.imagine import export_density


def full_log_density(density: FaceDensity, features: np.ndarray) -> np.ndarray:
    """By the covariance of all features, written out."""
    frame = density.frame
    each = []
    outside = np.eye(FEATURES) - frame.axes @ frame.axes.T
    for weight, mean, factor in zip(
        density.components.weights, density.components.means, density.components.factors, strict=True
    ):
        along = frame.axes * frame.scale
        covariance = along @ factor @ factor.T @ along.T + frame.rest * outside
        covariance = covariance * np.outer(frame.deviation, frame.deviation)
        off = features - (frame.mean + (along @ mean) * frame.deviation)
        _, logdet = np.linalg.slogdet(covariance)
        distance = (off * np.linalg.solve(covariance, off.T).T).sum(1)
        each.append(np.log(weight) - (distance + logdet + FEATURES * np.log(2 * np.pi)) / 2)
    return np.logaddexp.reduce(each, axis=0)


def test_the_likelihood_is_that_of_the_gaussians_written_out() -> None:
    density = tiny_density()
    features = stream(1, "features").standard_normal((20, FEATURES)) * 2
    assert density.log_density(features) == pytest.approx(full_log_density(density, features), rel=1e-8)


def test_codes_and_features_are_two_forms_of_one_thing() -> None:
    frame = tiny_density().frame
    codes = stream(2, "codes").standard_normal((7, AXES))
    assert frame.codes(frame.features(codes)) == pytest.approx(codes)


@pytest.mark.parametrize("typical", [False, True])
def test_every_draw_keeps_every_condition(typical: bool) -> None:
    density = tiny_density()
    wish = Wish({"Smiling": True, "Male": False, "Brown Hair": 0.7}, (30.0, 40.0), typical)
    plan = density.plan(wish, 0.9)
    codes = np.stack([density.draw(plan, sample_generator(3, k), 0.9) for k in range(60)])
    scores = density.probes.scores(codes)
    assert (scores[:, 0] >= 0.72 - 1e-4).all()
    assert (scores[:, 1] <= -0.72 + 1e-4).all()
    assert scores[:, 2] == pytest.approx(density.probes.level("Brown Hair", 0.7), abs=1e-4)
    assert (scores[:, density.probes.index(AGE)] >= 0.3 - 1e-4).all()
    assert (scores[:, density.probes.index(AGE)] <= 0.4 + 1e-4).all()
    assert codes.std(0).min() > 0.01, "different people"


def test_typical_faces_differ_less_in_what_was_not_mentioned() -> None:
    density = tiny_density(1)
    spreads = []
    for typical in (False, True):
        plan = density.plan(Wish({"Smiling": True}, typical=typical))
        codes = np.stack([density.draw(plan, sample_generator(1, k)) for k in range(200)])
        spreads.append(density.probes.scores(codes)[:, 3].std())
    assert spreads[1] < spreads[0] / 2


def test_unmentioned_draws_follow_the_density() -> None:
    density = tiny_density(2)
    plan = density.plan(Wish())
    codes = np.stack([density.draw(plan, sample_generator(2, k)) for k in range(4000)])
    parts = density.components
    mean = parts.weights @ parts.means
    assert codes.mean(0) == pytest.approx(mean, abs=0.08)


def test_a_face_depends_on_its_seed_index_and_wish_alone() -> None:
    density = tiny_density()
    plan = density.plan(Wish({"Smiling": True, "Eyeglasses": True}))
    again = density.plan(Wish({"Smiling": True, "Eyeglasses": True}))
    first = density.draw(plan, sample_generator(9, 4))
    density.draw(again, sample_generator(9, 0))
    assert (first == density.draw(again, sample_generator(9, 4))).all()
    assert np.abs(first - density.draw(again, sample_generator(9, 5))).max() > 0.01


def test_a_code_moves_only_as_far_as_it_must() -> None:
    density = tiny_density()
    code = density.draw(density.plan(Wish({"Smiling": True})), sample_generator(1, 1))
    kept = density.move(code, density.plan(Wish({"Smiling": True})))
    assert kept == pytest.approx(code)
    moved = density.move(code, density.plan(Wish({"Smiling": False})))
    assert density.probes.scores(moved[None])[0, 0] == pytest.approx(-0.72, abs=1e-4)


def test_moves_keep_to_the_ways_in_which_photographs_of_one_person_differ() -> None:
    density = tiny_density(1)
    person = np.linalg.qr(stream(4, "person").standard_normal((AXES, AXES))).Q[:, 0]
    within = np.eye(AXES) - 0.999 * np.outer(person, person)  # no photograph shows another person
    kept = replace(density, within=within)
    plan, other = density.plan(Wish({"Smiling": True, "Male": False})), density.plan(Wish({"Smiling": False}))
    shifts = {True: [], False: []}
    for index in range(40):
        codes = [one.draw(plan, sample_generator(3, index)) for one in (density, kept)]
        for code in codes:
            assert density.probes.scores(code[None])[0, 0] >= 0.72 - 1e-4
            assert density.probes.scores(code[None])[0, 1] <= -0.72 + 1e-4
        for one in (density, kept):
            moved = one.move(codes[0], other)
            assert density.probes.scores(moved[None])[0, 0] <= -0.72 + 1e-4
            shifts[one is kept].append(abs((moved - codes[0]) @ person))
    assert np.mean(shifts[True]) < np.mean(shifts[False]) / 2


def test_what_a_wish_leaves_open_can_be_given() -> None:
    density = tiny_density(1)
    plan = density.plan(Wish())
    free = stream(1, "free").standard_normal(AXES)
    code = density.draw(plan, sample_generator(1, 1), 0.5, free)
    assert code == pytest.approx(density.components.means[0] + 0.5 * density.components.factors[0] @ free)


def test_a_photo_keeps_what_lies_off_the_axes() -> None:
    density = tiny_density()
    features = stream(8, "photo").standard_normal(FEATURES) * 2
    plan = density.plan(Wish({"Smiling": True, "Eyeglasses": False}))
    moved = density.moved(features, plan)
    change = (moved - features) / density.frame.deviation
    assert change - density.frame.axes @ (density.frame.axes.T @ change) == pytest.approx(np.zeros(FEATURES), abs=1e-9)
    scores = density.probes.scores(density.frame.codes(moved[None]))[0]
    assert scores[0] >= 0.72 - 1e-4
    assert scores[3] <= -0.72 + 1e-4


def test_children_are_left_out_where_grown_ups_are_wanted() -> None:
    density = tiny_density()
    plan = density.plan(Wish(grown_up=True))
    assert plan.columns == (), "this density knows no children"


def test_an_unknown_attribute_is_named_with_those_allowed() -> None:
    with pytest.raises(RequestError, match="attribute: 'Hat' given; allowed: Smiling, Male"):
        tiny_density().plan(Wish({"Hat": True}))


def test_weights_come_back_as_the_same_density(tmp_path: Path) -> None:
    within = stream(2, "within").standard_normal((AXES, AXES))
    density, path = replace(tiny_density(), within=within @ within.T), tmp_path / "a.safetensors"
    export_density(path, density, {"model": MODEL, "version": "1"})
    tensors, metadata = load_weights(path, model=MODEL)
    found = from_tensors(tensors, metadata, name=str(path))
    features = stream(1, "features").standard_normal((20, FEATURES))
    assert found.log_density(features) == pytest.approx(density.log_density(features), rel=0.01, abs=0.1)
    assert found.probes.names == (*NAMES, AGE)
    assert found.within == pytest.approx(density.within, rel=1e-2, abs=1e-2)
    export_density(path, tiny_density(), {"model": MODEL, "version": "1"})
    assert from_tensors(*load_weights(path, model=MODEL), name="older").within is None
    with pytest.raises(WeightsError, match=r"a\.safetensors: not the weights of a density of faces"):
        from_tensors({}, metadata, name=str(path))
