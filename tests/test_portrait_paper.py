"""The thesis's networks: the shapes of its tables, what flows where; and its training in small, resumed exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mien.core.errors import RequestError, WeightsError
from mien.core.seeding import stream
from mien.papers.frontal_wang_2019.losses import FRAME_PX
from mien.papers.frontal_wang_2019.networks import (
    FrontalConfig,
    FrontalDiscriminator,
    PaperPortrait,
    PortraitDecoder,
    composed,
)
from mien.training.logbook import read_logbook
from mien.training.loop import LoopSettings
from mien.training.phases import StepInfo
from mien.training.portrait_paper import (
    PortraitPaperConfig,
    canonical_warp,
    generator_cost,
    in_pixels,
    portrait_networks,
    portrait_phases,
    train_portrait,
)

TINY = FrontalConfig(features=6, first_px=2, channels=(12, 8, 6, 4, 3), discriminator=(4, 4, 4, 4))  # 32 px
CONFIG = PortraitPaperConfig(networks=TINY, warm_images=0, mask_from_images=200_000)


def test_table_3_1_and_figure_3_3() -> None:
    """Two fully connected layers of 4800, six stages, 320 x 320 x 3 in [-1, 1], a mask in [0, 1]."""
    decoder = PortraitDecoder(FrontalConfig()).eval()
    shapes: list[tuple[int, ...]] = []
    for stage in decoder.stages:
        stage.register_forward_hook(lambda module, given, made: shapes.append(tuple(made.shape[1:])))
    with torch.no_grad():
        drawn = decoder(torch.randn(2, 1792, generator=torch.Generator().manual_seed(0)))
    assert (decoder.fc1.weight.shape, decoder.fc2.weight.shape) == ((4800, 1792), (4800, 4800))
    sizes = [(96, 10), (48, 20), (24, 40), (12, 80), (6, 160), (3, 320)]
    assert shapes == [(channels, side, side) for channels, side in sizes]
    assert (drawn.noisy.shape, drawn.mask.shape) == ((2, 3, 320, 320), (2, 1, 320, 320))
    assert float(drawn.noisy.abs().max()) <= 1
    assert 0 <= float(drawn.mask.min()) <= float(drawn.mask.max()) <= 1
    assert torch.allclose(drawn.output, drawn.mask * drawn.noisy + (1 - drawn.mask), atol=1e-6)


def test_table_3_2() -> None:
    judge = FrontalDiscriminator(FrontalConfig())
    convolutions = [m for m in judge.modules() if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.stride[0]) for c in convolutions] == [
        (32, 1), (32, 2), (64, 1), (64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (1, 1),
    ]  # fmt: skip
    with torch.no_grad():
        assert judge(torch.zeros(1, 3, 320, 320)).shape == (1, 1, 20, 20)
    assert not isinstance(list(judge.modules())[-1], nn.LeakyReLU)  # a score of -1 costs no more than one of 1


def test_the_mask_leaves_at_the_80_px_tensor() -> None:
    """Stages after the branch do not move the mask; stages before it do."""
    torch.manual_seed(0)  # of 200 first values so small a mask does not move at all in 12
    decoder = PortraitDecoder(FrontalConfig(features=6, first_px=5, channels=(8, 6, 5, 4, 4, 3, 3))).eval()
    features = torch.randn(1, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = decoder(features)
        decoder.get_parameter("stages.4.up.bias").add_(1.0)
        after = decoder(features)
        assert torch.equal(before.mask, after.mask)
        assert not torch.equal(before.noisy, after.noisy)
        decoder.get_parameter("stages.3.up.weight").mul_(-1.0)
        assert not torch.equal(decoder(features).mask, before.mask)
    assert decoder.mask_stages is not None
    assert len(decoder.mask_stages) == 2


def test_a_background_is_laid_under_the_mask() -> None:
    noisy, mask = torch.full((1, 3, 1, 2), -1.0), torch.tensor([[[[1.0, 0.25]]]])
    assert composed(noisy, mask)[0, 0].tolist() == [[-1.0, 0.5]]
    assert composed(noisy, mask, background=-1.0)[0, 0].tolist() == [[-1.0, -1.0]]


def test_sizes_are_multiples_of_64() -> None:
    assert FrontalConfig.of_size(320) == FrontalConfig()
    assert FrontalConfig.of_size(128).size_px == 128
    with pytest.raises(RequestError, match="--size: 100 given; allowed are multiples of 64"):
        FrontalConfig.of_size(100)
    with pytest.raises(RequestError, match="wanted N 6"):
        PortraitDecoder(TINY)(torch.zeros(1, 7))


class StubEncoder(nn.Module):
    """A unit vector of the picture."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Conv2d(3, 5, 8, stride=8)

    def forward(self, images: Tensor, taps: Any) -> dict[str, Tensor]:
        return dict.fromkeys(taps, nn.functional.normalize(self.layer(images).float().mean((2, 3)), dim=1))


class StubLandmarks(nn.Module):
    """68 points that move with the picture."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.layer = nn.Linear(3 * 16, 68 * 3)

    def forward(self, crops: Tensor) -> Tensor:
        small = nn.functional.adaptive_avg_pool2d(crops.float(), 4).flatten(1)
        points: Tensor = self.layer(small).reshape(-1, 68, 3)
        return points * 8 + crops.shape[-1] / 2


def batch_at(step: int, count: int = 4) -> dict[str, Any]:
    draws = stream(0, "toy", step)
    known = np.ones((count, 1, 32, 32), np.float32)
    known[:, :, 28:] = 0
    embedding = draws.normal(size=(count, 5)).astype(np.float32)
    return {
        "photo": draws.integers(0, 256, (count, 32, 32, 3)).astype(np.uint8),
        "known": known,
        "features": draws.normal(size=(count, 6)).astype(np.float32),
        "embedding": embedding / np.linalg.norm(embedding, axis=1, keepdims=True),
        "landmarks": draws.uniform(0, FRAME_PX, (count, 68, 3)).astype(np.float32),
        "shared": {},
    }


def settings(**values: Any) -> LoopSettings:
    plain = {"batch_size": 4, "seed": 3, "device": "cpu", "tensorboard": False, "progress": False, "log_every": 1}
    return LoopSettings.make({"steps": 5, "preview_every": 3, **plain, **values})


def run(folder: Path, config: PortraitPaperConfig = CONFIG, *, resume: bool = False, **values: Any) -> Any:
    return train_portrait(
        batch_at, StubEncoder(), StubLandmarks(), folder, config, settings(**values),
        preview=batch_at(99), resume=resume,
    )  # fmt: skip


def test_a_run_trains_previews_and_exports(tmp_path: Path) -> None:
    outcome = run(tmp_path / "run")
    assert outcome.finished
    lines = [line for line in read_logbook(tmp_path / "run") if line["kind"] == "step"]
    assert {name.split("/")[1] for name in lines[0]["losses"] if name.startswith("decoder/")} == {
        "landmark geometry", "landmark symmetry", "landmark tilt", "landmark expression",
        "texture", "identity", "mask", "adversarial", "total",
    }  # fmt: skip
    assert list((tmp_path / "run").rglob("preview-*.png"))
    portrait = PaperPortrait.load(tmp_path / "run" / "weights.safetensors")
    features = torch.from_numpy(batch_at(7)["features"])
    with torch.no_grad():
        ours = outcome.shown["decoder"](features)
    theirs = portrait.draw(features)
    assert portrait.size_px == 32
    assert torch.allclose(ours.output, theirs.output, atol=0.05)
    with pytest.raises(WeightsError):
        PaperPortrait.load(tmp_path / "run" / "nothing.safetensors")


def test_a_resumed_run_is_the_run_that_was_never_stopped(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", steps=6)
    run(tmp_path / "parts", steps=3)
    parts = run(tmp_path / "parts", steps=6, resume=True)
    for name in ("decoder", "discriminator"):
        for one, other in zip(
            whole.shown[name].state_dict().values(), parts.shown[name].state_dict().values(), strict=True
        ):
            assert torch.equal(one, other)


def test_the_generator_learns_four_times_for_every_turn_of_the_discriminator() -> None:
    decoder, discriminator = portrait_phases(CONFIG, 4)
    turns = [(decoder.due(step), discriminator.due(step)) for step in range(8)]
    assert sum(a for a, _ in turns) == 4 * sum(b for _, b in turns) == 8


def test_the_discriminator_is_held_back_where_the_decoder_learns_fast() -> None:
    for rate, held in ((1e-3, 2e-4), (1e-4, 1e-4)):
        decoder, discriminator = portrait_phases(CONFIG.model_copy(update={"learning_rate": rate}), 4)
        assert (decoder.learning_rate(10), discriminator.learning_rate(10)) == (rate, held)
        norms = [getattr(phase.optimiser, "clip_norm", -1) for phase in (decoder, discriminator)]
        assert norms == [None, 1.0]


def test_texture_comes_first_and_alone(tmp_path: Path) -> None:
    """Ten images of texture and mask at the mean face's landmarks, then everything; a stop changes nothing."""
    config = CONFIG.model_copy(update={"warm_images": 10})
    whole = run(tmp_path / "whole", config, steps=8)
    lines = [line for line in read_logbook(tmp_path / "whole") if line["kind"] == "step"]
    for step, line in enumerate(lines):
        names = {name.removeprefix("decoder/") for name in line["losses"] if name.startswith("decoder/")}
        later = {"identity", "adversarial", "landmark tilt"}
        assert (later <= names) if step >= 3 else not (later & names)
        assert {"texture", "mask"} <= names
        assert any(name.startswith("discriminator") for name in line["losses"]) is (step in (3, 7))
    run(tmp_path / "parts", config, steps=2)
    parts = run(tmp_path / "parts", config, steps=8, resume=True)
    for one, other in zip(
        whole.shown["decoder"].state_dict().values(), parts.shown["decoder"].state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_ablations_leave_their_part_out(tmp_path: Path) -> None:
    counts = (("split train", 90, 0), ("|yaw| <= 5 degrees", 40, 2))
    bare = CONFIG.model_copy(update={"with_adversarial": False, "with_mask": False, "faces": counts})
    outcome = run(tmp_path / "bare", bare, steps=2)
    assert "discriminator" not in outcome.shown
    line = next(line for line in read_logbook(tmp_path / "bare") if line["kind"] == "step")
    assert not {"decoder/mask", "decoder/adversarial"} & line["losses"].keys()
    made = PaperPortrait.load(tmp_path / "bare" / "weights.safetensors")
    drawn = made.draw(torch.zeros(1, 6))
    assert float(drawn.mask.min()) == 1
    assert torch.equal(drawn.output, drawn.noisy)

    assert (made.variant, made.trained_images) == ("without mask and adversarial loss", 8)
    assert made.learned_from == counts


def terms_of(config: PortraitPaperConfig, batch: dict[str, Any], images: int = 0) -> dict[str, float]:
    networks = {
        **portrait_networks(config, 3), "encoder": StubEncoder(), "landmarks": StubLandmarks(),
        "warp": canonical_warp(32),
    }  # fmt: skip
    ready = {name: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for name, v in batch.items()}
    cost = generator_cost(config)
    return {
        k: float(v.detach())
        for k, v in cost(networks, ready, torch.Generator(), StepInfo(0, 1, images, 4, 1e-4)).items()
    }


def test_what_comes_after_texture_comes_in_evenly() -> None:
    config = CONFIG.model_copy(update={"warm_images": 1000})
    whole = terms_of(config, batch_at(0), 2000)
    assert terms_of(config, batch_at(0), 9000) == whole
    for name, value in terms_of(config, batch_at(0), 1250).items():
        part = 1.0 if name in ("texture", "mask") else 0.25
        assert value == pytest.approx(part * whole[name], rel=1e-4)


def test_mirrored_borders_teach_no_texture() -> None:
    batch = batch_at(0)
    batch["landmarks"] = np.tile(np.asarray(batch["landmarks"][:1]), (4, 1, 1))
    first = terms_of(CONFIG, batch)["texture"]
    assert first > 0
    batch["known"] = np.zeros_like(batch["known"])
    assert terms_of(CONFIG, batch)["texture"] == 0


@pytest.mark.parametrize(("images", "moves"), [(0, False), (199_999, False), (200_000, True)])
def test_texture_moves_the_mask_only_when_there_is_a_face(images: int, moves: bool) -> None:
    """Otherwise an empty mask ends the loss before there is one."""
    networks = {
        **portrait_networks(CONFIG, 3), "encoder": StubEncoder(), "landmarks": StubLandmarks(),
        "warp": canonical_warp(32),
    }  # fmt: skip
    batch = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in batch_at(0).items()}
    drawn: list[Any] = []
    networks["decoder"].register_forward_hook(lambda module, given, made: drawn.append(made))
    terms = generator_cost(CONFIG)(networks, batch, torch.Generator(), StepInfo(0, 1, images, 4, 1e-4))
    noisy, mask = torch.autograd.grad(terms["texture"], [drawn[0].noisy, drawn[0].mask], retain_graph=True)
    # What reaches the mask through F_O = W F_N + 1 - W alone: dF_O/dW = F_N - 1, dF_O/dF_N = W.
    through = (noisy / drawn[0].mask * (drawn[0].noisy - 1)).sum(1, keepdim=True)
    assert float(mask.abs().max()) > 0
    assert torch.allclose(mask, through, rtol=1e-3, atol=1e-5) is not moves


def test_landmarks_keep_their_place_at_any_size() -> None:
    points = torch.tensor([[[0.0, 319.0, 8.0]]])  # centres of the first and the last pixel
    assert in_pixels(points, 160)[0, 0].tolist() == [-0.25, 159.25, 4.0]
    assert torch.allclose(in_pixels(in_pixels(points, 64), 320, 64), points, atol=1e-4)
