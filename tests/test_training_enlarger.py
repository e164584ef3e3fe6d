"""The enlarger's training in small: what teaches and what must not, patches, resuming, the file at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mien.core.errors import DatasetError, RequestError
from mien.core.images import to_photos, to_tensor
from mien.core.seeding import stream
from mien.datasets.patches import Detailed, DetailRules, detailed, detailed_rows, native_px, patch_batches
from mien.generators.critic import MixedCritic, PatchCritic
from mien.generators.enlarger import Enlarger, EnlargerConfig, EnlargerNetwork, bicubic
from mien.training.enlarger import (
    EnlargerTrainingConfig,
    enlarger_networks,
    generator_cost,
    halved,
    held_out_gain,
    preview_sheet,
    train_enlarger,
)
from mien.training.logbook import read_logbook
from mien.training.loop import LoopSettings
from mien.training.phases import StepInfo
from mien.training.state import initial_weights

CONFIG = EnlargerTrainingConfig(
    enlarger=EnlargerConfig(channels=8, blocks=1, deep_channels=8, deep_blocks=1), critic_from=0.34
)
RULES = DetailRules(patch_px=32)


class StubEncoder(nn.Module):
    """One map from one convolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor, taps: Any) -> dict[str, Tensor]:
        return dict.fromkeys(taps, self.conv(images))


def pictures(count: int = 4, size: int = 48) -> Detailed:
    """Stripes of many widths: what bicubic interpolation blurs."""
    draws = stream(0, "stripes")
    x = np.arange(size)
    made = []
    for _ in range(count):
        wave = np.sin(x[None] * draws.uniform(0.5, 1.4) + x[:, None] * draws.uniform(0.5, 1.4))
        made.append(np.repeat((127 + 100 * np.sign(wave))[..., None], 3, 2).astype(np.uint8))
    return Detailed(tuple(made), tuple(np.ones((size // 8, size // 8), bool) for _ in made))


def drawn(count: int = 3) -> np.ndarray:
    return stream(0, "drawn").integers(0, 256, (count, 24, 24, 3)).astype(np.uint8)


def batches(share: float = 0.5, rules: DetailRules = RULES) -> Callable[[int], dict[str, Any]]:
    return patch_batches(pictures(), drawn(), 4, 0, rules, share)


def settings(steps: int = 3, **more: Any) -> LoopSettings:
    values = {"batch_size": 4, "device": "cpu", "threads": 1, "log_every": 1, "preview_every": 2}
    return LoopSettings.make({"steps": steps, "tensorboard": False, "progress": False} | values | more)


def test_batches_are_patches_with_their_halves_and_depend_on_the_step_alone() -> None:
    plain = RULES.model_copy(update={"blurred": 0.0, "noise": 0.0, "light": 0.0})
    batch = batches(rules=plain)(7)
    assert batch["large"].shape == (4, 32, 32, 3)
    assert batch["small"].shape == (4, 16, 16, 3)
    assert batch["small"].dtype == np.uint8
    assert batch["known"].tolist() == [1, 1, 0, 0]
    mean = batch["large"][:2].astype(float).reshape(2, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(mean - batch["small"][:2]).max() <= 0.5  # the half is the area average
    sources = drawn()
    for piece in batch["small"][2:]:
        windows = np.lib.stride_tricks.sliding_window_view(sources, (16, 16), (1, 2)).transpose(0, 1, 2, 4, 5, 3)
        assert (windows == piece).all((3, 4, 5)).any()  # drawn ones come as they are
    again, other = batches(rules=plain)(7), batches(rules=plain)(8)
    assert all((again[key] == batch[key]).all() for key in ("large", "small"))
    assert (other["large"] != batch["large"]).any()
    assert (patch_batches(pictures(), drawn()[:0], 4, 0, RULES, 0.5)(0)["known"] == 1).all()


def test_halves_are_degraded_but_truths_are_not() -> None:
    rules = DetailRules(patch_px=32, blurred=1.0, noise=0.0, light=0.0)
    batch = batches(0.0, rules)(0)
    mean = batch["large"].astype(float).reshape(4, 16, 2, 16, 2, 3).mean((2, 4))
    assert np.abs(mean - batch["small"]).max() > 5
    assert set(np.unique(batch["large"])) == {27, 227}  # the stripes' own two greys


@dataclass
class FakeRow:
    sharpness: float | None
    photo_height: int = 200
    photo_width: int = 200
    source: str = "a"


@dataclass
class FakeData:
    """Faces whose crops show 256 / scale px of their photos."""

    scales: list[float]
    sharp: list[float | None]
    dest: str = "DEST"
    stored_size: int = 256
    faces: list[FakeRow] = field(init=False)

    def __post_init__(self) -> None:
        self.faces = [FakeRow(value) for value in self.sharp]

    def rows(self, split: str) -> np.ndarray:
        return np.arange(len(self.scales))

    def transform(self, row: int, size: int) -> np.ndarray:
        scale = self.scales[row] * size / 256
        return np.array([[0, scale, 0.0], [-scale, 0, 200 * scale]])

    def decoded(self, rows: np.ndarray) -> np.ndarray:
        return np.zeros((len(rows), 256, 256, 3), np.uint8)


def test_faces_count_at_the_size_of_their_photos_if_they_are_sharp() -> None:
    data: Any = FakeData([0.8, 1.5, 3.0, 1.0, 1.0, 1.0], [80.0, 80.0, 80.0, 5.0, None, 5000.0])
    assert [native_px(data, row) for row in range(3)] == [256, 170, 84]
    assert detailed_rows(data, "train", DetailRules()).tolist() == [0, 1]
    assert len(detailed_rows(data, "train", DetailRules(faces=1))) == 1
    seen = detailed(data, np.array([0, 1]))
    assert [picture.shape for picture in seen.pictures] == [(256, 256, 3), (170, 170, 3)]
    assert seen.inside[0].mean() == pytest.approx((200 * 0.8 / 256) ** 2, abs=0.05)
    with pytest.raises(DatasetError, match="no sharp face in the split 'test' whose crop has 160 px"):
        detailed_rows(FakeData([3.0], [80.0]), "test", DetailRules())  # type: ignore[arg-type]


def test_faces_are_of_the_sources_that_are_asked_for_and_no_more_of_each_than_are_wanted() -> None:
    data: Any = FakeData([1.0] * 8, [80.0] * 8)
    for row, source in zip(data.faces, "aaaaabbc", strict=True):
        row.source = source
    assert detailed_rows(data, "train", DetailRules(sources=("b", "c"))).tolist() == [5, 6, 7]
    few = detailed_rows(data, "train", DetailRules(of_each=2)).tolist()
    assert [data.faces[row].source for row in few] == ["a", "a", "b", "b", "c"]
    with pytest.raises(RequestError, match="sources: 'd' given; allowed: a, b, c"):
        detailed_rows(data, "train", DetailRules(sources=("a", "d")))


def test_patches_lie_inside_the_photo_where_they_can() -> None:
    inside = np.zeros((12, 12), bool)
    inside[4:10, 4:10] = True
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[32:80, 32:80] = 200
    rules = RULES.model_copy(update={"light": 0.0, "inside": 1.0})
    batch_at = patch_batches(Detailed((picture,), (inside,)), drawn()[:0], 16, 0, rules, 0.0)
    patches = np.concatenate([batch_at(step)["large"] for step in range(4)])
    shares = (patches[..., 0] == 200).mean((1, 2))
    assert np.median(shares) > 0.7
    assert shares.mean() > 0.6  # anywhere it would be a quarter


def test_a_grown_network_begins_as_the_one_it_grew_from() -> None:
    small = EnlargerTrainingConfig(enlarger=EnlargerConfig(channels=8, blocks=1, deep_channels=8, deep_blocks=1))
    torch.manual_seed(3)
    before = enlarger_networks(small, 0)["enlarger"]
    for parameter in before.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    sizes = {"blocks": 2, "deep_blocks": 3, "fine_channels": 4}
    grown = small.model_copy(update={"enlarger": small.enlarger.model_copy(update=sizes)})
    after = enlarger_networks(grown, 1, {"enlarger": before.state_dict()})["enlarger"]
    images, noise = torch.rand(2, 3, 8, 8) * 2 - 1, torch.randn(2, 1, 16, 16)
    assert torch.allclose(after(images, noise), before(images), atol=1e-6)
    after(images, noise).square().mean().backward()
    for name in ("chance", "fine_out"):
        weight: Any = after.get_submodule(name).weight
        assert float(weight.grad.abs().max()) > 0, f"{name} learns from the first step"


def test_a_fine_stage_draws_from_noise() -> None:
    network = EnlargerNetwork(CONFIG.enlarger.model_copy(update={"fine_channels": 4}))
    for layer in (network.chance, network.fine_out):
        torch.nn.init.normal_(layer.weight, std=0.3)
    torch.nn.init.normal_(network.out.weight, std=0.3)
    small = to_tensor(stream(0, "photos").integers(0, 256, (2, 8, 8, 3)).astype(np.uint8))
    enlarger = Enlarger(network, "1")
    same = enlarger.enlarge(small)
    assert (enlarger.enlarge(small) == same).all()
    one, other = (enlarger.enlarge(small, [stream(k, "a"), stream(k, "b")]) for k in (1, 2))
    assert (one != other).flatten(1).any(1).all()
    alone = enlarger.enlarge(small[1:], [stream(1, "b")])
    assert (alone[0] == one[1]).all(), "a picture does not depend on those beside it"


def _terms(batch: dict[str, Any], step: int = 0) -> dict[str, float]:
    tensors = {key: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for key, value in batch.items()}
    networks = {**enlarger_networks(CONFIG, 0), "encoder": StubEncoder()}
    info = StepInfo(step, 3, 0, 4, 0.0)
    terms = generator_cost(CONFIG)(networks, tensors, torch.Generator(), info)
    return {name: float(term.detach()) for name, term in terms.items()}


def test_the_truth_teaches_photographs_only_and_consistency_drawn_faces_only() -> None:
    batch = batches()(0)
    terms = _terms(batch)
    assert set(terms) == {"pixels", "perceptual", "consistency"}
    assert "critic" in _terms(batch, step=2)

    truth, given = batch["large"].copy(), batch["small"].copy()
    truth[2:] = 0  # the patches of strangers beside drawn faces
    assert _terms({**batch, "large": truth})["pixels"] == terms["pixels"]
    given[:2] = 0
    assert _terms({**batch, "small": given})["consistency"] == terms["consistency"]
    assert _terms({**batch, "small": given})["pixels"] != terms["pixels"]
    made = bicubic(to_tensor(batch["small"][2:]))  # an untrained enlarger
    expected = (halved(made) - to_tensor(batch["small"][2:])).abs().mean()
    assert terms["consistency"] == pytest.approx(float(expected), rel=1e-4)


def test_a_critic_judges_from_pixels_and_from_the_encoders_maps() -> None:
    """Each of its scores from its own; the enlarger is told through the encoder, too."""
    torch.manual_seed(0)
    critic, encoder = MixedCritic((4, 8), {"2b": 4}, bounded=False).eval(), StubEncoder()
    made = torch.rand(2, 3, 32, 32, requires_grad=True)
    maps = encoder(made, ("2b",))
    pixels, seen = critic(made, maps)
    others = {"2b": encoder(torch.rand(2, 3, 32, 32), ("2b",))["2b"]}
    assert torch.equal(critic(made, others)[0], pixels)
    assert not torch.equal(critic(made, others)[1], seen)
    (slope,) = torch.autograd.grad(seen.sum(), made)
    assert slope.abs().max() > 0


def test_a_critic_that_is_not_bounded_may_score_as_high_as_it_likes() -> None:
    for bounded in (True, False):
        critic = PatchCritic((4, 8), bounded=bounded).eval()
        with torch.no_grad():
            for layer in critic.modules():
                if isinstance(layer, torch.nn.Conv2d) and layer.out_channels == 1:
                    dict(layer.named_parameters())["parametrizations.weight.original" if bounded else "weight"].mul_(
                        1000
                    )
        largest = float(critic(torch.rand(1, 3, 32, 32)).abs().max())
        assert (largest < 50) == bounded, largest


def test_it_learns_what_bicubic_blurs_and_writes_its_weights(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"critic": 0.0, "drawn_share": 0.0, "learning_rate": 3e-3})
    photo = pictures(1).pictures[0]
    encoder = StubEncoder()
    hook = held_out_gain([photo], encoder, 40)
    sheet = preview_sheet([photo], drawn(1))
    outcome = train_enlarger(
        batches(0.0, RULES.model_copy(update={"blurred": 0.0})), encoder, tmp_path, config,
        settings(120, log_every=40, preview_every=120), preview=sheet, hooks=[hook],
    )  # fmt: skip
    measured = [row["values"] for row in read_logbook(tmp_path) if row["kind"] == "measure"]
    assert len(measured) == 3
    assert measured[-1]["psnr_gain_db"] > 1
    assert measured[-1]["perceptual_ratio"] < 0.9
    assert list((tmp_path / "previews").glob("*"))
    enlarger = Enlarger.load(tmp_path / "weights.safetensors")
    assert enlarger.version == "enlarger-0k"
    assert outcome.images == 480
    small = to_photos(halved(to_tensor(photo)))
    errors = [
        np.abs(to_photos(made)[0].astype(int) - photo).mean()
        for made in (enlarger.enlarge(to_tensor(small)), bicubic(to_tensor(small)))
    ]
    assert errors[0] < 0.9 * errors[1]


def test_a_run_that_was_stopped_and_resumed_is_the_run_that_was_not(tmp_path: Path) -> None:
    def run(where: Path, steps: int, resume: bool = False) -> Any:
        return train_enlarger(batches(), StubEncoder(), where, CONFIG, settings(4, minutes=steps), resume=resume)

    whole = run(tmp_path / "whole", 60)
    halfway = tmp_path / "half"
    stopped = run(halfway, 0)  # no minutes: one step
    assert (stopped.finished, stopped.step, stopped.stopped_by) == (False, 1, "minutes")
    assert not (halfway / "weights.safetensors").exists()
    resumed = run(halfway, 60, resume=True)
    for (name, a), b in zip(
        whole.shown["enlarger"].state_dict().items(), resumed.shown["enlarger"].state_dict().values(), strict=True
    ):
        assert torch.equal(a, b), name
    assert (tmp_path / "half" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()

    weights, images = initial_weights(halfway)
    assert images == 16
    begun = enlarger_networks(CONFIG, 5, weights)
    assert torch.equal(begun["enlarger"].state_dict()["out.weight"], whole.shown["enlarger"].state_dict()["out.weight"])


def test_an_untrained_network_adds_nothing_and_learns_from_its_first_step() -> None:
    network = EnlargerNetwork(CONFIG.enlarger)
    small = torch.rand(1, 3, 8, 8) * 2 - 1
    made = network(small)
    assert torch.equal(made, bicubic(small))
    (made - 1).abs().mean().backward()
    assert float(network.out.weight.grad.abs().max()) > 0
