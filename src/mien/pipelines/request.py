"""What faces are asked for: one frozen request for crowds and imagined faces, and the one reader of it from text.

It loads no network: whatever is wrong with a request is said at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mien.attributes.sentences import Description, Understood, understand, understand_all, understand_or_refuse
from mien.core.errors import RequestError
from mien.core.limits import MOST_FACES, ages_allowed, check_faces, whole_number
from mien.core.records import Labels, Sex
from mien.generators.conditions import ATTRIBUTES, RACES

__all__ = [
    "ATTRIBUTES", "RACES", "Description", "FacesRequest", "Read", "Understood", "check_count", "check_paper",
    "check_race", "crowd_request", "imagine_request", "parse_ages", "understand", "understand_all",
]  # fmt: skip

PAPER_AGE_FROM_YEARS = 10.0  # the data of the conditional GAN begins there
SEX = "Male"
# Words of the vocabulary that a crowd understands by its labels of age.
AGE_WORDS: Mapping[str, tuple[float, float]] = {
    "Baby": (1.0, 2.0),
    "Child": (3.0, 12.0),
    "Youth": (16.0, 30.0),
    "Middle Aged": (40.0, 55.0),
    "Senior": (62.0, 85.0),
}
DASHES = re.compile("[\u2010-\u2015\u2212]")
OF_RACE = tuple(race for race in RACES if race != "Other")  # words of the vocabulary, and labels of a crowd
CROWD_WORDS = (*ATTRIBUTES, SEX, *OF_RACE, *AGE_WORDS)


@dataclass(frozen=True, slots=True)
class FacesRequest:
    """Faces ``first`` to ``first + count - 1`` of ``seed`` that fit a description.

    ``race`` is a label of crowds (``RACES``). ``seed`` None: one is drawn. ``size_px`` None: the model decides.
    ``typical``: what is not mentioned stays average (imagined faces). ``look``: of photographs (crowds of the painter).
    ``RequestError`` for a number out of range.
    """

    description: Description = Description()  # noqa: RUF009 (frozen)
    race: str | None = None
    count: int = 1
    seed: int | None = None
    first: int = 0
    size_px: int | None = None
    typical: bool = False
    look: str | None = None

    def __post_init__(self) -> None:
        check_faces(self.count, self.first, self.seed, "--")

    def part(self, start: int, count: int) -> FacesRequest:
        """``count`` of its faces, from number ``start`` of them."""
        return replace(self, first=self.first + start, count=count)

    @property
    def sex(self) -> Sex | None:
        """The sex that is asked for."""
        male = self.description.attributes.get(SEX)
        return None if male is None else "male" if male else "female"

    @property
    def labels(self) -> Labels:
        """What a crowd's generator is asked for; the age is drawn from ``description.ages_years``."""
        attributes = {name: bool(value) for name, value in self.description.attributes.items() if name in ATTRIBUTES}
        return Labels(self.sex, None, None, self.race, attributes)


@dataclass(frozen=True, slots=True)
class Read:
    """A request that was read from text, and what to tell the user of that."""

    request: FacesRequest
    understood: str = ""  # "woman, smiling, eyeglasses"; empty where there was no text
    left_out: str = ""  # what was not understood, with near words


def crowd_request(
    text: str = "",
    *,
    sex: Literal["any"] | Sex = "any",
    age: str | None = None,
    race: str | None = None,
    option: str = "--with",
    count: int = 1,
    seed: int | None = None,
    first: int = 0,
    size_px: int | None = None,
) -> Read:
    """A crowd as it is asked for: words and sentences, and options that say sex, age and race.

    ``RequestError`` where text and options contradict each other, and where nothing of a text is understood.
    """
    check_race(race)
    found = understand_or_refuse(text, known=CROWD_WORDS, strengths=False, option=option)
    wanted = {name: bool(value) for name, value in found.description.attributes.items()}
    male = wanted.pop(SEX, None)
    said: Sex | None = None if male is None else "male" if male else "female"
    if said is not None and sex not in ("any", said):
        raise RequestError(f"--sex: {sex} given, but {option} says {'man' if male else 'woman'}")
    if said is None and sex != "any":
        said = sex
    races = [name for name in OF_RACE if wanted.pop(name, False)]
    if race is not None and races and race not in races:
        raise RequestError(f"--race: {race} given, but {option} says {races[0].lower()}")
    words = [name for name in AGE_WORDS if wanted.pop(name, False)]
    by_words = found.description.ages_years or (AGE_WORDS[words[0]] if words else None)
    ages = parse_ages(age) if age is not None else by_words
    if said is not None:
        wanted = {SEX: said == "male", **wanted}
    description = Description(wanted, ages)
    request = FacesRequest(description, race or (races[0] if races else None), count, seed, first, size_px)
    return Read(request, found.words, found.remark)


def imagine_request(
    text: str = "",
    *,
    avoid: str = "",
    age: str | None = None,
    typical: bool = False,
    option: str = "WORDS",
    avoid_option: str = "--avoid",
    count: int = 1,
    seed: int | None = None,
    first: int = 0,
    size_px: int | None = None,
) -> Read:
    """Imagined faces as they are asked for. ``RequestError`` as for ``crowd_request``."""
    found: Understood = understand_or_refuse(text, avoid=avoid, option=option, avoid_option=avoid_option)
    description = found.description
    if age is not None:
        description = replace(description, ages_years=parse_ages(age))
    request = FacesRequest(description, None, count, seed, first, size_px, typical)
    return Read(request, found.words, found.remark)


def check_paper(request: FacesRequest) -> None:
    """``RequestError`` for what the conditional GAN of preset ``paper`` was never told."""
    for option, given in (("--race", request.race), ("--with", request.labels.attributes)):
        if given:
            raise RequestError(f"{option}: the preset 'paper' knows sex and age only; wanted: --preset mien")
    ages = request.description.ages_years
    if ages is not None and ages[0] < PAPER_AGE_FROM_YEARS:
        given_ages = f"{ages[0]:g} to {ages[1]:g}"
        raise RequestError(f"--age: {given_ages} given; the preset 'paper' knows {PAPER_AGE_FROM_YEARS:g} to 100 years")


def check_race(race: str | None) -> None:
    """``RequestError`` for a race that crowds do not know."""
    if race is not None and race not in RACES:
        raise RequestError(f"--race: '{race}' given; allowed: {', '.join(RACES)}")


def check_count(count: int, most: int = MOST_FACES) -> None:
    """``RequestError`` for a number of faces that cannot be."""
    whole_number(count, "--count", 1, most)


def parse_ages(text: str) -> tuple[float, float]:
    """'30' or '20-35' -> (low, high) in years; with whatever dash a telephone or an editor writes."""
    low, dash, high = DASHES.sub("-", text).partition("-")
    try:
        ages = float(low), float(high if dash else low)
    except ValueError:
        ages = (math.nan, math.nan)
    if not ages_allowed(*ages):
        raise RequestError(f"--age: '{text}' given; allowed: one age (30) or a range (20-35), from 1 to 100")
    return ages
