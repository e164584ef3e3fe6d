"""Devices by name, and whether bf16 pays there: for drawing, for reading features and for training."""

from __future__ import annotations

import copy
from typing import Literal, TypeVar

import torch

from mien.core.errors import RequestError

Module = TypeVar("Module", bound=torch.nn.Module)
Precision = Literal["auto", "fp32", "bf16"]  # auto: bf16 where it is fast


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 convolutions are faster than fp32 on ``device``: CUDA since Ampere, a CPU with bf16 instructions.

    Without such instructions a CPU takes about five times as long in bf16.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(device.type == "cpu" and supported and supported())


def device_named(name: str | None) -> str:
    """A device by name, checked; ``None``: CUDA where there is one."""
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # torch raises each of them for its reasons
        allowed = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        raise RequestError(f"device: '{name}' given; allowed on this machine: {allowed}") from error
    return name


def chosen_precision(wanted: Precision, device: torch.device) -> Literal["fp32", "bf16"]:
    """``wanted``; for ``auto`` what is faster on ``device``."""
    if wanted == "auto":
        return "bf16" if has_fast_bf16(device) else "fp32"
    return wanted


def fast_autocast(device: torch.device | None = None) -> torch.autocast:
    """Autocast to bf16 where it is fast, else fp32 throughout. Weights stay fp32. ``None``: the CPU."""
    device = device or torch.device("cpu")
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16(device))


def cast_once(network: Module, *layers: type[torch.nn.Module], device: torch.device | None = None) -> Module:
    """A copy of a frozen network for many passes under ``fast_autocast``: weights are cast once, not in each pass.

    The same numbers to the bit, if the ``layers`` that are named (by class) all compute in bf16 there. Whatever else it
    has is shared with ``network``, which itself is returned where bf16 is not fast.
    """
    if not has_fast_bf16(device or torch.device("cpu")):
        return network
    memo: dict[int, object] = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    for layer in network.modules():
        if isinstance(layer, layers):
            own = layer.parameters(recurse=False)
            memo |= {id(tensor): torch.nn.Parameter(tensor.to(torch.bfloat16), False) for tensor in own}
    return copy.deepcopy(network, memo)
