"""MATLAB files (``.mat``) as plain Python, read by SciPy: only what networks need.

A struct is read as a dict, an array of structs and a cell as a list (column by column), a text as a str, numbers as a
numpy array of the file's shape. SciPy reads version 5, runs nothing of a file, and wants whole files: a damaged one is
refused in one line where SciPy notices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mien.core.errors import RequestError, WeightsError


def read_matlab(path: Path) -> dict[str, Any]:
    """The variables of the file by name. ``WeightsError`` in one line for a file that is damaged or of another form."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise RequestError("a MATLAB file is read by SciPy; run: pip install 'mien[data]'") from error
    try:
        found = loadmat(path, struct_as_record=False)
    except Exception as error:  # SciPy raises whatever it meets: OSError, ValueError, zlib.error, ...
        raise WeightsError(f"{path}: a damaged MATLAB file ({' '.join(str(error).split())[:80]})") from error
    return {name: _plain(value) for name, value in found.items() if not name.startswith("__")}


def _plain(value: Any) -> Any:
    if fields := getattr(value, "_fieldnames", None):
        return {name: _plain(getattr(value, name)) for name in fields}
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "U":
        return "".join(value.ravel())
    if value.dtype != object:
        return value
    inner = [_plain(one) for one in value.ravel(order="F")]
    return inner[0] if len(inner) == 1 and isinstance(inner[0], dict) else inner
