"""Read the constants of a TensorFlow GraphDef without TensorFlow.

A GraphDef is a protocol buffer; the wire format (https://protobuf.dev/programming-guides/encoding) is a list of
(field number, value) pairs, and only these fields matter here (tensorflow/core/framework: graph.proto, node_def.proto,
attr_value.proto, tensor.proto, tensor_shape.proto)::

    GraphDef    1 node: NodeDef
    NodeDef     1 name, 2 op, 5 attr: map entry {1 key, 2 AttrValue}
    AttrValue   8 tensor: TensorProto
    TensorProto 1 dtype, 2 shape: {2 dim: {1 size}}, 4 tensor_content, 5 float_val, 7 int_val
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import numpy.typing as npt

from mien.core.errors import WeightsError

_DTYPES = {1: np.dtype("<f4"), 3: np.dtype("<i4")}  # DT_FLOAT, DT_INT32
_LIST_FIELDS = {1: 5, 3: 7}  # dtype -> the field that lists its values when tensor_content is empty

MAX_ELEMENTS = 10**8  # of one tensor: a damaged shape must not ask for all the memory

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def constants(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    """Every ``Const`` node of float32 or int32 in a serialised GraphDef: name -> array, in the order of the file.

    Raises ``WeightsError`` when the bytes are no GraphDef.
    """
    found: dict[str, npt.NDArray[np.generic]] = {}
    try:
        for number, node in _fields(memoryview(data)):
            if number == 1:
                name, array = _node(_message(node))
                if array is not None:
                    found[name] = array
    except (IndexError, ValueError, TypeError, OverflowError) as error:
        raise WeightsError(f"not a readable TensorFlow GraphDef ({error})") from error
    if not found:
        raise WeightsError(f"a TensorFlow GraphDef with constants was expected, {len(data)} bytes hold none")
    return found


def _node(node: memoryview) -> tuple[str, npt.NDArray[np.generic] | None]:
    name, op, tensor = "", "", None
    for number, value in _fields(node):
        if number == 1:
            name = _text(value)
        elif number == 2:
            op = _text(value)
        elif number == 5:
            entry = dict(_fields(_message(value)))
            if 1 in entry and 2 in entry and _text(entry[1]) == "value":
                tensor = dict(_fields(_message(entry[2]))).get(8)
    if op != "Const" or tensor is None:
        return name, None
    return name, _tensor(_message(tensor))


def _tensor(message: memoryview) -> npt.NDArray[np.generic] | None:
    fields = list(_fields(message))
    code = next((value for number, value in fields if number == 1), 0)
    if not isinstance(code, int) or code not in _DTYPES:
        return None
    dtype = _DTYPES[code]
    shape = _shape(next((_message(value) for number, value in fields if number == 2), memoryview(b"")))
    content = b"".join(bytes(_message(value)) for number, value in fields if number == 4)
    if content:
        return np.frombuffer(content, dtype).reshape(shape)
    values = [_listed(value, dtype) for number, value in fields if number == _LIST_FIELDS[code]]
    flat = np.concatenate(values) if values else np.zeros(1, dtype)
    # A list of one value stands for an array that is that value everywhere.
    return np.full(shape, flat[0], dtype) if flat.size == 1 else flat.reshape(shape)


def _listed(value: int | memoryview, dtype: np.dtype[np.generic]) -> npt.NDArray[np.generic]:
    if isinstance(value, int):
        return np.array([value & 0xFFFFFFFF], np.uint32).astype("<i4")
    if dtype.kind == "f":
        return np.frombuffer(bytes(value), dtype)
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(number & 0xFFFFFFFF)
    return np.array(numbers, np.uint32).astype("<i4")


def _shape(message: memoryview) -> tuple[int, ...]:
    sizes = [dict(_fields(_message(value))).get(1, 0) for number, value in _fields(message) if number == 2]
    shape = tuple(size for size in sizes if isinstance(size, int))
    if prod(shape) > MAX_ELEMENTS:
        raise ValueError(f"a tensor of shape {shape}")
    return shape


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise TypeError("a number where a message was expected")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode()


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(field number, value) of one message: a varint as int, every other wire type as its bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            number, at = _varint(data, at)
            yield key >> 3, number
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + size > len(data):
            raise ValueError("the file is cut short")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"a number of more than 64 bits at byte {at}")
