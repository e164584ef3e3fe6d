"""A byte a weight: what is packed, and how far off."""

from __future__ import annotations

from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core.checkpoints import load_weights, save_weights
from mien.core.quantise import packed, unpacked


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 9999), st.integers(1, 9), st.integers(1, 9), st.floats(1e-4, 1e4))
def test_a_weight_moves_by_at_most_half_a_step(seed: int, rows: int, columns: int, size: float) -> None:
    matrix = size * normal(seed, rows, columns)
    back = unpacked(packed({"a": matrix}, large=0))["a"]
    step = matrix.abs().amax(1, keepdim=True) / 127
    assert torch.all((back - matrix).abs() <= step * 0.501)


def test_kernels_are_packed_by_output() -> None:
    kernels = normal(3, 6, 4, 3, 3) * torch.tensor([1.0, 10, 100, 1e-3, 1, 1])[:, None, None, None]
    small = packed({"k": kernels}, large=0)
    assert small["k#bytes"].shape == kernels.shape
    assert small["k#bytes"].dtype == torch.int8
    steps = kernels.abs().amax((1, 2, 3), keepdim=True) / 127
    assert torch.all((unpacked(small)["k"] - kernels).abs() <= steps * 0.501)


def test_only_large_matrices_are_packed_and_a_file_keeps_them(tmp_path: Path) -> None:
    tensors = {"w": 0.02 * normal(0, 40, 30), "b": normal(1, 40), "k": normal(2, 2, 2, 3, 3), "n": torch.tensor(3)}
    tensors["zero"] = torch.zeros(40, 30)
    small = packed(tensors, large=100)
    assert sorted(small) == ["b", "k", "n", "w#bytes", "w#peak", "zero#bytes", "zero#peak"]
    save_weights(tmp_path / "w.safetensors", small, {"model": "m", "version": "1"}, dtype=torch.float16)
    back = unpacked(load_weights(tmp_path / "w.safetensors")[0])
    assert sorted(back) == sorted(tensors)
    assert torch.allclose(back["w"], tensors["w"], atol=0.02 * 4 / 127)
    assert torch.equal(back["zero"], tensors["zero"])
    assert back["n"].item() == 3
