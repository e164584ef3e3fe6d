"""Training the painter (``generators/painter``): flow matching whose network predicts the clean tokens.

The cost of a face is the squared error of the clean tokens over max(1 - t, 0.1)^2, which is that of the velocity, meant
over what lies inside the photograph. Every condition is dropped at random, each alone and all together, and so are the
code and the look, so that each may be asked for or left open. Noise of a known strength is laid over the code: a
density that errs a little asks for some of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core.checkpoints import load_into
from mien.core.config import Config
from mien.core.records import UInt8Image
from mien.core.seeding import stream, torch_seed
from mien.generators.painter.network import Given, Painter, PainterConfig
from mien.training.ema import EmaConfig
from mien.training.loop import Hook, LoopSettings, Outcome, train
from mien.training.muon import Muon
from mien.training.phases import Batch, Networks, Phase, StepInfo, Terms
from mien.training.schedules import flat_then_cosine

FloatArray = npt.NDArray[np.float32]
LEAST_WEIGHT = 0.02  # of a patch that lies outside the photograph


class PainterTrainingConfig(Config):
    """Everything that decides what is trained."""

    painter: PainterConfig = PainterConfig()
    learning_rate: float = 0.02  # Muon's; AdamW's is 0.075 of it
    warmup_steps: int = 200
    fall_from: float = 0.75  # share of the run after which the rate falls
    time_mean: float = -0.7  # t = sigmoid(normal(mean, 1)), 1 is clean
    largest_code_noise: float = 0.5
    forget_code: float = 0.1
    forget_conditions: float = 0.25  # share of faces of which no condition is known
    forget_condition: float = 0.35  # chance of each condition to be dropped
    forget_source: float = 0.25
    forget_valid: float = 0.1
    average_half_life_kimg: float = 30.0
    critic: float = 0.0  # share of the critic's verdict in the cost (training/painter_adversarial.py); 0: none
    perceptual: float = 0.0  # and of the distance of the encoder's maps
    adversarial_rate: float = 1e-4  # Adam's, where a critic judges
    data: str = ""  # fingerprint
    images_before: int = 0


class PaintedSet:
    """Faces as the painter learns them, row by row.

    ``tokens`` N T C and ``codes`` N K (float16 or float32, may be memory maps), ``conditions`` N Q (NaN: unknown),
    ``valid`` N T, ``source`` N; ``weights`` (N) say how often each comes.
    """

    def __init__(
        self,
        tokens: npt.NDArray[Any],
        codes: npt.NDArray[Any],
        conditions: FloatArray,
        valid: FloatArray,
        source: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self.tokens, self.codes, self.conditions, self.valid, self.source = tokens, codes, conditions, valid, source
        self.sums = np.cumsum(np.ones(len(tokens)) if weights is None else weights)

    def __len__(self) -> int:
        return len(self.tokens)

    def rows(self, places: npt.NDArray[np.int64]) -> dict[str, Any]:
        """The faces at ``places`` as a batch."""
        return {
            "tokens": np.asarray(self.tokens[places], np.float32),
            "codes": np.asarray(self.codes[places], np.float32),
            "conditions": self.conditions[places],
            "valid": self.valid[places],
            "source": self.source[places],
            "shared": {},
        }

    def batch_at(self, size: int, seed: int) -> Callable[[int], dict[str, Any]]:
        """``batch_at(step)``: ``size`` faces, drawn by weight."""

        def draw(step: int) -> dict[str, Any]:
            places = np.searchsorted(
                self.sums, stream(seed, "painter", step).random(size) * self.sums[-1], side="right"
            )
            return self.rows(np.minimum(places, len(self.tokens) - 1).astype(np.int64))

        return draw


def forgetful(batch: Batch, config: PainterTrainingConfig, draws: torch.Generator) -> Given:
    """What is known of a batch after things were dropped at random and noise was laid over the codes."""
    codes, conditions = batch["codes"], batch["conditions"]
    count, device = len(codes), codes.device

    def keep(share: float, *shape: int) -> Tensor:
        return (torch.rand(*shape, generator=draws, device=device) >= share).float()

    known = keep(config.forget_condition, *conditions.shape) * keep(config.forget_conditions, count, 1)
    noise = config.largest_code_noise * torch.rand(count, 1, generator=draws, device=device).square()
    normals = torch.randn(codes.shape, generator=draws, device=device)
    unknown_source = torch.full_like(batch["source"], config.painter.sources)
    return Given(
        code=(codes + noise * normals) / (1 + noise.square()).sqrt(),
        code_known=keep(config.forget_code, count, 1),
        code_noise=noise,
        conditions=torch.nan_to_num(conditions),
        conditions_known=known * (~conditions.isnan()).float(),
        source=torch.where(keep(config.forget_source, count) > 0, batch["source"], unknown_source),
        valid=batch["valid"],
        valid_known=keep(config.forget_valid, count, 1),
    )


def whole(batch: Mapping[str, Tensor]) -> Given:
    """Everything that is known of a batch."""
    codes, conditions = batch["codes"], batch["conditions"]
    one = codes.new_ones(len(codes), 1)
    known = (~conditions.isnan()).float()
    values = torch.nan_to_num(conditions)
    return Given(codes, one, 0 * one, values, known, batch["source"], batch["valid"], one)


def flow_error(painter: Any, tokens: Tensor, valid: Tensor, given: Given, time: Tensor, normals: Tensor) -> Tensor:
    """N: error of each face's clean tokens, as that of the velocity, over the patches inside its photograph."""
    noisy = torch.lerp(normals, tokens, time[:, None, None])
    return weighted_error(painter(noisy, time, given).float(), tokens, valid, time)


def weighted_error(clean: Tensor, tokens: Tensor, valid: Tensor, time: Tensor) -> Tensor:
    """N: the error of ``clean`` (N T C) that ``flow_error`` means, where the network has already been asked."""
    each = (clean - tokens).square().mean(2)  # N T
    inside = valid.clamp_min(LEAST_WEIGHT)
    error: Tensor = (each * inside).sum(1) / inside.sum(1) / (1 - time).clamp_min(0.1).square()
    return error


def painter_cost(config: PainterTrainingConfig) -> Callable[[Networks, Batch, torch.Generator, StepInfo], Terms]:
    """The mean of ``flow_error`` at random times."""

    def cost(networks: Networks, batch: Batch, draws: torch.Generator, info: StepInfo) -> Terms:
        tokens = batch["tokens"]
        given = forgetful(batch, config, draws)
        normals = torch.randn(tokens.shape, generator=draws, device=tokens.device)
        time = torch.sigmoid(torch.randn(len(tokens), generator=draws, device=tokens.device) + config.time_mean)
        return {"flow": flow_error(networks["painter"], tokens, batch["valid"], given, time, normals).mean()}

    return cost


def held_out_cost(faces: PaintedSet, config: PainterTrainingConfig, every: int) -> Hook:
    """The same cost on held-out faces with fixed noise and times, and everything known."""
    batch = {
        k: torch.from_numpy(np.array(v)) for k, v in faces.rows(np.arange(len(faces.tokens))).items() if k != "shared"
    }
    draws = torch.Generator().manual_seed(0)
    time = torch.sigmoid(torch.randn(len(faces.tokens), generator=draws) + config.time_mean)
    normals = torch.randn(batch["tokens"].shape, generator=draws)

    def measure(networks: Networks, step: int) -> dict[str, float]:
        painter = networks["painter"]
        device = next(painter.parameters()).device
        here = {name: value.to(device) for name, value in batch.items()}
        with torch.no_grad():
            error = flow_error(painter, here["tokens"], here["valid"], whole(here), time.to(device), normals.to(device))
        return {"flow": float(error.mean())}

    return Hook("held_out", every, measure)


def optimiser_of(networks: Networks) -> torch.optim.Optimizer:
    """Muon for the matrices of the blocks (queries, keys and values apart, gates and inner values apart)."""
    painter = networks["painter"]
    parts = {"qkv": 3, "up": 2, "out": 1, "down": 1}
    matrices, others = [], []
    for name, parameter in painter.named_parameters():
        layer = name.split(".")[-2] if "." in name else ""
        if name.startswith("blocks.") and layer in parts:
            matrices.append((parameter, parts[layer]))
        else:
            others.append(parameter)
    return Muon(matrices, others)


def new_painter(config: PainterConfig, seed: int) -> Painter:
    """A painter that has seen nothing yet."""
    torch.manual_seed(torch_seed(seed, "weights"))
    return Painter(config)


def train_painter(
    batch_at: Callable[[int], Batch],
    run_dir: Path,
    config: PainterTrainingConfig,
    settings: LoopSettings,
    *,
    preview: Callable[[Networks, int], UInt8Image] | None = None,
    hooks: Sequence[Hook] = (),
    initial: Mapping[str, Tensor] | None = None,
    resume: bool = False,
) -> Outcome:
    """Train a painter on batches of ``PaintedSet``; ``initial`` gives weights to start with."""
    painter = new_painter(config.painter, settings.seed)
    if initial is not None:
        load_into(painter, initial, name="painter to start from")
    rate = flat_then_cosine(
        config.learning_rate, steps=settings.steps, fall_from=config.fall_from, warmup=config.warmup_steps
    )
    phase = Phase("painter", ("painter",), painter_cost(config), rate, optimiser_of)
    return train(
        networks={"painter": painter},
        phases=[phase],
        batch_at=batch_at,
        run_dir=run_dir,
        config=config,
        settings=settings,
        ema=EmaConfig(names=("painter",), half_life_kimg=config.average_half_life_kimg),
        preview=preview,
        hooks=tuple(hooks),
        resume=resume,
    )
