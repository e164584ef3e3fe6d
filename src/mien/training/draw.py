"""Training DRAW (Gregor et al., 2015) on faces, each with the activations that it is to be drawn from.

As printed: Adam, the sum of both losses (``papers/draw_gregor_2015/losses.py``). Decided here, where the paper is
silent: rate 1e-3, flat, then half a cosine down; gradients clipped to norm 1; the loss is divided by the numbers of
an image, so that neither depends on its size; averaged weights are shown and kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from torch import Tensor

from mien.core.checkpoints import save_weights
from mien.core.config import Config
from mien.core.images import sheet, to_photos, to_tensor, to_unit
from mien.core.quantise import packed
from mien.core.records import UInt8Image
from mien.core.seeding import torch_seed
from mien.papers.draw_gregor_2015.losses import reconstruction
from mien.papers.draw_gregor_2015.network import MODEL, Draw, DrawConfig
from mien.papers.draw_gregor_2015.renderer import Whitening, shown
from mien.training.ema import EmaConfig
from mien.training.imagine import fit_frame
from mien.training.loop import BatchAt, Hook, LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import flat_then_cosine

PACKED_FROM = 50_000  # numbers: larger matrices take a byte each


class DrawTrainingConfig(Config):
    """Everything that decides what is trained."""

    network: DrawConfig = DrawConfig()
    layer: str = "pool"  # of the encoder, whose activations are the condition
    learning_rate: float = Field(default=1e-3, gt=0)
    fall_from: float = Field(default=0.6, ge=0, le=1)  # of the steps
    half_life_kimg: float = 5.0
    data: str = ""


def fit_whitening(features: npt.NDArray[Any], size: int) -> Whitening:
    """The ``size`` principal coefficients of activations N F, whitened."""
    frame = fit_frame(features, np.ones(len(features), np.float32), size)
    axes = frame.axes / frame.scale / frame.deviation[:, None]
    return Whitening(torch.from_numpy(frame.mean).float(), torch.from_numpy(axes).float())


def draw_cost(networks: Networks, batch: Batch, noise: torch.Generator, info: StepInfo) -> Terms:
    """Equation 12, in nats: ``reconstruction`` and ``latent`` of an image, ``total`` of a number of it."""
    image = to_unit(to_tensor(batch["image"]))
    terms = elbo(cast(Draw, networks["draw"]), image, batch["condition"], noise)
    return terms | {"total": (terms["reconstruction"] + terms["latent"]) / image[0].numel()}


def elbo(network: Draw, image: Tensor, condition: Tensor, noise: torch.Generator) -> dict[str, Tensor]:
    """The means of L^x and L^z over images N 3 H W (0 to 1), in nats."""
    config = network.config
    drawn = torch.randn(config.glimpses, len(image), config.code, generator=noise, device=image.device)
    logits, cost = network(image, condition, drawn)
    return {"reconstruction": reconstruction(logits, image).mean(), "latent": cost.mean()}


def draw_phase(config: DrawTrainingConfig, steps: int) -> Phase:
    """One turn a step."""
    rate = flat_then_cosine(
        config.learning_rate, steps=steps, fall_from=config.fall_from, final=config.learning_rate / 50, warmup=100
    )
    return Phase("draw", ("draw",), draw_cost, rate, OptimiserConfig(clip_norm=1.0))


def draw_network(config: DrawTrainingConfig, mean: Tensor, seed: int) -> Draw:
    """A fresh network that begins at the ``mean`` image (3 H W, 0 to 1)."""
    torch.manual_seed(torch_seed(seed, "weights"))
    network = Draw(config.network)
    network.start_from(mean)
    return network


def held_out(batch: Mapping[str, Any], every: int) -> Hook:
    """Both losses on images that are not learned from, with the same noise each time."""

    def measure(networks: Networks, step: int) -> dict[str, float]:
        network = cast(Draw, networks["draw"])
        device = network.first_canvas.device
        image = to_unit(to_tensor(batch["image"])).to(device)
        noise = torch.Generator(device).manual_seed(0)
        terms = elbo(network, image, torch.as_tensor(batch["condition"]).to(device), noise)
        return {f"held-out {name} (n {len(image)})": float(value) for name, value in terms.items()}

    return Hook("held-out", every, measure)


def preview_sheet(batch: Mapping[str, Any], columns: int = 8) -> Any:
    """Rows of ``columns``: photos, what is read and painted again, and two draws from their activations alone."""
    photos, known = batch["image"][:columns], torch.as_tensor(batch["condition"][:columns])

    def draw(networks: Networks, step: int) -> UInt8Image:
        network = cast(Draw, networks["draw"])
        config, device = network.config, network.first_canvas.device
        shape = (config.glimpses, len(photos), config.code)
        noises = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device) for seed in range(3)]
        again, _ = network(to_unit(to_tensor(photos)).to(device), known.to(device), noises[0])
        drawn = [list(network.stages(known.to(device), chance))[-1] for chance in noises[1:]]
        tiles = [*photos, *(one for logits in (again, *drawn) for one in to_photos(shown(logits)))]
        return sheet(tiles, len(photos))

    return draw


def train_draw(
    batch_at: BatchAt,
    whitening: Whitening,
    mean: Tensor,
    run_dir: Path,
    config: DrawTrainingConfig,
    settings: LoopSettings,
    *,
    validation: Mapping[str, Any],
    resume: bool = False,
) -> Outcome:
    """Train in ``run_dir``; at the end (also an early one) write ``weights.safetensors``.

    Batches, and ``validation``, hold ``image`` (N H W 3 uint8) and ``condition`` (N Y float32, whitened).
    """
    outcome = train(
        networks={"draw": draw_network(config, mean, settings.seed)},
        phases=[draw_phase(config, settings.steps)],
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        ema=EmaConfig(names=("draw",), half_life_kimg=config.half_life_kimg),
        preview=preview_sheet(validation),
        hooks=[held_out(validation, settings.preview_every)],
        resume=resume,
    )
    export(outcome, whitening, run_dir / "weights.safetensors", config)
    return outcome


def export(outcome: Outcome, whitening: Whitening, path: Path, config: DrawTrainingConfig) -> None:
    """Write the network and the whitening of its conditions for ``DrawRenderer.load``."""
    tensors = {f"network.{name}": value for name, value in outcome.shown["draw"].state_dict().items()}
    tensors |= {"whitening.mean": whitening.mean, "whitening.axes": whitening.axes}
    metadata = {
        "model": MODEL,
        "version": f"{MODEL}-{outcome.images // 1000}k",
        "config": config.network.model_dump(mode="json"),
        "layer": config.layer,
        "data": config.data,
        "batches": outcome.step,
        "images": outcome.images,
    }
    save_weights(path, packed(tensors, PACKED_FROM), metadata, dtype=torch.float16)
