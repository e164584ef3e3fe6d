"""The paper's mixture: equations 2 to 4, the gradient by differences, descent against the closed form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import review_tiny
import torch
from hypothesis import given
from hypothesis import strategies as st

from mien.attributes.vocabulary import NAMES, WOMAN
from mien.core.checkpoints import load_weights, save_weights
from mien.core.errors import DatasetError, RequestError, TooFewError, WeightsError
from mien.core.seeding import stream
from mien.datasets.catalog import CatalogRow
from mien.papers.deepface_2016.mixture import (
    HIGH_RATE,
    ClassMixture,
    DiagonalMoments,
    Gaussians,
    GaussianSums,
    ImageSums,
    choose_sets,
    learn_weights,
    together,
)
from mien.papers.deepface_2016.mixture_weights import MODEL, from_tensors, to_tensors
from mien.pipelines.imagine import names_of
from mien.pipelines.train.mixture import fit_mixture_preset, marks_of, stored_error
from mien.pipelines.train.request import TrainRequest
from mien.pipelines.train.settings import MixtureSettings

IMAGES, WIDTH, ATTRIBUTES = 60, 7, 4
PENALTY = 0.01
DRAWS = stream(11, "mixture")
HAS = DRAWS.random((IMAGES, ATTRIBUTES)) < 0.5
MEANS = DRAWS.standard_normal((ATTRIBUTES, WIDTH)) + 1
ACTIVATIONS = HAS @ MEANS + DRAWS.standard_normal((IMAGES, WIDTH)) / 2


def by_equation_3(weights: np.ndarray) -> float:
    """Equations 3 and 4, image by image."""
    total, images = 0.0, 0
    for activations, has in zip(ACTIVATIONS, HAS, strict=True):
        if has.any():
            phi = sum(weights[j] * MEANS[j] for j in np.flatnonzero(has)) / has.sum()
            total += float(((activations - phi) ** 2).sum())
            images += 1
    return total / images + PENALTY * float(weights @ weights)


def sums_of(batches: int) -> list[Any]:
    parts = [ImageSums.empty(ATTRIBUTES, WIDTH).add(ACTIVATIONS[k::batches], HAS[k::batches]) for k in range(batches)]
    return [part.weight_sums(MEANS) for part in parts]


def test_the_sums_give_equation_3_as_printed() -> None:
    for _ in range(5):
        weights = DRAWS.standard_normal(ATTRIBUTES) * 3
        assert together(sums_of(3)).loss(weights, PENALTY) == pytest.approx(by_equation_3(weights), rel=1e-10)


def test_the_analytic_gradient_is_the_numerical_one() -> None:
    whole, step = together(sums_of(1)), 1e-6
    weights = DRAWS.standard_normal(ATTRIBUTES)
    numerical = [
        (by_equation_3(weights + step * unit) - by_equation_3(weights - step * unit)) / (2 * step)
        for unit in np.eye(ATTRIBUTES)
    ]
    assert whole.gradient(weights, PENALTY) == pytest.approx(numerical, rel=1e-6)


def test_descent_and_the_closed_form_agree() -> None:
    whole = sums_of(1)
    closed = whole[0].ridge(PENALTY)
    assert whole[0].gradient(closed, PENALTY) == pytest.approx(np.zeros(ATTRIBUTES), abs=1e-10)
    learned = learn_weights(whole, penalty=PENALTY, steps=4000, first_rate=HIGH_RATE)
    assert learned.weights == pytest.approx(closed, abs=1e-6)
    assert learned.losses[-1] == pytest.approx(whole[0].loss(closed, PENALTY))


def test_the_learning_rate_is_searched_downward_until_the_loss_falls() -> None:
    learned = learn_weights(sums_of(1), penalty=PENALTY, steps=200, first_rate=1e6)
    assert learned.rate < 1
    assert learned.losses[-1] < learned.losses[0]
    assert learned.rate * 10 > 0.5 / np.linalg.eigvalsh(sums_of(1)[0].gram / IMAGES).max(), "not needlessly low"


def test_the_search_begins_where_the_paper_begins() -> None:
    """Section 5.2: 1e-6, which falls here at once, and hardly moves."""
    printed = learn_weights(sums_of(1), steps=200)
    assert printed.rate == 1e-6
    assert printed.losses[-1] < printed.losses[0] < printed.losses[-1] * 1.01


def test_descent_in_batches_ends_near_the_closed_form() -> None:
    batches = sums_of(6)
    whole = together(batches)
    closed, best = whole.ridge(PENALTY), whole.loss(whole.ridge(PENALTY), PENALTY)
    learned = learn_weights(batches, penalty=PENALTY, steps=2000, first_rate=HIGH_RATE)
    begin = whole.loss(np.ones(ATTRIBUTES), PENALTY)
    assert whole.loss(learned.weights, PENALTY) - best < 0.05 * (begin - best)
    assert np.abs(learned.weights - closed).max() < 0.5


@given(st.integers(1, 59), st.floats(-1e6, 1e6))
def test_moments_do_not_depend_on_the_batches(cut: int, far: float) -> None:
    rows = ACTIVATIONS + far
    found = DiagonalMoments.empty(WIDTH).add(rows[:cut]).add(rows[cut:])
    assert found.mean == pytest.approx(rows.mean(0), rel=1e-12)
    assert found.variance() == pytest.approx(rows.var(0, ddof=1), rel=1e-4)


def test_a_variance_of_one_row_is_refused() -> None:
    with pytest.raises(TooFewError, match="1 rows, needed are 2"):
        DiagonalMoments.empty(2).add(np.ones((1, 2))).variance()


def test_the_sets_are_of_one_size_and_of_images_that_have_the_attribute() -> None:
    rare = HAS.copy()
    rare[5:, 3] = False
    sets = choose_sets(rare, 8, seed=1)
    assert set(sets) == {0, 1, 2}, "too few images have the last"
    for column, rows in sets.items():
        assert len(set(rows.tolist())) == 8
        assert rare[rows, column].all()
    assert all((choose_sets(rare, 8, seed=1)[k] == sets[k]).all() for k in sets)


def test_the_gaussians_are_those_of_the_sets() -> None:
    sets = choose_sets(HAS, 8, seed=1)
    collected = GaussianSums(sets, WIDTH)
    for first in range(0, IMAGES, 7):
        rows = np.arange(first, min(first + 7, IMAGES))
        collected.add(rows, ACTIVATIONS[rows])
    found = collected.gaussians(("a", "b", "c", "d"))
    for place, column in enumerate(sets):
        assert found.names[place] == "abcd"[column]
        assert found.means[place] == pytest.approx(ACTIVATIONS[sets[column]].mean(0))
        assert found.variances[place] == pytest.approx(ACTIVATIONS[sets[column]].var(0, ddof=1))


MIXTURE = ClassMixture(
    Gaussians(("a", "b", "c", "d"), MEANS, np.abs(MEANS) + 0.1), np.array([0.5, 1.0, 1.5, 2.0]), "pool", (WIDTH,)
)


def test_targets_by_means_and_by_samples_follow_equation_2() -> None:
    means = MIXTURE.target(["b", "d"])
    assert means == pytest.approx((1.0 * MEANS[1] + 2.0 * MEANS[3]) / 2)
    draws = stream(1, "samples")
    samples = np.stack([MIXTURE.target(["b", "d"], draws) for _ in range(20_000)])
    assert samples.mean(0) == pytest.approx(means, abs=0.05)
    variance = (1.0 * MIXTURE.gaussians.variances[1] + 4.0 * MIXTURE.gaussians.variances[3]) / 4
    assert samples.var(0) == pytest.approx(variance, rel=0.05)
    log_density = MIXTURE.log_density(samples[:1], ["b", "d"])
    by_hand = -(((samples[0] - means) ** 2 / variance) + np.log(2 * np.pi * variance)).sum() / 2
    assert log_density == pytest.approx([by_hand])


def test_a_woman_is_another_target_than_nobody_in_particular_and_is_refused_where_none_was_learned() -> None:
    """`imagine "smiling, woman" --preset paper` gave the faces of "smiling"."""
    faces = [
        CatalogRow(id=str(k), source="s", key=str(k), licence="none", sex=sex, attributes_present=present)
        for k, (sex, present) in enumerate([("female", ("Smiling",)), ("male", ("Male",)), (None, ("Smiling",))])
    ]
    marks = dict(zip((*NAMES, WOMAN), marks_of(faces).T.tolist(), strict=True))
    assert marks[WOMAN] == [True, False, False], "who is not marked Male may be unsure"
    assert marks["Male"] == [False, True, False]
    learned = replace(MIXTURE, gaussians=replace(MIXTURE.gaussians, names=("Smiling", "Male", WOMAN, "Bald")))
    smiling, woman = (names_of(wanted, "mixture") for wanted in ({"Smiling": True}, {"Smiling": True, "Male": False}))
    assert np.abs(learned.target(smiling) - learned.target(woman)).max() > 0.1
    unlearned = replace(MIXTURE, gaussians=replace(MIXTURE.gaussians, names=("Smiling", "Male", "Hat", "Bald")))
    with pytest.raises(RequestError, match="'female' given, for which there were too few photos"):
        unlearned.target(woman)
    with pytest.raises(RequestError, match="'Bald' given with a strength or denied"):
        names_of({"Male": False, "Bald": False}, "mixture")


@pytest.mark.parametrize(("names", "message"), [([], "none given"), (["e"], "'e' given, for which")])
def test_sets_that_it_cannot_serve_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        MIXTURE.target(names)


def test_weights_come_back_as_the_same_mixture(tmp_path: Path) -> None:
    tensors, described = to_tensors(MIXTURE)
    path = tmp_path / "a.safetensors"
    save_weights(path, tensors, {"model": MODEL, "version": "1", **described})
    found = from_tensors(*load_weights(path, model=MODEL), name=str(path))
    assert found.layer == "pool"
    assert found.target(["a", "c"]) == pytest.approx(MIXTURE.target(["a", "c"]), rel=1e-5)
    with pytest.raises(WeightsError, match="not the weights of the paper's mixture"):
        from_tensors({}, described, name="b")


def test_a_wide_layer_is_kept_by_its_directions_a_byte_a_number(tmp_path: Path) -> None:
    """What tells attributes apart comes back; 60 of them differ in 20 ways here, in 8,192 numbers."""
    draws = stream(4, "wide")
    means = 1 + draws.standard_normal((60, 20)) @ draws.standard_normal((20, 8192))
    deviations = 2 + draws.random((60, 1)) * draws.random(8192)
    wide = ClassMixture(Gaussians(tuple(map(str, range(60))), means, deviations**2), np.ones(60), "l", (2, 64, 64))
    tensors, described = to_tensors(wide)
    path = tmp_path / "wide.safetensors"
    save_weights(path, tensors, {"model": MODEL, "version": "1", **described}, dtype=torch.float16)
    assert path.stat().st_size < 60 * 8192 * 2  # bytes: of the means alone in fp16
    found = from_tensors(*load_weights(path, model=MODEL), name=str(path)).gaussians
    assert ((found.means - means) ** 2).mean() < 0.001 * means.var(0).mean()
    assert found.variances == pytest.approx(deviations**2, rel=0.05)
    assert stored_error(wide.gaussians, tensors, described, 100) < 0.2


def test_a_dataset_without_attributes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    review_tiny.write(tmp_path / "faces", [np.full((64, 64, 3), 90, np.uint8)], [{"sex": "female", "age_years": 20.0}])
    monkeypatch.setattr("mien.faces.encoder.load_encoder", lambda name: None)
    request = TrainRequest(data=tmp_path / "faces", out=tmp_path / "run", settings=MixtureSettings())
    with pytest.raises(DatasetError, match="no training face with attributes"):
        fit_mixture_preset(request)
