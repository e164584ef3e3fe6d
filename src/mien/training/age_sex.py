"""Training of the age and sex judge: objectives, augmentation and the run, on crops that were read beforehand.

The augmentation matters more here than in a classifier of photographs: the judge reads generated faces too, whose
sharpness, colour and noise differ from those of any camera. So every second view is softened, by a blur or by a trip
through a smaller size, and light, colour, noise and framing vary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mien.attributes.age_sex import AGES, MODEL, SIDE, AgeSexNet, expected_age
from mien.core.checkpoints import load_into
from mien.core.config import Config
from mien.core.errors import DatasetError
from mien.core.images import to_photos, to_tensor
from mien.core.precision import Precision
from mien.core.records import UInt8Image
from mien.core.seeding import stream
from mien.faces.align import window
from mien.faces.inner_square import INNER_SIDE, INNER_X, INNER_Y
from mien.training.ema import EmaConfig
from mien.training.loop import LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import cosine

MARGIN = 0.05  # of the crop's side, kept around the judge's window so that it can be shifted and turned
STORED_SIDE = 75  # px of the window with its margin: the scale of the 64-px window


class AgeSexConfig(Config):
    """What is trained and how. The model card says which of these made the weights that travel with the package."""

    steps: int = 4500
    batch_size: int = 64
    peak_rate: float = 2e-3
    weight_decay: float = 0.02
    age_sigma_years: float = 2.0  # width of the target distribution at age 0 ...
    age_sigma_growth: float = 0.05  # ... and how much it grows a year of age
    age_l1_weight: float = 0.1
    sex_weight: float = 1.5
    balance: float = 0.3  # 0: faces as often as in the data, 1: every age equally often
    ema_half_life_kimg: float = 6.0
    seed: int = 0
    precision: Precision = "auto"


def stored_window(crops: UInt8Image) -> npt.NDArray[np.uint8]:
    """Aligned crops (N S S 3 uint8) -> what training keeps of them in memory (N 75 75 3 uint8)."""
    side = INNER_SIDE + 2 * MARGIN
    kept = np.empty((len(crops), STORED_SIDE, STORED_SIDE, 3), np.uint8)
    for start in range(0, len(crops), 64):  # a shard of crops as float32 would take half a GB
        part = slice(start, start + 64)
        kept[part] = to_photos(window(to_tensor(crops[part]), INNER_X - MARGIN, INNER_Y - MARGIN, side, STORED_SIDE))
    return kept


def shares(ages: npt.ArrayLike, balance: float) -> npt.NDArray[np.float64]:
    """How often each face (N; NaN: age unknown) is drawn, summing to 1: (count of its age, smoothed) ** -balance."""
    years = np.asarray(ages, np.float64)
    known = ~np.isnan(years)
    counts = np.bincount(np.clip(years[known], 0, AGES - 1).astype(int), minlength=AGES).astype(np.float64)
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2)
    density = np.convolve(counts, kernel / kernel.sum(), mode="same")
    weights = np.empty(len(years))
    weights[known] = np.maximum(density[np.clip(years[known], 0, AGES - 1).astype(int)], 1.0) ** -balance
    # Faces of unknown age only teach sex: half as often as the average face of known age.
    weights[~known] = 0.5 * (weights[known].mean() if known.any() else 1.0)
    total: npt.NDArray[np.float64] = weights / weights.sum()
    return total


def batches(
    crops: npt.NDArray[np.uint8], ages: npt.ArrayLike, female: npt.ArrayLike, config: AgeSexConfig
) -> Callable[[int], Mapping[str, Tensor]]:
    """``batch_at(step)`` over stored windows (N 75 75 3), ages in years and 1/0 for female/male (NaN: unknown)."""
    years, sexes = np.asarray(ages, np.float32), np.asarray(female, np.float32)
    if not len(crops) == len(years) == len(sexes) or not len(crops):
        raise DatasetError(f"age and sex judge: {len(crops)} crops, {len(years)} ages, {len(sexes)} sexes")
    weights = shares(years, config.balance)

    def batch_at(step: int) -> Mapping[str, Tensor]:
        picked = np.sort(stream(config.seed, "batches", step).choice(len(crops), config.batch_size, p=weights))
        return {
            "images": to_tensor(crops[picked]),  # N 3 75 75
            "ages": torch.from_numpy(years[picked]),
            "female": torch.from_numpy(sexes[picked]),
        }

    return batch_at


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Stored windows (N 3 75 75) -> views (N 3 64 64): mirror, framing, light, colour, softness, noise, hiding."""
    x = framed(images, SIDE, SIDE / STORED_SIDE, generator)
    x = relit(x, generator)
    middle = x.mean((2, 3), keepdim=True)
    x = softened(x, generator)
    return hidden(x, middle, generator, share=1 / 3, largest=0.4).clamp(-1, 1)


def framed(images: Tensor, side: int, scale: float, generator: torch.Generator) -> Tensor:
    """Images (N 3 S S) -> views (N 3 side side) of the middle ``scale`` of them.

    Half are mirrored; +-7 degrees, +-7 % scale, +-4 % shift; beyond the border the image goes on mirrored.
    """
    n = len(images)
    angle = _uniform(n, -0.12, 0.12, generator, images)
    size = _uniform(n, 0.93, 1.07, generator, images) * scale
    mirror = torch.where(_uniform(n, 0, 1, generator, images) < 0.5, -1.0, 1.0)
    across, down = (_uniform(n, -0.08, 0.08, generator, images) for _ in range(2))
    cos, sin = angle.cos() * size, angle.sin() * size
    theta = torch.stack([torch.stack([cos * mirror, -sin, across], 1), torch.stack([sin * mirror, cos, down], 1)], 1)
    grid = F.affine_grid(theta, [n, 3, side, side], align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def relit(x: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Views (N 3 S S) in other light: saturation, contrast, brightness and colour; one of twenty goes grey.

    ``strength`` scales how much, where the colours themselves are to be judged.
    """
    n, shape = len(x), (len(x), 1, 1, 1)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * _uniform(n, 1 - 0.6 * strength, 1 + 0.4 * strength, generator, x).view(shape)
    x = torch.where(_uniform(n, 0, 1, generator, x).view(shape) < 0.05, grey.expand_as(x), x)
    middle = x.mean((2, 3), keepdim=True)
    contrast = _uniform(n, 1 - 0.3 * strength, 1 + 0.3 * strength, generator, x).view(shape)
    light = _uniform(n, -0.2 * strength, 0.2 * strength, generator, x).view(shape)
    x = middle + (x - middle) * contrast + light
    return x + 0.05 * strength * torch.randn(n, 3, 1, 1, generator=generator, device=x.device)


def softened(x: Tensor, generator: torch.Generator) -> Tensor:
    """A quarter of the views (N 3 S S) through half of their size, a quarter through 0.69 of it, the others as they
    are; half of all get noise of up to 0.04."""
    n, side = len(x), x.shape[-1]
    amount = _uniform(n, 0, 1, generator, x)
    for small, low, high in ((side // 2, 0.0, 0.25), (round(side * 0.69), 0.25, 0.5)):
        chosen = ((amount >= low) & (amount < high)).nonzero()[:, 0]
        if len(chosen):
            soft = F.interpolate(x[chosen], size=(small, small), mode="area")
            soft = F.interpolate(soft, size=(side, side), mode="bilinear", align_corners=False)
            x = x.index_copy(0, chosen, soft)
    noise = _uniform(n, -0.04, 0.04, generator, x).clamp(min=0).view(n, 1, 1, 1)
    return x + noise * torch.randn(x.shape, generator=generator, device=x.device)


def hidden(x: Tensor, middle: Tensor, generator: torch.Generator, *, share: float, largest: float) -> Tensor:
    """A ``share`` of the views (N 3 S S) lose a square of up to ``largest`` of the side to ``middle`` (N 3 1 1).

    So that no single feature (hair, lips, beard) decides.
    """
    n, size = len(x), x.shape[-1]
    side = _uniform(n, 0.15, largest, generator, x).view(n, 1, 1, 1) * size
    down, across = (_uniform(n, 0, size, generator, x).view(n, 1, 1, 1) for _ in range(2))
    line = torch.arange(size, dtype=torch.float32, device=x.device)
    inside = ((line[:, None] - down).abs() < side / 2) & ((line[None, :] - across).abs() < side / 2)
    return torch.where(inside & (_uniform(n, 0, 1, generator, x).view(n, 1, 1, 1) < share), middle, x)


def _uniform(n: int, low: float, high: float, generator: torch.Generator, like: Tensor) -> Tensor:
    return torch.rand(n, generator=generator, device=like.device) * (high - low) + low


def age_targets(ages: Tensor, config: AgeSexConfig) -> Tensor:
    """Ages (N, years) -> distributions over 0..100 (N 101): a Gaussian that widens with age, summing to 1."""
    years = torch.arange(AGES, dtype=torch.float32, device=ages.device)
    sigma = (config.age_sigma_years + config.age_sigma_growth * ages)[:, None]
    return (-0.5 * ((years[None] - ages[:, None].clamp(0, AGES - 1)) / sigma) ** 2).softmax(1)


def objective(config: AgeSexConfig) -> Callable[[Networks, Batch, torch.Generator, StepInfo], Terms]:
    """Cross entropy of the age distribution, L1 of its mean, and binary cross entropy of sex; unknown labels masked."""

    def terms(networks: Networks, batch: Batch, generator: torch.Generator, info: StepInfo) -> Terms:
        with torch.no_grad():
            views = augment(batch["images"], generator).contiguous(memory_format=torch.channels_last)
        age_logits, sex_logits = networks["judge"](views)
        ages, female = batch["ages"], batch["female"]
        known = ~torch.isnan(ages)
        years = torch.where(known, ages, torch.zeros_like(ages))
        entropy = -(age_targets(years, config) * age_logits.float().log_softmax(1)).sum(1)
        error = (expected_age(age_logits) - years.clamp(0, AGES - 1)).abs()
        share = known.float() / known.sum().clamp(min=1)
        sexed = ~torch.isnan(female)
        sex = F.binary_cross_entropy_with_logits(
            sex_logits.float(), torch.where(sexed, female, torch.zeros_like(female)), reduction="none"
        )
        sex_loss = (sex * sexed.float()).sum() / sexed.sum().clamp(min=1)
        age_loss, age_error = (entropy * share).sum(), (error * share).sum()
        total = age_loss + config.age_l1_weight * age_error + config.sex_weight * sex_loss
        return {"age": age_loss, "age_error_years": age_error, "sex": sex_loss, "total": total}

    return terms


def train_judge(
    crops: npt.NDArray[np.uint8],
    ages: npt.ArrayLike,
    female: npt.ArrayLike,
    run_dir: Path,
    config: AgeSexConfig,
    *,
    initial: Mapping[str, Tensor] | None = None,
    resume: bool = False,
    **loop: Any,
) -> Outcome:
    """Train the judge on stored windows; ``Outcome.shown["judge"]`` is its average.

    ``initial`` are weights to start from instead of random ones; ``loop`` more ``LoopSettings``.
    """
    torch.manual_seed(config.seed)
    network = AgeSexNet()
    if initial is not None:
        load_into(network, initial, name=MODEL)
    phase = Phase(
        name="judge",
        networks=("judge",),
        objective=objective(config),
        learning_rate=cosine(config.peak_rate, steps=config.steps, warmup=min(200, config.steps // 10)),
        optimiser=OptimiserConfig(kind="adamw", weight_decay=config.weight_decay, clip_norm=2.0),
    )
    settings = LoopSettings.make(
        {"steps": config.steps, "batch_size": config.batch_size, "seed": config.seed, "precision": config.precision}
        | loop
    )
    return train(
        networks={"judge": network},
        phases=[phase],
        batch_at=batches(crops, ages, female, config),
        run_dir=run_dir,
        config=config,
        settings=settings,
        ema=EmaConfig(names=("judge",), half_life_kimg=config.ema_half_life_kimg),
        resume=resume,
    )
