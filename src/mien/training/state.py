"""The state of a run on disk: directories of safetensors and one JSON, complete or absent, and a pointer to the last.

RUN/checkpoints/step-00001200/network-generator.safetensors, optimiser-generator.safetensors, ..., state.json
RUN/latest.json  {"checkpoint": "step-00001200"}
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from mien.core.checkpoints import load_weights, save_weights
from mien.core.errors import RequestError, TrainingError
from mien.core.files import write_json

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # on Windows, where runs are not guarded
    fcntl = None

POINTER = "latest.json"
STATE_VERSION = 1
TensorGroups = Mapping[str, Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint holds: ``groups[file][tensor]`` and the JSON-able ``values`` (step, history, seconds)."""

    path: Path
    groups: TensorGroups
    values: dict[str, Any]


@contextmanager
def claimed(run_dir: Path) -> Iterator[None]:
    """Keep other processes from training in ``run_dir``; the claim ends with the process, however it ends."""
    run_dir.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    with (run_dir / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingError(f"{run_dir}: another process is training here; wait for it or stop it") from error
        yield


def write_checkpoint(run_dir: Path, step: int, groups: TensorGroups, values: Mapping[str, Any], *, keep: int) -> Path:
    """Write a checkpoint beside the others, point to it, and remove all but the last ``keep``.

    A kill at any moment leaves the pointer at a complete checkpoint. A full disk raises ``OSError`` and leaves nothing
    half-written behind.
    """
    folder = run_dir / "checkpoints"
    name = f"step-{step:08d}"
    new, target = folder / f".{name}.tmp", folder / name
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(".step-*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        new.mkdir()
        for file, tensors in groups.items():
            save_weights(new / f"{file}.safetensors", tensors, {"model": f"state:{file}", "version": STATE_VERSION})
        write_json(new / "state.json", dict(values) | {"step": step, "files": list(groups)})
        if target.exists():
            shutil.rmtree(target)
        os.replace(new, target)
        write_json(run_dir / POINTER, {"checkpoint": name})
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    done = sorted(path for path in folder.iterdir() if re.fullmatch(r"step-\d+", path.name))
    for old in [path for path in done if path != target][: max(len(done) - keep, 0)]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def read_checkpoint(run_dir: Path) -> Checkpoint | None:
    """The checkpoint that the pointer names, or ``None`` where there is no pointer yet."""
    pointer = run_dir / POINTER
    if not pointer.is_file():
        return None
    try:
        path = run_dir / "checkpoints" / str(json.loads(pointer.read_text())["checkpoint"])
        values = json.loads((path / "state.json").read_text())
        files = list(values["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{pointer}: its checkpoint cannot be read ({error})") from error
    groups = {file: load_weights(path / f"{file}.safetensors", model=f"state:{file}", dtype=None)[0] for file in files}
    return Checkpoint(path, groups, values)


def initial_weights(run_dir: Path) -> tuple[dict[str, Mapping[str, Tensor]], int]:
    """Weights by network of the last checkpoint of another run (averages where it keeps them), and its images seen."""
    found = read_checkpoint(run_dir)
    if found is None:
        raise TrainingError(f"{run_dir}: no checkpoint to start from; give the directory of a run that has begun")
    weights: dict[str, Mapping[str, Tensor]] = {}
    for kind in ("network-", "average-"):  # the averages last: they replace
        weights |= {name.removeprefix(kind): group for name, group in found.groups.items() if name.startswith(kind)}
    try:
        run = json.loads((run_dir / "run.json").read_text())
        own = int(found.values["step"]) * int(run["loop"]["batch_size"]) * int(run["processes"])
        before = (run["config"].get(name, 0) for name in ("images_before", "codes_before"))
        return weights, own + sum(int(count) for count in before)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"{run_dir / 'run.json'}: cannot be read ({error})") from error


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state of an optimiser as named tensors: ``<number of the parameter>.<name of the state>``."""
    tensors = {}
    for index, entries in optimiser.state_dict()["state"].items():
        for key, value in entries.items():
            if value is not None:
                tensors[f"{index}.{key}"] = value if isinstance(value, Tensor) else torch.tensor(value)
    return tensors


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], *, name: str) -> None:
    """Put the state that ``optimiser_tensors`` gave back, in the memory layout of each parameter.

    The layout matters: fused kernels walk parameter and state side by side in memory.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for full, value in tensors.items():
        number, key = full.split(".", 1)
        index = int(number)
        if index >= len(parameters):
            raise TrainingError(f"{name}: the checkpoint has state for parameter {index} of {len(parameters)}")
        parameter = parameters[index]
        if value.shape == parameter.shape and value.ndim:
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        state.setdefault(index, {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def require_same(run_dir: Path, saved: Mapping[str, Any], given: Mapping[str, Any], prefix: str = "") -> None:
    """Refuse to continue a run of another configuration, naming the first key that differs."""
    for key in [*given, *(key for key in saved if key not in given)]:
        old, new = saved.get(key, "nothing"), given.get(key, "nothing")
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            require_same(run_dir, old, new, f"{prefix}{key}.")
        elif old != new:
            raise RequestError(
                f"{run_dir}: a run of another configuration: {prefix}{key} is {old!r} there, given {new!r};"
                " give the same or name another directory"
            )
