"""The decoder, its style encoder and its critics: shapes, ranges, and what each input changes."""

from __future__ import annotations

import pytest
import torch

from mien.core.config import Config
from mien.core.layers import Grain, Modulation, UpBlock, upsample
from mien.generators.critic import FeatureCritic, PatchCritic
from mien.generators.decoder import RIM_PX, Decoder, DecoderConfig, StyleEncoder, rimless

SMALL = DecoderConfig(features=10, style=3, trunk=12, code=8, channels=(8, 8, 6, 4), rgb_from_px=8)


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    made = Decoder(SMALL)
    for block in made.blocks:
        torch.nn.init.normal_(block.grain.strength)  # it starts at zero: noise is learned
    return made.eval()


def planes(decoder: Decoder, count: int, seed: int = 0) -> list[torch.Tensor]:
    return decoder.noise_planes(count, torch.Generator().manual_seed(seed))


def test_sizes_follow_from_the_channels() -> None:
    assert DecoderConfig().size_px == 128
    assert SMALL.size_px == 32
    assert isinstance(SMALL, Config)


def test_images_are_rgb_between_minus_one_and_one(decoder: Decoder) -> None:
    image = decoder(torch.randn(5, 10) * 9, torch.randn(5, 3), planes(decoder, 5))
    assert image.shape == (5, 3, 32, 32)
    assert image.abs().max() <= 1
    assert image.std() > 0.01
    assert sorted(decoder.rgb) == ["16", "32", "8"]


def test_every_input_changes_the_image(decoder: Decoder) -> None:
    features, style, noise = torch.randn(1, 10), torch.randn(1, 3), planes(decoder, 1)
    image = decoder(features, style, noise)
    assert torch.equal(image, decoder(features, style, noise))
    assert not torch.allclose(image, decoder(features + 1, style, noise))
    assert not torch.allclose(image, decoder(features, style + 1, noise))
    for place in range(len(noise)):
        other = [plane + 1 if k == place else plane for k, plane in enumerate(noise)]
        assert not torch.allclose(image, decoder(features, style, other)), place


def test_raw_features_are_standardised_inside(decoder: Decoder) -> None:
    decoder.mean.fill_(3.0)
    decoder.deviation.fill_(2.0)
    known, style, noise = torch.randn(2, 10), torch.randn(2, 3), planes(decoder, 2)
    raw = decoder(known * 2 + 3, style, noise)
    assert torch.allclose(raw, decoder.decode(torch.cat([known, style], 1), noise), atol=1e-5)
    assert {"mean", "deviation"} <= decoder.state_dict().keys()


def test_an_image_does_not_depend_on_its_neighbours(decoder: Decoder) -> None:
    features, style, noise = torch.randn(4, 10), torch.randn(4, 3), planes(decoder, 4)
    whole = decoder(features, style, noise)
    for row in range(4):
        alone = decoder(features[[row]], style[[row]], [plane[[row]] for plane in noise])
        assert torch.allclose(alone, whole[[row]], atol=1e-5)


def test_noise_planes_come_from_the_generator_alone(decoder: Decoder) -> None:
    first, again, other = planes(decoder, 2), planes(decoder, 2), planes(decoder, 2, seed=1)
    assert [tuple(plane.shape) for plane in first] == [(2, 1, 8, 8), (2, 1, 16, 16), (2, 1, 32, 32)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))
    with pytest.raises(ValueError, match="zip"):
        decoder(torch.zeros(2, 10), torch.zeros(2, 3), first[:2])


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_style_is_a_bounded_gaussian(size: int) -> None:
    torch.manual_seed(0)
    encoder = StyleEncoder(SMALL)
    mean, log_variance = encoder(torch.rand(3, 3, size, size) * 2 - 1)
    assert mean.shape == log_variance.shape == (3, 3)
    assert mean.abs().max() < 0.2  # near the standard normal at first, so that the divergence is small
    torch.nn.init.constant_(encoder.out.bias, 1e3)
    _, log_variance = encoder(torch.zeros(1, 3, size, size))
    assert log_variance.tolist() == [[4, 4, 4]]


def test_modulation_scales_and_shifts_what_is_normalised() -> None:
    layer = Modulation(32, 5)
    x = torch.randn(2, 32, 6, 6) * 7 + 4
    torch.nn.init.zeros_(layer.affine.weight)
    plain = layer(x, torch.zeros(2, 5))
    assert plain.mean().abs() < 1e-5
    assert float(plain.detach().std()) == pytest.approx(1, abs=0.01)
    layer.affine.bias.data[:32] = 1.0  # scale
    layer.affine.bias.data[32:] = 3.0  # shift
    assert torch.allclose(layer(x, torch.zeros(2, 5)), 2 * plain + 3, atol=1e-5)


def test_grain_is_silent_until_learned() -> None:
    grain, x, plane = Grain(4), torch.randn(2, 4, 3, 3), torch.randn(2, 1, 3, 3)
    assert torch.equal(grain(x, plane), x)
    grain.strength.data[1] = 2.0
    added = grain(x, plane) - x
    assert torch.allclose(added[:, 1], 2 * plane[:, 0], atol=1e-6)
    assert added[:, [0, 2, 3]].abs().max() == 0


def test_an_up_block_doubles_the_size() -> None:
    block = UpBlock(6, 4, 5)
    out = block(torch.randn(2, 6, 5, 5), torch.randn(2, 5), torch.randn(2, 1, 10, 10))
    assert out.shape == (2, 4, 10, 10)
    flat = torch.full((1, 1, 3, 3), 0.7)
    assert torch.allclose(upsample(flat), torch.full((1, 1, 6, 6), 0.7))  # no grid of lines


def test_critics_score_patches() -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 3, 32, 32)
    critic = PatchCritic((4, 4, 4))
    assert critic(images).shape == (2, 1, 4, 4)
    moved = images.clone()
    moved[:, :, :, 28:] += 3  # a patch at the right edge: scores at the left edge do not see it
    assert torch.allclose(critic.eval()(images)[..., 0], critic(moved)[..., 0], atol=1e-6)
    maps = {"a": torch.randn(2, 5, 9, 9), "b": torch.randn(2, 7, 4, 4)}
    scores = FeatureCritic({"a": 5, "b": 7}, width=6)(maps)
    assert {name: tuple(score.shape) for name, score in scores.items()} == {"a": (2, 1, 5, 5), "b": (2, 1, 2, 2)}


def test_critics_are_bounded_by_spectral_normalisation() -> None:
    torch.manual_seed(0)
    critic = PatchCritic((4, 4)).train()
    for step in critic.steps:
        step.parametrizations.weight.original.data.mul_(100)
    for _ in range(30):  # power iterations
        critic(torch.randn(2, 3, 16, 16))
    critic.eval()
    for step in critic.steps:
        assert float(torch.linalg.matrix_norm(step.weight.detach().flatten(1), 2)) == pytest.approx(1.0, abs=0.05)


def test_no_frame_runs_around_a_picture() -> None:
    images = torch.rand(2, 3, 16, 16)
    found = rimless(images)
    assert found.shape == images.shape
    assert torch.equal(found[..., RIM_PX:-RIM_PX, RIM_PX:-RIM_PX], images[..., RIM_PX:-RIM_PX, RIM_PX:-RIM_PX])
    for k in range(RIM_PX):
        assert torch.equal(found[:, :, k], found[:, :, RIM_PX])
        assert torch.equal(found[..., -1 - k], found[..., -1 - RIM_PX])
