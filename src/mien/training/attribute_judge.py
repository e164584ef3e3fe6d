"""Training of the attribute judge: targets with gaps, views of whole crops and of greyed ones, and the run.

Two kinds of faces share a batch. LFW's, whole, teach the attributes; UTKFace's, with everything outside the inner
square grey, teach race (and sex and the four ethnicities, which both name). Some of LFW's are greyed too, so that grey
itself says nothing. The views are those of the judge of sex and age (``training/age_sex``), with light and colour
varied less: colours of hair and skin are to be told apart.
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

from mien.attributes.attribute_judge import MODEL, RACES, SIDE, AttributeNet
from mien.attributes.calibration import best_threshold
from mien.attributes.vocabulary import NAMES
from mien.core.checkpoints import load_into
from mien.core.config import Config
from mien.core.errors import DatasetError
from mien.core.images import resize, to_tensor
from mien.core.precision import Precision
from mien.core.records import Float32Array, UInt8Image
from mien.core.seeding import stream
from mien.faces.inner_square import grey_outside
from mien.training.age_sex import framed, hidden, relit, softened
from mien.training.ema import EmaConfig
from mien.training.loop import LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import cosine

STORED_SIDE = 96  # px of the whole crops in memory


class AttributeJudgeConfig(Config):
    """What is trained and how. The model card says which of these made the weights that travel with the package."""

    steps: int = 1800
    batch_size: int = 64
    kept_blocks: int = 2  # blocks (and the stem) left as they began, where training starts from another judge
    attribute_share: float = 0.75  # of each batch: faces with attributes; the others teach race
    peak_rate: float = 1.5e-3
    weight_decay: float = 0.03
    light: float = 0.6  # how much light and colour vary, in those of the judge of sex and age
    hidden_share: float = 0.2  # of the views, that lose a square ...
    hidden_largest: float = 0.25  # ... of up to this share of the side
    greyed_share: float = 0.15  # of the faces with attributes, shown as UTKFace's are
    rare_weight: float = 0.5  # power of (absent / present) that a present label weighs: 0 none, 1 balanced
    race_weight: float = 0.1  # of the cross entropy of race beside the mean over attributes
    ema_half_life_kimg: float = 6.0
    images_before: int = 0  # seen by the run that this one starts from
    seed: int = 0
    precision: Precision = "auto"


def stored_crop(crops: UInt8Image) -> npt.NDArray[np.uint8]:
    """Aligned crops (N S S 3 uint8) -> what training keeps of them in memory (N 96 96 3 uint8)."""
    return np.stack([resize(crop, STORED_SIDE, STORED_SIDE) for crop in crops])


def race_marks(races: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Races (N words, "" unknown) -> places in RACES, -1 where unknown."""
    return np.array([RACES.index(race) if race in RACES else -1 for race in races], np.int64)


def ethnicity_marks(races: tuple[str, ...]) -> Float32Array:
    """UTKFace's races (N) -> values (N 73) of Asian, White, Black and Indian; all else, and "Other", unknown (NaN)."""
    values = np.full((len(races), len(NAMES)), np.nan, np.float32)
    four = [name for name in RACES if name in NAMES]
    for row, race in enumerate(races):
        if race in four:
            for name in four:
                values[row, NAMES.index(name)] = float(name == race)
    return values


def batches(
    crops: npt.NDArray[np.uint8],
    attributes: Float32Array,
    races: npt.NDArray[np.int64],
    whole: npt.NDArray[np.bool_],
    config: AttributeJudgeConfig,
) -> Callable[[int], Mapping[str, Tensor]]:
    """``batch_at(step)`` over stored crops (N 96 96 3), attributes (N 73; NaN unknown), races (N; -1 unknown).

    ``whole`` (N) marks the faces whose whole crop is photograph and teaches attributes; the others are shown greyed.
    """
    if not len(crops) == len(attributes) == len(races) == len(whole):
        raise DatasetError(f"attribute judge: {len(crops)} crops, {len(attributes)} rows of labels")
    first, second = np.flatnonzero(whole), np.flatnonzero(~whole)
    if not len(first):
        raise DatasetError("attribute judge: no face with attributes to learn from")
    many = config.batch_size if not len(second) else max(1, round(config.batch_size * config.attribute_share))

    def batch_at(step: int) -> Mapping[str, Tensor]:
        random = stream(config.seed, "batches", step)
        picked = random.choice(first, many)
        if many < config.batch_size:
            picked = np.concatenate([picked, random.choice(second, config.batch_size - many)])
        greyed = ~whole[picked] | (random.random(len(picked)) < config.greyed_share)
        return {
            "images": to_tensor(crops[picked]),  # N 3 96 96
            "attributes": torch.from_numpy(attributes[picked]),
            "races": torch.from_numpy(races[picked]),
            "greyed": torch.from_numpy(greyed),
        }

    return batch_at


def weights_of(attributes: Float32Array, power: float) -> Float32Array:
    """What a present label weighs (73), an absent one weighing 1: (absent / present) ** power, between 1/8 and 8."""
    present, absent = (attributes == 1).sum(0), (attributes == 0).sum(0)
    ratio = np.maximum(absent, 1) / np.maximum(present, 1)
    found: Float32Array = np.clip(ratio**power, 1 / 8, 8).astype(np.float32)
    return found


def augment(images: Tensor, greyed: Tensor, config: AttributeJudgeConfig, generator: torch.Generator) -> Tensor:
    """Stored crops (N 3 96 96), some to be ``greyed`` (N) -> views (N 3 80 80)."""
    x = torch.where(greyed.view(-1, 1, 1, 1), grey_outside(images), images)
    x = relit(framed(x, SIDE, 1.0, generator), generator, config.light)
    middle = x.mean((2, 3), keepdim=True)
    x = softened(x, generator)
    return hidden(x, middle, generator, share=config.hidden_share, largest=config.hidden_largest).clamp(-1, 1)


def objective(
    config: AttributeJudgeConfig, present_weights: Float32Array
) -> Callable[[Networks, Batch, torch.Generator, StepInfo], Terms]:
    """Binary cross entropy of each known attribute, its mean over them, and cross entropy of race where known."""
    weights = torch.from_numpy(present_weights)

    def terms(networks: Networks, batch: Batch, generator: torch.Generator, info: StepInfo) -> Terms:
        device = batch["images"].device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):  # the grid of a view wants fp32
            views = augment(batch["images"], batch["greyed"], config, generator)
        logits = networks["judge"](views.contiguous(memory_format=torch.channels_last)).float()
        targets, races = batch["attributes"], batch["races"]
        known = ~torch.isnan(targets)
        costs = F.binary_cross_entropy_with_logits(
            logits[:, : len(NAMES)], targets.nan_to_num(0.0), pos_weight=weights.to(device), reduction="none"
        )
        attributes = (costs * known).sum() / known.sum().clamp(min=1)
        labelled = races >= 0
        each = F.cross_entropy(logits[:, len(NAMES) :], races.clamp(min=0), reduction="none")
        race = (each * labelled).sum() / labelled.sum().clamp(min=1)
        total = attributes + config.race_weight * race
        return {"attributes": attributes, "race": race, "total": total}

    return terms


def train_judge(
    batch_at: Callable[[int], Mapping[str, Tensor]],
    present_weights: Float32Array,
    run_dir: Path,
    config: AttributeJudgeConfig,
    *,
    initial: Mapping[str, Tensor] | None = None,
    resume: bool = False,
    **loop: Any,
) -> Outcome:
    """Train the judge; ``Outcome.shown["judge"]`` is its average.

    ``initial`` are weights to start from: those of this judge, or of the judge of sex and age, whose stem and blocks
    this one has too; ``loop`` more ``LoopSettings``.
    """
    torch.manual_seed(config.seed)
    network = AttributeNet(kept=config.kept_blocks if initial is not None else 0)
    if initial is not None:
        shared = {name: initial[name] for name in network.state_dict() if name in initial}
        load_into(network, network.state_dict() | shared, name=MODEL)
    phase = Phase(
        name="judge",
        networks=("judge",),
        objective=objective(config, present_weights),
        learning_rate=cosine(config.peak_rate, steps=config.steps, warmup=min(150, config.steps // 10)),
        optimiser=OptimiserConfig(kind="adamw", weight_decay=config.weight_decay, clip_norm=2.0),
    )
    settings = LoopSettings.make(
        {"steps": config.steps, "batch_size": config.batch_size, "seed": config.seed, "precision": config.precision}
        | loop
    )
    return train(
        networks={"judge": network},
        phases=[phase],
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        ema=EmaConfig(names=("judge",), half_life_kimg=config.ema_half_life_kimg),
        resume=resume,
    )


def thresholds_of(scores: Float32Array, attributes: Float32Array, fewest: int = 5) -> Float32Array:
    """From where on an attribute counts as found (73): the score with the best balanced accuracy on labelled faces.

    ``scores`` and ``attributes`` are N 73. 0.5 where fewer than ``fewest`` faces have or lack the attribute.
    """
    found = np.full(scores.shape[1], 0.5, np.float32)
    for place in range(scores.shape[1]):
        known = ~np.isnan(attributes[:, place])
        marked = attributes[known, place] == 1
        if min(marked.sum(), (~marked).sum()) >= fewest:
            found[place] = best_threshold(scores[known, place], marked, "balanced")
    return found
