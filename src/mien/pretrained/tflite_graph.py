"""TensorFlow Lite files -> named tensors and a list of steps -> a differentiable torch module.

The two MediaPipe networks of this room (BlazeFace and the face mesh) come as ``.tflite``. ``convert`` reads such a file
once, when the model is fetched (it needs the package ``tflite``); ``TFLiteGraph`` runs what it gave, with torch alone.

Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/schema/schema.fbs (version 3). Tensors are
N H W C there; here everything is N C H W, weights O I H W, and the padding of every step is written out in pixels,
because SAME at stride 2 pads unevenly: ``total = (ceil(n / s) - 1) * s + k - n``, of which ``total // 2`` comes first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.errors import WeightsError

ACTIVATIONS = {0: "none", 1: "relu", 3: "relu6"}
NHWC_FROM_NCHW = (0, 2, 3, 1)


def convert(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the bytes of a ``.tflite`` file: (tensors by name in the file's own precision, ``{"graph": description}``).

    The JSON-able description: ``input`` (value number), ``input_size`` (H, W, C), ``outputs`` (name -> value number)
    and ``steps``, each with ``op``, ``inputs``, ``output`` and what the op needs. Raises ``WeightsError`` for a file
    that is no tflite model, or that has an operator which this converter does not know.
    """
    try:
        import tflite
    except ImportError as error:
        raise WeightsError("reading a .tflite file needs the package tflite: pip install 'mien[data]'") from error
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise WeightsError("not a TensorFlow Lite file (the identifier TFL3 is missing)")
    return _Converter(tflite, data).run()


class _Converter:
    """The state of one conversion: the parsed file, the constants seen, the steps made so far."""

    def __init__(self, tflite: Any, data: bytes) -> None:
        self.tflite = tflite
        self.model = tflite.Model.GetRootAsModel(data, 0)
        self.graph = self.model.Subgraphs(0)
        self.names = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
        self.source: dict[int, int] = {}  # value number of a dequantised constant -> value number in the file
        self.tensors: dict[str, Tensor] = {}
        self.steps: list[dict[str, Any]] = []

    def run(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        for index in range(self.graph.OperatorsLength()):
            self._operator(self.graph.Operators(index))
        first = int(self.graph.Inputs(0))
        numbers = [int(self.graph.Outputs(i)) for i in range(self.graph.OutputsLength())]
        description = {
            "input": first,
            "input_size": self._shape(first)[1:],
            "outputs": {self.graph.Tensors(n).Name().decode(): n for n in numbers},
            "steps": self.steps,
        }
        return self.tensors, {"graph": description}

    def _shape(self, number: int) -> list[int]:
        tensor = self.graph.Tensors(number)
        return [int(tensor.Shape(i)) for i in range(tensor.ShapeLength())]

    def _constant(self, number: int) -> np.ndarray[Any, Any]:
        number = self.source.get(number, number)
        tensor = self.graph.Tensors(number)
        dtypes = {0: np.float32, 1: np.float16, 2: np.int32}
        values = self.model.Buffers(tensor.Buffer()).DataAsNumpy()
        if tensor.Type() not in dtypes or isinstance(values, int):
            raise WeightsError(f"tensor {tensor.Name().decode()} is not a constant of type float32, float16 or int32")
        return np.frombuffer(values.tobytes(), dtypes[tensor.Type()]).reshape(self._shape(number))

    def _keep(self, number: int, order: tuple[int, ...] | None = None) -> str:
        """Store a constant among the tensors and return its name (the file's, which is unique, without dots)."""
        values = self._constant(number)
        name = self.graph.Tensors(self.source.get(number, number)).Name().decode().replace(".", "_")
        self.tensors[name] = torch.from_numpy((values.transpose(order) if order else values).copy(order="C"))
        return str(name)

    def _options(self, operator: Any, kind: Any) -> Any:
        options = kind()
        table = operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def _padding(self, options: Any, number: int, kernel: tuple[int, int]) -> list[int]:
        """[left, right, top, bottom] in pixels."""
        if options.Padding() == 1:  # VALID
            return [0, 0, 0, 0]
        _, height, width, _ = self._shape(number)
        padding = []
        for length, k, stride in ((width, kernel[1], options.StrideW()), (height, kernel[0], options.StrideH())):
            total = max((-(-length // stride) - 1) * stride + k - length, 0)
            padding += [total // 2, total - total // 2]
        return padding

    def _operator(self, operator: Any) -> None:
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        # Old files say the operator in a byte, new ones in an int: the larger of the two is the one in use.
        name = self.names.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "?")
        inputs = [int(operator.Inputs(i)) for i in range(operator.InputsLength())]
        output = int(operator.Outputs(0))
        if name == "DEQUANTIZE":
            self.source[output] = inputs[0]
            return
        step: dict[str, Any] = {"op": name.lower(), "inputs": inputs[:1], "output": output}
        if name in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            self._convolution(operator, name, inputs, step)
        elif name == "PRELU":
            step["weight"] = self._keep(inputs[1])
        elif name == "MAX_POOL_2D":
            options = self._options(operator, self.tflite.Pool2DOptions)
            kernel = (options.FilterHeight(), options.FilterWidth())
            step["kernel"] = list(kernel)
            step["stride"] = [options.StrideH(), options.StrideW()]
            step["padding"] = self._padding(options, inputs[0], kernel)
        elif name == "PAD":
            n, h, w, c = self._constant(inputs[1]).tolist()
            if n != [0, 0]:
                raise WeightsError("a PAD operator pads the batch axis, which is not supported")
            step["padding"] = [*w, *h, *c]
        elif name == "RESHAPE":
            step["shape"] = self._shape(output)[1:]
        elif name in ("ADD", "CONCATENATION"):
            step["inputs"] = inputs
            if name == "CONCATENATION":
                step["axis"] = self._options(operator, self.tflite.ConcatenationOptions).Axis()
        elif name != "RELU":
            raise WeightsError(f"operator {name} is not supported")
        self.steps.append(step)

    def _convolution(self, operator: Any, name: str, inputs: list[int], step: dict[str, Any]) -> None:
        depthwise = name == "DEPTHWISE_CONV_2D"
        options = self._options(
            operator, self.tflite.DepthwiseConv2DOptions if depthwise else self.tflite.Conv2DOptions
        )
        if options.DilationHFactor() != 1 or options.DilationWFactor() != 1:
            raise WeightsError("a dilated convolution is not supported")
        if options.FusedActivationFunction() not in ACTIVATIONS:
            raise WeightsError(f"fused activation {options.FusedActivationFunction()} is not supported")
        # O H W I -> O I H W; depthwise 1 H W C -> C 1 H W
        step["weight"] = self._keep(inputs[1], (3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        step["bias"] = self._keep(inputs[2])
        out_channels, _, height, width = self.tensors[step["weight"]].shape
        step["stride"] = [options.StrideH(), options.StrideW()]
        step["padding"] = self._padding(options, inputs[0], (height, width))
        step["groups"] = int(out_channels) if depthwise else 1
        step["activation"] = ACTIVATIONS[options.FusedActivationFunction()]


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
