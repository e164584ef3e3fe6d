"""Training the enlarger (``generators/enlarger.py``) on patches of sharp photographs and of drawn faces.

Photographed patches have a truth: L1 and the relative L1 of the encoder's first maps (the perceptual loss). Drawn ones
have none: what they become, halved by area, is to be what was given. On both a critic asks for the look of
photographs (Ledig et al., SRGAN, 2017), from pixels and from the encoder's maps, from which it learns
sooner than from pixels (Sauer et al., Projected GANs, 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from mien.core.checkpoints import save_weights
from mien.core.config import Config
from mien.core.images import sheet, to_photos, to_tensor
from mien.core.losses import hinge_discriminator, hinge_generator
from mien.core.records import UInt8Image
from mien.core.seeding import torch_seed
from mien.generators.critic import MixedCritic
from mien.generators.enlarger import FACTOR, MODEL, EnlargerConfig, EnlargerNetwork, bicubic
from mien.training.decoder import NEAR_TAPS, TAP_CHANNELS
from mien.training.ema import EmaConfig
from mien.training.loop import BatchAt, Hook, LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import constant, flat_then_cosine

State = Mapping[str, Tensor]

TAPS = ("2b",)  # the encoder's last maps at full resolution
CRITIC_CHANNELS = {name: TAP_CHANNELS[name] for name in NEAR_TAPS}  # of the encoder's maps that judge a patch


class EnlargerTrainingConfig(Config):
    """Everything that decides what is trained."""

    enlarger: EnlargerConfig = EnlargerConfig()
    learning_rate: float = 1e-3
    critic_learning_rate: float = 3e-4
    fall_from: float = 0.5  # share of the run after which the rate falls to 0 along a cosine
    pixels: float = 1.0
    perceptual: float = 0.1
    critic: float = 0.01  # at 0.1 grain grows into speckles on ears and backgrounds
    consistency: float = 1.0
    critic_widths: tuple[int, ...] = (32, 64, 128)
    critic_maps: tuple[str, ...] = ()  # of the encoder, from which it judges besides (``CRITIC_CHANNELS``)
    critic_bounded: bool = True  # its last layer, too: then scores stay near 0, and little is learned from them
    critic_from: float = 0.15  # share of the run after which the critic works
    drawn_share: float = 0.375  # of a batch
    data: str = ""  # fingerprint
    rules: dict[str, Any] = pydantic.Field(default_factory=dict)  # of the patches (datasets/patches.py)
    drawn_by: str = ""  # version of the decoder that drew
    images_before: int = 0  # patches seen by the networks that this run starts with


def halved(images: Tensor) -> Tensor:
    """Half the height and width, by area."""
    return functional.avg_pool2d(images, FACTOR)


def maps_apart(made: Mapping[str, Tensor], real: Mapping[str, Tensor]) -> Tensor:
    """Relative L1 of feature maps, compared channels last (docs/models.md says why)."""
    terms = []
    for name in TAPS:
        ours, theirs = made[name].permute(0, 2, 3, 1), real[name].permute(0, 2, 3, 1)
        size = theirs.abs().mean(dtype=torch.float32).clamp_min(1e-6)
        terms.append((ours - theirs).abs().mean(dtype=torch.float32) / size)
    return torch.stack(terms).mean()


def generator_cost(config: EnlargerTrainingConfig) -> Any:
    """The enlarger's objective."""

    def cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
        large, small, known = to_tensor(batch["large"]), to_tensor(batch["small"]), batch["known"] > 0
        chance = torch.randn(len(large), 1, *large.shape[2:], generator=noise, device=large.device)
        made = networks["enlarger"](small, chance)
        encoder: Any = networks["encoder"]
        taps = tuple(dict.fromkeys((*TAPS, *config.critic_maps)))
        with torch.no_grad():
            real_maps = encoder(large, taps)
        maps: dict[str, Tensor] = encoder(made, taps)
        ours, truth = made[known], large[known]
        terms = {}
        if len(ours):
            terms["pixels"] = config.pixels * (ours - truth).abs().mean()
            terms["perceptual"] = config.perceptual * maps_apart(_of(maps, known), _of(real_maps, known))
        if len(ours) < len(made):
            terms["consistency"] = config.consistency * (halved(made[~known]) - small[~known]).abs().mean()
        if info.progress >= config.critic_from:
            scores = [hinge_generator(part) for part in networks["critic"](made, maps)]
            terms["critic"] = config.critic * torch.stack(scores).mean()
        shared: dict[str, Any] = batch["shared"]
        shared["made"] = made.detach(), {name: found.detach() for name, found in maps.items()}
        shared["large"] = large, real_maps
        return terms

    return cost


def critic_cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
    """The critic's objective, on the patches of the enlarger's turn."""
    shared: dict[str, Any] = batch["shared"]
    critic = networks["critic"]
    both = zip(critic(*shared["large"]), critic(*shared["made"]), strict=True)
    return {"hinge": torch.stack([hinge_discriminator(real, made) for real, made in both]).mean()}


def _of(maps: Mapping[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {name: maps[name][rows] for name in TAPS}


def enlarger_networks(
    config: EnlargerTrainingConfig, seed: int, initial: Mapping[str, State] | None = None
) -> dict[str, nn.Module]:
    """The networks of a new run; ``initial`` gives weights by network, those that do not fit start at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "weights"))
        channels = {name: CRITIC_CHANNELS[name] for name in config.critic_maps}
        critic = MixedCritic(config.critic_widths, channels, bounded=config.critic_bounded)
        networks: dict[str, nn.Module] = {"enlarger": EnlargerNetwork(config.enlarger), "critic": critic}
    for name, network in networks.items():
        own = network.state_dict()
        given = (initial or {}).get(name, {})
        network.load_state_dict(
            own | {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
        )
    return networks


def enlarger_phases(config: EnlargerTrainingConfig, steps: int) -> list[Phase]:
    """Two turns a step: the enlarger, then the critic."""
    return [
        Phase(
            "enlarger",
            ("enlarger",),
            generator_cost(config),
            flat_then_cosine(config.learning_rate, steps=steps, fall_from=config.fall_from, warmup=min(50, steps)),
            OptimiserConfig(beta1=0.9, beta2=0.99, clip_norm=1.0),
        ),
        Phase(
            "critic",
            ("critic",),
            critic_cost,
            constant(config.critic_learning_rate),
            OptimiserConfig(beta1=0.0, beta2=0.99),
            start=max(0, round((config.critic_from - 0.05) * steps)),
        ),
    ]


def preview_sheet(photos: Sequence[UInt8Image], drawn: UInt8Image) -> Callable[[Networks, int], UInt8Image]:
    """Photographs (S S 3): bicubic, enlarged, true; then drawn faces (M s s 3, 2s = S): bicubic, enlarged. Six wide."""

    def draw(networks: Networks, step: int) -> UInt8Image:
        tiles: list[UInt8Image] = []
        for truth in photos:
            tiles += [*_both(networks, halved(to_tensor(truth))), truth]
        for picture in drawn:
            tiles += _both(networks, to_tensor(picture))
        return sheet(tiles, columns=6)

    return draw


def _both(networks: Networks, small: Tensor) -> list[UInt8Image]:
    network = networks["enlarger"]
    on = small.to(next(network.parameters()).device)
    large = bicubic(on)
    chance = torch.randn(large[:, :1].shape, generator=torch.Generator().manual_seed(0)).to(on.device)
    with torch.no_grad():
        return [*to_photos(large), *to_photos(network(on, chance))]


def held_out_gain(photos: Sequence[UInt8Image], encoder: Any, every: int) -> Hook:
    """How much nearer held-out photographs are than by bicubic: dB of PSNR more, share of perceptual distance left."""

    def measure(networks: Networks, step: int) -> dict[str, float]:
        ratios, gains = [], []
        for truth in photos:
            real = to_tensor(truth)
            small = to_tensor(to_photos(halved(real)))
            real_maps = encoder(real, TAPS)
            errors, apart = [], []
            for made in (bicubic(small), networks["enlarger"](small)):
                errors.append(float((made.clamp(-1, 1) - real).square().mean()))
                apart.append(float(maps_apart(encoder(made, TAPS), real_maps)))
            gains.append(10 * np.log10(errors[0] / max(errors[1], 1e-12)))
            ratios.append(apart[1] / max(apart[0], 1e-12))
        return {"psnr_gain_db": float(np.mean(gains)), "perceptual_ratio": float(np.mean(ratios))}

    return Hook("held-out", every, measure)


def train_enlarger(
    batch_at: BatchAt,
    encoder: nn.Module,
    run_dir: Path,
    config: EnlargerTrainingConfig,
    settings: LoopSettings,
    *,
    preview: Callable[[Networks, int], UInt8Image] | None = None,
    hooks: Sequence[Hook] = (),
    initial: Mapping[str, State] | None = None,
    resume: bool = False,
) -> Outcome:
    """Train on ``batch_at`` (datasets/patches.py) in ``run_dir``; a run that ended writes ``weights.safetensors``.

    ``encoder`` is the frozen network whose first maps serve as perceptual distance.
    """
    outcome = train(
        networks=enlarger_networks(config, settings.seed, initial),
        frozen={"encoder": encoder},
        phases=enlarger_phases(config, settings.steps),
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        ema=EmaConfig(names=("enlarger",), half_life_kimg=1.0),
        preview=preview,
        hooks=hooks,
        resume=resume,
    )
    if outcome.finished:
        export(outcome, run_dir / "weights.safetensors", config)
    return outcome


def export(outcome: Outcome, path: Path, config: EnlargerTrainingConfig) -> None:
    """Write the averaged enlarger for ``Enlarger.load``, in fp16."""
    images = outcome.images + config.images_before
    metadata = {
        "model": MODEL,
        "version": f"{MODEL}-{images // 1000}k",
        "config": config.enlarger.model_dump(mode="json"),
        "training": config.model_dump(mode="json", exclude={"enlarger"}),
        "patches_seen": images,
    }
    save_weights(path, outcome.shown["enlarger"].state_dict(), metadata, dtype=torch.float16)
