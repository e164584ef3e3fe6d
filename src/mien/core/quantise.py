"""Large matrices in a byte a weight, for weights that travel with the package.

A matrix (rows, columns), or the kernels of a convolution (outputs first), becomes int8 with the largest size of each
row: ``weight = peak * byte / 127``, off by at most half a step. (The peak survives fp16; a step of a 127th of it may
not.)
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

BYTES, PEAK = "#bytes", "#peak"
LARGE = 1_000_000  # numbers; smaller tensors are left as they are


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (R ...) -> int8 of the same shape, and the largest size of each row (R 1 ..., float32)."""
    matrix = weight.detach().float().cpu()
    peak = matrix.abs().amax(tuple(range(1, matrix.ndim)), keepdim=True).clamp_min(1e-12)
    return (matrix / peak * 127).round().to(torch.int8), peak


def packed(tensors: Mapping[str, Tensor], large: int = LARGE) -> dict[str, Tensor]:
    """Replace each floating matrix or kernel of more than ``large`` numbers by ``name#bytes`` and ``name#peak``."""
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if value.ndim >= 2 and value.is_floating_point() and value.numel() > large:
            found[name + BYTES], found[name + PEAK] = quantise(value)
        else:
            found[name] = value
    return found


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo ``packed``: fp32 matrices; other tensors pass."""
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name.endswith(BYTES):
            plain = name.removesuffix(BYTES)
            found[plain] = value.float() / 127 * tensors[plain + PEAK].float()
        elif not name.endswith(PEAK):
            found[name] = value
    return found
