"""The encoder of Sanche's section 7: its shapes, what is trained, a toy that it learns, and labels that are changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_papers_as_printed import batch_norm, same, spread

from mien.core.errors import WeightsError
from mien.core.images import to_tensor
from mien.papers.cgan_sanche.encoder import NoiseEncoder, PaperAutoencoder
from mien.papers.cgan_sanche.networks import SancheConfig, SancheGenerator, draw_noise
from mien.training.encoder_paper import EncoderPaperConfig, reconstruction_cost, train_encoder, with_mirrored
from mien.training.logbook import read_logbook
from mien.training.loop import LoopSettings
from mien.training.phases import StepInfo

SMALL = SancheConfig(noise=6, channels=(4, 4, 4), hidden=32, size_px=16)
INFO = StepInfo(0, 1, 0, 16, 1e-3)


def batch_of(generator: SancheGenerator, seed: int) -> dict[str, torch.Tensor]:
    """Pictures that the generator can draw, with their labels."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.stack([torch.tensor([-1.0, 1.0] * 8), torch.rand(16, generator=draws) * 2 - 1], 1)
    with torch.no_grad():
        return {"image": generator.eval()(draw_noise(16, 6, draws), labels), "labels": labels}


def test_the_encoder_is_the_discriminators_network_with_noise_as_its_output() -> None:
    encoder = NoiseEncoder(SancheConfig())
    noise = encoder(torch.zeros(2, 3, 64, 64))
    assert noise.shape == (2, 100)
    assert noise.abs().max() <= 1
    shapes = [tuple(value.shape[:2]) for name, value in encoder.convolutions.named_parameters() if "weight" in name]
    assert shapes == [(16, 3), (32, 16), (64, 32)]
    assert encoder.hidden.weight.shape == (5000, 4096)
    with pytest.raises(ValueError, match="want N 3 64 64"):
        encoder(torch.zeros(2, 3, 32, 32))


def test_the_encoder_layer_by_layer() -> None:
    encoder = NoiseEncoder(SMALL).train()
    w = spread(encoder)
    image = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(2)).clamp(-1, 1)
    x = image
    for k in range(3):
        x = F.conv2d(x, w[f"convolutions.{k}.weight"], w[f"convolutions.{k}.bias"], padding=1)
        x = batch_norm(x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5)), w, f"norms.{k}").relu()
    x = batch_norm(F.linear(x.flatten(1), w["hidden.weight"], w["hidden.bias"]), w, "hidden_norm").relu()
    same(encoder(image), F.linear(x, w["output.weight"], w["output.bias"]).tanh())


def test_half_of_the_photos_are_mirrored_and_labels_stay() -> None:
    photos = torch.rand(400, 3, 2, 4, generator=torch.Generator().manual_seed(0))
    batch = {"image": photos, "labels": torch.arange(400)}
    mirrored_at = with_mirrored(lambda step: batch, 5)
    seen = [mirrored_at(step) for step in (0, 1, 0)]
    turned = [(one["image"] == photos.flip(3)).flatten(1).all(1) for one in seen]
    for one, flags in zip(seen, turned, strict=True):
        assert 150 < int(flags.sum()) < 250
        assert torch.equal(one["image"][~flags], photos[~flags])
        assert one["labels"] is batch["labels"]
    assert torch.equal(turned[0], turned[2])
    assert not torch.equal(turned[0], turned[1])


def test_the_generator_is_told_the_photos_own_labels() -> None:
    told: list[torch.Tensor] = []

    class Listens(torch.nn.Module):
        def forward(self, noise: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            told.append(labels)
            return noise

    batch = batch_of(SancheGenerator(SMALL), 0)
    networks: Any = {"encoder": torch.nn.Identity(), "generator": Listens()}
    reconstruction_cost(networks, batch, torch.Generator(), INFO)
    assert torch.equal(told[0], batch["labels"])


def test_the_cost_is_zero_where_both_images_are_identical() -> None:
    generator = SancheGenerator(SMALL).eval()
    batch = batch_of(generator, 0)

    class Knows(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image

    class Copies(torch.nn.Module):
        def forward(self, noise: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return noise

    networks: Any = {"encoder": Knows(), "generator": Copies()}
    assert reconstruction_cost(networks, batch, torch.Generator(), INFO)["total"] == 0
    networks = {"encoder": NoiseEncoder(SMALL).eval(), "generator": generator}
    assert reconstruction_cost(networks, batch, torch.Generator(), INFO)["total"] > 0


def test_a_small_run_learns_leaves_the_generator_alone_and_its_weights_change_labels(tmp_path: Path) -> None:
    torch.manual_seed(3)
    generator = SancheGenerator(SMALL)
    with torch.no_grad():  # faces that differ
        for parameter in generator.deconvolutions.parameters():
            parameter.mul_(4)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    settings = LoopSettings(
        steps=150, batch_size=16, device="cpu", threads=1, preview_every=150, log_every=10, tensorboard=False,
        progress=False,
    )  # fmt: skip
    config = EncoderPaperConfig(generator="toy", learning_rate=3e-3)
    train_encoder(lambda step: batch_of(generator, step), batch_of(generator, 999), tmp_path, generator, config,
                  settings, data="toy")  # fmt: skip
    costs = [row["losses"]["encoder/total"] for row in read_logbook(tmp_path) if row["kind"] == "step"]
    assert costs[-1] < 0.6 * costs[0]
    assert (tmp_path / "previews" / "preview-00000150.png").exists()
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    model = PaperAutoencoder.load(tmp_path / "weights.safetensors")
    assert model.version == "toy+150"
    photo = to_tensor(np.full((1, 16, 16, 3), 100, np.uint8))
    young, old = (model.redraw(photo, ["female"], [years]) for years in (15.0, 80.0))
    assert young.shape == (1, 3, 16, 16)
    assert not torch.allclose(young, old)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    from mien.core.checkpoints import WEIGHTS

    with pytest.raises(WeightsError, match="crowd-paper"):
        PaperAutoencoder.load(WEIGHTS / "crowd-paper.safetensors")
