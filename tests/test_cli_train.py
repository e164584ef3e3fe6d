"""`mien train crowd` on the command line: what it refuses before it reads any data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mien.core.errors import RequestError


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "best"), "--preset: no 'best' for crowd; allowed: mien, paper"),
        (("--batch", 0), "--batch: 0 given, allowed are 1 and more"),
        (("--rate", 0), "--rate: 0 given; allowed are rates above 0"),
        (("--rate", "nan"), "--rate: nan given; allowed are rates above 0"),
        (("--preset", "paper", "--rate", 1e-3), "--rate: the paper preset learns at its paper's rate"),
        (("--preset", "paper", "--from", "run"), "--from: the paper preset starts at random, as printed"),
    ],
)
def test_wrong_words_are_named(cli_here: Callable[..., Any], words: tuple[object, ...], message: str) -> None:
    result = cli_here("train", "crowd", "--data", "nowhere", "--out", "run", *words)
    assert isinstance(result.exception, RequestError)
    assert message in str(result.exception)
