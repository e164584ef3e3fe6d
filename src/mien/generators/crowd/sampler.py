"""Crowds: labelled faces of people who do not exist."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from mien.core.contract import FaceRequest, Generator, complete, make
from mien.core.errors import RequestError
from mien.core.limits import OLDEST_YEARS, age_range, check_attributes, check_faces
from mien.core.records import Labels, MadeFace, Sex
from mien.core.seeding import fresh_seed
from mien.generators.conditions import ATTRIBUTES, RACES

CHUNK = 64  # faces between two reports of progress

Age = float | tuple[float, float]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Samples faces from a generator."""

    generator: Generator

    def at(self, size_px: int | None) -> Self:
        """The same faces at 128 or 256 px (the generator's size, ``None``, or twice that); networks are shared.

        ``RequestError`` for another size.
        """
        return type(self)(self.generator.at(size_px))

    def looking(self, look: str | None) -> Self:
        """The same people in another look of photographs (``None``: as it is). ``RequestError`` where there is none."""
        return self if look is None else type(self)(self.generator.looking(look))

    def sample(
        self,
        count: int = 1,
        *,
        sex: Literal["any"] | Sex = "any",
        age: Age | None = None,
        race: str | None = None,
        attributes: Mapping[str, bool] | None = None,
        seed: int | None = None,
        first: int = 0,
        progress: Callable[[int], None] | None = None,
    ) -> list[MadeFace]:
        """Make ``count`` faces.

        ``sex`` is female, male or any (an even coin for each face); ``age`` in years, one value or (low, high), from
        1 to 100 (default: 18 to 75); ``race`` and ``attributes`` (names as in ``conditions.ATTRIBUTES``) only where
        the generator knows them. Face k of a seed is the same whatever ``count`` and ``first``; a seed that is not
        given is drawn and written into every record. ``progress`` is told how many faces were just made.
        Raises ``RequestError`` for anything outside.
        """
        check_faces(count, first, seed)
        _check_race(race)
        if attributes is not None:
            check_attributes(attributes, ATTRIBUTES)
        seed = fresh_seed() if seed is None else seed
        wanted = Labels(None if sex == "any" else _sex(sex), None, None, race, dict(attributes or {}))
        ages = age_range(age)
        requests = [request_for(wanted, ages, seed, index) for index in range(first, first + count)]
        made: list[MadeFace] = []
        for chunk in _chunks(requests):
            made += make(self.generator, chunk)
            if progress is not None:
                progress(len(chunk))
        return made

    def faces(self, labels: Iterable[Labels], *, seed: int, first: int = 0) -> list[MadeFace]:
        """One face for each of ``labels``: faces ``first``, ``first + 1``, ... of ``seed``."""
        asked = _checked_labels(labels, seed, first)
        return make(self.generator, [FaceRequest(seed, first + k, wanted) for k, wanted in enumerate(asked)])

    def variants(self, labels: Iterable[Labels], *, seed: int, index: int) -> list[MadeFace]:
        """The same draw of chance under different labels: face ``index`` of ``seed`` for each of ``labels``."""
        asked = _checked_labels(labels, seed, index)
        return make(self.generator, [FaceRequest(seed, index, wanted) for wanted in asked])


def _checked_labels(labels: Iterable[Labels], seed: int, first: int) -> list[Labels]:
    given = type(labels).__name__
    if isinstance(labels, Labels) or not isinstance(labels, Iterable):
        raise RequestError(f"labels: {given} given; wanted: a list of mien.Labels")
    found = list(labels)
    if seed is None:
        raise RequestError("seed: None given; allowed are 0 to 2^63 - 1")
    check_faces(max(len(found), 1), first, seed)
    for wanted in found:
        if not isinstance(wanted, Labels):
            raise RequestError(f"labels: {type(wanted).__name__} given; wanted: mien.Labels")
        check_attributes(wanted.attributes, ATTRIBUTES)
        if wanted.sex is not None:
            _sex(wanted.sex)
        _check_race(wanted.race)
        years: Any = wanted.age_years
        is_number = isinstance(years, numbers.Real) and not isinstance(years, bool)
        if years is not None and not (is_number and 0 <= years <= OLDEST_YEARS):
            raise RequestError(f"age_years: {years!r} given; allowed are 0 to {OLDEST_YEARS}")
    return found


def _check_race(race: str | None) -> None:
    if race is not None and race not in RACES:
        raise RequestError(f"race: '{race}' given; allowed: {', '.join(RACES)}")


def request_for(wanted: Labels, ages_years: tuple[float, float], seed: int, index: int) -> FaceRequest:
    """Face ``index`` of ``seed`` with the sex and age that are open drawn, age from ``ages_years``."""
    return FaceRequest(seed, index, complete(FaceRequest(seed, index, wanted), ages_years))


def _sex(sex: str) -> Sex:
    if sex == "female":
        return "female"
    if sex == "male":
        return "male"
    raise RequestError(f"sex: '{sex}' given; allowed: female, male, any")


def _chunks(requests: Sequence[FaceRequest]) -> Iterator[Sequence[FaceRequest]]:
    """Pieces that end at multiples of CHUNK of the face index, so that fixed rows stay full."""
    start = 0
    while start < len(requests):
        length = CHUNK - requests[start].index % CHUNK
        yield requests[start : start + length]
        start += length
