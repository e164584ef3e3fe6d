"""Training of the attribute heads: objective, batches and the run, on cached features or through the encoder.

Cate, Dalvi and Hussain (2016), sections 3.2, 5.1 and 6: softmax heads on a network that recognises faces, its layers
frozen up to one, "dropout after every layer", a learning rate of 5e-6 for 50 epochs, and rates that may fall with the
distance from the heads. With everything frozen the network need not run at all: its features are the input.

The loss of a face is the mean of the cross entropies of the heads that know its class (``attributes/targets``),
plus, where the heads have them, binary cross entropies of the marks and the cross entropy of the age distribution.

*Imbalance.* A class that is marked on 1 % of the photos would be learnt last. Classes are weighted by
(uniform share / share) ** balance, weights scaled to a mean of 1 over the photos; ``balance`` 0 is the paper (no
weights), 1 is every class equally heavy. Half of that evens the learning without shouting down the frequent; what the
weights do to the probabilities is undone by the calibration, and thresholds are searched, so that neither figure
depends on it but through what was learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.attributes.features import concatenate, pooled_features
from mien.attributes.heads import AGES, SEX, Answers, AttributeHeads, HeadsConfig
from mien.attributes.targets import STARTS, FaceLabels, group_targets
from mien.attributes.vocabulary import GROUPS
from mien.core.config import Config
from mien.core.errors import DatasetError, RequestError
from mien.core.seeding import stream
from mien.faces.encoder import Encoder
from mien.training.attributes_axes import Axes, keep_axes
from mien.training.attributes_layers import Layers, dropout_after, groups_by_layer, layers_from
from mien.training.ema import EmaConfig
from mien.training.loop import Hook, LoopSettings, Outcome, train
from mien.training.phases import Batch, Networks, Phase, StepInfo, Terms
from mien.training.schedules import Schedule, constant, cosine

Rows = npt.NDArray[np.int64]
Inputs = Callable[[Rows, np.random.Generator], Mapping[str, Tensor]]  # rows of the labels -> "features" or "images"


class AttributesConfig(Config):
    """What is trained and how; with ``LoopSettings`` enough to repeat a run."""

    heads: HeadsConfig
    encoder: str = "facenet"
    unfreeze_from: str | None = None  # a tap of the encoder: this layer and all after it learn, too; None: none does
    learning_rate: float = 1e-3  # of the heads
    lr_decay_per_layer: float = 1.0  # factor on the rate for each layer farther from the heads
    schedule: str = "cosine"  # or "constant"
    encoder_rate: float = 1.0  # factor on the rate for all layers of the encoder
    encoder_dropout: float = 0.0  # after every unfrozen layer of the encoder
    mirrored_training: bool = False  # whether faces with attributes teach together with their mirror image, too
    weight_decay: float = 0.0
    balance: float = 0.5
    unmarked_share: float = 0.5  # of a batch: faces without attributes, which teach sex and age
    ridge: float = 0.0  # of the trunk that is solved (attributes_axes); 0: the trunk is learnt, if there is one
    marks_weight: float = 1.0
    sex_weight: float = 0.0  # of the head of sex, beside its part in the mean of the 42
    age_weight: float = 0.1
    age_l1_weight: float = 0.0  # within the loss of age: mean absolute error, years
    age_sigma_years: float = 2.0  # of the target distribution at age 0 ...
    age_sigma_growth: float = 0.05  # ... and its growth a year of age
    ema_half_life_kimg: float = 0.0  # 0: no average


class AgeTargets(Protocol):
    """How an age becomes the distribution that is asked for, and what the distance of its mean costs."""

    @property
    def age_sigma_years(self) -> float: ...
    @property
    def age_sigma_growth(self) -> float: ...
    @property
    def age_l1_weight(self) -> float: ...


def batches(
    labels: FaceLabels, inputs: Inputs, config: AttributesConfig, settings: LoopSettings
) -> Callable[[int], Mapping[str, Any]]:
    """``batch_at(step)``: faces of the training split, drawn anew in every epoch without repetition.

    Faces with attributes and faces without are two decks, each dealt through before it is shuffled again, so that an
    epoch (over the faces with attributes) is ``epoch_steps`` steps long.
    """
    marked = np.flatnonzero(labels.marked)
    known = ~np.isnan(labels.female) | ~np.isnan(labels.ages_years)
    unmarked = np.flatnonzero(~labels.marked & known)
    if not len(marked):
        raise DatasetError("attributes: no face with attributes to learn from; prepare LFW with its --labels")
    second = round(settings.batch_size * config.unmarked_share) if len(unmarked) else 0
    first = settings.batch_size - second
    targets = group_targets(labels)

    def batch_at(step: int) -> Mapping[str, Any]:
        dealt = [deal(marked, first, step, settings.seed, "marked")]
        if second:
            dealt.append(deal(unmarked, second, step, settings.seed, "unmarked"))
        rows = np.concatenate(dealt)
        return {
            **inputs(rows, stream(settings.seed, "inputs", step)),
            "targets": torch.from_numpy(targets[rows]),
            "marks": torch.from_numpy(labels.attributes[rows]),
            "ages": torch.from_numpy(labels.ages_years[rows]),
        }

    return batch_at


def epoch_steps(labels: FaceLabels, config: AttributesConfig, batch_size: int) -> int:
    """Steps in which every face with attributes is seen once."""
    marked = int(labels.marked.sum())
    alone = marked == len(labels)
    share = batch_size if alone else batch_size - round(batch_size * config.unmarked_share)
    return max(1, -(-marked // max(share, 1)))


def deal(deck: Rows, count: int, step: int, seed: int, name: str) -> Rows:
    """Cards ``step * count`` and on of a deck that is shuffled anew each time it is through."""
    first = step * count
    rounds = range(first // len(deck), (first + count - 1) // len(deck) + 1)
    shuffled = np.concatenate([stream(seed, name, k).permutation(deck) for k in rounds])
    start = first - rounds[0] * len(deck)
    return shuffled[start : start + count]


def class_weights(labels: FaceLabels, balance: float) -> tuple[Tensor, Tensor]:
    """Weights of the classes of all groups (CLASSES) and of the marks (73 2: not marked, marked)."""
    targets = group_targets(labels)
    classes = np.ones(targets.shape[1], np.float32)
    for start, end in pairwise(STARTS):
        part = targets[:, start:end]
        known = ~np.isnan(part).any(1)
        classes[start:end] = _weights(part[known].sum(0), balance)
    seen = labels.attributes[labels.marked]
    pairs = np.stack(
        [_weights(np.array([(seen[:, k] == 0).sum(), seen[:, k].sum()]), balance) for k in range(seen.shape[1])]
    )
    return torch.from_numpy(classes), torch.from_numpy(pairs.astype(np.float32))


def _weights(counts: npt.NDArray[Any], balance: float) -> npt.NDArray[np.float32]:
    """(uniform share / share) ** balance, with a mean of 1 over the faces that are counted."""
    shares = np.maximum(counts, 1.0) / max(float(np.maximum(counts, 1.0).sum()), 1.0)
    weights = (1 / len(counts) / shares) ** balance
    return np.asarray(weights / (weights * shares).sum(), np.float32)


def losses(
    answers: Answers, batch: Batch, classes: Tensor, pairs: Tensor, config: AttributesConfig
) -> dict[str, Tensor]:
    """The terms of a batch; what is unknown has no part in them. ``total`` is what is minimised."""
    groups = []
    for place, logits in enumerate(answers.groups):
        part = slice(int(STARTS[place]), int(STARTS[place + 1]))
        groups.append(masked_cross_entropy(logits, batch["targets"][:, part], classes[part]))
    terms = {"groups": torch.stack(groups).mean(), "sex": groups[GROUPS.index(SEX)]}
    total = terms["groups"] + config.sex_weight * terms["sex"]
    if answers.marks is not None:
        terms["marks"] = masked_marks(answers.marks, batch["marks"], pairs)
        total = total + config.marks_weight * terms["marks"]
    terms["age"] = masked_ages(answers.age, batch["ages"], config)
    return terms | {"total": total + config.age_weight * terms["age"]}


def masked_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross entropy of logits (N K) with distributions (N K; a row of NaN: unknown), over the known rows."""
    known = ~targets.isnan().any(1)
    clean = torch.where(known[:, None], targets, torch.zeros_like(targets)) * weights
    return -(clean * logits.float().log_softmax(1)).sum() / known.sum().clamp(min=1)


def masked_marks(logits: Tensor, marks: Tensor, pairs: Tensor) -> Tensor:
    """Mean weighted binary cross entropy of logits (N 73) with marks (N 73, NaN unknown); ``pairs`` 73 2."""
    known = ~marks.isnan()
    truth = torch.where(known, marks, torch.zeros_like(marks))
    weight = torch.where(truth > 0.5, pairs[:, 1], pairs[:, 0]) * known
    each = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    return (each * weight).sum() / known.sum().clamp(min=1)


def masked_ages(logits: Tensor, ages: Tensor, config: AgeTargets) -> Tensor:
    """Cross entropy of age logits (N 101) with a Gaussian around the age (N years, NaN unknown), over the known."""
    known = ~ages.isnan()
    years = torch.where(known, ages, torch.zeros_like(ages)).clamp(0, AGES - 1)
    line = torch.arange(AGES, dtype=torch.float32, device=ages.device)
    sigma = (config.age_sigma_years + config.age_sigma_growth * years)[:, None]
    target = (-0.5 * ((line[None] - years[:, None]) / sigma) ** 2).softmax(1)
    each = -(target * logits.float().log_softmax(1)).sum(1)
    if config.age_l1_weight:
        each = each + config.age_l1_weight * (logits.float().softmax(1) @ line - years).abs()
    return (each * known).sum() / known.sum().clamp(min=1)


def objective(
    labels: FaceLabels, config: AttributesConfig, encoder: Encoder | None
) -> Callable[[Networks, Batch, torch.Generator, StepInfo], Terms]:
    """The loss of a batch of "features" (N D), or of "images" (crops, N 3 S S) that go through the encoder."""
    classes, pairs = class_weights(labels, config.balance)
    looks = config.heads.looks

    def terms(networks: Networks, batch: Batch, generator: torch.Generator, info: StepInfo) -> Terms:
        heads = networks["heads"]
        if not isinstance(heads, AttributeHeads):
            raise TypeError(f"attributes: the network 'heads' is {type(heads).__name__}")
        device = heads.mean.device
        if "axes" in batch:  # the trunk was solved beforehand (attributes_axes)
            answers = heads.answer(batch["axes"], heads.standard(batch["who"].float(), heads.config.who_columns))
        elif encoder is not None:
            answers = heads(concatenate(pooled_features(encoder, batch["images"], looks), looks))
        else:
            answers = heads(batch["features"].float())
        return losses(answers, batch, classes.to(device), pairs.to(device), config)

    return terms


def train_attributes(
    labels: FaceLabels,
    inputs: Inputs,
    run_dir: Path,
    config: AttributesConfig,
    settings: LoopSettings,
    *,
    moments: tuple[Tensor, Tensor],
    encoder: Encoder | None = None,
    axes: Axes | None = None,
    hooks: Sequence[Hook] = (),
    resume: bool = False,
) -> Outcome:
    """Train the heads, and the layers of ``encoder`` from ``config.unfreeze_from`` on; resumable, exactly.

    ``inputs(rows, generator)`` gives what the networks see of rows of ``labels``: {"features": N D} when everything is
    frozen, {"images": N 3 S S crops} with an ``encoder``, {"axes": N R, "who": N W} with a trunk that is solved
    (``axes``) and learns no more. ``moments`` are the mean and deviation (D each) of the
    training features. ``Outcome.shown`` has "heads" and, where it learns, "encoder". Raises ``RequestError`` for
    layers to unfreeze without an encoder and for a layer that there is not.
    """
    if (config.unfreeze_from is not None) and encoder is None:
        raise RequestError("unfreeze_from: cached features hold no layer; the encoder must run (give it as encoder)")
    torch.manual_seed(settings.seed)
    heads = AttributeHeads(config.heads)
    heads.standardise(*moments)
    if axes is not None:
        keep_axes(heads, axes)
    networks: dict[str, nn.Module] = {"heads": heads}
    trained = layers_from(encoder, config.unfreeze_from, config.heads.looks) if encoder and config.unfreeze_from else []
    frozen: dict[str, nn.Module] = {}
    if encoder is not None:
        (networks if trained else frozen)["encoder"] = encoder.network
        for _, parameters in trained:
            for parameter in parameters:
                parameter.requires_grad_(True)
    phase = Phase(
        name="attributes",
        networks=tuple(networks),
        objective=objective(labels, config, encoder),
        learning_rate=_schedule(config, settings.steps),
        optimiser=lambda shown: _optimiser(shown, trained, config),
    )
    averaged = ("heads",) if config.ema_half_life_kimg and not trained else ()
    with dropout_after(encoder, [name for name, _ in trained], config.encoder_dropout):
        return train(
            networks=networks,
            phases=[phase],
            batch_at=batches(labels, inputs, config, settings),
            run_dir=run_dir,
            config=config,
            settings=settings,
            ema=EmaConfig(names=averaged, half_life_kimg=config.ema_half_life_kimg or 1.0),
            frozen=frozen,
            hooks=hooks,
            resume=resume,
        )


def _schedule(config: AttributesConfig, steps: int) -> Schedule:
    if config.schedule == "constant":
        return constant(config.learning_rate)
    if config.schedule == "cosine":
        return cosine(config.learning_rate, steps=steps, warmup=min(50, steps // 10))
    raise RequestError(f"schedule: '{config.schedule}' given, allowed: cosine, constant")


def _optimiser(networks: Networks, trained: Layers, config: AttributesConfig) -> torch.optim.Optimizer:
    """AdamW over the heads (factor 1) and the unfrozen layers, each a group with its own factor on the rate."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in networks["heads"].parameters() if p.requires_grad], "lr_scale": 1.0}
    ]
    groups += groups_by_layer(trained, config.lr_decay_per_layer, config.encoder_rate)
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=config.weight_decay, fused=True)


def validation_hook(
    labels: FaceLabels,
    inputs: Inputs,
    config: AttributesConfig,
    encoder: Encoder | None,
    *,
    every: int,
    batch: int = 64,
) -> Hook:
    """The losses on held-out faces with attributes (weights of classes as these faces have them), for loss curves."""
    measured = objective(labels, config, encoder)
    rows = np.flatnonzero(labels.marked)
    targets = group_targets(labels)

    def measure(networks: Networks, step: int) -> Mapping[str, float]:
        sums: dict[str, float] = {}
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            seen: dict[str, Any] = {
                **inputs(part, stream(0, "validation")),
                "targets": torch.from_numpy(targets[part]),
                "marks": torch.from_numpy(labels.attributes[part]),
                "ages": torch.from_numpy(labels.ages_years[part]),
            }
            info = StepInfo(step, step, 0, len(part), 0.0)
            device = next(networks["heads"].parameters()).device
            seen = {name: torch.as_tensor(value).to(device) for name, value in seen.items()}
            for name, value in measured(networks, seen, torch.Generator(), info).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(part)
        return {name: value / len(rows) for name, value in sums.items()}

    return Hook("validation", every, measure)
