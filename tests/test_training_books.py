"""Schedules, averages, checkpoints on disk, optimiser state, the logbook and its curves."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import mien.training.state as state_module
from mien.core.errors import MienError, RequestError, TrainingError, WeightsError
from mien.core.memory import keep_freed_memory
from mien.training.ema import Ema, EmaConfig
from mien.training.logbook import Logbook, Totals, plot_curves, read_logbook
from mien.training.machine import asked_to_stop, batches_ahead
from mien.training.phases import History, OptimiserConfig, Phase, pause_below, total_of
from mien.training.schedules import constant, cosine, flat_then_cosine, staircase
from mien.training.state import (
    optimiser_tensors,
    read_checkpoint,
    require_same,
    restore_optimiser,
    write_checkpoint,
)


def test_the_papers_rate() -> None:
    rate = staircase(5e-4, factor=0.996, every=100, floor=5e-5)
    assert rate(0) == rate(99) == 5e-4
    assert rate(100) == pytest.approx(4.98e-4)
    assert rate(10_000) == pytest.approx(5e-4 * 0.996**100)
    assert rate(57_400) > 5e-5
    assert rate(57_600) == rate(480_000) == 5e-5  # 0.996 ** 575 < 0.1


@given(st.integers(0, 2000))
def test_rates_stay_between_their_ends(step: int) -> None:
    for rate in (cosine(1.0, steps=1000, final=0.1, warmup=10), flat_then_cosine(1.0, steps=1000, fall_from=0.5)):
        assert 0 <= rate(step) <= 1.0
        assert rate(step) >= rate(step + 1) - 1e-12 or step < 10
    assert constant(0.3)(step) == 0.3


def test_rates_at_their_ends() -> None:
    rate = cosine(1.0, steps=100, final=0.1, warmup=10)
    assert rate(0) == pytest.approx(0.1)
    assert rate(9) == pytest.approx(1.0)
    assert rate(55) == pytest.approx(0.55)
    assert rate(100) == pytest.approx(0.1)
    late = flat_then_cosine(1.0, steps=100, fall_from=0.6)
    assert late(59) == late(60) == 1.0
    assert late(80) == pytest.approx(0.5)
    assert late(100) == pytest.approx(0.0)


def test_the_papers_pause_rule() -> None:
    discriminator = pause_below("d", "g", 1 / 2)
    generator = pause_below("g", "d", 1 / 3)
    assert not discriminator(History(0, {}))
    assert discriminator(History(1, {"d": 0.49, "g": 1.0}))
    assert not discriminator(History(1, {"d": 0.5, "g": 1.0}))
    assert generator(History(1, {"d": 1.0, "g": 0.33}))
    assert not generator(History(1, {"d": 1.0, "g": 0.34}))


def test_phases_are_due_by_start_and_every() -> None:
    phase = Phase("x", ("a",), lambda *_: {}, constant(1.0), every=3, start=5)
    assert [step for step in range(13) if phase.due(step)] == [5, 8, 11]
    with pytest.raises(RequestError, match="phase x: 'every' is at least 1"):
        Phase("x", ("a",), lambda *_: {}, constant(1.0), every=0)


def test_total_is_named_or_the_sum() -> None:
    one, two = torch.tensor(1.0), torch.tensor(2.0)
    assert float(total_of({"a": one, "b": two})) == 3.0
    assert float(total_of({"a": one, "total": two})) == 2.0


def test_averages_by_hand() -> None:
    network = nn.BatchNorm1d(1)
    ema = Ema({"n": network}, EmaConfig(names=("n",), half_life_kimg=0.01, ramp=1e9))
    assert ema.config.decay(images=1000, images_between=10) == pytest.approx(0.5)
    with torch.no_grad():
        network.weight.fill_(3.0)
        network.running_mean.fill_(7.0)
    ema.update(1, images=10, images_per_step=10)
    assert ema.networks["n"].weight.item() == pytest.approx(2.0)  # half way from 1 to 3
    assert ema.networks["n"].running_mean.item() == 7.0
    assert not ema.networks["n"].training
    assert network.training


def test_early_averages_forget_fast() -> None:
    config = EmaConfig(names=(), half_life_kimg=10, ramp=0.05)
    assert config.decay(images=32, images_between=32) < 1e-5
    assert config.decay(images=10_000_000, images_between=32) == pytest.approx(0.5 ** (32 / 10_000))


def linear_with_steps(kind: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    optimiser = OptimiserConfig(kind=kind).build(list(network.parameters()))
    for number in range(3):
        step_once(network, optimiser, number)
    return network, optimiser


def step_once(network: nn.Module, optimiser: torch.optim.Optimizer, number: int) -> None:
    for group in optimiser.param_groups:
        group["lr"] = 0.1
    x = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(number))
    network(x).square().mean().backward()
    optimiser.step()
    optimiser.zero_grad()


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_an_optimiser_comes_back_to_the_bit_and_in_its_layout(kind: str) -> None:
    network, optimiser = linear_with_steps(kind)
    saved = {name: value.detach().clone().contiguous() for name, value in optimiser_tensors(optimiser).items()}
    twin, fresh = linear_with_steps(kind)
    fresh = OptimiserConfig(kind=kind).build(list(twin.parameters()))
    twin.load_state_dict(network.state_dict())
    restore_optimiser(fresh, saved, name="test")
    for state, parameter in ((fresh.state[p], p) for p in twin.parameters()):
        for value in state.values():
            if isinstance(value, torch.Tensor) and value.ndim == 4:
                assert value.stride() == parameter.stride()
    step_once(network, optimiser, 9)
    step_once(twin, fresh, 9)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), twin.parameters(), strict=True))
    with pytest.raises(TrainingError, match="parameter 7 of 2"):
        restore_optimiser(fresh, {"7.exp_avg": torch.zeros(1)}, name="test")


def groups(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {"network-a": {"x": torch.full((3,), value)}}


def test_checkpoints_rotate_and_point_to_the_last(tmp_path: Path) -> None:
    assert read_checkpoint(tmp_path) is None
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, step, groups(float(step)), {"seconds": 1.5}, keep=2)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-00000002", "step-00000003"]
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found.values["step"] == 3
    assert torch.equal(found.groups["network-a"]["x"], torch.full((3,), 3.0))


@pytest.mark.parametrize("fails_at", ["save_weights", "write_json"])
def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_at: str) -> None:
    write_checkpoint(tmp_path, 1, groups(1.0), {}, keep=2)

    def full(path: Path, *_: object, **__: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state_module, fails_at, full)
    with pytest.raises(OSError, match="No space"):
        write_checkpoint(tmp_path, 2, groups(2.0), {}, keep=2)
    monkeypatch.undo()
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found.values["step"] == 1


def test_what_a_kill_left_is_cleared(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, groups(1.0), {}, keep=2)
    half = tmp_path / "checkpoints" / ".step-00000002.tmp"
    half.mkdir()
    (half / "network-a.safetensors").write_bytes(b"half")
    found = read_checkpoint(tmp_path)
    assert found is not None
    assert found.values["step"] == 1
    write_checkpoint(tmp_path, 2, groups(2.0), {}, keep=2)
    assert not half.exists()


def test_damage_is_named_in_one_line(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, 1, groups(1.0), {}, keep=2)
    (path / "network-a.safetensors").write_bytes(b"no")
    with pytest.raises(WeightsError, match=r"network-a\.safetensors: not a readable"):
        read_checkpoint(tmp_path)
    (path / "state.json").write_text("{")
    with pytest.raises(TrainingError, match="its checkpoint cannot be read"):
        read_checkpoint(tmp_path)


def test_the_first_key_that_differs_is_named(tmp_path: Path) -> None:
    require_same(tmp_path, {"a": {"b": 1}}, {"a": {"b": 1}})
    with pytest.raises(RequestError, match=r"a\.b is 1 there, given 2"):
        require_same(tmp_path, {"a": {"b": 1}}, {"a": {"b": 2}})
    with pytest.raises(RequestError, match="old is 1 there, given 'nothing'"):
        require_same(tmp_path, {"old": 1}, {})


def test_the_logbook_survives_kills_and_full_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Logbook(tmp_path, tensorboard=False) as book:
        for step in (1, 2, 3):
            book.write("step", step, 0.1, losses={"a/total": float("nan") if step == 2 else 1.0})
    with (tmp_path / "logbook.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')  # cut off by a kill
    assert [line["step"] for line in read_logbook(tmp_path)] == [1, 2, 3]
    assert read_logbook(tmp_path)[1]["losses"]["a/total"] is None
    book = Logbook(tmp_path, resumed_at=2, tensorboard=False)
    assert [json.loads(line)["step"] for line in (tmp_path / "logbook.jsonl").read_text().splitlines()] == [1, 2]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(book, "_append", full)
    book.write("event", 3, 0.2, text="lost")
    monkeypatch.setattr("mien.training.logbook.write_png", full)
    book.picture("preview", 3, np.zeros((2, 2, 3), np.uint8))


def test_scalars_go_to_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with Logbook(tmp_path) as book:
        book.write("step", 1, 0.1, losses={"a/total": 1.0})
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"losses/a/total" in events.read_bytes()


def test_means_are_over_the_steps_that_had_the_term() -> None:
    totals = Totals()
    for value in (1.0, 3.0):
        totals.add("often", torch.tensor(value))
    totals.add("once", torch.tensor(5.0))
    assert totals.means() == {"often": 2.0, "once": 5.0}


def test_curves_are_drawn_from_the_logbook(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(MienError, match="nothing to draw yet"):
        plot_curves(tmp_path)
    with Logbook(tmp_path, tensorboard=False) as book:
        for step in range(1, 6):
            losses = {"discriminator/total": 0.5 / step, "generator/total": 1.0 / step}
            book.write("step", step, 0.1, losses=losses, learning_rate={"discriminator": 5e-4, "generator": 5e-4})
        book.write("measure", 5, 0.1, name="detection", values={"detection rate": 0.5})
    path = plot_curves(tmp_path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".curves*"))


@pytest.mark.parametrize("ahead", [0, 1, 3, 99])
def test_batches_come_in_order_and_their_errors_arrive(ahead: int) -> None:
    with batches_ahead(lambda n: {"n": n}, iter(range(10)), ahead) as batches:
        assert [batch["n"] for batch in batches] == list(range(10))

    def broken(number: int) -> dict[str, int]:
        if number == 2:
            raise ValueError("photo 2")
        return {"n": number}

    with pytest.raises(ValueError, match="photo 2"), batches_ahead(broken, iter(range(10)), ahead) as batches:
        list(batches)


def test_signals_are_given_back() -> None:
    import os
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with asked_to_stop() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.signal == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_keeping_memory_is_harmless() -> None:
    keep_freed_memory()
    assert torch.zeros(1_000_000).sum() == 0
