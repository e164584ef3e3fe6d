"""The decoder's training in small: three steps of the real loop, what teaches, and what must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mien.core.errors import TrainingError
from mien.core.images import to_tensor
from mien.core.seeding import stream
from mien.datasets.views import epoch_places
from mien.faces import align
from mien.generators.decoder import Decoder, DecoderConfig
from mien.training.decoder import (
    NEAR_TAPS,
    POOL,
    TAP_CHANNELS,
    TAPS,
    DecoderTrainingConfig,
    composed,
    critic_cost,
    decoder_networks,
    decoder_phases,
    generator_cost,
    identity,
    jittered,
    perceptual,
    preview_sheet,
    train_decoder,
)
from mien.training.logbook import read_logbook
from mien.training.loop import LoopSettings
from mien.training.phases import StepInfo
from mien.training.state import initial_weights

FEATURES = 6
SIZE = 32
FRAME = np.array([[1.0, 0, SIZE // 4], [0, 1.0, SIZE // 4]])  # the inner half of every picture is its photo
CONFIG = DecoderTrainingConfig(
    decoder=DecoderConfig(features=FEATURES, style=2, trunk=8, code=8, channels=(8, 8, 8, 8), rgb_from_px=8),
    pyramid_levels=3,
    critics_from=0.34,  # of three steps: the last one or two
)


class StubEncoder(nn.Module):
    """Maps of the right names and channels from one strided convolution each."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        channels = {name: TAP_CHANNELS.get(name, 8) for name in TAPS} | {POOL: FEATURES}
        self.taps = nn.ModuleDict({name: nn.Conv2d(3, count, 4, stride=8) for name, count in channels.items()})

    def forward(self, images: Tensor, taps: Any) -> dict[str, Tensor]:
        maps = {name: self.taps[name](images) for name in taps if name != "embedding"}
        if POOL not in taps:
            return maps
        pooled = maps[POOL].mean((2, 3))
        found = maps | {POOL: pooled}
        return found | {"embedding": self.embed(pooled)} if "embedding" in taps else found

    def embed(self, pooled: Tensor) -> Tensor:
        return nn.functional.normalize(pooled[:, ::2])


def batch_at(step: int, count: int = 4) -> dict[str, Any]:
    draws = stream(0, "toy", step)
    pictures = draws.integers(0, 256, (2, count, SIZE, SIZE, 3)).astype(np.uint8)
    mask = np.ones((count, 1, SIZE, SIZE), np.float32)
    mask[:, :, :, : SIZE // 4] = 0
    features = draws.normal(size=(count, FEATURES)).astype(np.float32)
    crop = np.stack([align.mirrored_from(FRAME, SIZE // 2, SIZE // 2, SIZE)] * count)
    return {
        "shown": pictures[0], "wanted": pictures[1], "mask": mask, "features": features, "shared": {},
        "shown_from": crop, "wanted_from": crop,
    }  # fmt: skip


def settings(steps: int = 3, **more: Any) -> LoopSettings:
    values = {"batch_size": 4, "device": "cpu", "threads": 1, "log_every": 1, "preview_every": 2}
    return LoopSettings.make({"steps": steps, "tensorboard": False, "progress": False} | values | more)


def known_features() -> np.ndarray:
    return stream(0, "features").normal(2, 3, (50, FEATURES)).astype(np.float16)


def run(folder: Path, **more: Any) -> Any:
    preview = batch_at(99, 5)
    known = known_features()
    return train_decoder(batch_at, known, StubEncoder(), folder, CONFIG, settings(**more), preview=preview)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder)


def test_three_steps_of_the_real_loop(trained: tuple[Path, Any]) -> None:
    folder, outcome = trained
    assert (outcome.step, outcome.finished, outcome.images) == (3, True, 12)
    lines = [line["losses"] for line in read_logbook(folder) if line["kind"] == "step"]
    assert len(lines) == 3
    assert all(np.isfinite(list(losses.values())).all() for losses in lines)
    wanted = {"decoder/pyramid", "decoder/perceptual", "decoder/identity", "decoder/cycle", "decoder/divergence"}
    assert wanted <= lines[0].keys()
    assert not {"decoder/features", "decoder/pixels"} & lines[0].keys()
    assert {"decoder/features", "decoder/pixels", "critics/features", "critics/pixels"} <= lines[2].keys()
    assert sorted(path.name for path in (folder / "previews").iterdir()) == [
        "preview-00000002.png", "preview-00000003.png",
    ]  # fmt: skip
    fresh = decoder_networks(CONFIG, known_features(), 0)
    for name in ("decoder", "style", "pixel_critic", "feature_critic"):
        pairs = zip(fresh[name].parameters(), outcome.shown[name].parameters(), strict=True)
        assert any(not torch.equal(old, new) for old, new in pairs), f"{name} did not learn"


def test_the_same_seed_trains_the_same_decoder(trained: tuple[Path, Any], tmp_path: Path) -> None:
    again = run(tmp_path, preview_every=1, log_every=3)
    pairs = zip(trained[1].shown["decoder"].parameters(), again.shown["decoder"].parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_the_decoder_knows_mean_and_deviation_of_the_features() -> None:
    features = stream(0, "features").normal(2, 3, (50, FEATURES)).astype(np.float16)
    features[:, 0] = 1.5  # never varies
    decoder: Any = decoder_networks(CONFIG, features, 0)["decoder"]
    assert np.allclose(decoder.mean.numpy(), features.astype(np.float64).mean(0), atol=1e-6)
    assert np.allclose(decoder.deviation.numpy()[1:], features.astype(np.float64).std(0)[1:], atol=1e-6)
    assert decoder.deviation[0] == pytest.approx(1e-3)


def test_a_step_lowers_the_cost_of_its_own_batch() -> None:
    networks = decoder_networks(CONFIG, known_features(), 0) | {"encoder": StubEncoder()}
    batch = tensors(batch_at(0))
    learned = [*networks["decoder"].parameters(), *networks["style"].parameters()]
    optimiser = torch.optim.Adam(learned, lr=3e-3)
    costs = []
    for _ in range(12):
        terms = generator_cost(CONFIG)(networks, batch, torch.Generator().manual_seed(0), StepInfo(0, 10, 0, 4, 1e-3))
        total = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        costs.append(float(total.detach()))
    assert costs[-1] < 0.97 * costs[0]


def tensors(batch: dict[str, Any]) -> dict[str, Any]:
    return {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in batch.items()}


def test_nothing_is_learned_outside_the_mask() -> None:
    wanted, mask = torch.rand(2, 3, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    made = torch.rand(2, 3, 8, 8, requires_grad=True)
    picture = composed(made, wanted, mask)
    where = mask.expand_as(made) == 1
    assert torch.equal(picture[where], made[where])
    assert torch.equal(picture[~where], wanted[~where])
    torch.randn(2, 3, 8, 8).mul(picture).square().sum().backward()
    assert made.grad is not None
    assert made.grad[~where].abs().max() == 0
    assert (made.grad[where] != 0).all()


def test_no_term_of_the_cost_looks_outside_the_mask() -> None:
    class Canvas(nn.Module):
        """A decoder that draws one learned picture, so that its gradient shows what teaches where."""

        def __init__(self) -> None:
            super().__init__()
            self.picture = nn.Parameter(torch.rand(4, 3, SIZE, SIZE) - 0.5)
            self.mean, self.deviation = torch.zeros(FEATURES), torch.ones(FEATURES)

        def noise_planes(self, count: int, generator: torch.Generator) -> list[Tensor]:
            return []

        def forward(self, features: Tensor, style: Tensor, planes: list[Tensor]) -> Tensor:
            return self.picture + 0 * style.sum()

    torch.manual_seed(0)
    networks = decoder_networks(CONFIG, known_features(), 0) | {"encoder": StubEncoder(), "decoder": Canvas()}
    photographed = CONFIG.model_copy(update={"mixed": 0.0})  # of mixed people there is no picture to mask
    batch = tensors(batch_at(0))
    info = StepInfo(9, 10, 0, 4, 1e-3)  # late: the critics speak
    for name in ("pyramid", "perceptual", "identity", "features", "pixels"):
        terms = generator_cost(photographed)(networks, batch, torch.Generator().manual_seed(0), info)
        picture: Any = networks["decoder"].picture
        picture.grad = None
        terms[name].backward()
        outside = batch["mask"].expand_as(picture) == 0
        assert picture.grad[outside].abs().max() == 0, name
        assert picture.grad[~outside].abs().max() > 0, name


def test_of_people_who_never_were_only_what_a_photo_would_show_is_judged() -> None:
    torch.manual_seed(0)
    networks = decoder_networks(CONFIG, known_features(), 0) | {"encoder": StubEncoder()}
    picture = torch.rand(6, 3, SIZE, SIZE, requires_grad=True)  # 4 of photos, 2 mixed

    class Canvas(nn.Module):
        mean, deviation = torch.zeros(FEATURES), torch.ones(FEATURES)

        def noise_planes(self, count: int, generator: torch.Generator) -> list[Tensor]:
            return []

        def forward(self, features: Tensor, style: Tensor, planes: list[Tensor]) -> Tensor:
            return picture + 0 * style.sum()

    networks["decoder"] = Canvas()
    info = StepInfo(9, 10, 0, 4, 1e-3)
    inner = slice(SIZE // 4, 3 * SIZE // 4)
    for name in ("cycle", "pixels"):
        picture.grad = None
        batch = tensors(batch_at(0))
        generator_cost(CONFIG)(networks, batch, torch.Generator().manual_seed(0), info)[name].backward()
        assert picture.grad is not None
        mixed = picture.grad[4:].abs()
        assert mixed[:, :, inner, inner].sum() == pytest.approx(float(mixed.sum()), rel=1e-6), name
        assert mixed.sum() > 0, name


def test_critics_see_what_the_generator_made_without_gradients() -> None:
    networks = decoder_networks(CONFIG, known_features(), 0) | {"encoder": StubEncoder()}
    batch = tensors(batch_at(0))
    generator_cost(CONFIG)(networks, batch, torch.Generator().manual_seed(0), StepInfo(0, 10, 0, 4, 1e-3))
    shared = batch["shared"]
    assert torch.equal(shared["wanted"], to_tensor(batch["wanted"]))
    assert not shared["made"].requires_grad
    assert set(shared["made_maps"]) == set(shared["real_maps"]) == {*TAPS, POOL}
    assert not any(value.requires_grad for value in (*shared["made_maps"].values(), *shared["real_maps"].values()))


def test_critics_look_near_by_at_people_who_never_were() -> None:
    networks = decoder_networks(CONFIG, known_features(), 0) | {"encoder": StubEncoder()}
    batch = tensors(batch_at(0))
    info = StepInfo(9, 10, 0, 4, 1e-3)
    terms = generator_cost(CONFIG)(networks, batch, torch.Generator().manual_seed(0), info)
    maps, strangers = batch["shared"]["made_maps"], round(CONFIG.mixed * 4)
    seen = {name: 4 + strangers if name in NEAR_TAPS else 4 for name in TAP_CHANNELS}
    assert {name: len(value) for name, value in maps.items()} == seen
    assert not any(value.requires_grad for value in maps.values())
    terms["features"].backward(retain_graph=True)
    judged = critic_cost(networks, batch, torch.Generator(), info)
    assert judged["features"].requires_grad
    nobody = CONFIG.model_copy(update={"mixed": 0.0})
    again = tensors(batch_at(0))
    generator_cost(nobody)(networks, again, torch.Generator().manual_seed(0), info)
    assert {len(value) for value in again["shared"]["made_maps"].values()} == {4}


def test_critics_begin_shortly_before_they_are_heard() -> None:
    config = DecoderTrainingConfig()
    decoder, critics = decoder_phases(config, 1000)
    assert (decoder.networks, critics.networks) == (("decoder", "style"), ("pixel_critic", "feature_critic"))
    assert critics.start == 30  # a little less than 0.05 of the run
    assert decoder.learning_rate(399) == 1e-3
    assert decoder.learning_rate(1000) < 1e-5
    assert decoder_phases(DecoderTrainingConfig(critics_from=0.0), 1000)[1].start == 0


def test_perceptual_distance_is_relative_and_zero_for_equals() -> None:
    real = {name: torch.randn(2, 4, 3, 3) for name in TAPS}
    assert perceptual(real, real) == 0
    far = {name: 2 * value for name, value in real.items()}
    assert float(perceptual(far, real)) == pytest.approx(1.0, rel=1e-5)
    loud = {name: 100 * value for name, value in real.items()}
    assert float(perceptual({n: 2 * v for n, v in loud.items()}, loud)) == pytest.approx(1.0, rel=1e-5)


def test_identity_is_the_angle_between_standardised_features() -> None:
    mean, deviation = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 0.5])
    made = mean + deviation * torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    real = mean + deviation * torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    assert float(identity(made, made, mean, deviation)) == pytest.approx(0, abs=1e-6)
    assert float(identity(made, real, mean, deviation)) == pytest.approx((0 + 1 - 0.5**0.5) / 2, rel=1e-5)
    assert float(identity(made, 2 * mean - made, mean, deviation)) == pytest.approx(2, rel=1e-5)


def test_a_run_starts_with_the_networks_of_another(trained: tuple[Path, Any], tmp_path: Path) -> None:
    folder, outcome = trained
    weights, images = initial_weights(folder)
    assert images == 12
    wider = CONFIG.model_copy(update={"decoder": CONFIG.decoder.model_copy(update={"trunk": 9})})
    for config, same in ((CONFIG, True), (wider, False)):
        started = decoder_networks(config, known_features(), 5, weights)
        averaged = outcome.shown["decoder"].state_dict()
        first = started["decoder"].state_dict()["trunk.0.weight"]
        assert (first.shape == averaged["trunk.0.weight"].shape) is same
        last = started["decoder"].state_dict()["blocks.0.conv1.weight"]  # fits either way
        assert torch.equal(last, averaged["blocks.0.conv1.weight"])
    assert (folder / "run.json").is_file()
    with pytest.raises(TrainingError, match="no checkpoint to start from"):
        initial_weights(tmp_path)


def test_jitter_resizes_and_rolls() -> None:
    image = torch.zeros(1, 3, 16, 16)
    image[:, :, 5, 7] = 1
    moved = jittered(image, 16, (2, -3))
    assert moved[0, 0, 7, 4] == 1
    assert moved.sum() == 3
    assert jittered(image, 24, (0, 0)).shape == (1, 3, 24, 24)


def test_the_preview_shows_pairs() -> None:
    networks = decoder_networks(CONFIG, known_features(), 0)
    batch = batch_at(3, 5)
    page = preview_sheet(batch, columns=4)(networks, 0)
    assert page.shape == (3 * (SIZE + 2) + 2, 4 * (SIZE + 2) + 2, 3)
    assert np.array_equal(page[2 : 2 + SIZE, 2 : 2 + SIZE], batch["shown"][0])
    assert np.array_equal(page, preview_sheet(batch, columns=4)(networks, 7))
    assert isinstance(networks["decoder"], Decoder)


@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 1000))
def test_every_epoch_is_one_permutation(count: int, epoch: int, seed: int) -> None:
    places = epoch_places(count, epoch * count, count, seed)
    assert sorted(places.tolist()) == list(range(count))


@given(
    st.integers(1, 30), st.integers(0, 100), st.lists(st.integers(1, 17), min_size=1, max_size=6), st.integers(0, 99)
)
def test_places_do_not_depend_on_the_batch_size(count: int, first: int, sizes: list[int], seed: int) -> None:
    whole = epoch_places(count, first, sum(sizes), seed)
    assert len(whole) == sum(sizes)
    parts, at = [], first
    for size in sizes:
        parts.append(epoch_places(count, at, size, seed))
        at += size
    assert np.array_equal(np.concatenate(parts), whole)


def test_epochs_and_seeds_differ() -> None:
    first, second = epoch_places(50, 0, 50, 1), epoch_places(50, 50, 50, 1)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, epoch_places(50, 0, 50, 2))
