"""A reader of MATLAB 5 files (``.mat``), as far as networks need it: numbers, text, structs and cells.

Written from the published description (MathWorks, *MAT-File Format*, "Level 5 MAT-File Format"), because a file that
somebody brings may be damaged: scipy's compiled reader was seen to crash the whole process on changed bytes, and this
one checks every length against what is there. Nothing in a file is run.

A struct is read as a dict, an array of structs as a list of dicts, a cell as a list (column by column), text as a str,
numbers as a numpy array of the file's shape, and everything else (objects, functions, sparse, complex) as None.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.errors import WeightsError

HEADER_BYTES = 128
DEEPEST = 16  # structs in cells in structs ...; a network has four
MOST_DIMENSIONS = 32  # numpy's own limit was this
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_COMPLEX = 0x0800
# Element type -> how its numbers lie in the file; class of an array -> what they are to become.
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}


def read_matlab(path: Path) -> dict[str, Any]:
    """The variables of the file by name. ``WeightsError`` in one line for a file that is damaged or of another form."""
    try:
        data = memoryview(np.memmap(path, np.uint8, "r").data)  # arrays are copied out of it one by one
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read") from error
    order = {b"IM": "<", b"MI": ">"}.get(bytes(data[126:HEADER_BYTES]))
    if not bytes(data[:10]) == b"MATLAB 5.0" or order is None:
        raise WeightsError(f"{path}: not a MATLAB 5 file")
    try:
        return dict(_variables(data[HEADER_BYTES:], order))
    except (ValueError, struct.error, zlib.error, UnicodeError, OverflowError, MemoryError) as error:
        raise WeightsError(f"{path}: a damaged MATLAB file ({' '.join(str(error).split())[:80]})") from error


def _variables(data: memoryview, order: str) -> Iterator[tuple[str, Any]]:
    for kind, content in _elements(data, order):
        if kind == _COMPRESSED:
            kind, content = next(_elements(_unpacked(content, order), order), (0, content))
        if kind == _MATRIX:
            yield _array(content, order, 0)


def _unpacked(data: memoryview, order: str) -> memoryview:
    stream = zlib.decompressobj()
    tag = stream.decompress(data, 8)
    if len(tag) < 8:
        raise ValueError("a compressed variable without content")
    (size,) = struct.unpack_from(f"{order}4xI", tag)
    rest = stream.decompress(stream.unconsumed_tail, size) if size else b""  # no more than it says; 0 would be no limit
    return memoryview(tag + rest)


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, bytes) of the elements that lie one after the other in ``data``."""
    place = 0
    while place < len(data):
        (word,) = struct.unpack_from(f"{order}I", data, place)
        if word >> 16:  # a small element: length and type in one word, up to four bytes after it
            kind, size, start, step = word & 0xFFFF, word >> 16, place + 4, 8
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
        else:
            kind, (size,), start = word, struct.unpack_from(f"{order}I", data, place + 4), place + 8
            step = 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise ValueError(f"an element of {size} bytes where {max(len(data) - start, 0)} are left")
        yield kind, data[start : start + size]
        place += step


def _array(data: memoryview, order: str, depth: int) -> tuple[str, Any]:
    """(name, value) of an array element."""
    if not len(data):
        return "", np.zeros((0, 0))
    if depth > DEEPEST:
        raise ValueError(f"nested deeper than {DEEPEST}")
    parts = _elements(data, order)
    flags, dims, name = _next(parts), _next(parts), bytes(_next(parts)[1]).decode("ascii")
    (word,) = struct.unpack_from(f"{order}I", flags[1])
    shape = tuple(int(n) for n in np.frombuffer(dims[1], f"{order}i4"))
    if not 2 <= len(shape) <= MOST_DIMENSIONS or min(shape) < 0:
        raise ValueError(f"an array of shape {shape}")
    kind, count = word & 0xFF, math.prod(shape)
    if kind == _CELL:
        return name, _inner(parts, count, len(data), order, depth)
    if kind == _STRUCT:
        (width,) = np.frombuffer(_next(parts)[1], f"{order}i4")
        text = bytes(_next(parts)[1])
        fields = [text[at : at + width].split(b"\0")[0].decode("ascii") for at in range(0, len(text), max(width, 1))]
        values = _inner(parts, count * len(fields), len(data), order, depth) if fields else []
        records = [dict(zip(fields, values[at:], strict=False)) for at in range(0, len(values), len(fields) or 1)]
        return name, records[0] if len(records) == 1 else records
    if kind == _CHAR:
        stored, letters = _next(parts)
        code = _TEXT.get(stored, "latin-1")
        return name, bytes(letters).decode(f"{code}-{'le' if order == '<' else 'be'}" if code == "utf-16" else code)
    if kind in _CLASSES and not word & _COMPLEX:
        stored, numbers = _next(parts)
        if stored not in _STORED:
            raise ValueError(f"numbers of the unknown type {stored}")
        array = np.frombuffer(numbers, f"{order}{_STORED[stored]}")
        if len(array) != count:
            raise ValueError(f"{len(array)} numbers for a shape of {' x '.join(map(str, shape))}")
        return name, array.reshape(shape, order="F").astype(_CLASSES[kind])
    return name, None


def _inner(parts: Iterator[tuple[int, memoryview]], count: int, size: int, order: str, depth: int) -> list[Any]:
    if count * 8 > size:  # every element takes eight bytes at least
        raise ValueError(f"{count} elements in {size} bytes")
    inner = (_next(parts) for _ in range(count))
    return [_array(content, order, depth + 1)[1] if kind == _MATRIX else None for kind, content in inner]


def _next(parts: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    part = next(parts, None)
    if part is None:
        raise ValueError("an array is cut short")
    return part
