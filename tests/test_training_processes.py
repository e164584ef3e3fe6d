"""Two processes, found through accelerate, train one model together (by torch's launcher: CPUs need no MPI then)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mien.training.logbook import read_logbook

TOY = Path(__file__).with_name("training_toy.py")


@pytest.mark.slow
def test_two_processes_read_two_batches_and_stay_one_model(tmp_path: Path) -> None:
    def launch(run_dir: Path, steps: int, *options: str) -> None:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        command += [str(TOY), str(run_dir), str(steps), *options]
        environment = dict(os.environ, OMP_NUM_THREADS="1", ACCELERATE_USE_CPU="true")
        done = subprocess.run(command, env=environment, capture_output=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr.decode()[-2000:]

    launch(tmp_path / "whole", 12)
    line = [line for line in read_logbook(tmp_path / "whole") if line["kind"] == "step"][-1]
    assert line["step"] == 12
    assert line["kimg"] == pytest.approx(12 * 8 * 2 / 1000)
    launch(tmp_path / "parts", 7)
    launch(tmp_path / "parts", 12, "--resume")
    for name in ("network-generator", "network-discriminator", "optimiser-d"):
        a, b = (
            load_file(tmp_path / run / "checkpoints" / "step-00000012" / f"{name}.safetensors")
            for run in ("whole", "parts")
        )
        assert all(torch.equal(a[key], b[key]) for key in a)
