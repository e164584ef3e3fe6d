"""Training of a further reader of sex (``attributes/sex_readers``): a head on cached looks of a network.

The loss is the binary cross entropy of sex. A linear layer that is thrown away afterwards reads the age from the same
inner values, so that they hold more of the face than 23,000 yes or no answers would teach them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.attributes.heads import AGES
from mien.attributes.sex_readers import SexHead, SexHeadConfig, merged
from mien.attributes.sex_sights import Sight
from mien.core.config import Config
from mien.core.errors import DatasetError
from mien.training.attributes import deal, masked_ages
from mien.training.ema import EmaConfig
from mien.training.loop import LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, OptimiserConfig, Phase, StepInfo, Terms
from mien.training.schedules import cosine

EPOCHS = 8
BATCH = 256
MOMENTS_EVERY = 3  # the mean and deviation of the looks are those of every third face


class SexReaderConfig(Config):
    """What is trained and how; with ``LoopSettings`` enough to repeat a run."""

    head: SexHeadConfig
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    age_weight: float = 0.5  # of the loss of age beside that of sex
    age_sigma_years: float = 2.0  # of the target distribution at age 0 ...
    age_sigma_growth: float = 0.05  # ... and its growth a year of age
    age_l1_weight: float = 0.1
    ema_half_life_kimg: float = 20.0


def config_of(sight: Sight) -> SexReaderConfig:
    """How a reader on a network is trained."""
    return SexReaderConfig(head=SexHeadConfig(widths=sight.widths, inner=sight.inner))


def epoch_steps(faces: int, batch_size: int) -> int:
    """Steps in which every face is seen about once."""
    return max(1, faces // batch_size)


def batches(
    looks: npt.NDArray[np.float16], female: npt.ArrayLike, ages: npt.ArrayLike, settings: LoopSettings
) -> Callable[[int], Mapping[str, Tensor]]:
    """``batch_at(step)`` over looks (N D), sexes (N: 1 female, 0 male) and ages (N years, NaN unknown).

    Faces are dealt anew in every round, without repetition. ``DatasetError`` without faces of both sexes.
    """
    sexes, years = np.asarray(female, np.float32), np.asarray(ages, np.float32)
    if not len(looks) == len(sexes) == len(years) or np.isnan(sexes).any():
        raise DatasetError(
            f"reader of sex: {len(looks)} faces, {len(sexes)} sexes, all known, {len(years)} ages wanted"
        )
    if len(set(sexes.tolist())) < 2:
        raise DatasetError("reader of sex: faces of known sex wanted, of both sexes")
    deck = np.arange(len(looks))

    def batch_at(step: int) -> Mapping[str, Tensor]:
        rows = deal(deck, settings.batch_size, step, settings.seed, "reader of sex")
        return {
            "looks": torch.from_numpy(looks[rows].astype(np.float32)),  # N D
            "female": torch.from_numpy(sexes[rows]),
            "ages": torch.from_numpy(years[rows]),
        }

    return batch_at


def objective(config: SexReaderConfig) -> Callable[[Networks, Batch, torch.Generator, StepInfo], Terms]:
    """The loss of a batch."""

    def terms(networks: Networks, batch: Batch, generator: torch.Generator, info: StepInfo) -> Terms:
        head = networks["head"]
        if not isinstance(head, SexHead):
            raise TypeError(f"reader of sex: the network 'head' is {type(head).__name__}")
        inner = head.inner(batch["looks"])
        sex = F.binary_cross_entropy_with_logits(head.sex(inner)[:, 0].float(), batch["female"])
        age = masked_ages(networks["age"](inner), batch["ages"], config)
        return {"sex": sex, "age": age, "total": sex + config.age_weight * age}

    return terms


def train_sex_reader(
    looks: npt.NDArray[np.float16],
    female: npt.ArrayLike,
    ages: npt.ArrayLike,
    run_dir: Path,
    config: SexReaderConfig,
    settings: LoopSettings,
    *,
    resume: bool = False,
) -> Outcome:
    """Train the head; resumable, exactly. ``Outcome.shown["head"]`` is its average over the run."""
    batch_at = batches(looks, female, ages, settings)
    torch.manual_seed(settings.seed)
    head = SexHead(config.head)
    some = torch.from_numpy(looks[::MOMENTS_EVERY].astype(np.float32))
    head.standardise(some.mean(0), some.std(0, correction=0))
    phase = Phase(
        name="reader of sex",
        networks=("head", "age"),
        objective=objective(config),
        learning_rate=cosine(config.learning_rate, steps=settings.steps, warmup=min(50, settings.steps // 10)),
        optimiser=OptimiserConfig(kind="adamw", weight_decay=config.weight_decay),
    )
    return train(
        networks={"head": head, "age": nn.Linear(sum(config.head.inner), AGES)},
        phases=[phase],
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        ema=EmaConfig(names=("head",), half_life_kimg=config.ema_half_life_kimg, ramp=0.5),
        resume=resume,
    )


def train_sex_readers(
    looks: npt.NDArray[np.float16],
    female: npt.ArrayLike,
    ages: npt.ArrayLike,
    run_dir: Path,
    config: SexReaderConfig,
    settings: LoopSettings,
    *,
    starts: int,
    resume: bool = False,
) -> tuple[Outcome, SexHead]:
    """Train heads that differ in their random start, in ``run_dir``-0, ``run_dir``-1, ..., as one that averages them.

    The outcome is that of the last run, or of the first that was stopped.
    """
    found: list[SexHead] = []
    for start in range(starts):
        own = settings.model_copy(update={"seed": settings.seed + start})
        run = run_dir.with_name(f"{run_dir.name}-{start}")
        outcome = train_sex_reader(looks, female, ages, run, config, own, resume=resume)
        head = outcome.shown["head"]
        if not isinstance(head, SexHead):
            raise TypeError(f"reader of sex: the network 'head' is {type(head).__name__}")
        found.append(head)
        if not outcome.finished:
            break
    return outcome, merged(found)
