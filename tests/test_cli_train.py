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
        (("--set", "rate=0"), "--set: rate: Input should be greater than 0, given 0"),
        (("--set", "rate=quick"), "--set: rate: Input should be a valid number"),
        (("--set", "speed=1"), "'speed=1' given; preset 'mien' of crowd knows density_steps= (batches of 512 codes"),
        (("--preset", "paper", "--set", "rate=1e-3"), "'rate=1e-3' given; preset 'paper' of crowd knows ages=years"),
        (("--preset", "paper", "--from", "run"), "--from: preset 'paper' of crowd does not use it; it uses --data, "),
    ],
)
def test_wrong_words_are_named(cli_here: Callable[..., Any], words: tuple[object, ...], message: str) -> None:
    result = cli_here("train", "crowd", "--data", "nowhere", "--out", "run", *words)
    assert isinstance(result.exception, RequestError)
    assert message in str(result.exception)
