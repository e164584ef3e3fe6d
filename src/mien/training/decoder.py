"""Training the decoder (``generators/decoder.py``) against real faces.

One image view is (features, picture of what the encoder saw, picture wanted). For a photo cut tightly the two pictures
are the same and only its inside counts; loose photos are also shown as if cut tightly, with the whole crop wanted, so
that the decoder learns to draw the hair and the background around any face.

Generator: L1 pyramid + relative L1 of the encoder's early maps (the perceptual loss) + hinge costs of two critics +
Kullback-Leibler cost of the style. Where a crop is mirrored (outside its photo) the wanted picture is laid over the
made one before the critics and the perceptual loss look, so that those pixels teach nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from mien.config import Config
from mien.generators.critic import FeatureCritic, PatchCritic
from mien.generators.decoder import Decoder, DecoderConfig, StyleEncoder
from mien.images import sheet, to_photos
from mien.records import UInt8Image
from mien.seeding import stream, torch_seed
from mien.training.objectives import hinge_discriminator, hinge_generator, l1_pyramid
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import constant, flat_then_cosine

TAPS = ("2b", "4a", "4b")
TAP_CHANNELS = {"2b": 64, "4a": 192, "4b": 256}


class DecoderTrainingConfig(Config):
    """Everything that decides what is trained."""

    decoder: DecoderConfig = DecoderConfig()
    learning_rate: float = 1e-3
    critic_learning_rate: float = 2e-4
    fall_from: float = 0.5  # share of the run after which the rate falls to 0 along a cosine
    pyramid_levels: int = 5
    pyramid: float = 1.0
    perceptual: float = 0.5
    pixel_critic: float = 0.03
    feature_critic: float = 0.05
    divergence: float = 2e-3
    feature_noise: float = 0.15
    critics_from: float = 0.12  # share of the run after which the critics work
    data: str = ""  # fingerprint


@dataclass(frozen=True, slots=True)
class Views:
    """What a training run reads: N views in one order. ``pixels`` of the plain crops are read by ``rows``."""

    pixels: npt.NDArray[np.uint8]  # M S S 3, all crops of the dataset
    rows: npt.NDArray[np.int64]  # N: row of each view
    tight: npt.NDArray[np.bool_]  # N: shown cut tightly and mirrored left to right
    features: npt.NDArray[np.float16]  # N F
    cut: Any  # photos.features.Frames: ``cut(crop, key)``
    keys: tuple[str, ...]  # M: what ``cut`` wants
    mask: Any  # (row, size) -> S S float32


def view_batches(views: Views, batch_size: int, seed: int) -> Any:
    """``batch_at(step)``: a pure function of (seed, step). Every epoch is one permutation of the views."""
    count = len(views.rows)

    def batch_at(step: int) -> dict[str, Any]:
        places = epoch_places(count, step * batch_size, batch_size, seed)
        size = views.pixels.shape[1]
        wanted = np.empty((batch_size, size, size, 3), np.uint8)
        shown = np.empty_like(wanted)
        masks = np.ones((batch_size, 1, size, size), np.float32)
        for k, place in enumerate(places):
            row = int(views.rows[place])
            crop = np.asarray(views.pixels[row])
            if views.tight[place]:
                wanted[k] = crop[:, ::-1]
                shown[k] = views.cut.cut(crop, views.keys[row])
            else:
                wanted[k] = shown[k] = crop
                masks[k, 0] = views.mask(row, size)
        return {
            "wanted": torch.from_numpy(wanted),
            "shown": torch.from_numpy(shown),
            "mask": torch.from_numpy(masks),
            "features": torch.from_numpy(views.features[places].astype(np.float32)),
            "shared": {},
        }

    return batch_at


def epoch_places(count: int, first: int, size: int, seed: int) -> npt.NDArray[np.int64]:
    """Places ``first`` to ``first + size`` of an endless run of permutations of ``count``."""
    found: list[npt.NDArray[np.int64]] = []
    while size > 0:
        epoch, start = divmod(first, count)
        part = stream(seed, "epoch", epoch).permutation(count)[start : start + size]
        found.append(part)
        first, size = first + len(part), size - len(part)
    return np.concatenate(found)


def as_tensor(photos: Tensor) -> Tensor:
    """N H W 3 uint8 (torch) -> N 3 H W float32 in [-1, 1], channels last in memory."""
    from mien.images import to_tensor

    return to_tensor(photos.cpu().numpy()).to(photos.device)


def composed(made: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """``made`` where ``mask`` is 1, ``wanted`` elsewhere."""
    return torch.lerp(wanted, made, mask)


def jittered(images: Tensor, size: int, shift: tuple[int, int]) -> Tensor:
    """Images resized to ``size`` px and rolled by ``shift`` px: a perceptual loss of fixed strides leaves a grid."""
    resized = functional.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=False)
    return torch.roll(resized, shift, dims=(2, 3))


def early_maps(encoder: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Maps (N C h w) of the encoder's early layers."""
    maps: dict[str, Tensor] = encoder(images, TAPS)
    return maps


def perceptual(made: Mapping[str, Tensor], real: Mapping[str, Tensor]) -> Tensor:
    """Relative L1 of feature maps, compared channels last (docs/models.md says why)."""
    terms = []
    for name in TAPS:
        ours, theirs = made[name].permute(0, 2, 3, 1), real[name].permute(0, 2, 3, 1)
        size = theirs.abs().mean(dtype=torch.float32).clamp_min(1e-6)
        terms.append((ours - theirs).abs().mean(dtype=torch.float32) / size)
    return torch.stack(terms).mean()


def generator_cost(config: DecoderTrainingConfig) -> Any:
    """The decoder's and style encoder's objective."""

    def cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
        wanted, mask = as_tensor(batch["wanted"]), batch["mask"]
        features = batch["features"]
        decoder: Any = networks["decoder"]
        mean, log_variance = networks["style"](as_tensor(batch["shown"]))
        style = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=noise, device=noise.device)
        spread = torch.randn(features.shape, generator=noise, device=noise.device) * decoder.deviation
        made = decoder(features + config.feature_noise * spread, style, decoder.noise_planes(len(features), noise))
        made = composed(made, wanted, mask)
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        size, shift = _jitter(noise)
        with torch.no_grad():
            real_maps = early_maps(networks["encoder"], jittered(wanted, size, shift))
        made_maps = early_maps(networks["encoder"], jittered(made, size, shift))
        terms = {
            "pyramid": config.pyramid * l1_pyramid(made, wanted, levels=config.pyramid_levels),
            "perceptual": config.perceptual * perceptual(made_maps, real_maps),
            "divergence": config.divergence * divergence,
        }
        if info.progress >= config.critics_from:
            scores = networks["feature_critic"](made_maps)
            terms["features"] = (
                config.feature_critic * torch.stack([hinge_generator(s) for s in scores.values()]).mean()
            )
            terms["pixels"] = config.pixel_critic * hinge_generator(networks["pixel_critic"](made))
        shared: dict[str, Any] = batch["shared"]
        shared["made"], shared["wanted"] = made.detach(), wanted
        shared["made_maps"] = {name: value.detach() for name, value in made_maps.items()}
        shared["real_maps"] = real_maps
        return terms

    return cost


def critic_cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
    """Both critics' objective, on the images and maps of the generator's turn."""
    shared: dict[str, Any] = batch["shared"]
    real, made = networks["feature_critic"](shared["real_maps"]), networks["feature_critic"](shared["made_maps"])
    pixels = networks["pixel_critic"]
    return {
        "features": torch.stack([hinge_discriminator(real[name], made[name]) for name in real]).mean(),
        "pixels": hinge_discriminator(pixels(shared["wanted"]), pixels(shared["made"])),
    }


def _jitter(noise: torch.Generator) -> tuple[int, tuple[int, int]]:
    draws = torch.randint(0, 1000, (3,), generator=noise, device=noise.device).tolist()
    return 112 + 8 * (draws[0] % 4), (draws[1] % 8 - 4, draws[2] % 8 - 4)


def decoder_networks(config: DecoderTrainingConfig, views: Views, seed: int) -> dict[str, nn.Module]:
    """The networks of a new run; the decoder knows the features' mean and deviation."""
    torch.manual_seed(torch_seed(seed, "weights"))
    decoder = Decoder(config.decoder)
    values = torch.from_numpy(views.features.astype(np.float32))
    decoder.mean.copy_(values.mean(0))
    decoder.deviation.copy_(values.std(0).clamp_min(1e-3))
    networks: dict[str, nn.Module] = {
        "decoder": decoder,
        "style": StyleEncoder(config.decoder),
        "pixel_critic": PatchCritic(),
        "feature_critic": FeatureCritic(TAP_CHANNELS),
    }
    return {name: _channels_last(network) for name, network in networks.items()}


def decoder_phases(config: DecoderTrainingConfig, steps: int) -> list[Phase]:
    """Two turns a step: the decoder with its style encoder, then the critics."""
    return [
        Phase(
            "decoder",
            ("decoder", "style"),
            generator_cost(config),
            flat_then_cosine(config.learning_rate, steps=steps, fall_from=config.fall_from, warmup=100),
            OptimiserConfig(kind="adamw", beta1=0.9, beta2=0.99, clip_norm=10.0),
        ),
        Phase(
            "critics",
            ("pixel_critic", "feature_critic"),
            critic_cost,
            constant(config.critic_learning_rate),
            OptimiserConfig(kind="adam", beta1=0.0, beta2=0.99),
            start=max(0, int((config.critics_from - 0.02) * steps)),
        ),
    ]


def preview_sheet(views: Views, places: npt.NDArray[np.int64]) -> Any:
    """Rows of (wanted, shown, decoded) for fixed views."""

    def draw(networks: Networks, step: int) -> UInt8Image:
        generator = torch.Generator().manual_seed(0)
        decoder: Any = networks["decoder"]
        tiles: list[UInt8Image] = []
        for place in places:
            row = int(views.rows[place])
            crop = np.asarray(views.pixels[row])
            shown = views.cut.cut(crop, views.keys[row]) if views.tight[place] else crop
            with torch.no_grad():
                picture = as_tensor(torch.from_numpy(shown[None].copy()))
                style, _ = networks["style"](picture)
                values = torch.from_numpy(views.features[place][None].astype(np.float32))
                made = to_photos(decoder(values, style, decoder.noise_planes(1, generator)))[0]
                tiles += [np.ascontiguousarray(shown), made]
        return sheet(tiles, columns=12)

    return draw


def _channels_last(network: nn.Module) -> nn.Module:
    moved: nn.Module = nn.Module.to(network, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved
