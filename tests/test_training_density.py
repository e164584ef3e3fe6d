"""The density's training: what it learns of a distribution that is known, and the parts it stands on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from crowd_tiny import CONFIG as TINY
from crowd_tiny import tiny_networks
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core.contract import FaceRequest, make
from mien.core.records import Labels
from mien.core.seeding import stream
from mien.generators.conditions import ATTRIBUTES, GROUPS, WIDTH, condition
from mien.generators.crowd.mien import MienCrowd
from mien.generators.decoder import StyleEncoder
from mien.generators.density import DensityConfig, sample
from mien.training.codes import export, frame_of, labelled_codes, soft_scores, standardised
from mien.training.density import (
    DensityTrainingConfig,
    code_batches,
    forget,
    held_out_cost,
    principal_axes,
    train_density,
)
from mien.training.logbook import read_logbook
from mien.training.loop import LoopSettings, Outcome
from mien.training.probes import balanced_weights, ridge, scores


def moons(count: int, upper: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Two half circles: the upper one where ``upper``, the lower one elsewhere (N 2)."""
    angle = draws.uniform(0, np.pi, count)
    x, y = np.cos(angle), np.sin(angle)
    points = np.where(upper[:, None], np.stack([x, y], 1), np.stack([1 - x, 0.4 - y], 1))
    return np.asarray(points + draws.normal(0, 0.05, points.shape), np.float32)


def to_moon(points: np.ndarray, upper: bool) -> np.ndarray:
    """Distance (N) of points to the middle line of one moon."""
    angle = np.linspace(0, np.pi, 200)
    x, y = np.cos(angle), np.sin(angle)
    line = np.stack([x, y], 1) if upper else np.stack([1 - x, 0.4 - y], 1)
    return np.linalg.norm(points[:, None] - line[None], axis=2).min(1)


def test_two_moons_are_learned_by_their_label(tmp_path: Path) -> None:
    draws = stream(0, "moons")
    upper = np.arange(4000) % 2 == 0
    codes = moons(4000, upper, draws)
    conditions = np.stack([condition(Labels("female")), condition(Labels("male"))])[np.where(upper, 0, 1)]
    config = DensityTrainingConfig(
        density=DensityConfig(features=2, axes=2, style=0, width=64, blocks=2, code=32),
        learning_rate=4e-3, weight_decay=0.0, dropout=0.0,
    )  # fmt: skip
    steps = LoopSettings(
        steps=300, batch_size=256, device="cpu", threads=1, tensorboard=False, progress=False, log_every=300
    )
    hook = held_out_cost(codes[:500], conditions[:500], config, 300)
    frame = (torch.eye(2), torch.ones(2))
    batches = code_batches(codes, np.zeros_like(codes), conditions, 256, 0)
    outcome = train_density(batches, frame, tmp_path, config, steps, hooks=(hook,))
    (measured,) = [line["values"]["flow"] for line in read_logbook(tmp_path) if line["kind"] == "measure"]
    assert measured < 1.1  # standing still costs about 1.9

    density: Any = outcome.shown["density"]
    noise = torch.randn(600, 2, generator=torch.Generator().manual_seed(3))
    for place, is_upper in ((0, True), (1, False)):
        asked = torch.from_numpy(conditions[[place]]).expand(600, -1)
        found = sample(density, noise, asked, guidance=1.0, steps=12).numpy()
        own, other = to_moon(found, is_upper), to_moon(found, not is_upper)
        assert (own < other).mean() > 0.93
        assert np.median(own) < 0.12
        wanted = moons(4000, np.full(4000, is_upper), draws)
        assert np.abs(found.mean(0) - wanted.mean(0)).max() < 0.15
        assert np.abs(found.std(0) - wanted.std(0)).max() < 0.15
    nothing = sample(density, noise, torch.zeros(600, WIDTH), guidance=1.0, steps=12).numpy()
    share = (to_moon(nothing, True) < to_moon(nothing, False)).mean()
    assert 0.3 < share < 0.7  # an unknown label is either


# Labels that are forgotten.


@settings(max_examples=25)
@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 2**31))
def test_labels_are_forgotten_whole(everything: float, one: float, seed: int) -> None:
    config = DensityTrainingConfig(forget_all=everything, forget_one=one)
    full = torch.rand(64, WIDTH, generator=torch.Generator().manual_seed(1)) + 0.5
    left = forget(full, config, torch.Generator().manual_seed(seed))
    for group in GROUPS:
        kept = (left[:, group] == full[:, group]).all(1)
        gone = (left[:, group] == 0).all(1)
        assert (kept ^ gone).all()


def test_labels_are_forgotten_as_often_as_said() -> None:
    config = DensityTrainingConfig(forget_all=0.2, forget_one=0.25)
    left = forget(torch.ones(20_000, WIDTH), config, torch.Generator().manual_seed(0))
    flags = torch.stack([left[:, group.start] for group in GROUPS], 1)
    assert (1 - flags.mean(0) - (1 - 0.8 * 0.75)).abs().max() < 0.02
    assert float((flags == 0).all(1).float().mean()) == pytest.approx(0.2, abs=0.01)
    kept = DensityTrainingConfig(forget_all=0.0, forget_one=0.0)
    assert forget(torch.ones(8, WIDTH), kept, torch.Generator()).min() == 1


def test_batches_carry_their_conditions_and_their_spread() -> None:
    codes = np.arange(10, dtype=np.float32)[:, None].repeat(3, 1) * 100
    spreads = np.tile(np.array([0, 1, 5], np.float32), (10, 1))
    conditions = np.arange(10, dtype=np.float32)[:, None].repeat(WIDTH, 1)
    batch_at = code_batches(codes, spreads, conditions, 3000, seed=1)
    batch = batch_at(4)
    assert np.array_equal(batch["codes"], batch_at(4)["codes"])
    assert not np.array_equal(batch["codes"], batch_at(5)["codes"])
    off = batch["codes"] - batch["condition"][:, :1] * 100
    assert np.abs(off[:, 0]).max() == 0
    assert np.allclose(off[:, 1:].std(0), [1, 5], rtol=0.06)
    assert set(batch["condition"][:, 0]) == set(range(10))


# Linear algebra, against others.


def test_principal_axes_are_those_of_the_svd() -> None:
    values = stream(0, "axes").normal(size=(200, 6)) * np.array([5, 3, 2, 1, 0.5, 0.1])
    values = (values @ np.linalg.qr(stream(1, "turn").normal(size=(6, 6)))[0]).astype(np.float32)
    axes, spread = principal_axes(values, 4)
    _, singular, right = np.linalg.svd(values.astype(np.float64), full_matrices=False)
    assert np.allclose(spread.numpy(), singular[:4] / np.sqrt(200), rtol=1e-4)
    assert np.allclose(np.abs((axes.numpy() * right[:4].T).sum(0)), 1, atol=1e-4)
    codes = values @ axes.numpy() / spread.numpy()
    assert np.allclose(codes.T @ codes / 200, np.eye(4), atol=1e-3)


def test_ridge_is_that_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    draws = stream(0, "ridge")
    features = draws.normal(size=(120, 5)).astype(np.float32)
    targets = np.sign(draws.normal(size=(120, 2)) + features[:, :2]).astype(np.float32)
    weights = draws.uniform(0, 2, (120, 2)).astype(np.float32)
    weights[:20, 0] = 0  # unknown
    found = ridge(features, targets, weights, penalty=0.3)
    assert found.shape == (6, 2)
    for column in range(2):
        weight = weights[:, column]
        other = linear_model.Ridge(alpha=0.3 * float(weight.sum())).fit(features, targets[:, column], weight)
        assert np.allclose(found[:-1, column], other.coef_, atol=1e-4)
        assert found[-1, column] == pytest.approx(other.intercept_, abs=1e-4)
    assert np.abs(scores(features * 100, found)).max() == 1


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_both_sides_weigh_the_same(rows: list[tuple[bool, bool]]) -> None:
    present, known = (np.array([row[k] for row in rows])[:, None] for k in (0, 1))
    weights = balanced_weights(present, known)
    assert weights[~known].sum() == 0
    for side in (present & known, ~present & known):
        assert weights[side].sum() == pytest.approx(len(rows) / 2 if side.any() else 0, rel=1e-5)


# Codes of a set of views.


@dataclass(frozen=True)
class StubFace:
    sex: str | None = None
    age_years: float | None = None
    race: str | None = None
    attributes_present: tuple[str, ...] = ()
    attributes_absent: tuple[str, ...] = ()


@dataclass(frozen=True)
class StubViews:
    faces: list[StubFace]
    features: np.ndarray
    pixels: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.faces)

    def face(self, place: int) -> StubFace:
        return self.faces[place]

    def shown(self, places: np.ndarray) -> np.ndarray:
        return self.pixels[places]


COUNT = 140  # more than one block


@pytest.fixture
def views() -> StubViews:
    draws = stream(0, "views")
    features = draws.normal(1, 2, (COUNT, 12)).astype(np.float16)
    faces = [StubFace("female" if k % 2 else "male", float(k % 90 + 1)) for k in range(COUNT)]
    for k in range(100):  # the first hundred are marked: they smile where the first feature is high
        marked = ("Smiling",) if features[k, 0] > 1 else ()
        faces[k] = StubFace("female", 30.0, attributes_present=marked, attributes_absent=("Bald",))
    return StubViews(faces, features, draws.integers(0, 256, (COUNT, 32, 32, 3)).astype(np.uint8))


def networks() -> dict[str, Any]:
    decoder, _ = tiny_networks()
    decoder.mean.fill_(1.0)
    decoder.deviation.fill_(2.0)
    return {"decoder": decoder, "style": StyleEncoder(TINY.decoder).eval()}


def test_codes_of_views_keep_their_order_and_labels(views: StubViews) -> None:
    made = networks()
    frame = frame_of(made["decoder"], views.features, TINY.density)
    scored = soft_scores(made["decoder"], views)
    told: list[tuple[int, int]] = []
    codes = labelled_codes(made, views, frame, scored, lambda done, of: told.append((done, of)))
    size = TINY.density.size
    assert codes.codes.shape == codes.spreads.shape == (COUNT, size)
    assert codes.conditions.shape == (COUNT, WIDTH)
    assert told[-1] == (COUNT, COUNT)
    values = standardised(made["decoder"], views.features)
    assert np.allclose(values, (views.features.astype(np.float32) - 1) / 2)
    axes = TINY.density.axes
    assert np.allclose(codes.codes[:, :axes], values @ frame[0].numpy() / frame[1].numpy(), atol=1e-4)
    assert (codes.spreads[:, :axes] == 0).all()
    assert (codes.spreads[:, axes:] > 0).all()
    place = 131
    expected = condition(Labels("female", float(place % 90 + 1)))
    assert np.array_equal(codes.conditions[place, : GROUPS[3].start], expected[: GROUPS[3].start])


def test_smiles_are_guessed_from_the_faces_that_are_marked(views: StubViews) -> None:
    decoder = networks()["decoder"]
    values = standardised(decoder, views.features[100:])
    guessed = soft_scores(decoder, views)(values)[:, list(ATTRIBUTES).index("Smiling")]
    smiles = views.features[100:, 0] > 1
    assert ((guessed > 0) == smiles).mean() > 0.85
    assert np.abs(guessed).max() <= 1
    unmarked = StubViews([StubFace()] * COUNT, views.features, views.pixels)
    assert not soft_scores(decoder, unmarked)(values).any()


def test_the_exported_file_makes_faces(tmp_path: Path) -> None:
    decoder, density = tiny_networks()
    done = Outcome(1, True, None, {"decoder": decoder}, 12_345), Outcome(1, True, None, {"density": density}, 6_000)
    export(tmp_path / "weights.safetensors", *done, {"data": "abc"})
    crowd = MienCrowd.load(tmp_path / "weights.safetensors")
    assert crowd.version == "crowd-mien-12k-6k"
    (face,) = make(crowd, [FaceRequest(1, 0)])
    assert face.image.shape == (32, 32, 3)
    for loaded, saved in zip(crowd.decoder.parameters(), decoder.parameters(), strict=True):
        assert torch.allclose(loaded.float(), saved, rtol=5e-3, atol=2e-3)  # sampling is in bfloat16 where it is fast
