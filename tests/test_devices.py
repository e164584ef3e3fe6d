"""Networks, samplers and losses stay on the device that they are given: no tensor of the host, no way there and back.

On torch's device ``meta``, which has shapes and no data: what adds or joins a tensor of the host, or reads a value,
fails there. (A product with a tensor of the host, or an index on the host, does not.)
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mien.faces.encoder import FaceNetEncoder
from mien.faces.landmarks import load_mesh
from mien.faces.pose import mean_shape
from mien.faces.readers import FaceReaders
from mien.generators.decoder import Decoder, DecoderConfig, StyleEncoder
from mien.generators.density import Density, DensityConfig, sample
from mien.generators.enlarger import EnlargerConfig, EnlargerNetwork
from mien.generators.painter.network import Given, Painter, PainterConfig
from mien.generators.portrait.refine import Wanted, costs, tones
from mien.generators.portrait.settings import RefineConfig
from mien.papers.cgan_sanche.networks import SancheConfig, SancheDiscriminator, SancheGenerator
from mien.papers.frontal_wang_2019 import losses as frontal
from mien.papers.frontal_wang_2019.networks import FrontalConfig, FrontalDiscriminator, PortraitDecoder
from mien.pretrained.facenet import InceptionResnetV1
from mien.training.age_sex import AgeSexConfig, age_targets
from mien.training.attributes import masked_ages, masked_cross_entropy, masked_marks
from mien.training.decoder import composed, encoder_maps, identity, perceptual
from mien.training.painter import flow_error
from mien.training.portrait_paper import canonical_warp, in_pixels, photos_of

META = torch.device("meta")
DECODER = DecoderConfig(features=1792, style=4, trunk=16, code=8, channels=(8, 8, 8, 8), rgb_from_px=8)


def there(network: nn.Module) -> Any:
    return network.to(META)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, device=META, requires_grad=True)


def planes() -> list[Tensor]:
    return [torch.zeros(2, 1, size, size, device=META) for size in (8, 16, 32)]


def portrait() -> Tensor:
    mean_shape()  # read on the host
    decoder = there(Decoder(DECODER))
    readers = FaceReaders(FaceNetEncoder(there(InceptionResnetV1())), load_mesh(META))
    images: Tensor = decoder.decode(drawn(2, 1796), planes())
    wanted = Wanted(drawn(2, 512), drawn(2, 1792), tones(images.detach()))
    return costs(images, readers, decoder, wanted, RefineConfig())


def decoder() -> Tensor:
    network, encoder = there(Decoder(DECODER)), there(InceptionResnetV1())
    style, _ = there(StyleEncoder(DECODER))(drawn(2, 3, 32, 32))
    photos = nn.functional.interpolate(composed(network(drawn(2, 1792), style, planes()), drawn(2, 3, 32, 32),
                                                drawn(2, 1, 32, 32)), size=160)  # fmt: skip
    made, real = (encoder_maps(encoder, each) for each in (photos, drawn(2, 3, 160, 160)))
    return perceptual(made, real) + identity(made["pool"], real["pool"], network.mean, network.deviation)


def density() -> Tensor:
    config = DensityConfig(features=12, axes=6, style=4, width=16, blocks=2, code=8)
    network = there(Density(config))
    made = sample(network, drawn(2, config.size), torch.zeros(2, config.condition, device=META), guidance=2.0, steps=3)
    made_there: Tensor = network(made.clone().requires_grad_(), torch.rand(2, device=META), drawn(2, config.condition))
    return made_there


def painter() -> Tensor:
    config = PainterConfig(size_px=32, patch_px=8)
    one, of = torch.ones(2, 1, device=META), (2, config.tokens)
    code, conditions = drawn(2, config.code), drawn(2, config.conditions)
    source = torch.zeros(2, dtype=torch.int64, device=META)
    given = Given(code, one, one, conditions, torch.ones_like(conditions), source, torch.ones(of, device=META), one)
    tokens = drawn(*of, config.channels)
    return flow_error(
        there(Painter(config)), tokens, given.valid, given, torch.rand(2, device=META), drawn(*tokens.shape)
    )


def frontal_portrait() -> Tensor:
    config = FrontalConfig(first_px=2, channels=(12, 8, 6, 4, 3))
    made = there(PortraitDecoder(config))(drawn(2, config.features))
    photos = photos_of({"photo": torch.zeros(2, config.size_px, config.size_px, 3, dtype=torch.uint8, device=META)})
    points, wanted = drawn(2, 68, 3), drawn(2, 68, 3)
    warp = there(canonical_warp(config.size_px))
    places = in_pixels(points, config.size_px)[:, : len(warp.target), :2]
    warped = warp(torch.cat([made.output, made.mask], 1), places)
    terms = frontal.landmark(wanted, points)
    terms["texture"] = frontal.texture(warped[:, 3:], photos, warped[:, :3])
    terms["mask"] = frontal.mask_loss(made.mask)
    terms["scores"] = frontal.adversarial_generator(there(FrontalDiscriminator(config))(made.noisy))
    return torch.stack([value.sum() for value in terms.values()])


def paper_crowd() -> Tensor:
    config = SancheConfig()
    images = there(SancheGenerator(config))(drawn(2, config.noise), drawn(2, config.labels))
    made_there: Tensor = there(SancheDiscriminator(config))(images, drawn(2, config.labels))
    return made_there


def attributes() -> Tensor:
    marks = torch.zeros(2, 73, device=META)
    answers = masked_marks(drawn(2, 73), marks, torch.ones(73, 2, device=META))
    classes = masked_cross_entropy(drawn(2, 3), torch.zeros(2, 3, device=META), torch.ones(3, device=META))
    years = torch.full((2,), 30.0, device=META)
    known = age_targets(years, AgeSexConfig()).sum()
    return answers + classes + masked_ages(drawn(2, 101), years, AgeSexConfig()) + known


def enlarger() -> Tensor:
    made_there: Tensor = there(EnlargerNetwork(EnlargerConfig()))(drawn(2, 3, 16, 16))
    return made_there


@pytest.mark.parametrize(
    "made", [portrait, decoder, density, painter, frontal_portrait, paper_crowd, attributes, enlarger]
)
def test_forward_and_backward_stay_on_the_device(made: Callable[[], Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "autocast", lambda *kind, **options: nullcontext())  # which ``meta`` does not have
    cost = made()
    assert cost.device == META
    torch.autograd.backward(cost.sum())


def test_what_would_not_stay_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="cpu"):
        drawn(2, 3) + torch.ones(2, 3)
    with pytest.raises(RuntimeError, match="item"):
        float(drawn(2, 3).sum())
    with pytest.raises(NotImplementedError, match="meta"):
        drawn(2, 3).detach().cpu()
