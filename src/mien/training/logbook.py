"""The logbook of a run: ``RUN/logbook.jsonl``, one plain line a fact; TensorBoard beside it; curves drawn from it.

Kinds of line: ``step`` (losses and rates, means since the last such line), ``measure`` (numbers of a hook, for example
the detection rate), ``event`` (start, resume, checkpoint, warning, end). Every line has ``step`` and ``seconds``.
"""

from __future__ import annotations

import errno
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import torch
from torch import Tensor

from mien.core.errors import MienError
from mien.core.files import write_text
from mien.core.images import write_png
from mien.core.records import UInt8Image

FILE = "logbook.jsonl"
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
QUIET_SECONDS = 30.0


def disk_is_full(error: OSError) -> bool:
    """Whether an ``OSError`` says that no room is left (or none of the user's quota)."""
    return error.errno in DISK_FULL


def read_logbook(run_dir: Path) -> list[dict[str, Any]]:
    """All lines of a run's logbook; a last line that was cut off by a kill is left out."""
    path = run_dir / FILE
    lines = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines


class Logbook:
    """Writes the lines of one run. A full disk costs lines, never the run."""

    def __init__(self, run_dir: Path, *, resumed_at: int | None = None, tensorboard: bool = True) -> None:
        self.run_dir = run_dir
        self._scalars: Any = None
        if resumed_at is not None:
            kept = [line for line in read_logbook(run_dir) if line.get("step", 0) <= resumed_at]
            self._tolerant(write_text, run_dir / FILE, "".join(_line(line) for line in kept))
        else:
            self._tolerant(write_text, run_dir / FILE, "")
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self._scalars = SummaryWriter(str(run_dir / "tensorboard"), purge_step=resumed_at)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._scalars is not None:
            self._tolerant(self._scalars.close)

    def write(self, kind: Literal["step", "measure", "event"], step: int, seconds: float, **values: Any) -> None:
        """Append a line. Numbers (also inside one level of mapping) go to TensorBoard too, except those of events."""
        line = {"kind": kind, "step": step, "seconds": round(seconds, 2)} | values
        self._tolerant(self._append, _line(line))
        if self._scalars is not None and kind != "event":
            for name, value in _flat(values):
                self._tolerant(self._scalars.add_scalar, name, value, step)

    def picture(self, name: str, step: int, photo: UInt8Image) -> None:
        """Write ``RUN/previews/<name>-<step>.png``."""
        path = self.run_dir / "previews" / f"{name}-{step:08d}.png"
        self._tolerant(write_png, path, photo, {"Software": "mien", "step": str(step)})

    def _append(self, text: str) -> None:
        with (self.run_dir / FILE).open("a", encoding="utf-8") as file:
            file.write(text)

    def _tolerant(self, call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except OSError as error:
            if not disk_is_full(error):
                raise


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(_finite(values), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN: such numbers become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    return value


def _flat(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    pairs: list[tuple[str, float]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs += [(f"{key}/{inner}", float(number)) for inner, number in value.items()]
        elif isinstance(value, int | float):
            pairs.append((key, float(value)))
    return pairs


@dataclass
class Totals:
    """Loss terms summed on the device since the last line, so that a line costs one synchronisation."""

    sums: dict[str, Tensor] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    pauses: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, value: Tensor) -> None:
        """Count a scalar term (detached)."""
        self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.counts[name] = self.counts.get(name, 0) + 1

    def means(self) -> dict[str, float]:
        """The mean of each term over the steps that had it."""
        if not self.sums:
            return {}
        values = torch.stack([value.float() for value in self.sums.values()]).tolist()
        return {name: total / self.counts[name] for name, total in zip(self.sums, values, strict=True)}


class ProgressLine:
    """Progress on stderr: a bar with the losses on a terminal, otherwise a line every 30 seconds."""

    def __init__(self, steps: int, start: int, *, show: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._steps = steps
        self._said = -math.inf
        self._show = show
        self._bar: Any = None
        if show and console.is_terminal:
            columns = (TextColumn("train"), BarColumn(30), MofNCompleteColumn(), TimeRemainingColumn(compact=True))
            self._bar = Progress(*columns, TextColumn("{task.fields[text]}"), console=console, refresh_per_second=2)
            self._task = self._bar.add_task("train", total=steps, completed=start, text="")
            self._bar.start()

    def on_advance(self, step: int) -> None:
        """Move the bar to ``step`` steps done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step)

    def say(self, step: int, seconds: float, text: str) -> None:
        """Show the newest losses; without a terminal at most one line in 30 seconds of ``seconds``."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, text=text)
        elif self._show and seconds - self._said >= QUIET_SECONDS:
            self._said = seconds
            sys.stderr.write(f"step {step}/{self._steps} {text}\n")
            sys.stderr.flush()

    def note(self, text: str) -> None:
        """A line that must be seen."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        elif self._show:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()


def plot_curves(run_dir: Path) -> Path:
    """Draw ``RUN/curves.png`` from the logbook: costs, learning rate and every measure (Sanche, figures 3, 4 and 8)."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MienError("curves need matplotlib: pip install 'mien[evaluate]'") from error

    lines = read_logbook(run_dir)
    steps = [line for line in lines if line["kind"] == "step"]
    if not steps:
        raise MienError(f"{run_dir}: no 'step' line in {FILE}; nothing to draw yet")
    measures = sorted({name for line in lines if line["kind"] == "measure" for name in line["values"]})
    panels = ["losses", "learning_rate", *measures]
    figure = Figure(figsize=(9, 3.2 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, number + 1)
        if panel in measures:
            found = [line for line in lines if line["kind"] == "measure" and panel in line["values"]]
            axes.plot([line["step"] for line in found], [line["values"][panel] for line in found], marker=".")
        else:
            wanted = {key for line in steps for key in line[panel] if panel != "losses" or key.endswith("/total")}
            for key in sorted(wanted):
                found = [line for line in steps if line[panel].get(key) is not None]
                label = key.removesuffix("/total")
                axes.plot([line["step"] for line in found], [line[panel][key] for line in found], label=label, lw=0.9)
            axes.legend(loc="upper right")
        axes.set_ylabel({"losses": "cost", "learning_rate": "learning rate"}.get(panel, panel))
        axes.set_xlabel("training batches")
        axes.grid(alpha=0.3)
    path = run_dir / "curves.png"
    temporary = run_dir / ".curves.tmp.png"
    figure.savefig(temporary, dpi=100)
    temporary.replace(path)
    return path
