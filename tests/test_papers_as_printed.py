"""The papers' systems against a second writing of them: networks layer by layer, what each loss is measured on, and
every printed number. ``planted_faults.py`` breaks the code and expects these tests to notice."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_portrait_paper import CONFIG, StubEncoder, StubLandmarks, batch_at
from torch import Tensor, nn

from mien.attributes.heads import AttributeHeads, HeadsConfig
from mien.evaluation import detection
from mien.faces.landmarks68 import RELIABLE
from mien.papers.cgan_sanche import networks as sanche
from mien.papers.deepface_2016 import mixture
from mien.papers.deepface_2016.descent import descend
from mien.papers.deepface_2016.picture import PAPER, DescentConfig, blurred
from mien.papers.frontal_wang_2019 import losses
from mien.papers.frontal_wang_2019 import networks as wang
from mien.training import attributes_presets, crowd_paper
from mien.training.attributes_layers import dropout_after
from mien.training.phases import StepInfo
from mien.training.portrait_paper import (
    PortraitPaperConfig,
    canonical_warp,
    discriminator_cost,
    generator_cost,
    in_pixels,
    photos_of,
    portrait_networks,
)

Weights = dict[str, Tensor]


def spread(network: nn.Module, seed: int = 5) -> Weights:
    """Weights of the network, all different and none small, set and returned."""
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                drawn = torch.randn(value.shape, generator=draws)
                scale = value[0].numel() ** -0.5 if value.ndim > 1 else 0.5
                value.copy_(drawn.abs() + 0.3 if name.endswith(("running_var", "norm.weight")) else drawn * scale)
    return {name: value.clone() for name, value in network.state_dict().items()}


def batch_norm(x: Tensor, w: Weights, name: str) -> Tensor:
    """As in training: by the batch's own mean and variance."""
    axes = (0, *range(2, x.ndim))
    shape = (1, -1, *[1] * (x.ndim - 2))
    normal = (x - x.mean(axes, keepdim=True)) / (x.var(axes, unbiased=False, keepdim=True) + 1e-5).sqrt()
    return normal * w[f"{name}.weight"].view(shape) + w[f"{name}.bias"].view(shape)


def repeated(x: Tensor) -> Tensor:
    """Twice the size, every pixel four times."""
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def same(made: Tensor, wanted: Tensor) -> None:
    assert made.shape == wanted.shape
    assert float(wanted.std()) > 1e-3, "a constant proves nothing"
    assert float((made - wanted).abs().max()) < 1e-3 * max(1.0, float(wanted.abs().max()))


def test_sanches_generator_layer_by_layer() -> None:
    config = sanche.SancheConfig(noise=6, channels=(4, 5, 6), hidden=16, size_px=16)
    network = sanche.SancheGenerator(config).train()
    w = spread(network)
    noise = sanche.draw_noise(8, 6, torch.Generator().manual_seed(1))
    labels = sanche.encode_labels(["female", "male"] * 4, [12, 20, 30, 40, 50, 60, 70, 80])
    x = torch.cat([noise, labels], 1)
    for k in range(2):  # both fully connected layers: batch normalisation, then ReLU
        x = batch_norm(F.linear(x, w[f"hidden.{k}.weight"], w[f"hidden.{k}.bias"]), w, f"hidden_norms.{k}").relu()
    x = x.reshape(8, 6, 2, 2)
    for k in range(3):
        x = F.conv_transpose2d(repeated(x), w[f"deconvolutions.{k}.weight"], w[f"deconvolutions.{k}.bias"], padding=1)
        x = batch_norm(x, w, f"norms.{k}").relu() if k < 2 else x.tanh()
    same(network(noise, labels), x)


def test_sanches_discriminator_layer_by_layer() -> None:
    config = sanche.SancheConfig(noise=6, channels=(4, 5, 6), hidden=16, size_px=16)
    network = sanche.SancheDiscriminator(config)
    w = spread(network)
    image = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(2)).clamp(-1, 1)
    labels = torch.tensor([[-1.0, 0.2], [1.0, -0.4], [-1.0, 1.0]])
    x = torch.cat([image, labels[:, :, None, None].expand(-1, -1, 16, 16)], 1)
    for k in range(3):
        x = F.conv2d(x, w[f"convolutions.{k}.weight"], w[f"convolutions.{k}.bias"], padding=1)
        x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5)).relu()  # the largest of four, then ReLU
    x = F.linear(x.flatten(1), w["hidden.weight"], w["hidden.bias"]).relu()
    same(network(image, labels), F.linear(x, w["output.weight"], w["output.bias"])[:, 0])


class Watched(nn.Module):
    """Remembers what it was shown."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.seen: list[Any] = []

    def forward(self, *given: Any) -> Any:
        self.seen.append(given)
        return self.inner(*given)


def test_sanches_networks_are_told_the_labels_of_the_batch_in_both_turns() -> None:
    """The labels of the batch are asked of the generator, and shown to its judge with photos and made images alike."""
    tiny = sanche.SancheConfig(noise=6, channels=(4, 5, 6), hidden=16, size_px=16)
    config = crowd_paper.CrowdPaperConfig(networks=tiny)
    networks: Any = {name: Watched(one) for name, one in crowd_paper.paper_networks(config, 1).items()}
    networks["generator"].config = config.networks
    labels = sanche.encode_labels(["female", "male"], [20, 70])
    batch = {"image": torch.zeros(2, 3, 16, 16), "labels": labels}
    info = StepInfo(0, 1, 0, 2, 1e-4)
    crowd_paper.discriminator_cost(networks, batch, torch.Generator(), info)
    crowd_paper.generator_cost(networks, batch, torch.Generator(), info)
    assert all(torch.equal(given[1], labels) for given in networks["generator"].seen)
    own, generators = networks["discriminator"].seen
    assert torch.equal(own[1], torch.cat([labels, labels]))
    assert torch.equal(own[0][:2], batch["image"])
    assert torch.equal(generators[1], labels)


def residual(x: Tensor, w: Weights, name: str) -> Tensor:
    y = batch_norm(F.conv2d(x, w[f"{name}.conv1.weight"], padding=1), w, f"{name}.norm1").relu()
    return (x + batch_norm(F.conv2d(y, w[f"{name}.conv2.weight"], padding=1), w, f"{name}.norm2")).relu()


def stage(x: Tensor, w: Weights, name: str) -> Tensor:
    """Two residual blocks, every pixel four times, a convolution."""
    x = residual(residual(x, w, f"{name}.blocks.0"), w, f"{name}.blocks.1")
    return F.conv2d(repeated(x), w[f"{name}.up.weight"], w[f"{name}.up.bias"], padding=1)


def test_wangs_decoder_layer_by_layer() -> None:
    config = wang.FrontalConfig(features=6, first_px=2, channels=(12, 8, 6, 4, 3))
    network = wang.PortraitDecoder(config).train()
    w = spread(network)
    features = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))
    x = F.linear(features, w["fc1.weight"], w["fc1.bias"]).relu()
    x = F.linear(x, w["fc2.weight"], w["fc2.bias"]).relu().reshape(4, 12, 2, 2)
    branch = x
    for k in range(4):
        x = stage(x, w, f"stages.{k}")
        branch = x if k == 1 else branch  # two stages before the last
    noisy = x.tanh()
    for k in range(2):
        branch = stage(branch, w, f"mask_stages.{k}")
    mask = F.conv2d(branch, w["mask_out.weight"], w["mask_out.bias"], padding=1).sigmoid()
    drawn = network(features)
    same(drawn.noisy, noisy)
    same(drawn.mask, mask)
    same(drawn.output, mask * noisy + 1 - mask)


def test_wangs_discriminator_layer_by_layer() -> None:
    network = wang.FrontalDiscriminator(wang.FrontalConfig(discriminator=(4, 5, 6, 7)))
    w = spread(network)
    x = image = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4)).clamp(-1, 1)
    for k in range(8):
        name = f"layers.{2 * k}"
        x = F.leaky_relu(F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=1 + k % 2, padding=1), 0.2)
    same(network(image), F.conv2d(x, w["out.weight"], w["out.bias"], padding=1))


@pytest.fixture(name="turn")
def _turn() -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor], wang.Drawn]:
    """One turn of each of the thesis's networks: what was watched, the batch, the generator's terms, what was drawn."""
    networks: dict[str, Any] = {
        **portrait_networks(CONFIG, 3), "encoder": StubEncoder(), "landmarks": StubLandmarks(),
        "warp": canonical_warp(32),
    }  # fmt: skip
    spread(networks["decoder"])
    networks |= {name: Watched(networks[name]) for name in ("discriminator", "warp", "landmarks", "encoder")}
    drawn: list[wang.Drawn] = []
    networks["decoder"].register_forward_hook(lambda module, given, made: drawn.append(made))
    batch = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in batch_at(0).items()}
    info = StepInfo(0, 1, 10**6, 4, 1e-4)
    terms = generator_cost(CONFIG)(networks, batch, torch.Generator(), info)
    terms |= {"discriminator": discriminator_cost(networks, batch, torch.Generator(), info)["total"]}
    return networks, batch, terms, drawn[0]


def test_the_thesiss_discriminator_sees_noisy_faces_and_photos_in_both_turns(turn: Any) -> None:
    """ "Discriminator D sees the noisy face F_N": in the generator's turn and in its own, and never the output F_O."""
    networks, batch, terms, drawn = turn
    assert not torch.allclose(drawn.noisy, drawn.output, atol=0.05)
    generators, photos, own = (given[0] for given in networks["discriminator"].seen)
    assert torch.equal(generators, drawn.noisy)
    assert torch.equal(own, drawn.noisy)
    assert not own.requires_grad, "its turn moves no decoder"
    assert torch.equal(photos, photos_of(batch))
    judge = networks["discriminator"].inner
    assert float(terms["adversarial"]) == pytest.approx(float((judge(drawn.noisy) - 1).square().mean()))
    wanted = (judge(photos) - 1).square().mean() + (judge(drawn.noisy) + 1).square().mean()
    assert float(terms["discriminator"]) == pytest.approx(float(wanted))


def test_the_thesiss_losses_are_measured_on_the_output_and_texture_after_the_warp(turn: Any) -> None:
    networks, batch, terms, drawn = turn
    assert torch.equal(networks["landmarks"].seen[0][0], drawn.output)
    theirs, ours = networks["warp"].seen
    assert torch.equal(ours[0], torch.cat([drawn.output, drawn.mask], 1))
    points = networks["landmarks"].inner(drawn.output)
    assert torch.equal(ours[1], points[:, list(RELIABLE), :2]), "where the landmarks of the output lie"
    assert torch.equal(theirs[0], torch.cat([photos_of(batch), batch["known"]], 1))
    assert torch.equal(theirs[1], in_pixels(batch["landmarks"], 32)[:, list(RELIABLE), :2])
    warp = networks["warp"].inner
    wanted, made = warp(*theirs), warp(*ours)
    weight = made[:, 3:] * wanted[:, 3:]
    by_hand = (weight * (wanted[:, :3] - made[:, :3]).abs()).sum((1, 2, 3)).mean()
    assert float(terms["texture"]) == pytest.approx(float(CONFIG.texture * 100 * by_hand), rel=1e-4)  # (320 / 32)^2
    seen = networks["encoder"].seen[0][0]
    own = networks["encoder"].inner(seen, ("embedding",))["embedding"]
    off = (own - batch["embedding"]).square().sum(1).mean()
    assert float(terms["identity"]) == pytest.approx(float(CONFIG.identity * off), rel=1e-4)
    mask = drawn.mask
    smooth = (mask.diff(dim=2).square().sum() + mask.diff(dim=3).square().sum()) / mask.numel()
    assert float(terms["mask"]) == pytest.approx(float(mask.mean() + smooth), rel=1e-4)


def test_every_printed_number() -> None:
    """Sections in brackets: of Sanche (S), of Cate, Dalvi and Hussain (C), of Wang (W)."""
    gan = crowd_paper.CrowdPaperConfig()
    assert (gan.learning_rate, gan.rate_factor, gan.rate_every, gan.rate_floor) == (5e-4, 0.996, 100, 5e-5)  # S 3
    assert (gan.pause_discriminator_below, gan.pause_generator_below) == (1 / 2, 1 / 3)  # S 3
    sizes = sanche.SancheConfig()
    assert (sizes.noise, sizes.channels, sizes.hidden, sizes.size_px) == (100, (16, 32, 64), 5000, 64)  # S 4
    assert mixture.LAMBDA == 1e-5  # C 6
    assert mixture.FIRST_RATE == 1e-6  # C 5.2
    heads = attributes_presets.paper("vgg-face", (4096,))
    assert (heads.learning_rate, heads.schedule, attributes_presets.PAPER_EPOCHS) == (5e-6, "constant", 50)  # C 6
    assert heads.heads.dropout == 0.5  # C 6: after every layer; the rate is not printed
    assert (heads.heads.trunk, heads.heads.marks, heads.heads.recipe) == (0, False, ("window-fc7-1x1",))  # C 3.2
    portrait = PortraitPaperConfig()
    assert portrait.networks.channels == (192, 96, 48, 24, 12, 6, 3)  # W table 3.1
    assert portrait.networks.discriminator == (32, 64, 128, 256)  # W table 3.2
    weights = losses.LandmarkWeights()
    assert (weights.geometry, weights.symmetry, weights.tilt, weights.expression) == (160, 1, 1, 1)  # W 3.7
    assert (portrait.generator_turns, portrait.mask_exponent) == (4, 1)  # W 3.5.4, 3.8
    assert portrait.mask_from_images == 0  # W 3.1: texture moves the mask
    assert len(RELIABLE) == 14  # W 3.5.1
    assert inspect.signature(crowd_paper.detection_hook).parameters["every"].default == 100  # S 5, figure 8


def test_the_ridge_of_equation_3_is_lambda() -> None:
    """Small images, on which a larger lambda would show."""
    sums = mixture.WeightSums(1, 1.0, np.array([[1e-4]]), np.array([2e-4]))
    assert sums.ridge()[0] == pytest.approx(2e-4 / (1e-4 + 1e-5))
    assert sums.loss(np.array([3.0])) == pytest.approx(1 - 2 * 2e-4 * 3 + 9e-4 + 9e-5)


def test_dropout_is_on_while_heads_learn_and_off_when_they_are_read() -> None:
    heads = AttributeHeads(HeadsConfig(recipe=("pool",), widths=(64,), dropout=0.5, marks=False))
    features = torch.ones(1, 64)
    heads.train()
    assert not torch.equal(heads(features).groups[0], heads(features).groups[0])
    heads.eval()
    assert torch.equal(heads(features).groups[0], heads(features).groups[0])
    zeros = []
    heads.heads["hair"].register_forward_hook(lambda _, given, made: zeros.append(float((given[0] == 0).sum()) / 64))
    heads.train()
    for _ in range(50):
        heads(features)
    assert np.mean(zeros) == pytest.approx(0.5, abs=0.05)


def test_dropout_follows_unfrozen_layers_only_while_they_train() -> None:
    class Encoder:
        network = nn.Sequential()

    Encoder.network.add_module("fc7", nn.Identity())
    network: Any = Encoder
    with dropout_after(network, ["fc7"], 0.5):
        shares = [float((Encoder.network.train()(torch.ones(4000)) == 0).float().mean())]
        shares.append(float((Encoder.network.eval()(torch.ones(4000)) == 0).float().mean()))
    assert shares == [pytest.approx(0.5, abs=0.05), 0.0]


def test_blur_is_the_regulariser_of_the_papers_settings() -> None:
    """Every eighth step (no strength is printed): a picture that nothing pulls at only loses its detail."""
    assert (PAPER.blur_every, PAPER.blur_sigma_px, PAPER.jitter) == (8, 1.5, True)
    begin = torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)).mul(0.3).clamp(-1, 1)
    bare = {"search": False, "learning_rate": 1.0, "jitter": False, "steps": 17, "patience": 0}
    config = DescentConfig.make(PAPER.model_dump() | bare)
    found = descend(lambda window, _: 0 * window.sum((1, 2, 3)), begin, 24, config, [torch.Generator()])
    same(found.pictures, blurred(blurred(begin, 1.5), 1.5))  # after the eighth and the sixteenth
    assert {step: float((all_ - begin).abs().max()) for step, all_ in found.stages.items()}.keys() == {0, 4, 16}
    same(found.stages[4], begin)
    short = DescentConfig.make(config.model_dump() | {"steps": 8})
    same(descend(lambda window, _: 0 * window.sum((1, 2, 3)), begin, 24, short, [torch.Generator()]).pictures, begin)


def test_any_of_seven_cascades_is_a_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is asked with the printed sizes and scale, and the last of them alone suffices."""
    asked = []

    class Cascade:
        def __init__(self, name: str, hit: str) -> None:
            self.name, self.hit = name, hit

        def detectMultiScale(self, image: Any, **how: Any) -> list[int]:  # noqa: N802
            asked.append((self.name, image.shape, tuple(how.values())))
            return [1] if self.name == self.hit else []

    photo = np.zeros((1, 128, 128, 3), np.uint8)
    for hit in (*detection.CASCADES, "none"):
        asked.clear()
        cascades = {name: Cascade(name, hit) for name in detection.CASCADES}
        monkeypatch.setattr(detection, "load_cascades", lambda found=cascades: found)
        assert detection.detects(photo, workers=1).tolist() == [hit != "none"]
    assert [name for name, _, _ in asked] == list(detection.CASCADES)
    assert len(set(detection.CASCADES)) == 7
    assert {(shape, how) for _, shape, how in asked} == {((64, 64), (1.1, 3, (32, 32), (64, 64)))}
