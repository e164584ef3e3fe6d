"""The painter's last lesson: what it says of a noisy picture is to look like a photograph, not like a mean of many.

A squared error asks for the mean of all pictures that the noise allows: collars, strands and the rims of glasses
dissolve. Here a critic judges the clean picture that the network says at the later times of the sampler (Sauer et al.,
*Adversarial Diffusion Distillation*, 2023), from pixels and from the frozen encoder's maps (Sauer et al., *Projected
GANs*, 2021). The flow's own cost stays beside it, and holds the picture to the noise and to what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien.core.checkpoints import load_into
from mien.core.losses import hinge_discriminator, hinge_generator
from mien.core.seeding import torch_seed
from mien.generators.critic import MixedCritic
from mien.generators.painter.basis import PatchBasis
from mien.training.ema import EmaConfig
from mien.training.enlarger import CRITIC_CHANNELS, maps_apart
from mien.training.loop import Hook, LoopSettings, Outcome, train
from mien.training.painter import PainterTrainingConfig, forgetful, new_painter, weighted_error
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import constant, flat_then_cosine

TIMES = (0.15, 0.85)  # those of the sampler's later steps
WIDTHS = (48, 96, 192)
LEARNS_FROM = 0.03  # share of the run after which the painter listens to the critic


def adversarial_cost(
    config: PainterTrainingConfig, basis: PatchBasis
) -> Callable[[Networks, Batch, torch.Generator, StepInfo], Terms]:
    """The flow's cost, the distance of the encoder's maps and the critic's verdict at random times of ``TIMES``."""

    def cost(networks: Networks, batch: Batch, draws: torch.Generator, info: StepInfo) -> Terms:
        tokens = batch["tokens"]
        given = forgetful(batch, config, draws)
        normals = torch.randn(tokens.shape, generator=draws, device=tokens.device)
        first, last = TIMES
        time = first + (last - first) * torch.rand(len(tokens), generator=draws, device=tokens.device)
        clean = networks["painter"](torch.lerp(normals, tokens, time[:, None, None]), time, given).float()
        encoder: Any = networks["encoder"]
        real, made = basis.decode(tokens), basis.decode(clean)
        with torch.no_grad():
            real_maps = encoder(real, tuple(CRITIC_CHANNELS))
        maps: dict[str, Tensor] = encoder(made, tuple(CRITIC_CHANNELS))
        terms = {
            "flow": weighted_error(clean, tokens, batch["valid"], time).mean(),
            "perceptual": config.perceptual * maps_apart(maps, real_maps),
        }
        if info.progress >= LEARNS_FROM:
            scores = [hinge_generator(part) for part in networks["critic"](made, maps)]
            terms["critic"] = config.critic * torch.stack(scores).mean()
        shared: dict[str, Any] = batch["shared"]
        shared["made"] = made.detach(), {name: found.detach() for name, found in maps.items()}
        shared["real"] = real, real_maps
        return terms

    return cost


def critic_cost(networks: Networks, batch: Batch, draws: torch.Generator, info: StepInfo) -> Terms:
    """The critic's objective, on the pictures of the painter's turn."""
    shared: dict[str, Any] = batch["shared"]
    critic = networks["critic"]
    both = zip(critic(*shared["real"]), critic(*shared["made"]), strict=True)
    return {"hinge": torch.stack([hinge_discriminator(real, made) for real, made in both]).mean()}


def new_critic(seed: int) -> nn.Module:
    """A critic that has seen nothing yet."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "critic"))
        return MixedCritic(WIDTHS, CRITIC_CHANNELS, bounded=False)


def adversarial_phases(config: PainterTrainingConfig, basis: PatchBasis, steps: int) -> list[Phase]:
    """Two turns a step: the painter, then the critic."""
    rate = flat_then_cosine(config.adversarial_rate, steps=steps, fall_from=config.fall_from, warmup=min(50, steps))
    gentle = OptimiserConfig(beta1=0.5, beta2=0.99, clip_norm=5.0)
    return [
        Phase("painter", ("painter",), adversarial_cost(config, basis), rate, gentle),
        Phase("critic", ("critic",), critic_cost, constant(6e-4), OptimiserConfig(beta1=0.0, beta2=0.99)),
    ]


def train_painter_adversarially(
    batch_at: Callable[[int], Batch],
    encoder: nn.Module,
    basis: PatchBasis,
    run_dir: Path,
    config: PainterTrainingConfig,
    settings: LoopSettings,
    initial: Mapping[str, Tensor],
    *,
    hooks: Sequence[Hook] = (),
    resume: bool = False,
) -> Outcome:
    """Train the painter whose weights are ``initial`` on batches of ``PaintedSet``, judged by a critic.

    ``encoder`` is the frozen network from whose maps the critic judges, ``basis`` what makes pictures of tokens.
    """
    painter = new_painter(config.painter, settings.seed)
    load_into(painter, initial, name="painter to start from")
    return train(
        networks={"painter": painter, "critic": new_critic(settings.seed)},
        frozen={"encoder": encoder},
        phases=adversarial_phases(config, basis, settings.steps),
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        ema=EmaConfig(names=("painter",), half_life_kimg=config.average_half_life_kimg),
        hooks=tuple(hooks),
        resume=resume,
    )
