"""Faces of one seed that are apart: each by itself follows the density, a group of them sums to nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.generators.imagine.antithetic import GROUP, antithetic_normals


@given(st.integers(0, 2**31), st.integers(0, 10_000))
def test_a_group_sums_to_nothing(seed: int, index: int) -> None:
    first = index - index % GROUP
    rows = np.stack([antithetic_normals(seed, first + k, 6) for k in range(GROUP)])
    assert rows.sum(0) == pytest.approx(np.zeros(6), abs=1e-9)
    assert (antithetic_normals(seed, index, 6) == rows[index % GROUP]).all()


def test_each_is_standard_normal_and_two_of_a_group_lean_apart() -> None:
    rows = np.stack([antithetic_normals(7, k, 50) for k in range(8 * GROUP)]).reshape(8, GROUP, 50)
    rows = np.concatenate(
        [rows, np.stack([antithetic_normals(8, k, 50) for k in range(8 * GROUP)]).reshape(8, GROUP, 50)]
    )
    assert rows.mean() == pytest.approx(0, abs=1e-9)
    for k in range(GROUP):
        assert rows[:, k].std() == pytest.approx(1, abs=0.08)
    between = np.mean([(rows[:, a] * rows[:, b]).mean() for a in range(GROUP) for b in range(a)])
    assert between == pytest.approx(-1 / (GROUP - 1), abs=0.03)
    assert (rows[0] * rows[1]).mean() == pytest.approx(0, abs=0.2), "another group is independent"
