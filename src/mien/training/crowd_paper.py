"""Training the conditional GAN of D. Sanche (section 3 of the paper; networks: ``papers/cgan_sanche/networks.py``).

As printed: Adam; rate 5e-4 times 0.996 after every 100 batches, never below 5e-5; sigmoid cross entropy; the networks
learn in turn, each only its own weights; the discriminator pauses while its cost is below half the generator's, the
generator while its cost is below a third of the discriminator's; batches hold an equal share of 16 bins (two sexes,
eight ages); photos are scaled to 64 x 64.

Where the paper is silent, we decided:

- *Batch size* 64 (four photos a bin): on one CPU thread 32 costs 0.27 s, 64 costs 0.43 s.
- *Adam*: beta1 0.5, beta2 0.999, epsilon 1e-8 (Radford et al., 2016); the paper names no values.
- *The discriminator's cost* is the mean over photos and generated images, so that equal costs, which the pause rule
  aims at, mean a tie.
- *Labels of generated images* are those of the batch, so they come from the 16 bins in equal share, too.
- *Noise* is drawn anew for each of the two turns. No augmentation, no label smoothing, no averaging of weights.
- *A paused network's cost* is measured on, with the batch at hand; the rule compares the costs of the batch before.
- *Edges of the eight age bins*: decades, with 80 to 100 years in one (``datasets/batches.AGE_EDGES_YEARS``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch

from mien.core.checkpoints import save_weights
from mien.core.config import Config
from mien.core.images import sheet, to_photos, to_tensor
from mien.core.losses import cross_entropy_discriminator, cross_entropy_generator
from mien.core.quantise import packed
from mien.core.records import Sex, UInt8Image
from mien.core.seeding import stream, torch_seed
from mien.papers.cgan_sanche.networks import (
    MODEL,
    Ages,
    SancheConfig,
    SancheDiscriminator,
    SancheGenerator,
    draw_noise,
    encode_labels,
)
from mien.training.loop import BatchAt, Hook, LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms, pause_below
from mien.training.schedules import staircase

DETECTION_AGES_YEARS = (10.0, 80.0)
PREVIEW_AGES_YEARS = (12, 20, 28, 36, 45, 55, 65, 78)


class CrowdPaperConfig(Config):
    """Everything that decides what is trained; the defaults are the paper's."""

    networks: SancheConfig = SancheConfig()
    learning_rate: float = 5e-4
    rate_factor: float = 0.996
    rate_every: int = 100
    rate_floor: float = 5e-5
    beta1: float = 0.5
    beta2: float = 0.999
    pause_discriminator_below: float = 1 / 2
    pause_generator_below: float = 1 / 3


def paper_batch(
    photos: UInt8Image, sexes: Sequence[Sex], ages_years: Sequence[float], ages: Ages = "years"
) -> dict[str, torch.Tensor]:
    """What the objectives read: ``image`` (N 3 64 64, -1 to 1) and ``labels`` (N L, -1 to 1)."""
    return {"image": to_tensor(photos), "labels": encode_labels(sexes, ages_years, ages)}


def discriminator_cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
    """Photos are to be called 1, generated images 0."""
    labels = batch["labels"]
    with torch.no_grad():
        fake = _fake(networks, labels, noise)
    scores = networks["discriminator"](torch.cat([batch["image"], fake]), torch.cat([labels, labels]))
    real_scores, fake_scores = scores.chunk(2)
    return {"total": cross_entropy_discriminator(real_scores, fake_scores)}


def generator_cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
    """Generated images are to be called 1."""
    fake = _fake(networks, batch["labels"], noise)
    return {"total": cross_entropy_generator(networks["discriminator"](fake, batch["labels"]))}


def _fake(networks: Networks, labels: torch.Tensor, noise: torch.Generator) -> torch.Tensor:
    generator = cast(SancheGenerator, networks["generator"])
    made: torch.Tensor = generator(draw_noise(len(labels), generator.config.noise, noise), labels)
    return made


def paper_phases(config: CrowdPaperConfig) -> list[Phase]:
    """The two turns of a step."""
    rate = staircase(config.learning_rate, factor=config.rate_factor, every=config.rate_every, floor=config.rate_floor)
    adam = OptimiserConfig(beta1=config.beta1, beta2=config.beta2)
    return [
        Phase(
            "discriminator", ("discriminator",), discriminator_cost, rate, adam,
            gate=pause_below("discriminator", "generator", config.pause_discriminator_below),
        ),
        Phase(
            "generator", ("generator",), generator_cost, rate, adam,
            gate=pause_below("generator", "discriminator", config.pause_generator_below),
        ),
    ]  # fmt: skip


def paper_networks(config: CrowdPaperConfig, seed: int) -> dict[str, torch.nn.Module]:
    """Fresh networks, their weights drawn from ``seed`` (torch's global state is left as it was)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "initial weights"))
        return {"generator": SancheGenerator(config.networks), "discriminator": SancheDiscriminator(config.networks)}


def preview_sheet(networks: Networks, step: int) -> UInt8Image:
    """Rows: ages; columns: four faces as women, the same four noises as men (the paper's figures 9 and 10 in one)."""
    generator = cast(SancheGenerator, networks["generator"])
    device = next(generator.parameters()).device
    four = stream(0, "preview").uniform(-1, 1, (4, generator.config.noise)).astype("float32")
    noise = torch.from_numpy(four).repeat(2 * len(PREVIEW_AGES_YEARS), 1)
    row: tuple[Sex, ...] = ("female",) * 4 + ("male",) * 4
    sexes = row * len(PREVIEW_AGES_YEARS)
    ages = [float(age) for age in PREVIEW_AGES_YEARS for _ in range(8)]
    photos = to_photos(generator(noise.to(device), encode_labels(sexes, ages, generator.config.ages).to(device)))
    return sheet(list(photos), 8)


def detection_hook(rate: Callable[[UInt8Image], float], *, every: int = 100, count: int = 300) -> Hook:
    """The share of ``count`` generated faces, of both sexes and all ages, in which ``rate`` finds one (figure 8)."""
    draws = stream(0, "detection")
    sexes: list[Sex] = ["female" if number % 2 else "male" for number in range(count)]
    ages = [float(age) for age in draws.uniform(*DETECTION_AGES_YEARS, count)]

    def measure(networks: Networks, step: int) -> dict[str, float]:
        generator = cast(SancheGenerator, networks["generator"])
        labels = encode_labels(sexes, ages, generator.config.ages)
        device = next(generator.parameters()).device
        noise = torch.from_numpy(
            stream(0, "detection noise", step).uniform(-1, 1, (count, generator.config.noise)).astype("float32")
        )
        photos = [
            to_photos(generator(part.to(device), own.to(device)))
            for part, own in zip(torch.split(noise, 64), torch.split(labels, 64), strict=True)
        ]
        return {f"detection rate (n {count})": rate(np.concatenate(photos))}

    return Hook("detection", every, measure)


def train_paper(
    batch_at: BatchAt,
    run_dir: Path,
    config: CrowdPaperConfig,
    settings: LoopSettings,
    *,
    hooks: Sequence[Hook] = (),
    data: str = "",
    resume: bool = False,
) -> Outcome:
    """Train in ``run_dir``; at the end (also an early one) write ``weights.safetensors``, fp16.

    ``batch_at(step)`` gives what ``paper_batch`` makes. ``data`` names the data in the metadata of the weights.
    """
    outcome = train(
        networks=paper_networks(config, settings.seed),
        phases=paper_phases(config),
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        preview=preview_sheet,
        hooks=hooks,
        resume=resume,
    )
    export(outcome, run_dir / "weights.safetensors", config, data)
    return outcome


def export(outcome: Outcome, path: Path, config: CrowdPaperConfig, data: str = "") -> None:
    """Write the generator for ``PaperCrowd.load``: fp16, its configuration and history inside.

    The large matrices take a byte a weight: 22 MB instead of 42, and no pixel moves by more than 1 of 255.
    """
    metadata = {
        "model": MODEL,
        "version": "1",
        "config": config.networks.model_dump(mode="json"),
        "training": config.model_dump(mode="json", exclude={"networks"}),
        "batches": outcome.step,
        "images": outcome.images,
        "data": data,
    }
    save_weights(path, packed(outcome.shown["generator"].state_dict()), metadata, dtype=torch.float16)
