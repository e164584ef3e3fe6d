"""Training the decoder (``generators/decoder.py``) against real faces.

One image view is (features, picture of what the encoder saw, picture wanted). For a photo cut tightly the two pictures
are the same and only its inside counts; loose photos are also shown as if cut tightly, with the whole crop wanted, so
that the decoder learns to draw the hair and the background around any face.

Generator: L1 pyramid + relative L1 of the encoder's maps (the perceptual loss) + angle between the encoder's pooled
features of both pictures (the identity loss) + the same for people mixed of two (``training/cycle.py``) + hinge costs
of two critics + Kullback-Leibler cost of the style. Where a
crop is mirrored (outside its photo) the wanted picture is laid over the made one before the critics and the encoder
look, so that those pixels teach nothing. The border of mixed people's pictures is mirrored as that of photos is before
anybody looks at them, so that the decoder need not draw such borders to be believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from mien.core.config import Config
from mien.core.images import sheet, to_photos, to_tensor
from mien.core.losses import hinge_discriminator, hinge_generator, l1_pyramid
from mien.core.records import UInt8Image
from mien.core.seeding import torch_seed
from mien.generators.critic import FeatureCritic, PatchCritic
from mien.generators.decoder import Decoder, DecoderConfig, StyleEncoder
from mien.training.cycle import cycle, laid, mixed, spaced
from mien.training.ema import EmaConfig
from mien.training.loop import LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import constant, flat_then_cosine

State = Mapping[str, Tensor]

TAPS = ("2b", "4a", "4b", "block35", "block17")
POOL = "pool"
TAP_CHANNELS = {"2b": 64, "4a": 192, "4b": 256, "block35": 256}  # where the critic on features looks
NEAR_TAPS = ("2b", "4a", "4b")  # those that see a part of the picture: all that people who never were are judged by


class DecoderTrainingConfig(Config):
    """Everything that decides what is trained."""

    decoder: DecoderConfig = DecoderConfig()
    learning_rate: float = 1e-3
    critic_learning_rate: float = 2e-4
    fall_from: float = 0.4  # share of the run after which the rate falls to 0 along a cosine
    pyramid_levels: int = 5
    pyramid: float = 1.0
    perceptual: float = 0.8
    identity: float = 1.0
    cycle: float = 1.0
    mixed: float = 0.5  # people mixed of two, for each of the batch
    pixel_critic: float = 0.08
    feature_critic: float = 0.1
    divergence: float = 2e-3
    feature_noise: float = 0.15
    average_half_life_kimg: float = 10.0  # of the weights that are shown and exported
    critics_from: float = 0.05  # share of the run after which the critics work
    data: str = ""  # fingerprint
    images_before: int = 0  # images seen by the networks that this run starts with


def composed(made: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """``made`` where ``mask`` is 1, ``wanted`` elsewhere."""
    return torch.lerp(wanted, made, mask)


def jittered(images: Tensor, size: int, shift: tuple[int, int]) -> Tensor:
    """Images resized to ``size`` px and rolled by ``shift`` px: a perceptual loss of fixed strides leaves a grid."""
    resized = functional.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=False)
    return torch.roll(resized, shift, dims=(2, 3))


def encoder_maps(encoder: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The encoder's maps (N C h w) at ``TAPS``, and its pooled features (N F)."""
    maps: dict[str, Tensor] = encoder(images, (*TAPS, POOL))
    return maps


def perceptual(made: Mapping[str, Tensor], real: Mapping[str, Tensor]) -> Tensor:
    """Relative L1 of feature maps, compared channels last (docs/models.md says why)."""
    terms = []
    for name in TAPS:
        ours, theirs = made[name].permute(0, 2, 3, 1), real[name].permute(0, 2, 3, 1)
        size = theirs.abs().mean(dtype=torch.float32).clamp_min(1e-6)
        terms.append((ours - theirs).abs().mean(dtype=torch.float32) / size)
    return torch.stack(terms).mean()


def identity(made: Tensor, real: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """1 - cosine of the angle between pooled features (N F each), standardised; 1 between strangers."""
    ours, theirs = ((features.float() - mean) / deviation for features in (made, real))
    return 1 - functional.cosine_similarity(ours, theirs).mean()


def generator_cost(config: DecoderTrainingConfig) -> Any:
    """The decoder's and style encoder's objective."""

    def cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
        wanted, mask = to_tensor(batch["wanted"]), batch["mask"]
        features = batch["features"]
        decoder: Any = networks["decoder"]
        mean, log_variance = networks["style"](to_tensor(batch["shown"]))
        style = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=noise, device=noise.device)
        spread = torch.randn(features.shape, generator=noise, device=noise.device) * decoder.deviation
        given, count = features + config.feature_noise * spread, len(features)
        strangers = mixed(features, decoder.mean, decoder.deviation, round(config.mixed * count), noise)
        chosen = spaced(len(strangers), count)
        styles = [(place + 2) % count for place in chosen]  # the style of neither of the two
        drawn = decoder(
            torch.cat([given, strangers]),
            torch.cat([style, style[styles]]),
            decoder.noise_planes(count + len(strangers), noise),
        )
        made, invented = composed(drawn[:count], wanted, mask), drawn[count:]
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        size, shift = _jitter(noise)
        with torch.no_grad():
            real_maps = encoder_maps(networks["encoder"], jittered(wanted, size, shift))
        made_maps = encoder_maps(networks["encoder"], jittered(made, size, shift))
        shared: dict[str, Any] = batch["shared"]
        shared["made_maps"] = {name: value.detach() for name, value in made_maps.items()}
        terms = {
            "pyramid": config.pyramid * l1_pyramid(made, wanted, levels=config.pyramid_levels),
            "perceptual": config.perceptual * perceptual(made_maps, real_maps),
            "identity": config.identity * identity(made_maps[POOL], real_maps[POOL], decoder.mean, decoder.deviation),
            "divergence": config.divergence * divergence,
        }
        if len(strangers):
            shown = laid(invented, batch["shown_from"][chosen])
            met = cycle(networks["encoder"], shown, strangers, decoder.mean, decoder.deviation)
            terms["cycle"] = config.cycle * met
            # As many borders are mirrored as of the photos, whose features they came from or not: none is to betray.
            turned = [(place + count // 2) % count for place in chosen]
            invented = laid(invented, batch["wanted_from"][turned])
        if info.progress >= config.critics_from:
            near_maps = networks["encoder"](jittered(invented, size, shift), NEAR_TAPS) if len(strangers) else {}
            judged_maps = {name: _with(made_maps[name], near_maps.get(name)) for name in TAP_CHANNELS}
            scores = networks["feature_critic"](judged_maps)
            shared["made_maps"] = {name: value.detach() for name, value in judged_maps.items()}
            terms["features"] = (
                config.feature_critic * torch.stack([hinge_generator(s) for s in scores.values()]).mean()
            )
            terms["pixels"] = config.pixel_critic * hinge_generator(
                networks["pixel_critic"](torch.cat([made, invented]))
            )
        shared["made"], shared["wanted"] = torch.cat([made, invented]).detach(), wanted
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


def _with(maps: Tensor, others: Tensor | None) -> Tensor:
    return maps if others is None else torch.cat([maps, others])


def _jitter(noise: torch.Generator) -> tuple[int, tuple[int, int]]:
    draws = torch.randint(0, 1000, (3,), generator=noise, device=noise.device).tolist()
    return 112 + 8 * (draws[0] % 4), (draws[1] % 8 - 4, draws[2] % 8 - 4)


def decoder_networks(
    config: DecoderTrainingConfig, features: npt.NDArray[Any], seed: int, initial: Mapping[str, State] | None = None
) -> dict[str, nn.Module]:
    """The networks of a new run; the decoder knows mean and deviation of ``features`` (N F).

    ``initial`` gives weights by network; those of another shape, and those not given, start at random.
    """
    torch.manual_seed(torch_seed(seed, "weights"))
    decoder = Decoder(config.decoder)
    decoder.mean.copy_(torch.from_numpy(features.astype(np.float64).mean(0)))
    decoder.deviation.copy_(torch.from_numpy(features.astype(np.float64).std(0)).clamp_min(1e-3))
    networks: dict[str, nn.Module] = {
        "decoder": decoder,
        "style": StyleEncoder(config.decoder),
        "pixel_critic": PatchCritic(),
        "feature_critic": FeatureCritic(TAP_CHANNELS),
    }
    for name, network in networks.items():
        own = network.state_dict()
        given = (initial or {}).get(name, {})
        fitting = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
        network.load_state_dict(own | fitting)
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
            start=max(0, round((config.critics_from - 0.02) * steps)),
        ),
    ]


def preview_sheet(batch: Batch, columns: int = 12) -> Callable[[Networks, int], UInt8Image]:
    """Pairs (shown, decoded) of a fixed batch, ``columns`` tiles wide."""
    shown = torch.as_tensor(batch["shown"])
    features = torch.as_tensor(batch["features"])

    def draw(networks: Networks, step: int) -> UInt8Image:
        decoder: Any = networks["decoder"]
        device = decoder.mean.device
        planes = decoder.noise_planes(len(shown), torch.Generator().manual_seed(0))  # the same on every device
        with torch.no_grad():
            style, _ = networks["style"](to_tensor(shown.to(device)))
            made = to_photos(decoder(features.to(device), style, [plane.to(device) for plane in planes]))
        tiles = [tile for pair in zip(shown.numpy(), made, strict=True) for tile in pair]
        return sheet(tiles, columns=columns)

    return draw


def train_decoder(
    batch_at: Callable[[int], Batch],
    features: npt.NDArray[Any],
    encoder: nn.Module,
    run_dir: Path,
    config: DecoderTrainingConfig,
    settings: LoopSettings,
    *,
    preview: Batch | None = None,
    initial: Mapping[str, State] | None = None,
    resume: bool = False,
) -> Outcome:
    """Train a decoder on ``batch_at`` (datasets/views.py). ``features`` (N F) are those of the training views.

    ``encoder`` is the frozen network whose early maps serve as perceptual distance. ``preview`` is a batch of held-out
    views. The averaged decoder and style encoder are in ``outcome.shown``.
    """
    return train(
        networks=decoder_networks(config, features, settings.seed, initial),
        frozen={"encoder": encoder},
        phases=decoder_phases(config, settings.steps),
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        ema=EmaConfig(names=("decoder", "style"), half_life_kimg=config.average_half_life_kimg),
        preview=preview_sheet(preview) if preview is not None else None,
        resume=resume,
    )


def _channels_last(network: nn.Module) -> nn.Module:
    moved: nn.Module = nn.Module.to(network, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved
