"""The one training loop: exact resume, refusals, stops, gates, averages."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_toy import ToyConfig, toy_arguments

import mien.training.loop as loop_module
from mien.core.errors import RequestError, TrainingError
from mien.training.logbook import read_logbook
from mien.training.loop import Hook, train
from mien.training.state import read_checkpoint

TOY = Path(__file__).with_name("training_toy.py")


def toy_process(run_dir: Path, steps: int, *options: str) -> subprocess.Popen[bytes]:
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    return subprocess.Popen(
        [sys.executable, str(TOY), str(run_dir), str(steps), *options], env=environment, stderr=subprocess.PIPE
    )


def tensors_of(run_dir: Path, step: int) -> dict[str, torch.Tensor]:
    folder = run_dir / "checkpoints" / f"step-{step:08d}"
    return {f"{f.stem}/{n}": t for f in sorted(folder.glob("*.safetensors")) for n, t in load_file(f).items()}


def assert_same_state(one: Path, other: Path, step: int) -> None:
    a, b = tensors_of(one, step), tensors_of(other, step)
    assert a.keys() == b.keys()
    assert {name.split("/")[0] for name in a} == {
        "network-generator", "network-discriminator", "optimiser-d", "optimiser-g", "average-generator",
    }  # fmt: skip
    for name in a:
        assert torch.equal(a[name], b[name]), name
    histories = [read_checkpoint(run).values["history"] for run in (one, other)]
    assert histories[0] == histories[1]


def wait_for_step(run_dir: Path, step: int, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pointer = run_dir / "latest.json"
        if pointer.exists() and int(json.loads(pointer.read_text())["checkpoint"].split("-")[1]) >= step:
            return
        time.sleep(0.005)
    raise AssertionError("the toy run made no checkpoint")


def test_killed_and_resumed_equals_never_killed(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(**toy_arguments(whole, 120, checkpoint_every=7, threads=1))
    for least in (14, 49):  # killed twice, at moments that nobody chose
        process = toy_process(killed, 120, "--resume", "--slow")
        wait_for_step(killed, least)
        time.sleep(float(np.random.default_rng().uniform(0, 0.2)))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert read_checkpoint(killed).values["step"] < 120
    process = toy_process(killed, 120, "--resume")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said.decode()
    assert_same_state(whole, killed, 120)
    steps = [line["step"] for line in read_logbook(killed) if line["kind"] == "step"]
    assert steps == sorted(set(steps))  # no line twice


def test_sigterm_makes_a_checkpoint_and_resume_goes_on(tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(**toy_arguments(whole, 60, checkpoint_every=7, threads=1))
    process = toy_process(stopped, 60, "--slow")
    wait_for_step(stopped, 7)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    line = read_logbook(stopped)[-1]
    assert line["text"] == "stopped by SIGTERM"
    assert read_checkpoint(stopped).values["step"] == line["step"] < 60
    outcome = train(**toy_arguments(stopped, 60, checkpoint_every=7, threads=1), resume=True)
    assert outcome.finished
    assert outcome.images == 480
    assert_same_state(whole, stopped, 60)


def test_prefetch_and_previews_change_nothing(tmp_path: Path) -> None:
    train(**toy_arguments(tmp_path / "a", 20, prefetch=0, threads=1))
    hook = Hook("look", 3, lambda shown, step: {"x": float(torch.rand(1))})
    preview = lambda shown, step: np.zeros((4, 4, 3), np.uint8)  # noqa: E731
    arguments = toy_arguments(tmp_path / "b", 20, prefetch=3, preview_every=4, log_every=3, threads=1)
    train(**arguments, hooks=[hook], preview=preview)
    assert_same_state(tmp_path / "a", tmp_path / "b", 20)
    assert len(list((tmp_path / "b" / "previews").glob("*.png"))) == 5
    assert [line["step"] for line in read_logbook(tmp_path / "b") if line["kind"] == "measure"] == [3, 6, 9, 12, 15, 18]


def test_another_configuration_is_refused_by_key(tmp_path: Path) -> None:
    train(**toy_arguments(tmp_path, 2))
    with pytest.raises(RequestError, match=r"config\.rate is 0\.01 there, given 0\.02"):
        train(**toy_arguments(tmp_path, 4, ToyConfig(rate=0.02)), resume=True)
    with pytest.raises(RequestError, match=r"loop\.seed is 11 there, given 12"):
        train(**toy_arguments(tmp_path, 4, seed=12), resume=True)
    with pytest.raises(RequestError, match="step 2: continue with --resume"):
        train(**toy_arguments(tmp_path, 4))
    assert train(**toy_arguments(tmp_path, 4), resume=True).step == 4


@pytest.mark.parametrize("reads_each_step", [True, False])
def test_not_finite_stops_and_the_last_checkpoint_stays(tmp_path: Path, reads_each_step: bool) -> None:
    arguments = toy_arguments(tmp_path, 30, checkpoint_every=5, log_every=4)
    whole = arguments["batch_at"]

    def poisoned(step: int) -> dict[str, Any]:
        batch = whole(step)
        if step == 13:
            batch["image"][:] = np.nan
        return batch

    arguments["batch_at"] = poisoned
    with pytest.MonkeyPatch.context() as patch:
        if not reads_each_step:
            opened = loop_module._Loop.open

            def without_reading(self: Any, resume: bool) -> None:
                opened(self, resume)
                self.reads_each_step = False

            patch.setattr(loop_module._Loop, "open", without_reading)
        with pytest.raises(TrainingError, match=r"not finite at step 1\d; the checkpoint of step 10 is good") as caught:
            train(**arguments)
    assert "\n" not in str(caught.value)
    assert read_checkpoint(tmp_path).values["step"] == 10
    assert all(torch.isfinite(t).all() for t in tensors_of(tmp_path, 10).values())


def test_a_full_disk_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = loop_module.write_checkpoint

    def full_at_ten(run_dir: Path, step: int, *rest: Any, **options: Any) -> Path:
        if step == 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(run_dir, step, *rest, **options)

    monkeypatch.setattr(loop_module, "write_checkpoint", full_at_ten)
    outcome = train(**toy_arguments(tmp_path, 18, checkpoint_every=5))
    assert outcome.finished
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-00000015", "step-00000018"]
    warnings = [line["text"] for line in read_logbook(tmp_path) if "warning" in line.get("text", "")]
    assert len(warnings) == 1
    assert "step 10, the disk is full" in warnings[0]

    def full(*rest: Any, **options: Any) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(loop_module, "write_checkpoint", full)
    with pytest.raises(TrainingError, match=r"step 20 is not saved \(last checkpoint: 18\)"):
        train(**toy_arguments(tmp_path, 20), resume=True)


def test_gates_pause_and_only_named_networks_learn(tmp_path: Path) -> None:
    arguments = toy_arguments(tmp_path, 6)
    phases = arguments["phases"]
    before = {n: [p.detach().clone() for p in m.parameters()] for n, m in arguments["networks"].items()}
    arguments["phases"] = [phases[1]]  # the generator only
    train(**arguments)
    changed = {
        n: any(not torch.equal(a, b) for a, b in zip(before[n], m.parameters(), strict=True))
        for n, m in arguments["networks"].items()
    }
    assert changed == {"generator": True, "discriminator": False}

    arguments = toy_arguments(tmp_path / "paused", 6)
    object.__setattr__(arguments["phases"][0], "gate", lambda history: history.step >= 2)
    before = [p.detach().clone() for p in arguments["networks"]["discriminator"].parameters()]
    train(**arguments)
    (line,) = [line for line in read_logbook(tmp_path / "paused") if line["kind"] == "step"]
    assert line["paused_steps"] == {"d": 4}
    state = tensors_of(tmp_path / "paused", 6)
    assert state["optimiser-d/0.step"] == 2  # it learned twice
    assert any(
        not torch.equal(a, b) for a, b in zip(before, arguments["networks"]["discriminator"].parameters(), strict=True)
    )


def test_bf16_and_fp32_runs_follow_each_other(tmp_path: Path) -> None:
    train(**toy_arguments(tmp_path / "fp32", 10))
    train(**toy_arguments(tmp_path / "bf16", 10, precision="bf16"))
    lines = [next(x for x in read_logbook(tmp_path / p) if x["kind"] == "step") for p in ("fp32", "bf16")]
    a, b = lines[0]["losses"]["d/total"], lines[1]["losses"]["d/total"]
    assert a != b
    assert a == pytest.approx(b, rel=0.05)


def test_a_batch_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="'image' has 8 rows, wanted 9"):
        train(**toy_arguments(tmp_path, 2, batch_size=9))


def test_two_processes_cannot_train_one_run(tmp_path: Path) -> None:
    arguments = toy_arguments(tmp_path, 3)
    intruder: list[str] = []

    def look(shown: Any, step: int) -> dict[str, float]:
        with pytest.raises(TrainingError, match="another process is training here") as caught:
            train(**toy_arguments(tmp_path, 3), resume=True)
        intruder.append(str(caught.value))
        return {}

    assert train(**arguments, hooks=[Hook("look", 2, look)]).finished
    assert len(intruder) == 1
    assert train(**toy_arguments(tmp_path, 4), resume=True).finished  # the claim has ended


def test_minutes_stop_a_run_with_a_checkpoint(tmp_path: Path) -> None:
    outcome = train(**toy_arguments(tmp_path, 10_000, minutes=0.01))
    assert outcome.stopped_by == "minutes"
    assert not outcome.finished
    assert read_checkpoint(tmp_path).values["step"] == outcome.step
