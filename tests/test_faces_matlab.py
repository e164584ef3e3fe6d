"""MATLAB files: structs, cells, text and numbers come back as plain Python; what is no such file is one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from mien.core.errors import WeightsError
from mien.pretrained.matlab_file import read_matlab


def _read(folder: Path, content: dict[str, Any], compressed: bool = False) -> dict[str, Any]:
    scipy.io.savemat(folder / "a.mat", content, do_compression=compressed)
    return read_matlab(folder / "a.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_structs_cells_text_and_numbers_come_back(tmp_path: Path, compressed: bool) -> None:
    cell = np.empty((1, 3), object)
    cell[0, :] = [{"name": "conv1_1", "pad": np.array([[1, 2]], np.uint8)}, np.array([[0.5]], np.float32), "prob"]
    net = {"meta": {"mean": np.arange(6.0).reshape(1, 2, 3)}, "word": "four", "none": ""}
    found = _read(tmp_path, {"layers": cell, "net": net}, compressed)
    assert list(found) == ["layers", "net"]
    layer, number, word = found["layers"]
    assert (layer["name"], word) == ("conv1_1", "prob")
    assert (layer["pad"].tolist(), layer["pad"].dtype) == ([[1, 2]], np.uint8)
    assert (number.tolist(), number.dtype) == ([[0.5]], np.float32)
    np.testing.assert_array_equal(found["net"]["meta"]["mean"], np.arange(6.0).reshape(1, 2, 3))
    assert (found["net"]["word"], found["net"]["none"]) == ("four", "")


def test_an_array_of_structs_is_a_list(tmp_path: Path) -> None:
    records = np.zeros((1, 2), [("name", object), ("n", object)])
    records[0, 0], records[0, 1] = ("a", 1.0), ("b", 2.0)
    found = _read(tmp_path, {"layers": records})
    assert [record["name"] for record in found["layers"]] == ["a", "b"]
    assert found["layers"][1]["n"].item() == 2


@pytest.mark.parametrize("data", [b"", b"MATLAB 5.0", b"x" * 200, b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1XX"])
def test_other_files_are_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(WeightsError, match="a damaged MATLAB file") as failure:
        read_matlab(tmp_path / "a.mat")
    assert "\n" not in str(failure.value)
