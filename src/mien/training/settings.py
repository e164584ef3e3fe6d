"""What a run of the loop is told, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mien.core.config import Config
from mien.core.errors import TrainingError
from mien.core.precision import Precision
from mien.training.phases import Networks


class NotFiniteError(TrainingError):
    """A loss or a weight is not finite any more."""


BatchAt = Callable[[int], Mapping[str, Any]]  # pure: the same number, the same batch


class LoopSettings(Config):
    """How a run goes. Only ``batch_size``, ``seed`` and ``precision`` belong to what a resumed run must repeat."""

    steps: int
    batch_size: int  # images of one process and step
    seed: int = 0
    precision: Precision = "fp32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    channels_last: bool = True
    prefetch: int = 2  # batches made ahead in a background thread; 0: none
    log_every: int = 50  # steps
    preview_every: int = 500
    checkpoint_every: int | None = None  # steps
    checkpoint_minutes: float | None = 10.0
    keep: int = 2  # checkpoints
    minutes: float | None = None  # stop (with a checkpoint, to be resumed) after so long
    tensorboard: bool = True
    progress: bool = True


@dataclass(frozen=True, slots=True)
class Hook:
    """Numbers measured on the shown (averaged) networks at every ``every``-th step, for example a detection rate."""

    name: str
    every: int
    measure: Callable[[Networks, int], Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. ``shown`` are the averaged networks, or the trained ones where nothing is averaged."""

    step: int
    finished: bool  # all planned steps are done
    stopped_by: str | None  # "SIGTERM", "SIGINT", "minutes"
    shown: Networks
    images: int
