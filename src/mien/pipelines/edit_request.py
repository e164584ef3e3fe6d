"""A sheet of faces as it is asked for: from words, or from one face of the sheet before; an address brings it back.

A request is everything that its faces depend on, so that a link of a few words brings the same faces to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mien.attributes.sentences import Description, understand_all
from mien.core.errors import RequestError
from mien.core.seeding import SEED_LIMIT
from mien.pipelines.vocabulary import AGE, AGE_WORDS, NAMES, with_value

Method = Literal["words", "near", "change"]
Ages = tuple[float, float]
Wanted = tuple[tuple[str, bool | float], ...]  # attribute -> True, False or how far; a tuple, for frozen records

COUNTS = (8, 12, 16)
CLOSENESS = (0.95, 0.85, 0.6)
DEGREES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2)  # of a changed attribute: 0 like those without it, 1 like those with it
YEARS = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0)
LONGEST = 40  # requests that follow from one another
_NEAR = re.compile(r"near\.(\d{1,2})\.(\d{1,3})\.(\d{1,19})\.(\d{1,2})")
_CHANGE = re.compile(r"change\.(\d{1,2})\.([\w' -]{1,40})")


@dataclass(frozen=True, slots=True)
class EditRequest:
    """One sheet of faces: from a description (``words``), like a face of the sheet before (``near``), or that face
    with one attribute brought to each of ``DEGREES``, or its age to each of ``YEARS`` (``change``).
    """

    method: Method
    wanted: Wanted
    ages_years: Ages | None
    seed: int
    count: int
    typical: bool = False
    before: EditRequest | None = None
    pick: int = 0  # which face of ``before``
    closeness: float = 0.0  # in [0, 1]
    attribute: str = ""

    @property
    def description(self) -> Description:
        """What its faces are made to be."""
        return Description(dict(self.wanted), self.ages_years)

    @property
    def first(self) -> EditRequest:
        """The request from words that it goes back to."""
        return self.before.first if self.before else self

    def near(self, pick: int, closeness: float, seed: int, count: int) -> EditRequest:
        """More like face ``pick``. ``RequestError`` for a face that there is not."""
        wanted, ages = self.kept_of(pick)
        return EditRequest("near", wanted, ages, seed, count, self.typical, self, pick, closeness)

    def change(self, pick: int, attribute: str) -> EditRequest:
        """Face ``pick`` with one attribute, or its ``AGE``, changed. ``RequestError`` for one that there is not."""
        if attribute not in (*NAMES, AGE):
            raise RequestError(f"attribute: '{attribute}' given; `mien attributes` lists what is allowed")
        wanted, ages = self.kept_of(pick)
        count = len(YEARS if attribute == AGE else DEGREES)
        return EditRequest("change", wanted, ages, self.seed, count, self.typical, self, pick, attribute=attribute)

    def kept_of(self, pick: int) -> tuple[Wanted, Ages | None]:
        """What face ``pick`` was made to be, and what is kept of it from now on."""
        if not 0 <= pick < self.count:
            raise RequestError(f"face: no. {pick + 1} given; there are {self.count}")
        if self.method != "change":
            return self.wanted, self.ages_years
        if self.attribute == AGE:
            years = YEARS[pick]
            return tuple(pair for pair in self.wanted if pair[0] not in AGE_WORDS), (years, years)
        degree = min(DEGREES[pick], 1.0)
        value: bool | float = bool(degree) if degree in (0.0, 1.0) else degree
        ages = None if self.attribute in AGE_WORDS else self.ages_years
        return _in_order(with_value(dict(self.wanted), self.attribute, value)), ages

    def described(self, pick: int) -> Description:
        """What face ``pick`` was made to be."""
        wanted, ages = self.kept_of(pick)
        return Description(dict(wanted), ages)


def link_of(request: EditRequest) -> dict[str, str]:
    """The request as the parameters of an address; ``request_of`` brings it back."""
    edits: list[str] = []
    first = request
    while first.before is not None:
        if first.method == "near":
            edits.append(f"near.{first.pick + 1}.{round(first.closeness * 100)}.{first.seed}.{first.count}")
        else:
            edits.append(f"change.{first.pick + 1}.{first.attribute}")
        first = first.before
    found = {"words": first.description.words, "seed": str(first.seed), "count": str(first.count)}
    if first.typical:
        found["typical"] = "1"
    if edits:
        found["then"] = "~".join(reversed(edits))
    return found


def request_of(link: Mapping[str, str]) -> EditRequest:
    """The request that an address tells. ``RequestError`` says what of it cannot be."""
    described = understand_all(link.get("words", ""), option="words")
    seed = whole(link.get("seed", "0"), "seed", 0, SEED_LIMIT - 1)
    count = whole(link.get("count", str(COUNTS[0])), "count", 1, COUNTS[-1])
    request = from_words(described, seed, count, typical=link.get("typical", "") == "1")
    edits = [edit for edit in link.get("then", "").split("~") if edit]
    if len(edits) >= LONGEST:
        raise RequestError(f"then: {len(edits)} steps given; allowed are {LONGEST - 1}")
    for edit in edits:
        request = _edited(request, edit)
    return request


def from_words(description: Description, seed: int, count: int, *, typical: bool = False) -> EditRequest:
    """The first sheet: ``count`` faces of a description."""
    wanted = _in_order(description.attributes)
    return EditRequest("words", wanted, description.ages_years, seed, count, typical)


def _in_order(wanted: Mapping[str, bool | float]) -> Wanted:
    """In the order of the vocabulary: the same description is the same request, whoever wrote it."""
    return tuple(sorted(wanted.items(), key=lambda pair: NAMES.index(pair[0])))


def _edited(request: EditRequest, edit: str) -> EditRequest:
    if found := _NEAR.fullmatch(edit):
        pick, close, seed, count = map(int, found.groups())
        whole(found[2], "closeness", 0, 100)
        whole(found[4], "count", 1, COUNTS[-1])
        return request.near(pick - 1, close / 100, whole(str(seed), "seed", 0, SEED_LIMIT - 1), count)
    if found := _CHANGE.fullmatch(edit):
        return request.change(int(found[1]) - 1, found[2])
    raise RequestError(f"then: '{edit}' given; wanted are near.FACE.CLOSENESS.SEED.COUNT and change.FACE.ATTRIBUTE")


def whole(text: str, option: str, least: int, most: int) -> int:
    """A whole number in words; ``RequestError`` with what is allowed."""
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise RequestError(f"{option}: '{text}' given; allowed are {least} to {most}")
    return value
