"""What every training is asked for, and how its end is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mien.core.config import Config
from mien.core.errors import MienError, RequestError, TrainingError

if TYPE_CHECKING:
    from mien.training.settings import LoopSettings, Outcome

Own = TypeVar("Own", bound=Config)
LOOP = {"steps": "steps", "batch": "batch_size", "threads": "threads", "precision": "precision", "minutes": "minutes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """One training. ``None``: the preset decides."""

    data: Path  # a dataset of `mien data prepare`
    out: Path  # RUN
    settings: Config  # what only this preset reads (``presets.py``)
    resume: bool | None = None
    steps: int | None = None
    batch: int | None = None
    seed: int | None = None
    threads: int | None = None
    device: str | None = None
    precision: str | None = None
    minutes: float | None = None
    start_from: Path | None = None  # another RUN (or weights, where the preset reads them) to start with

    def given(self) -> dict[str, Any]:
        """The options that the user gave, without data, out and settings."""
        skipped = ("data", "out", "settings")
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skipped}
        return {name: value for name, value in values.items() if value is not None}

    def said(self, *names: str) -> dict[str, Any]:
        """Of ``names`` (as the loop calls them) those that the user gave: for a configuration with defaults."""
        found = {LOOP.get(name, name): value for name, value in self.given().items()}
        return {name: found[name] for name in names if name in found}


def settings_of(request: TrainRequest, kind: type[Own]) -> Own:
    """The preset's own settings, as what they are."""
    if not isinstance(request.settings, kind):
        raise RequestError(f"settings: {type(request.settings).__name__} given; wanted {kind.__name__}")
    return request.settings


def loop_settings(request: TrainRequest, **defaults: Any) -> LoopSettings:
    """The loop's settings: a preset's defaults and what the user said."""
    from mien.training.settings import LoopSettings

    said: Mapping[str, Any] = request.said("steps", "batch_size", "threads", "precision", "minutes")
    shared = {"seed": request.seed or 0, "device": request.device or "auto"}
    return LoopSettings.make({**defaults, **said, **shared}, where="mien train")


def use_threads(request: TrainRequest) -> None:
    """Give torch as many threads as were asked for."""
    if request.threads is not None:
        import torch

        torch.set_num_threads(request.threads)


def check_options(request: TrainRequest) -> None:
    """``RequestError`` for a number or a word that no preset allows, and for a run that is not there."""
    begin = request.start_from
    if begin is not None and not (begin.is_dir() or (begin.is_file() and begin.suffix == ".safetensors")):
        raise RequestError(f"--from: {begin} given; there is no such directory, wanted is a RUN of mien")
    for name in ("steps", "batch", "threads"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise RequestError(f"--{name}: {value} given, allowed are 1 and more")
    if request.minutes is not None and not request.minutes >= 0:
        raise RequestError(f"--minutes: {request.minutes:g} given, allowed are 0 and more")
    for name, allowed in (("device", ("auto", "cpu", "cuda")), ("precision", ("auto", "fp32", "bf16"))):
        if getattr(request, name) not in (None, *allowed):
            raise RequestError(f"--{name}: '{getattr(request, name)}' given; allowed: {', '.join(allowed)}")


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training leaves: its weights (``None``: nothing was to be trained), and what the user should know."""

    weights: Path | None
    remarks: tuple[str, ...] = ()


def finished(outcome: Outcome, out: Path, remarks: tuple[str, ...] = ()) -> Trained:
    """Draw the curves of a run that ended. ``TrainingError`` where it was stopped early."""
    from mien.training.logbook import plot_curves

    missing = []
    for run in sorted(book.parent for book in (*out.glob("logbook.jsonl"), *out.glob("*/logbook.jsonl"))):
        try:
            plot_curves(run)
        except MienError as error:  # curves are an extra
            missing.append(str(error))
    if not outcome.finished:
        raise TrainingError(f"{out}: stopped by {outcome.stopped_by} at step {outcome.step}; --resume goes on")
    return Trained(out / "weights.safetensors", (*remarks, *missing))
