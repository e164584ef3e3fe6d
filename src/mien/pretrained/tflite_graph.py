"""A network that came as a TensorFlow Lite file, as a differentiable torch module: named tensors and a list of steps.

BlazeFace and the face mesh travel with mien in this form (``benchmarks/mediapipe_weights.py``). Everything is N C H W,
weights O I H W; the padding of a step is written out in pixels, because SAME at stride 2 pads unevenly.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.errors import WeightsError

NHWC_FROM_NCHW = (0, 2, 3, 1)


class TFLiteGraph(nn.Module):
    """A converted network as torch: float32, any batch size, differentiable, weights frozen.

    ``forward``: N C H W of the file's input size and range -> outputs by the file's names, N first. Four-dimensional
    outputs are N C H W; reshaped ones keep the file's order (N, anchors, values).
    """

    def __init__(self, tensors: Mapping[str, Tensor], graph: Mapping[str, Any]) -> None:
        super().__init__()
        if not graph:
            raise WeightsError("the weights file carries no graph: it is not of a converted TensorFlow Lite network")
        for name, tensor in tensors.items():
            value = tensor.to(torch.float32)
            if value.ndim == 4:
                value = value.contiguous(memory_format=torch.channels_last)
            self.register_buffer(name, value.flatten() if value.ndim == 3 else value, persistent=True)
        missing = {s[k] for s in graph["steps"] for k in ("weight", "bias") if k in s} - set(tensors)
        if missing:
            raise WeightsError(f"the graph names tensors that the file lacks: {sorted(missing)[:3]}")
        self.graph: dict[str, Any] = dict(graph)
        self.input_size: tuple[int, int] = (int(graph["input_size"][0]), int(graph["input_size"][1]))
        last = {number: index for index, step in enumerate(graph["steps"]) for number in step["inputs"]}
        kept = set(graph["outputs"].values())
        self._done = [[n for n, at in last.items() if at == i and n not in kept] for i in range(len(graph["steps"]))]
        shared = {n for step in graph["steps"] if step["op"] == "reshape" for n in (*step["inputs"], step["output"])}
        shared.add(graph["input"])  # the caller's
        self._free = [frozenset(done) - shared for done in self._done]  # may be written over by the step itself

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        if x.ndim != 4 or tuple(x.shape[2:]) != self.input_size:
            height, width = self.input_size
            raise ValueError(f"input of shape {tuple(x.shape)}, wanted N C {height} {width}")
        values = {self.graph["input"]: x.contiguous(memory_format=torch.channels_last)}
        constants = dict(self.named_buffers())
        with torch.autocast(x.device.type, enabled=False):  # these networks lose up to 0.7 px in bfloat16
            for step, done, free in zip(self.graph["steps"], self._done, self._free, strict=True):
                values[step["output"]] = _step(step, [values[number] for number in step["inputs"]], free, constants)
                for number in done:  # free what nobody reads any more
                    del values[number]
        return {name: values[number] for name, number in self.graph["outputs"].items()}


def _step(
    step: Mapping[str, Any], inputs: list[Tensor], free: Collection[int], constants: Mapping[str, Tensor]
) -> Tensor:
    """One operator. Where no gradient is wanted, inputs that nobody reads afterwards (``free``) are written over."""
    x, op = inputs[0], step["op"]
    over = not torch.is_grad_enabled()
    if op in ("conv_2d", "depthwise_conv_2d"):
        x, padding = _pad_uneven(x, step["padding"], 0.0)
        x = F.conv2d(x, constants[step["weight"]], constants[step["bias"]], step["stride"], padding, 1, step["groups"])
        return _activate(x, step["activation"])
    if op == "prelu":
        return F.prelu(x, constants[step["weight"]])
    if op == "relu":
        return F.relu_(x) if over and step["inputs"][0] in free else F.relu(x)
    if op == "add":
        for one, other, number in zip(inputs, inputs[::-1], step["inputs"], strict=True):
            if over and number in free and one is not other:
                return one.add_(other)
        return x + inputs[1]
    if op == "max_pool_2d":
        x, padding = _pad_uneven(x, step["padding"], float("-inf"))
        if over and step["kernel"] == step["stride"] == [2, 2] and padding == (0, 0):
            return _largest_of_four(x)
        return F.max_pool2d(x, step["kernel"], step["stride"], padding)
    if op == "pad":
        return F.pad(x, step["padding"])
    if op == "reshape":
        x = x.permute(NHWC_FROM_NCHW) if x.ndim == 4 else x
        return x.reshape(x.shape[0], *step["shape"])
    if op == "concatenation":
        return torch.cat(inputs, step["axis"])
    raise WeightsError(f"the graph has an unknown step '{op}'")


def _largest_of_four(x: Tensor) -> Tensor:
    """Max pooling 2 x 2 at stride 2, four times as fast on the CPU as the operator."""
    count, channels, height, width = x.shape
    rows = x[:, :, : height // 2 * 2, : width // 2 * 2].permute(NHWC_FROM_NCHW)
    rows = rows.reshape(count, height // 2, 2, width // 2, 2 * channels)
    pairs = torch.maximum(rows[:, :, 0], rows[:, :, 1])  # N H/2 W/2 2C
    return torch.maximum(pairs[..., :channels], pairs[..., channels:]).permute(0, 3, 1, 2)


def _pad_uneven(x: Tensor, padding: list[int], value: float) -> tuple[Tensor, tuple[int, int]]:
    """Pad ``x`` where before and after differ; otherwise leave it to the operator: (x, (rows, columns) left to pad)."""
    left, right, top, bottom = padding
    if left == right and top == bottom:
        return x, (top, left)
    return F.pad(x, padding, value=value), (0, 0)


def _activate(x: Tensor, name: str) -> Tensor:
    if name == "relu":
        return F.relu(x)
    return F.relu6(x) if name == "relu6" else x
