"""What runs on a GPU gives what it gives on the CPU, but for rounding. Skipped where torch has no CUDA."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from training_toy import toy_arguments

from mien.core.photos import read_photo
from mien.training.loop import train

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

LEVELS = 4.0  # of 255, mean over a picture: what bf16 of another device may round away


@pytest.mark.parametrize(
    "words",
    [
        ("crowd", "--preset", "mien"),
        ("crowd", "--preset", "painter"),
        ("imagine", "a smiling woman", "--set", "renderer=decoder"),
        ("imagine", "a smiling woman"),
    ],
    ids=" ".join,
)
def test_faces_are_those_of_the_cpu(words: tuple[str, ...], cli_here: Callable[..., Result], tmp_path: Path) -> None:
    for device in ("cpu", "cuda"):
        more = ("--count", 2, "--seed", 1, "--unmarked", "--device", device, "--out", tmp_path / device)
        result = cli_here(*words, *more)
        assert result.exit_code == 0, result.exception
    for name in ("00000.png", "00001.png"):
        here, there = (read_photo(tmp_path / device / name).astype(float) for device in ("cpu", "cuda"))
        assert np.abs(here - there).mean() < LEVELS


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_runs_and_is_gone_on_with(tmp_path: Path, precision: str) -> None:
    more: dict[str, Any] = {"device": "cuda", "precision": precision, "checkpoint_every": 4, "log_every": 2}
    train(**toy_arguments(tmp_path / "run", 4, **more))
    done = train(**toy_arguments(tmp_path / "run", 8, **more), resume=True)
    assert done.step == 8
    tensors = [value for network in done.shown.values() for value in network.state_dict().values()]
    assert all(torch.isfinite(value).all() for value in tensors if value.is_floating_point())
    assert any(value.is_cuda for value in tensors)
