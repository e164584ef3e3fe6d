"""Similarity in per cent."""

from __future__ import annotations

import numpy as np
import pytest

from mien.core.errors import TooFewError
from mien.evaluation.similarity import SimilarityScale, cosines


def test_the_ends_of_the_scale_are_strangers_and_the_same_person() -> None:
    scale = SimilarityScale.of(np.linspace(0.6, 0.8, 40), np.linspace(0.0, 0.2, 40))
    assert scale.percent([0.1, 0.4, 0.7, 0.0]) == pytest.approx([0, 50, 100, -100 / 6])


def test_cosines_do_not_depend_on_lengths() -> None:
    a, b = np.array([[1.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 2.0], [6.0, 8.0]])
    assert cosines(a, b) == pytest.approx([0, 1])
    assert cosines(a * 7, b) == pytest.approx([0, 1])
    with pytest.raises(ValueError, match="wanted N D twice"):
        cosines(a, b[:1])


def test_too_few_pairs_and_a_scale_upside_down_are_refused() -> None:
    with pytest.raises(TooFewError, match="29 pairs of same people, needed are 30"):
        SimilarityScale.of(np.ones(29), np.zeros(40))
    with pytest.raises(ValueError, match=r"same people 0\.000"):
        SimilarityScale.of(np.zeros(40), np.ones(40))
