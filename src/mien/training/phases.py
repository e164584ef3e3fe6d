"""What a training run does, as data: which networks learn, by which objective, how often, and when they pause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mien.core.config import Config
from mien.core.errors import RequestError
from mien.training.schedules import Schedule

Networks = Mapping[str, nn.Module]
Batch = Mapping[str, Any]  # tensors on the run's device, first axis N; anything else passes as it came
Terms = Mapping[str, Tensor]  # named scalar losses; "total" is minimised, or their sum if there is no "total"


@dataclass(frozen=True, slots=True)
class StepInfo:
    """Where the run is. Everything here is a function of (step, settings), never of the clock."""

    step: int  # 0-based
    steps: int  # planned length of the run
    images: int  # seen before this step, by all processes
    batch_size: int  # images of this process and step
    learning_rate: float

    @property
    def kimg(self) -> float:
        """Thousands of images seen before this step."""
        return self.images / 1000

    @property
    def progress(self) -> float:
        """Share of the planned steps that is done, 0 to 1."""
        return min(self.step / max(self.steps, 1), 1.0)


@dataclass(frozen=True, slots=True)
class History:
    """What a gate may look at: the last measured total of each phase (paused phases are measured too)."""

    step: int
    totals: Mapping[str, float]


Objective = Callable[[Networks, Batch, torch.Generator, StepInfo], Terms]
Gate = Callable[[History], bool]  # True: the phase is measured but does not learn at this step


class OptimiserConfig(Config):
    """An optimiser by name; the rate comes from the phase's schedule."""

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip_norm: float | None = None  # gradients are scaled down to this L2 norm

    def build(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser over ``parameters``, fused (one kernel a step) where torch has it."""
        if self.kind == "sgd":
            return torch.optim.SGD(
                parameters, lr=0.0, momentum=self.beta1, weight_decay=self.weight_decay, nesterov=self.beta1 > 0
            )
        kind = torch.optim.Adam if self.kind == "adam" else torch.optim.AdamW
        betas = (self.beta1, self.beta2)
        return kind(parameters, lr=0.0, betas=betas, eps=self.epsilon, weight_decay=self.weight_decay, fused=True)


_ADAM = OptimiserConfig()


@dataclass(frozen=True, slots=True)
class Phase:
    """One learning step of some networks. Phases run in their order, each at every ``every``-th step from ``start``.

    ``objective`` sees all networks; only those in ``networks`` get gradients. ``optimiser`` is a configuration, or a
    function of the networks that returns a torch optimiser (groups may carry ``lr_scale``, a factor on the schedule).
    """

    name: str
    networks: tuple[str, ...]
    objective: Objective
    learning_rate: Schedule
    optimiser: OptimiserConfig | Callable[[Networks], torch.optim.Optimizer] = _ADAM
    gate: Gate | None = None
    every: int = 1
    start: int = 0

    def __post_init__(self) -> None:
        if self.every < 1 or self.start < 0 or not self.networks:
            raise RequestError(f"phase {self.name}: 'every' is at least 1, 'start' at least 0, 'networks' not empty")

    def due(self, step: int) -> bool:
        """Whether the phase runs at this step."""
        return step >= self.start and (step - self.start) % self.every == 0


def pause_below(own: str, other: str, share: float) -> Gate:
    """Pause phase ``own`` while its last total is below ``share`` of that of ``other`` (Sanche, section 3)."""

    def gate(history: History) -> bool:
        if own not in history.totals or other not in history.totals:
            return False
        return history.totals[own] < share * history.totals[other]

    return gate


def total_of(terms: Terms) -> Tensor:
    """The scalar that is minimised: ``terms["total"]``, or the sum of all terms."""
    if "total" in terms:
        return terms["total"]
    return torch.stack([term.float() for term in terms.values()]).sum()
