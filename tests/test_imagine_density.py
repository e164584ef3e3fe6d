"""The density of faces: its likelihood, its conditions, its seeds, and its weights file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imagine_tiny import AXES, FEATURES, NAMES, tiny_density

from mien.core.checkpoints import load_weights
from mien.core.errors import RequestError, WeightsError
from mien.core.seeding import sample_generator, stream
from mien.generators.imagine.conditional import Bounds
from mien.generators.imagine.density import AGE, Condition, FaceDensity
from mien.generators.imagine.people import SEPARATION, reduced
from mien.generators.imagine.weights import MODEL, from_tensors
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
    condition = Condition({"Smiling": True, "Male": False, "Brown Hair": 0.7}, (30.0, 40.0), typical)
    compiled = density.compile(condition, 0.9)
    codes = np.stack([density.draw(compiled, sample_generator(3, k), 0.9) for k in range(60)])
    scores = density.probes.scores(codes)
    assert compiled.bounds.low[0] > density.probes.level("Smiling", 0.6)
    assert (scores[:, 0] >= compiled.bounds.low[0] - 1e-4).all()
    assert compiled.bounds.high[1] == pytest.approx(-0.84)
    assert (scores[:, 1] <= -0.84 + 1e-4).all()
    assert scores[:, 2] == pytest.approx(density.probes.level("Brown Hair", 0.7), abs=1e-4)
    assert (scores[:, density.probes.index(AGE)] >= 0.3 - 1e-4).all()
    assert (scores[:, density.probes.index(AGE)] <= 0.4 + 1e-4).all()
    assert codes.std(0).min() > 0.01, "different people"


def test_typical_faces_differ_less_in_what_was_not_mentioned() -> None:
    density = tiny_density(1)
    spreads = []
    for typical in (False, True):
        compiled = density.compile(Condition({"Smiling": True}, typical=typical))
        codes = np.stack([density.draw(compiled, sample_generator(1, k)) for k in range(200)])
        spreads.append(density.probes.scores(codes)[:, 3].std())
    assert spreads[1] < spreads[0] / 2


def test_unmentioned_draws_follow_the_density() -> None:
    density = tiny_density(2)
    compiled = density.compile(Condition())
    codes = np.stack([density.draw(compiled, sample_generator(2, k)) for k in range(4000)])
    parts = density.components
    mean = parts.weights @ parts.means
    assert codes.mean(0) == pytest.approx(mean, abs=0.08)


def test_a_face_depends_on_its_seed_index_and_wish_alone() -> None:
    density = tiny_density()
    compiled = density.compile(Condition({"Smiling": True, "Eyeglasses": True}))
    again = density.compile(Condition({"Smiling": True, "Eyeglasses": True}))
    first = density.draw(compiled, sample_generator(9, 4))
    density.draw(again, sample_generator(9, 0))
    assert (first == density.draw(again, sample_generator(9, 4))).all()
    assert np.abs(first - density.draw(again, sample_generator(9, 5))).max() > 0.01


def test_a_code_moves_only_as_far_as_it_must() -> None:
    density = tiny_density()
    code = density.draw(density.compile(Condition({"Smiling": True})), sample_generator(1, 1))
    kept = density.move(code, density.compile(Condition({"Smiling": True})))
    assert kept == pytest.approx(code)
    other = density.compile(Condition({"Smiling": False}))
    assert other.bounds.high[0] < density.probes.level("Smiling", 0.4)
    moved = density.move(code, other)
    assert density.probes.scores(moved[None])[0, 0] == pytest.approx(other.bounds.high[0], abs=1e-4)


def told_apart() -> tuple[FaceDensity, np.ndarray]:
    """A density of one Gaussian in which one direction alone says who it is."""
    person = np.linalg.qr(stream(4, "person").standard_normal((AXES, AXES))).Q[:, :1]
    return replace(tiny_density(1), people=3 * person), person


def test_moves_change_what_is_asked_for_and_not_who_it_is() -> None:
    kept, person = told_apart()
    density = replace(kept, people=None)
    shifts: dict[bool, list[float]] = {True: [], False: []}
    for index in range(40):
        code = density.draw(density.compile(Condition({"Smiling": True})), sample_generator(3, index))
        for one in (density, kept):
            other = one.compile(Condition({"Smiling": False}))
            moved = one.move(code, other)
            assert density.probes.scores(moved[None])[0, 0] <= other.bounds.high[0] + 1e-4
            shifts[one is kept].append(abs((moved - code) @ person[:, 0]))
    assert np.mean(shifts[True]) < np.mean(shifts[False]) / 2


def test_fewer_words_move_more_freely() -> None:
    kept, person = told_apart()
    code = kept.draw(kept.compile(Condition()), sample_generator(3, 1))
    level = float(kept.probes.scores(code[None])[0, 0]) + 2  # a level counts as a word, whatever its strictness

    def change(condition: Condition) -> float:
        compiled = replace(kept.compile(condition), columns=(0,), bounds=Bounds(np.array([level]), np.array([level])))
        return float(abs((kept.move(code, compiled) - code) @ person[:, 0]))

    names = list(NAMES)
    assert change(Condition({names[0]: 0.5})) > 1.05 * change(Condition(dict.fromkeys(names, 0.5)))


def test_an_age_is_brought_about_without_keeping_the_person() -> None:
    kept, _ = told_apart()
    plain = replace(kept, people=None)
    for condition in (Condition({}, (10.0, 12.0)), Condition({"Smiling": True}, (10.0, 12.0))):
        compiled = kept.compile(condition)
        assert [compiled.columns[k] for k in compiled.of_an_age] == [kept.probes.index(AGE)]
        assert compiled.probabilities == pytest.approx(plain.compile(condition).probabilities)
    alone = Condition({}, (10.0, 12.0))
    drawn, usual = (one.draw(one.compile(alone), sample_generator(3, 1)) for one in (kept, plain))
    assert drawn == pytest.approx(usual, abs=1e-3)
    assert kept.compile(Condition({"Smiling": True}, (16.0, 99.0), adults_only=True)).of_an_age == ()


def test_people_who_share_a_wish_keep_it_and_are_more_different_people() -> None:
    kept, person = told_apart()
    condition, alike = Condition({"Smiling": True, "Eyeglasses": True}), []
    for one in (replace(kept, people=None), kept):
        compiled = one.compile(condition)
        codes = np.stack([one.draw(compiled, sample_generator(3, k)) for k in range(300)])
        scores = one.probes.scores(codes)
        assert (scores[:, [0, 3]] >= compiled.bounds.low - 1e-4).all()
        along = (codes - kept.centre) @ person[:, 0]
        alike.append(along.mean() ** 2 / (along**2).mean())  # the share of who they are that all have in common
    assert alike[1] < alike[0] / 2


def test_codes_are_wider_along_what_tells_people_apart_and_nowhere_else() -> None:
    kept, person = told_apart()
    covariance, wide = kept.components.covariances[0], kept.factors[0] @ kept.factors[0].T
    white = np.linalg.cholesky(covariance)
    along = white.T @ person / np.linalg.norm(white.T @ person)
    other = np.eye(AXES) - along @ along.T
    expected = white @ (other + SEPARATION**2 * along @ along.T) @ white.T
    assert wide == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert (replace(kept, people=None).factors == kept.components.factors).all()


@given(st.integers(0, 2**31), st.integers(1, 6))
def test_the_leading_directions_hold_the_scale_of_an_identity(seed: int, rank: int) -> None:
    draws = stream(seed, "reduced")
    root, reading = draws.standard_normal((6, 6)), draws.standard_normal((6, 9))
    pooled = root @ root.T + 0.1 * np.eye(6)
    found = reduced(reading, pooled, rank)
    assert found.shape == (6, rank)
    assert (found**2).sum() == pytest.approx(6)
    whole = reduced(reading, pooled, 6)
    assert whole @ whole.T == pytest.approx(reading @ reading.T * 6 / (reading**2).sum(), rel=1e-6, abs=1e-6)


def test_more_words_ask_for_less_of_each_but_sex_stays_plain() -> None:
    density = tiny_density()

    def degree(name: str, *others: str) -> float:
        compiled = density.compile(Condition(dict.fromkeys((name, *others), True)))
        k = density.probes.index(name)
        absent, present = density.probes.absent[k], density.probes.present[k]
        return float((compiled.bounds.low[0] - absent) / (present - absent))

    assert degree("Smiling") > degree("Smiling", "Male") > degree("Smiling", "Male", "Brown Hair")
    assert degree("Male") == pytest.approx(degree("Male", "Smiling", "Brown Hair")) == pytest.approx(1.2)
    bounds = density.compile(Condition({"Male": False, "Smiling": 0.5})).bounds
    assert bounds.high[0] == pytest.approx(density.probes.level("Male", -0.2))
    assert bounds.low[1] == bounds.high[1] == pytest.approx(density.probes.level("Smiling", 0.5))


def test_a_rare_mark_is_asked_for_more_strictly_than_a_common_one() -> None:
    density = tiny_density()
    rare, common = (
        replace(density, probes=replace(density.probes, intercepts=density.probes.intercepts + shift))
        for shift in (-0.5, 0.5)
    )
    least = [one.compile(Condition({"Smiling": True})).bounds.low[0] for one in (rare, common)]
    most = [one.compile(Condition({"Smiling": False})).bounds.high[0] for one in (rare, common)]
    assert least[0] > least[1]
    assert most[0] > most[1]


def test_what_a_wish_leaves_open_can_be_given() -> None:
    density = tiny_density(1)
    compiled = density.compile(Condition())
    free = stream(1, "free").standard_normal(AXES)
    code = density.draw(compiled, sample_generator(1, 1), 0.5, free)
    assert code == pytest.approx(density.components.means[0] + 0.5 * density.components.factors[0] @ free)


def test_a_photo_keeps_what_lies_off_the_axes() -> None:
    density = tiny_density()
    features = stream(8, "photo").standard_normal(FEATURES) * 2
    compiled = density.compile(Condition({"Smiling": True, "Eyeglasses": False}))
    moved = density.moved(features, compiled)
    change = (moved - features) / density.frame.deviation
    assert change - density.frame.axes @ (density.frame.axes.T @ change) == pytest.approx(np.zeros(FEATURES), abs=1e-9)
    scores = density.probes.scores(density.frame.codes(moved[None]))[0]
    assert scores[0] >= compiled.bounds.low[0] - 1e-4
    assert scores[3] <= compiled.bounds.high[1] + 1e-4


def test_children_are_left_out_where_grown_ups_are_wanted() -> None:
    density = tiny_density()
    compiled = density.compile(Condition(adults_only=True))
    assert compiled.columns == (), "this density knows no children"


def test_an_unknown_attribute_is_named_with_those_allowed() -> None:
    with pytest.raises(RequestError, match="attribute: 'Hat' given; allowed: Smiling, Male"):
        tiny_density().compile(Condition({"Hat": True}))


def test_weights_come_back_as_the_same_density(tmp_path: Path) -> None:
    people = stream(2, "people").standard_normal((AXES, 3))
    density, path = replace(tiny_density(), people=people), tmp_path / "a.safetensors"
    export_density(path, density, {"model": MODEL, "version": "1"})
    tensors, metadata = load_weights(path, model=MODEL)
    found = from_tensors(tensors, metadata, name=str(path))
    features = stream(1, "features").standard_normal((20, FEATURES))
    assert found.log_density(features) == pytest.approx(density.log_density(features), rel=0.01, abs=0.1)
    assert found.probes.names == (*NAMES, AGE)
    assert found.people == pytest.approx(people, rel=1e-2, abs=1e-2)
    export_density(path, tiny_density(), {"model": MODEL, "version": "1"})
    assert from_tensors(*load_weights(path, model=MODEL), name="older").people is None
    with pytest.raises(WeightsError, match=r"a\.safetensors: not the weights of a density of faces"):
        from_tensors({}, metadata, name=str(path))
