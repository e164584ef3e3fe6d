"""The reader of MATLAB files: what scipy wrote comes back, and no damage leads anywhere but to one line."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien.core.errors import WeightsError
from mien.pretrained import matlab_file
from mien.pretrained.matlab_file import read_matlab


def _bytes(content: dict[str, Any], compressed: bool = False) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, content, do_compression=compressed)
    return buffer.getvalue()


def _read(folder: Path, data: bytes) -> dict[str, Any]:
    (folder / "a.mat").write_bytes(data)
    return read_matlab(folder / "a.mat")


def _content() -> dict[str, Any]:
    cell = np.empty((1, 3), object)
    cell[0, :] = [{"name": "conv1_1", "pad": np.array([[1, 2]], np.uint8)}, np.array([[0.5]], np.float32), "prob"]
    return {"layers": cell, "net": {"meta": {"mean": np.arange(6.0).reshape(1, 2, 3)}, "word": "four", "none": ""}}


@pytest.mark.parametrize("compressed", [False, True])
def test_structs_cells_text_and_numbers_come_back(tmp_path: Path, compressed: bool) -> None:
    found = _read(tmp_path, _bytes(_content(), compressed))
    assert list(found) == ["layers", "net"]
    layer, number, word = found["layers"]
    assert (layer["name"], word) == ("conv1_1", "prob")
    assert (layer["pad"].tolist(), layer["pad"].dtype) == ([[1, 2]], np.uint8)
    assert (number.tolist(), number.dtype) == ([[0.5]], np.float32)
    np.testing.assert_array_equal(found["net"]["meta"]["mean"], np.arange(6.0).reshape(1, 2, 3))
    assert (found["net"]["word"], found["net"]["none"]) == ("four", "")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=4),
    st.sampled_from(["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_numbers_of_every_type_and_shape_are_those_that_scipy_wrote(
    tmp_path: Path, shape: list[int], dtype: str, compressed: bool, seed: int
) -> None:
    array = (np.random.default_rng(seed).standard_normal(shape) * 50).astype(dtype)
    found = _read(tmp_path, _bytes({"a_longer_name": array}, compressed))["a_longer_name"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_an_array_of_structs_is_a_list_and_what_is_unknown_is_none(tmp_path: Path) -> None:
    records = np.zeros((1, 2), [("name", object), ("n", object)])
    records[0, 0], records[0, 1] = ("a", 1.0), ("b", 2.0)
    found = _read(tmp_path, _bytes({"layers": records, "z": np.array([1j])}))
    assert [record["name"] for record in found["layers"]] == ["a", "b"]
    assert found["layers"][1]["n"].item() == 2
    assert found["z"] is None


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data(), st.booleans())
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, data: st.DataObject, compressed: bool) -> None:
    good = bytearray(_bytes(_content(), compressed))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(124, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = _read(tmp_path, bytes(good[: data.draw(st.integers(0, len(good)))]))
    except WeightsError:
        return
    assert isinstance(found, dict)


HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"


def _packed(content: bytes) -> bytes:
    return struct.pack("<II", 15, len(content)) + content  # as MATLAB writes it: not padded to 8


def _element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content.ljust(-(-len(content) // 8) * 8, b"\0")


def _matrix(kind: int, shape: tuple[int, ...], *rest: bytes) -> bytes:
    dims = struct.pack(f"<{len(shape)}i", *shape)
    flags = struct.pack("<II", kind, 0)
    return _element(14, b"".join([_element(6, flags), _element(5, dims), _element(1, b"a"), *rest]))


def _nested(depth: int) -> bytes:
    inner = _matrix(6, (1, 1), _element(9, bytes(8)))
    for _ in range(depth):
        inner = _matrix(1, (1, 1), inner)
    return inner


BOMBS = {
    "deep": (_nested(3000), "nested deeper than 16"),
    "wide": (_matrix(1, (2**31 - 1, 2**31 - 1)), "elements in"),
    "large": (_matrix(6, (2**31 - 1, 2**31 - 1), _element(9, bytes(8))), "1 numbers for a shape of 2147483647 x"),
    "negative": (_matrix(6, (-1, -1), _element(9, bytes(8))), r"an array of shape \(-1, -1\)"),
    "flat": (_matrix(6, (1,), _element(9, bytes(8))), r"an array of shape \(1,\)"),
    "many dimensions": (_matrix(6, (1,) * 500, _element(9, bytes(8))), "an array of shape"),
    "fields without end": (
        _matrix(2, (1, 1), _element(5, struct.pack("<i", 0)), _element(1, bytes(90))),
        "elements in",
    ),
    "no type": (_matrix(6, (1, 1), _element(99, bytes(8))), "numbers of the unknown type 99"),
    "odd bytes": (_matrix(6, (1, 1), _element(9, bytes(7))), "multiple of"),
    "packed nothing": (_packed(zlib.compress(b"")), "a compressed variable without content"),
    "packed noise": (_packed(b"noise"), "damaged MATLAB file"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_take_room(tmp_path: Path, name: str) -> None:
    data, line = BOMBS[name]
    with pytest.raises(WeightsError, match=line) as failure:
        _read(tmp_path, HEAD + data)
    assert "\n" not in str(failure.value)


def test_a_packed_bomb_is_unpacked_no_further_than_it_says(tmp_path: Path) -> None:
    inner = _matrix(6, (1, 1), _element(9, bytes(8)))
    bomb = _packed(zlib.compress(inner + bytes(1 << 24)))
    assert _read(tmp_path, HEAD + bomb)["a"].tolist() == [[0.0]]
    assert len(matlab_file._unpacked(memoryview(zlib.compress(inner + bytes(1 << 24))), "<")) == len(inner)
    nothing = struct.pack("<II", 14, 0) + bytes(1 << 24)
    assert len(matlab_file._unpacked(memoryview(zlib.compress(nothing)), "<")) == 8


def test_a_nested_file_that_a_network_may_have_is_read(tmp_path: Path) -> None:
    found = _read(tmp_path, HEAD + _nested(10))["a"]
    for _ in range(10):
        (found,) = found
    assert found.tolist() == [[0.0]]


@pytest.mark.parametrize("data", [b"", b"MATLAB 5.0", b"x" * 200, HEAD[:-2] + b"XX"])
def test_other_files_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(WeightsError, match=r"cannot be read|not a MATLAB 5 file"):
        _read(tmp_path, data)
