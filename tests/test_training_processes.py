"""Two processes, found through accelerate, train one model together (by torch's launcher: CPUs need no MPI then)."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_toy import toy_arguments, traced_batch

from mien.training.logbook import read_logbook
from mien.training.loop import train

TOY = Path(__file__).with_name("training_toy.py")


def launch(processes: int, run_dir: Path, steps: int, *options: str) -> None:
    """Train the toy; the launcher is what ``accelerate launch`` calls."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    command += [str(TOY), str(run_dir), str(steps), *options]
    environment = dict(os.environ, OMP_NUM_THREADS="1", ACCELERATE_USE_CPU="true")
    done = subprocess.run(command, env=environment, capture_output=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]


@pytest.mark.slow
def test_a_resumed_run_may_have_another_number_of_processes_and_reads_on(tmp_path: Path) -> None:
    run_dir, trace = tmp_path / "run", tmp_path / "run.batches"
    launch(2, run_dir, 4, "--trace")
    assert sorted(map(int, trace.read_text().split())) == list(range(8))
    alone = toy_arguments(run_dir, 7, checkpoint_every=7, log_every=5)
    done = train(**alone | {"batch_at": partial(traced_batch, trace)}, resume=True)
    assert sorted(map(int, trace.read_text().split())) == list(range(4 * 2 + 3))
    assert done.images == 11 * 8
    line = [line for line in read_logbook(run_dir) if line["kind"] == "step"][-1]
    assert line["kimg"] == pytest.approx(11 * 8 / 1000)


@pytest.mark.slow
def test_two_processes_read_two_batches_and_stay_one_model(tmp_path: Path) -> None:
    launch(2, tmp_path / "whole", 12)
    line = [line for line in read_logbook(tmp_path / "whole") if line["kind"] == "step"][-1]
    assert line["step"] == 12
    assert line["kimg"] == pytest.approx(12 * 8 * 2 / 1000)
    launch(2, tmp_path / "parts", 7)
    launch(2, tmp_path / "parts", 12, "--resume")
    for name in ("network-generator", "network-discriminator", "optimiser-d"):
        a, b = (
            load_file(tmp_path / run / "checkpoints" / "step-00000012" / f"{name}.safetensors")
            for run in ("whole", "parts")
        )
        assert all(torch.equal(a[key], b[key]) for key in a)
