"""How a face was come by: frozen steps, each from a face of the one before, and a history that undoes and redoes them.

A step is everything that its faces depend on, so that a link of a few words brings the same faces to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from mien.apps.studio.imagine_words import Ages, Wanted, in_words, replaced
from mien.attributes import GROUPS, NAMES
from mien.attributes.sentences import understand
from mien.core.errors import RequestError

How = Literal["words", "near", "change"]

AGE = "age"  # the name that the density has for it (a test holds both to it: importing it would load the networks)
AGE_WORDS = next(group for group in GROUPS if group.name == AGE).members

COUNTS = (8, 12, 16)
CLOSENESS = (0.95, 0.85, 0.6)
DEGREES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2)  # of a changed attribute: 0 like those without it, 1 like those with it
YEARS = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0)
LONGEST = 40  # steps
_NEAR = re.compile(r"near\.(\d{1,2})\.(\d{1,3})\.(\d{1,19})\.(\d{1,2})")
_CHANGE = re.compile(r"change\.(\d{1,2})\.([\w' -]{1,40})")


@dataclass(frozen=True, slots=True)
class Step:
    """One sheet of faces: from a description (``words``), like a face of the step before (``near``), or that face with
    one attribute brought to each of ``DEGREES``, or of ``YEARS`` (``change``).
    """

    how: How
    wanted: Wanted
    ages_years: Ages | None
    seed: int
    count: int
    typical: bool = False
    before: Step | None = None
    pick: int = 0  # which face of ``before``
    closeness: float = 0.0  # in [0, 1]
    attribute: str = ""

    @property
    def title(self) -> str:
        """What was done, for a person."""
        if self.how == "near":
            return f"more like no. {self.pick + 1}"
        if self.how == "change":
            return f"{called(self.attribute)} of no. {self.pick + 1}"
        return in_words(dict(self.wanted), self.ages_years) or "anybody"

    @property
    def captions(self) -> tuple[str, ...]:
        """What stands under each face."""
        if self.how != "change":
            return tuple(f"no. {k + 1}" for k in range(self.count))
        if self.attribute == AGE:
            return tuple(f"{years:g} years" for years in YEARS)
        return tuple("none" if d == 0 else "full" if d == 1 else f"{d * 100:.0f} %" for d in DEGREES)

    @property
    def length(self) -> int:
        """How many steps lead here, this one included."""
        return 1 + (self.before.length if self.before else 0)

    def near(self, pick: int, closeness: float, seed: int, count: int) -> Step:
        """More like face ``pick``. ``RequestError`` for a face that there is not."""
        wanted, ages = self.wish_of(pick)
        return Step("near", wanted, ages, seed, count, self.typical, self, pick, closeness)

    def change(self, pick: int, attribute: str) -> Step:
        """Face ``pick`` with one attribute, or its ``AGE``, changed. ``RequestError`` for one that there is not."""
        if attribute not in (*NAMES, AGE):
            raise RequestError(f"attribute: '{attribute}' given; `mien attributes` lists what is allowed")
        wanted, ages = self.wish_of(pick)
        count = len(YEARS if attribute == AGE else DEGREES)
        return Step("change", wanted, ages, self.seed, count, self.typical, self, pick, attribute=attribute)

    def wish_of(self, pick: int) -> tuple[Wanted, Ages | None]:
        """What face ``pick`` was made to keep, and what is kept of it from now on."""
        if not 0 <= pick < self.count:
            raise RequestError(f"face: no. {pick + 1} given; there are {self.count}")
        if self.how != "change":
            return self.wanted, self.ages_years
        if self.attribute == AGE:
            years = YEARS[pick]
            return tuple(pair for pair in self.wanted if pair[0] not in AGE_WORDS), (years, years)
        degree = min(DEGREES[pick], 1.0)
        value: bool | float = bool(degree) if degree in (0.0, 1.0) else degree
        ages = None if self.attribute in AGE_WORDS else self.ages_years
        return tuple(replaced(dict(self.wanted), self.attribute, value).items()), ages


def called(attribute: str) -> str:
    """An attribute in words."""
    return "age" if attribute == AGE else in_words({attribute: True})


@dataclass(frozen=True, slots=True)
class Story:
    """The steps of one sitting; ``at`` is the one that is shown, -1 before any. What was undone stays to be redone."""

    steps: tuple[Step, ...] = ()
    at: int = -1

    @property
    def now(self) -> Step | None:
        """The step that is shown."""
        return self.steps[self.at] if self.at >= 0 else None

    @property
    def undoable(self) -> bool:
        """Whether there is something to undo."""
        return self.at > 0

    @property
    def redoable(self) -> bool:
        """Whether something was undone."""
        return self.at < len(self.steps) - 1

    def went(self, step: Step) -> Story:
        """With a step more; what was undone is forgotten, and so are the oldest of more than ``LONGEST``."""
        steps = (*self.steps[: self.at + 1], step)[-LONGEST:]
        return Story(steps, len(steps) - 1)

    @classmethod
    def ending_at(cls, step: Step) -> Story:
        """The whole way to a step."""
        steps = [step]
        while steps[0].before is not None:
            steps.insert(0, steps[0].before)
        return cls(tuple(steps), len(steps) - 1)

    def undo(self) -> Story:
        """A step back, as long as there is one."""
        return replace(self, at=self.at - 1) if self.undoable else self

    def redo(self) -> Story:
        """A step forward, as long as there is one."""
        return replace(self, at=self.at + 1) if self.redoable else self

    def back_to(self, at: int) -> Story:
        """At step number ``at``, the nearest that there is."""
        return replace(self, at=min(max(at, 0), len(self.steps) - 1)) if self.steps else self


def link_of(step: Step) -> dict[str, str]:
    """The step as the parameters of an address; ``step_of`` brings it back."""
    ways: list[str] = []
    first = step
    while first.before is not None:
        if first.how == "near":
            ways.append(f"near.{first.pick + 1}.{round(first.closeness * 100)}.{first.seed}.{first.count}")
        else:
            ways.append(f"change.{first.pick + 1}.{first.attribute}")
        first = first.before
    found = {
        "words": in_words(dict(first.wanted), first.ages_years),
        "seed": str(first.seed),
        "count": str(first.count),
    }
    if first.typical:
        found["typical"] = "1"
    if ways:
        found["then"] = "~".join(reversed(ways))
    return found


def step_of(link: Mapping[str, str]) -> Step:
    """The step that an address tells. ``RequestError`` says what of it cannot be."""
    found = understand(link.get("words", ""), option="words")
    if found.remark:
        raise RequestError(f"words: {found.remark}")
    seed = whole(link.get("seed", "0"), "seed", 0, 2**63 - 1)
    count = whole(link.get("count", str(COUNTS[0])), "count", 1, COUNTS[-1])
    typical = link.get("typical", "") == "1"
    step = Step(
        "words", tuple(found.description.attributes.items()), found.description.ages_years, seed, count, typical
    )
    ways = [way for way in link.get("then", "").split("~") if way]
    if len(ways) >= LONGEST:
        raise RequestError(f"then: {len(ways)} steps given; allowed are {LONGEST - 1}")
    for way in ways:
        step = _further(step, way)
    return step


def _further(step: Step, way: str) -> Step:
    if found := _NEAR.fullmatch(way):
        pick, close, seed, count = map(int, found.groups())
        whole(found[2], "closeness", 0, 100)
        whole(found[4], "count", 1, COUNTS[-1])
        return step.near(pick - 1, close / 100, whole(str(seed), "seed", 0, 2**63 - 1), count)
    if found := _CHANGE.fullmatch(way):
        return step.change(int(found[1]) - 1, found[2])
    raise RequestError(f"then: '{way}' given; wanted are near.FACE.CLOSENESS.SEED.COUNT and change.FACE.ATTRIBUTE")


def whole(text: str, option: str, least: int, most: int) -> int:
    """A whole number in words; ``RequestError`` with what is allowed."""
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise RequestError(f"{option}: '{text}' given; allowed are {least} to {most}")
    return value
