"""The one training loop: every model of mien is trained by ``train``, and nothing else calls ``backward``.

A step is a pure function of (networks, optimisers, seed, step): batches come from ``batch_at(step)``, randomness from
a generator seeded by (seed, phase, step, process), rates from schedules. Therefore a run that was killed and resumed
equals the run that was never killed, bit for bit on a CPU.

Several processes (``accelerate launch -m mien train ...``): batches are read in order, in each step the next n, the
r-th of them by process r. A resumed run may have another number of processes: it reads on where it was. Gradients of a
phase are averaged over the processes in one collective call. No wrapper changes the networks, so phases may share
them freely; batch statistics stay those of process 0.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.core.checkpoints import load_into
from mien.core.config import Config
from mien.core.errors import RequestError, TrainingError
from mien.core.files import write_json
from mien.core.records import UInt8Image
from mien.core.seeding import torch_seed
from mien.training.ema import Ema, EmaConfig
from mien.training.logbook import Logbook, ProgressLine, Totals, disk_is_full
from mien.training.machine import Machine, asked_to_stop, batches_ahead
from mien.training.phases import Batch, History, Networks, OptimiserConfig, Phase, StepInfo, total_of
from mien.training.settings import BatchAt, Hook, LoopSettings, NotFiniteError, Outcome
from mien.training.state import (
    Checkpoint,
    claimed,
    optimiser_tensors,
    read_checkpoint,
    require_same,
    restore_optimiser,
    write_checkpoint,
)

__all__ = ["BatchAt", "Hook", "LoopSettings", "Outcome", "train"]


def train(
    *,
    networks: Mapping[str, nn.Module],
    phases: Sequence[Phase],
    batch_at: BatchAt,
    run_dir: Path,
    config: Config,
    settings: LoopSettings,
    ema: EmaConfig | None = None,
    frozen: Mapping[str, nn.Module] | None = None,
    preview: Callable[[Networks, int], UInt8Image] | None = None,
    hooks: Sequence[Hook] = (),
    resume: bool = False,
) -> Outcome:
    """Train ``networks`` in ``run_dir`` to ``settings.steps``.

    ``config`` describes what is trained: it is saved, and a run directory with another one is refused. ``frozen``
    networks are seen by objectives, never trained nor saved. ``preview`` and ``hooks`` see the shown networks in
    evaluation mode. Raises ``TrainingError`` at the first loss that is not finite (the last checkpoint stays good)
    and ``RequestError`` for a directory that holds another run.
    """
    loop = _Loop(networks, phases, run_dir, config, settings, ema or EmaConfig(), frozen or {})
    with claimed(run_dir) if loop.rank == 0 else nullcontext():
        loop.open(resume)
        return loop.run(batch_at, preview, hooks)


class _Loop:
    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        phases: Sequence[Phase],
        run_dir: Path,
        config: Config,
        settings: LoopSettings,
        ema: EmaConfig,
        frozen: Mapping[str, nn.Module],
    ) -> None:
        self.settings, self.phases, self.run_dir = settings, phases, run_dir
        self.machine = Machine.open(settings.device, settings.precision)
        self.device, self.rank, self.world = self.machine.device, self.machine.rank, self.machine.world
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        memory = torch.channels_last if settings.channels_last else torch.preserve_format
        self.networks = {n: m.to(self.device, memory_format=memory).train() for n, m in networks.items()}  # type: ignore[call-overload]
        still = {n: m.to(self.device, memory_format=memory).eval() for n, m in frozen.items()}  # type: ignore[call-overload]
        for module in still.values():
            module.requires_grad_(False)
        self.visible: dict[str, nn.Module] = {**self.networks, **still}
        self.parameters = {n: [p for p in m.parameters() if p.requires_grad] for n, m in self.networks.items()}
        self.optimisers = {phase.name: self._optimiser(phase) for phase in phases}
        self.generators = {phase.name: torch.Generator(self.device) for phase in phases}
        self.ema = Ema(self.networks, ema)
        self.shown: dict[str, nn.Module] = {**self.networks, **self.ema.networks, **still}
        self.history: dict[str, float] = {}
        self.rates: dict[str, float] = {}
        self.step, self.seconds_before, self.saved_step = 0, 0.0, -1
        self.read, self.world_before = 0, self.world  # batches that all processes have read; how many those were
        self.bad = torch.zeros((), device=self.device)  # counts losses that are not finite
        # Reading a number costs nothing on a CPU; on a GPU it stops the queue, so only gates make us read each step.
        self.reads_each_step = self.device.type == "cpu" or any(phase.gate for phase in phases)
        identity = {"config": config.model_dump(mode="json")} | {
            "loop": settings.model_dump(mode="json", include={"batch_size", "seed"})
            | {"precision": self.machine.precision},
            "ema": ema.model_dump(mode="json"),
            "processes": self.world,
        }
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))

    def _optimiser(self, phase: Phase) -> torch.optim.Optimizer:
        for name in phase.networks:
            if name not in self.networks:
                raise RequestError(f"phase {phase.name}: no network '{name}'; there are {', '.join(self.networks)}")
        if isinstance(phase.optimiser, OptimiserConfig):
            return phase.optimiser.build([p for name in phase.networks for p in self.parameters[name]])
        return phase.optimiser(self.networks)

    # Opening: a new run, or the last checkpoint of this one.

    def open(self, resume: bool) -> None:
        where = self.run_dir / "run.json"
        if where.is_file():
            saved = json.loads(where.read_text())
            require_same(self.run_dir, saved, self.identity | {"processes": saved.get("processes")})
            self.world_before = int(saved.get("processes", self.world))
        found = read_checkpoint(self.run_dir)
        if found is not None and not resume:
            step = found.values["step"]
            raise RequestError(f"{self.run_dir}: holds a run at step {step}: continue with --resume or name another")
        if found is not None:
            self._restore(found)
        if self.rank == 0:
            self.run_dir.mkdir(parents=True, exist_ok=True)
            write_json(where, self.identity)
        self.machine.wait()
        if self.world > 1:
            self.machine.broadcast([*self.networks.values(), *self.ema.networks.values()])

    def _restore(self, found: Checkpoint) -> None:
        for name, module in self.networks.items():
            load_into(module, found.groups[f"network-{name}"], name=f"{found.path}: {name}")
        for name, module in self.ema.networks.items():
            load_into(module, found.groups[f"average-{name}"], name=f"{found.path}: average of {name}")
        for name, optimiser in self.optimisers.items():
            restore_optimiser(optimiser, found.groups[f"optimiser-{name}"], name=f"{found.path}: {name}")
        self.step = self.saved_step = int(found.values["step"])
        self.read = int(found.values.get("batches", self.step * self.world_before))
        self.history = {name: float(value) for name, value in found.values["history"].items()}
        self.seconds_before = float(found.values["seconds"])

    # Running.

    def run(
        self,
        batch_at: BatchAt,
        preview: Callable[[Networks, int], UInt8Image] | None,
        hooks: Sequence[Hook],
    ) -> Outcome:
        settings, first = self.settings, self.step
        main = self.rank == 0
        self.began = self.line_at = self.checkpoint_at = time.monotonic()
        self.totals, self.line_step = Totals(), self.step
        progress = ProgressLine(settings.steps, first, show=settings.progress and main)
        logbook = Logbook(self.run_dir, resumed_at=first, tensorboard=settings.tensorboard) if main else None
        stopped: str | None = None
        try:
            with asked_to_stop() as self.asked, batches_ahead(batch_at, self._numbers(), settings.prefetch) as batches:
                if logbook:
                    logbook.write("event", first, self.seconds, text="resumed" if first else "started")
                while self.step < settings.steps and stopped is None:
                    self._one_step(next(batches))
                    stopped = self._stop_wanted()
                    progress.on_advance(self.step)
                    last = self.step == settings.steps or stopped is not None
                    if self.step % settings.log_every == 0 or last:
                        self._log(logbook, progress)
                    if not main or logbook is None:
                        continue
                    if preview and (self.step % settings.preview_every == 0 or last):
                        with self._showing():
                            logbook.picture("preview", self.step, preview(self.shown, self.step))
                    for hook in hooks:
                        if self.step % hook.every == 0:
                            with self._showing():
                                values = dict(hook.measure(self.shown, self.step))
                            logbook.write("measure", self.step, self.seconds, name=hook.name, values=values)
                    if self._checkpoint_due() and not last:
                        self._checkpoint(logbook, progress)
                if main and logbook is not None and self.saved_step != self.step:
                    self._last_checkpoint(logbook, progress)
                if logbook:
                    text = f"stopped by {stopped}" if stopped else "finished"
                    logbook.write("event", self.step, self.seconds, text=text)
        finally:
            progress.close()
            if logbook:
                logbook.__exit__(None, None, None)
        self.machine.wait()
        for module in self.shown.values():
            module.eval()
        return Outcome(self.step, self.step >= settings.steps, stopped, self.shown, self.images)

    def _one_step(self, host: Mapping[str, Any]) -> None:
        settings, step = self.settings, self.step
        batch = self._on_device(host)
        for phase in self.phases:
            if not phase.due(step):
                continue
            # The rate and the randomness of this phase: functions of the step.
            optimiser, rate = self.optimisers[phase.name], phase.learning_rate(step)
            for group in optimiser.param_groups:
                group["lr"] = rate * group.get("lr_scale", 1.0)
            seed = torch_seed(settings.seed, phase.name, step, self.rank)
            self.machine.seed(seed)
            generator = self.generators[phase.name].manual_seed(seed)
            info = StepInfo(step, settings.steps, self.images, settings.batch_size, rate)

            # The losses; a paused phase is only measured.
            paused = phase.gate is not None and phase.gate(History(step, self.history))
            self._require_grad(() if paused else phase.networks)
            with torch.set_grad_enabled(not paused), self.machine.autocast():
                terms = phase.objective(self.visible, batch, generator, info)
                total = total_of(terms)

            # The update.
            if not paused:
                optimiser.zero_grad(set_to_none=True)
                total.backward()  # type: ignore[no-untyped-call]
            value = self.machine.average(total.detach(), [] if paused else _gradients(optimiser))
            self._check_finite(phase.name, value)
            if not paused:
                clip = phase.optimiser.clip_norm if isinstance(phase.optimiser, OptimiserConfig) else None
                if clip is not None:
                    nn.utils.clip_grad_norm_(_parameters(optimiser), clip)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)

            # Logging.
            if paused:
                self.totals.pauses[phase.name] = self.totals.pauses.get(phase.name, 0) + 1
            for name, term in terms.items():
                if name != "total":
                    self.totals.add(f"{phase.name}/{name}", term.detach())
            self.totals.add(f"{phase.name}/total", value)
            self.rates[phase.name] = rate
        self.step, self.read = self.step + 1, self.read + self.world
        self.ema.update(self.step, self.images, settings.batch_size * self.world)

    def _require_grad(self, names: Sequence[str]) -> None:
        for name, parameters in self.parameters.items():
            wanted = name in names
            if parameters and parameters[0].requires_grad != wanted:
                for parameter in parameters:
                    parameter.requires_grad_(wanted)

    def _check_finite(self, name: str, total: Tensor) -> None:
        """Stop at a loss that is not finite: at once where reading is free, at the next line otherwise."""
        if self.reads_each_step:
            value = float(total)
            self.history[name] = value
            if not math.isfinite(value):
                self._not_finite(name)
        else:
            self.bad += (~torch.isfinite(total)).float()

    def _not_finite(self, what: str) -> None:
        where = "no checkpoint yet" if self.saved_step < 0 else f"the checkpoint of step {self.saved_step} is good"
        raise NotFiniteError(
            f"{self.run_dir}: the loss of '{what}' is not finite at step {self.step}; {where}:"
            " resume with a lower learning rate or in fp32"
        )

    # Small questions.

    @property
    def seconds(self) -> float:
        """Seconds of training, those of earlier processes included."""
        return self.seconds_before + time.monotonic() - self.began

    @property
    def images(self) -> int:
        """Images that all processes have read."""
        return self.read * self.settings.batch_size

    def _numbers(self) -> Iterator[int]:
        first = self.read + self.rank
        return (first + number * self.world for number in range(self.settings.steps - self.step))

    def _on_device(self, host: Mapping[str, Any]) -> Batch:
        batch: dict[str, Any] = {}
        for name, value in host.items():
            tensor = torch.from_numpy(value) if isinstance(value, np.ndarray) and value.dtype != object else value
            if isinstance(tensor, Tensor):
                if tensor.ndim and len(tensor) != self.settings.batch_size:
                    raise TrainingError(f"batch: '{name}' has {len(tensor)} rows, wanted {self.settings.batch_size}")
                tensor = tensor.to(self.device, non_blocking=True)
                if tensor.ndim == 4 and tensor.is_floating_point() and self.settings.channels_last:
                    tensor = tensor.contiguous(memory_format=torch.channels_last)
            batch[name] = tensor
        return batch

    def _stop_wanted(self) -> str | None:
        minutes = self.settings.minutes
        late = minutes is not None and time.monotonic() - self.began > minutes * 60
        wanted = self.asked.signal or ("minutes" if late else None)
        return self.machine.any_rank(wanted)

    def _checkpoint_due(self) -> bool:
        every, minutes = self.settings.checkpoint_every, self.settings.checkpoint_minutes
        if every is not None and self.step % every == 0:
            return True
        return minutes is not None and time.monotonic() - self.checkpoint_at >= minutes * 60

    @contextmanager
    def _showing(self) -> Iterator[None]:
        """Networks in evaluation mode, without gradients."""
        for module in self.networks.values():
            module.eval()
        with torch.no_grad(), self.machine.autocast():
            yield
        for module in self.networks.values():
            module.train()

    # Writing things down.

    def _log(self, logbook: Logbook | None, progress: ProgressLine) -> None:
        if not self.reads_each_step and float(self.bad) > 0:
            self._not_finite("some phase")
        now, done = time.monotonic(), self.step - self.line_step
        losses, pauses, totals = self.totals.means(), self.totals.pauses, self.totals
        speed = done * self.settings.batch_size * self.world / max(now - self.line_at, 1e-9)
        self.totals, self.line_at, self.line_step = Totals(), now, self.step
        if logbook is None or not done:
            return
        kimg = self.images / 1000
        logbook.write(
            "step", self.step, self.seconds, kimg=kimg, losses=losses, learning_rate=dict(self.rates),
            paused_steps={name: totals.pauses.get(name, 0) for name in pauses}, images_per_second=round(speed, 2),
        )  # fmt: skip
        shown = " ".join(f"{name.removesuffix('/total')} {value:.4g}" for name, value in losses.items())
        progress.say(self.step, self.seconds, f"{shown} {speed:.1f} img/s")

    def _checkpoint(self, logbook: Logbook, progress: ProgressLine) -> bool:
        self.checkpoint_at = time.monotonic()
        groups: dict[str, Mapping[str, Tensor]] = {}
        for name, module in self.networks.items():
            groups[f"network-{name}"] = module.state_dict()
            if not all(bool(torch.isfinite(p.detach()).all()) for p in self.parameters[name]):
                self._not_finite(name)
        groups |= {f"average-{name}": module.state_dict() for name, module in self.ema.networks.items()}
        groups |= {f"optimiser-{name}": optimiser_tensors(value) for name, value in self.optimisers.items()}
        values = {"history": self.history, "seconds": self.seconds, "batches": self.read}
        try:
            write_checkpoint(self.run_dir, self.step, groups, values, keep=self.settings.keep)
        except OSError as error:
            if not disk_is_full(error):
                raise
            text = f"warning: no checkpoint at step {self.step}, the disk is full; training goes on, next try later"
            logbook.write("event", self.step, self.seconds, text=text)
            progress.note(text)
            return False
        self.saved_step = self.step
        logbook.write("event", self.step, self.seconds, text="checkpoint")
        return True

    def _last_checkpoint(self, logbook: Logbook, progress: ProgressLine) -> None:
        if not self._checkpoint(logbook, progress):
            raise TrainingError(
                f"{self.run_dir}: the disk is full: the state of step {self.step} is not saved"
                f" (last checkpoint: {'none' if self.saved_step < 0 else self.saved_step}); free room, then resume"
            )


def _parameters(optimiser: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _gradients(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter.grad for parameter in _parameters(optimiser) if parameter.grad is not None]
