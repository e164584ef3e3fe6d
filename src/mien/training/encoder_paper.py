"""Training the encoder of D. Sanche's section 7 (``papers/cgan_sanche/encoder.py``).

As printed: the encoder's output goes into the generator, whose output is compared with the encoder's input; "to receive
a cost value of 0, both images should be identical". Where the paper is silent, we decided:

- *The cost* is the mean squared difference of pixels.
- *Labels* are the photo's own sex and age, from the dataset: the vector is to hold all else.
- *The generator* is finished and does not learn; its batch normalisation keeps its running statistics, as at sampling.
- *Adam*, batch and rate are those of the GAN (``crowd_paper.py``); mirrored photos count as photos.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import nn

from mien.core.checkpoints import save_weights
from mien.core.config import Config
from mien.core.images import sheet, to_photos
from mien.core.quantise import packed
from mien.core.records import UInt8Image
from mien.core.seeding import stream, torch_seed
from mien.papers.cgan_sanche.encoder import MODEL, NoiseEncoder
from mien.papers.cgan_sanche.networks import SancheGenerator, encode_labels
from mien.training.loop import BatchAt, LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import staircase

SHOWN = 8  # photos of a preview
SHOWN_AGES_YEARS = (15.0, 35.0, 55.0, 75.0)


class EncoderPaperConfig(Config):
    """Everything that decides what is trained."""

    generator: str  # its version
    learning_rate: float = 5e-4
    rate_factor: float = 0.996
    rate_every: int = 100
    rate_floor: float = 5e-5
    beta1: float = 0.5
    beta2: float = 0.999


def reconstruction_cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
    """The generator is to draw the photo again from the photo's encoding and labels."""
    drawn = networks["generator"](networks["encoder"](batch["image"]), batch["labels"])
    return {"total": nn.functional.mse_loss(drawn, batch["image"])}


def with_mirrored(batch_at: BatchAt, seed: int) -> BatchAt:
    """The same batches, half of the photos mirrored at random."""

    def mirrored_at(step: int) -> Batch:
        batch = batch_at(step)
        chosen = torch.from_numpy(stream(seed, "mirrored", step).random((len(batch["image"]), 1, 1, 1)) < 0.5)
        return {**batch, "image": torch.where(chosen, batch["image"].flip(3), batch["image"])}

    return mirrored_at


def train_encoder(
    batch_at: BatchAt,
    shown: Batch,
    run_dir: Path,
    generator: SancheGenerator,
    config: EncoderPaperConfig,
    settings: LoopSettings,
    *,
    data: str = "",
    resume: bool = False,
) -> Outcome:
    """Train in ``run_dir``; at the end (also an early one) write ``weights.safetensors`` with both networks.

    ``batch_at(step)`` gives what ``crowd_paper.paper_batch`` makes; ``shown`` is such a batch of held-out photos for
    the previews. ``data`` names the data in the metadata of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(settings.seed, "initial weights"))
        encoder = NoiseEncoder(generator.config)
    rate = staircase(config.learning_rate, factor=config.rate_factor, every=config.rate_every, floor=config.rate_floor)
    adam = OptimiserConfig(beta1=config.beta1, beta2=config.beta2)
    outcome = train(
        networks={"encoder": encoder},
        frozen={"generator": generator},
        phases=[Phase("encoder", ("encoder",), reconstruction_cost, rate, adam)],
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        preview=lambda networks, step: preview_sheet(networks, shown),
        resume=resume,
    )
    tensors = {f"{name}.{key}": value for name, module in outcome.shown.items()
               for key, value in packed(module.state_dict()).items()}  # fmt: skip
    metadata = {
        "model": MODEL, "version": f"{config.generator}+{outcome.step}",
        "config": generator.config.model_dump(mode="json"), "training": config.model_dump(mode="json"),
        "batches": outcome.step, "images": outcome.images, "data": data,
    }  # fmt: skip
    save_weights(run_dir / "weights.safetensors", tensors, metadata, dtype=torch.float16)
    return outcome


@torch.no_grad()
def preview_sheet(networks: Networks, shown: Batch) -> UInt8Image:
    """A row a photo: the photo, drawn again with its labels, as the other sex, and at four ages."""
    encoder, generator = networks["encoder"], cast(SancheGenerator, networks["generator"])
    device = next(encoder.parameters()).device
    photos, labels = shown["image"][:SHOWN].to(device), shown["labels"][:SHOWN].to(device)
    noise = encoder(photos)
    told = encode_labels(["male"] * len(SHOWN_AGES_YEARS), SHOWN_AGES_YEARS, generator.config.ages)[:, 1:].to(device)
    other = torch.cat([-labels[:, :1], labels[:, 1:]], 1)
    older = [torch.cat([labels[:, :1], age.expand(len(labels), -1)], 1) for age in told]
    columns = [photos, *(generator(noise, wanted) for wanted in (labels, other, *older))]
    pictures = to_photos(torch.stack(columns, 1).flatten(0, 1))
    return sheet(list(pictures), len(columns))
