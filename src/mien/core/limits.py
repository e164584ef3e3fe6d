"""The limits of what may be asked for, and of what a label may say: their one owner."""

from __future__ import annotations

import difflib
import numbers
import reprlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from mien.core.errors import RequestError
from mien.core.seeding import SEED_LIMIT

MOST_FACES = 1_000_000  # of one request
AGES_YEARS = (1.0, 100.0)  # that may be asked for
DRAWN_AGES_YEARS = (18.0, 75.0)  # of a crowd, where no age was asked for
OLDEST_YEARS = 120  # that a label of a person may say; more is a mistake of its source


def whole_number(value: object, option: str, least: int, most: int | None = None, *, words: str = "") -> int:
    """``value`` as an int. ``RequestError`` for anything but a whole number from ``least`` to ``most``.

    NumPy's integers are whole numbers; yes and no, text and 3.0 are none. ``words`` name the limits where "1 to 100"
    would not be read.
    """
    number = None if isinstance(value, bool) or not isinstance(value, numbers.Integral) else int(value)
    if number is None or number < least or (most is not None and number > most):
        given = reprlib.repr(value) if number is None else value
        allowed = words or (f"{least} and more" if most is None else f"{least} to {most}")
        raise RequestError(f"{option}: {given} given; allowed are {allowed}")
    return number


def check_seed(seed: object, option: str = "--seed") -> int | None:
    """``RequestError`` for a seed that is no whole number or out of range; ``None`` is one that is not given."""
    return None if seed is None else whole_number(seed, option, 0, SEED_LIMIT - 1, words="0 to 2^63 - 1")


def check_faces(count: object, first: object, seed: object, prefix: str = "", most: int = MOST_FACES) -> None:
    """``RequestError`` for faces ``first`` to ``first + count - 1`` of ``seed`` that cannot be.

    ``prefix``: of the options in messages, ``--`` on the command line.
    """
    words = "" if prefix else f"1 and more, up to {most:,}"
    whole_number(count, f"{prefix}count", 1, most, words=words)
    whole_number(first, "first", 0, SEED_LIMIT - 1 - MOST_FACES, words="0 and more, below 2^63 - 1,000,000")
    check_seed(seed, f"{prefix}seed")


def check_size(size_px: int | None, allowed: Sequence[int]) -> None:
    """``RequestError`` for a size that there is not; ``None`` is one that is not given."""
    if size_px is not None and size_px not in allowed:
        raise RequestError(f"size: {size_px} px given; allowed: {', '.join(map(str, allowed))}")


def refuse_look(look: str, name: str) -> NoReturn:
    """``RequestError``: the generator ``name`` has one look."""
    raise RequestError(f"look: '{look}' given; {name} has one look")


def check_yes_no(value: object, option: str) -> None:
    """``RequestError`` for anything but True and False; None, 0 and 'no' are neither."""
    if not isinstance(value, bool | np.bool_):
        raise RequestError(f"{option}: {reprlib.repr(value)} given; allowed: True, False")


def check_attributes(given: object, allowed: Collection[str], *, strengths: bool = False) -> None:
    """``RequestError`` for anything but a mapping of allowed names to True or False.

    ``strengths``: numbers from 0 to 1 say how far an attribute is there.
    """
    if not isinstance(given, Mapping):
        raise RequestError(
            f"attributes: {reprlib.repr(given)} given; wanted: a mapping, for example {{'Smiling': True}}"
        )
    for name, value in given.items():
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            raise RequestError(f"attributes: '{name}' given{hint}; allowed: {', '.join(allowed)}")
        is_number = isinstance(value, float | np.floating) and 0 <= value <= 1
        if strengths and not is_number and not isinstance(value, bool | np.bool_):
            wanted = "True, False, or a number from 0 to 1"
            raise RequestError(f"attributes: {name}: {reprlib.repr(value)} given; allowed: {wanted}")
        if not strengths:
            check_yes_no(value, f"attributes: {name}")


def age_range(age: object) -> tuple[float, float]:
    """One age or a pair of ages in years, lower first; ``None``: those of a crowd. ``RequestError`` for others."""
    if age is None:
        return DRAWN_AGES_YEARS
    if isinstance(age, np.ndarray):
        age = age.tolist()
    ages: list[Any] = list(age) if isinstance(age, Sequence) and not isinstance(age, str) else [age, age]
    right = len(ages) == 2 and all(isinstance(one, numbers.Real) and not isinstance(one, bool) for one in ages)
    if not right or not ages_allowed(float(ages[0]), float(ages[1])):
        said = " to ".join(f"{one:g}" for one in ages) if right else reprlib.repr(age)
        raise RequestError(f"age: {said} given; allowed are ages from 1 to 100, the lower one first")
    return float(ages[0]), float(ages[1])


def ages_allowed(low: float, high: float) -> bool:
    """Whether faces from ``low`` to ``high`` years may be asked for."""
    return AGES_YEARS[0] <= low <= high <= AGES_YEARS[1]
