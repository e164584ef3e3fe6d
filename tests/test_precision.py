"""Which arithmetic is chosen where nobody says: bf16 only where the device has units for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from training_toy import toy_arguments

from mien.core.errors import RequestError
from mien.core.precision import cast_once, chosen_precision, fast_autocast, has_fast_bf16
from mien.training.loop import train

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(params=[True, False], ids=["bf16 units", "no bf16 units"])
def units(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the processor that this test sees has bf16 units."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: request.param)
    return bool(request.param)


def test_auto_is_bf16_only_where_it_is_fast(units: bool) -> None:
    assert has_fast_bf16(CPU) == units
    assert chosen_precision("auto", CPU) == ("bf16" if units else "fp32")
    assert [chosen_precision(said, CPU) for said in ("fp32", "bf16")] == ["fp32", "bf16"]


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_before_ampere_only_imitates_bf16(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], fast: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert has_fast_bf16(CUDA) == fast


def test_features_are_read_in_the_chosen_arithmetic(units: bool) -> None:
    with fast_autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if units else torch.float32)


def test_weights_that_are_cast_once_give_the_same_bits(units: bool) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).requires_grad_(False)
    quick, partly = cast_once(network, nn.Conv2d, nn.Linear), cast_once(network, nn.Conv2d)
    assert (quick is network) != units
    assert partly[3].weight is network[3].weight
    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    assert {tensor.dtype for tensor in quick.parameters()} == {torch.bfloat16 if units else torch.float32}
    made = []
    for each in (network, quick, partly):
        shown = torch.linspace(-1, 1, 2 * 3 * 64).view(2, 3, 8, 8).requires_grad_(True)
        with fast_autocast():
            answer = each(shown).float()
        made.append((answer, *torch.autograd.grad(answer.square().sum(), [shown])))
    for other in made[1:]:
        assert all(torch.equal(one, same) for one, same in zip(made[0], other, strict=True))


def test_a_run_uses_and_notes_the_chosen_arithmetic(units: bool, tmp_path: Path) -> None:
    train(**toy_arguments(tmp_path, 1, precision="auto"))
    assert json.loads((tmp_path / "run.json").read_text())["loop"]["precision"] == ("bf16" if units else "fp32")


@pytest.mark.parametrize("load", ["painter", "mien"])
def test_every_generator_refuses_a_device_that_is_not_there(load: str) -> None:
    from mien.pipelines.crowd import load_crowd

    with pytest.raises(RequestError, match="device: 'nonsense' given; allowed on this machine: cpu"):
        load_crowd(load, device="nonsense")
