"""The networks of MediaPipe that travel with mien, made anew: ``python benchmarks/mediapipe_weights.py WHEEL DIR``.

WHEEL is any wheel of mediapipe 0.10.21 (``pip download --no-deps mediapipe==0.10.21``); needs the package ``tflite``.

Format: https://github.com/tensorflow/tensorflow/blob/master/tensorflow/lite/schema/schema.fbs (version 3). Tensors are
N H W C there, N C H W here; SAME pads ``total = (ceil(n / s) - 1) * s + k - n``, ``total // 2`` of it first.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tflite
import torch
from torch import Tensor

from mien.core.checkpoints import save_weights
from mien.core.errors import WeightsError

ACTIVATIONS = {0: "none", 1: "relu", 3: "relu6"}
NETWORKS = {
    "face-mesh": (
        "mediapipe/modules/face_landmark/face_landmark.tflite",
        "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    ),
    "blazeface": (
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
}


def convert(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the bytes of a ``.tflite`` file: (tensors by name in the file's own precision, ``{"graph": description}``).

    The JSON-able description: ``input`` (value number), ``input_size`` (H, W, C), ``outputs`` (name -> value number)
    and ``steps``, each with ``op``, ``inputs``, ``output`` and what the op needs. Raises ``WeightsError`` for a file
    that is no tflite model, or that has an operator which this converter does not know.
    """
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise WeightsError("not a TensorFlow Lite file (the identifier TFL3 is missing)")
    return _Converter(data).run()


class _Converter:
    """The state of one conversion: the parsed file, the constants seen, the steps made so far."""

    def __init__(self, data: bytes) -> None:
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
            options = self._options(operator, tflite.Pool2DOptions)
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
                step["axis"] = self._options(operator, tflite.ConcatenationOptions).Axis()
        elif name != "RELU":
            raise WeightsError(f"operator {name} is not supported")
        self.steps.append(step)

    def _convolution(self, operator: Any, name: str, inputs: list[int], step: dict[str, Any]) -> None:
        depthwise = name == "DEPTHWISE_CONV_2D"
        options = self._options(operator, tflite.DepthwiseConv2DOptions if depthwise else tflite.Conv2DOptions)
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


def main() -> None:
    """Write ``DIR/NAME.safetensors`` of both networks."""
    wheel, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for name, (member, pinned) in NETWORKS.items():
        with zipfile.ZipFile(wheel) as pack:
            data = pack.read(member)
        if hashlib.sha256(data).hexdigest() != pinned:
            raise SystemExit(f"{wheel}: {member} is of another release; wanted is that of mediapipe 0.10.21")
        tensors, graph = convert(data)
        said = {"model": name, "version": "0.10.21-r1", "source": f"PyPI mediapipe==0.10.21 {wheel.name} {member}"}
        said |= {"sha256": pinned, "licence": "Apache-2.0", "author": "Google (MediaPipe)"}
        save_weights(folder / f"{name}.safetensors", tensors, {**said, **graph}, dtype=torch.float16)


if __name__ == "__main__":
    main()
