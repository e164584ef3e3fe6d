"""Caricatures are predicted from the code: the fit, what the solver tells, and that others are drawn instead."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.core.checkpoints import WEIGHTS, load_weights
from mien.core.contract import FaceRequest
from mien.generators.imagine.density import Condition
from mien.generators.painter.network import Given, PainterConfig
from mien.generators.painter.people import DENSITY, PaintedImagine, painted
from mien.generators.painter.renderer import PainterRenderer
from mien.generators.painter.sampling import sample
from mien.generators.painter.unrest import CALM, Unrest
from mien.pipelines.train.unrest import add_unrest


def test_the_log_of_a_change_is_predicted_from_codes_that_decide_it() -> None:
    draws = np.random.default_rng(0)
    codes, weights = draws.standard_normal((600, 12)), draws.standard_normal(12)
    logs = codes @ weights - 5
    found = Unrest.fit(codes, np.exp(logs + 0.1 * draws.standard_normal(600)))
    unseen = draws.standard_normal((200, 12))
    assert np.corrcoef(found.of(unseen), unseen @ weights)[0, 1] > 0.99
    assert (found.of(codes) <= found.most).mean() == pytest.approx(CALM / 100, abs=0.01)
    shuffled = Unrest.fit(codes, np.exp(draws.permutation(logs)))
    assert shuffled.of(unseen).std() < 0.3 * logs.std(), "what decides nothing predicts nothing"
    again = Unrest.read(found.tensors())
    assert again is not None
    np.testing.assert_allclose(again.of(unseen), found.of(unseen), atol=1e-4)
    assert Unrest.read({}) is None


class Restless:
    """Says another picture at every call, for the second row by twice as much."""

    config = PainterConfig(size_px=32, channels=4, code=2, conditions=1, sources=1)

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Tensor, time: Tensor, given: Given) -> Tensor:
        self.calls += 1
        return torch.tensor([1.0, 2.0])[:, None, None] * self.calls * torch.ones_like(x)


def test_the_solver_tells_how_much_the_last_step_changed() -> None:
    one, known = torch.ones(2, 1), torch.zeros(2, 2)
    given = Given(known, one, 0 * one, one, one, torch.zeros(2, dtype=torch.int64), torch.ones(2, 4), one)
    told: list[Tensor] = []
    sample(Restless(), given, torch.zeros(2, 4, 4), steps=4, on_end=told.append)  # type: ignore[arg-type]
    assert [one.tolist() for one in told] == [[1.0, 4.0]]


@pytest.fixture(scope="module", name="imagine")
def _imagine() -> PaintedImagine:
    return painted()


def test_who_would_become_a_caricature_is_drawn_again_and_nobody_else(imagine: PaintedImagine) -> None:
    condition, requests = Condition({"Smiling": True}, adults_only=True), [FaceRequest(3, k) for k in range(12)]
    renderer, before = imagine.renderer, imagine.renderer.unrest
    direction = np.random.default_rng(0).standard_normal(renderer.painter.config.code)
    try:
        renderer.unrest = None
        first = imagine.features(condition, requests)
        along = renderer.codes(first).double().numpy() @ direction
        renderer.unrest = unrest = Unrest(direction, 0.0, float(np.median(along)))
        then = imagine.features(condition, requests)
        alone = imagine.features(condition, requests[7:8])
    finally:
        renderer.unrest = before
    restless = along > unrest.most
    assert (then[~restless] == first[~restless]).all()
    assert (unrest.of(renderer.codes(then))[restless] <= along[restless]).all()
    assert (then[restless] != first[restless]).any(1).mean() > 0.7
    np.testing.assert_allclose(
        alone[0], then[7], atol=1e-6, err_msg="a face does not depend on how many others are drawn"
    )


def test_training_ends_with_it_and_changes_nothing_else_of_the_file(tmp_path: Path) -> None:
    weights, told = tmp_path / "painter.safetensors", []

    def stage(name: str) -> Callable[[int, int], None]:
        return lambda done, of: told.append((name, done, of))

    shutil.copy(WEIGHTS / "painter.safetensors", weights)
    share = add_unrest(weights, WEIGHTS / DENSITY, 24, 1, stage)
    assert share < 1
    assert told[-1] == ("faces painted", 24, 24)
    before, about = load_weights(WEIGHTS / "painter.safetensors", dtype=None)
    after, same = load_weights(weights, dtype=None)
    assert same == about
    assert set(after) == {*before, "unrest"}
    assert all(torch.equal(after[name], before[name]) for name in before if name != "unrest")
    unrest = PainterRenderer.load(weights).unrest
    assert unrest is not None
    assert -8 < unrest.most < -3, "logs of changes of tokens of about unit variance"
