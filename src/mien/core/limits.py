"""The limits of what may be asked for, and of what a label may say: their one owner."""

from __future__ import annotations

from mien.core.errors import RequestError
from mien.core.seeding import SEED_LIMIT

AGES_YEARS = (1.0, 100.0)  # that may be asked for
DRAWN_AGES_YEARS = (18.0, 75.0)  # of a crowd, where no age was asked for
OLDEST_YEARS = 120  # that a label of a person may say; more is a mistake of its source


def check_seed(seed: int | None, option: str = "--seed") -> None:
    """``RequestError`` for a seed out of range."""
    if seed is not None and not 0 <= seed < SEED_LIMIT:
        raise RequestError(f"{option}: {seed} given; allowed are 0 to 2^63 - 1")


def ages_allowed(low: float, high: float) -> bool:
    """Whether faces from ``low`` to ``high`` years may be asked for."""
    return AGES_YEARS[0] <= low <= high <= AGES_YEARS[1]
