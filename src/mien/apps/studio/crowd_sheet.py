"""A contact sheet of faces as a value: what was asked for, which faces are locked, and the address that says it all.

Every frame of the sheet is one face: (seed, index, sex, age and what else was asked for), which gives the same picture
for ever. Frame k takes its place among the sexes and its age from two even sequences (golden ratio and its sister), so
that any number of frames holds the shares that the sliders say, and moving a slider changes few faces.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Self

from mien.core.errors import RequestError
from mien.core.limits import ages_allowed, check_seed
from mien.core.records import Labels, Sex
from mien.core.seeding import SEED_LIMIT, stream
from mien.pipelines.request import Description, FacesRequest, check_race, crowd_request, parse_ages

MOST_FACES = 200
SIZES_PX = (128, 256)
ROLL_STRIDE = 4096  # face k of roll r is face k + r * ROLL_STRIDE of the seed: no two frames ever share one
MOST_ROLLS = 1000
LEAN_HALF = 50.0  # of the slider that leans ages to the young or the old: one halving of the exponent
GOLDEN, SISTER = 0.6180339887498949, 0.7548776662466927  # 1 / phi, 1 / plastic number
SWEEP_AGES_YEARS = (6.0, 14.0, 22.0, 30.0, 40.0, 52.0, 64.0, 76.0)


@lru_cache(maxsize=256)
def attributes_of(words: str) -> Mapping[str, bool]:
    """The attributes that words ask a crowd for; sex, age and race have controls of their own."""
    return crowd_request(words, option="words").request.labels.attributes


@dataclass(frozen=True, slots=True)
class Mix:
    """What is asked of the whole sheet."""

    seed: int
    count: int = 24
    women_percent: int = 50
    youngest_years: int = 18
    oldest_years: int = 75
    lean: int = 0  # -100 mostly young ... 0 even ... 100 mostly old
    race: str | None = None
    words: str = ""  # as --with
    size_px: int = 128  # of the pictures: the same faces, drawn or enlarged

    def checked(self) -> Self:
        """Itself, with the ages in order. ``RequestError`` for what cannot be made."""
        for name, low, high in (("count", 1, MOST_FACES), ("women_percent", 0, 100), ("lean", -100, 100)):
            if not low <= getattr(self, name) <= high:
                raise RequestError(f"{name.split('_')[0]}: {getattr(self, name)} given; allowed are {low} to {high}")
        check_seed(self.seed, "seed")
        if self.size_px not in SIZES_PX:
            raise RequestError(f"size: {self.size_px} given; allowed: {', '.join(map(str, SIZES_PX))}")
        young, old = sorted((self.youngest_years, self.oldest_years))
        parse_ages(f"{young}-{old}")
        check_race(self.race)
        attributes_of(self.words)
        return replace(self, youngest_years=young, oldest_years=old)


def noun_of(sex: str, age_years: float) -> str:
    """woman, man, girl, boy."""
    if age_years < 13:
        return "girl" if sex == "female" else "boy"
    return "woman" if sex == "female" else "man"


@dataclass(frozen=True, slots=True)
class SheetFace:
    """One face: all that it depends on."""

    seed: int
    index: int
    sex: Sex
    age_years: float
    race: str | None = None
    words: str = ""

    @property
    def labels(self) -> Labels:
        """What the generator is asked for."""
        return Labels(self.sex, self.age_years, None, self.race, attributes_of(self.words))

    @property
    def request(self) -> FacesRequest:
        """The same as a request to the crowd."""
        wanted = {"Male": self.sex == "male", **attributes_of(self.words)}
        described = Description(wanted, (self.age_years, self.age_years))
        return FacesRequest(described, self.race, seed=self.seed, first=self.index)

    @property
    def noun(self) -> str:
        """woman, boy ..."""
        return noun_of(self.sex, self.age_years)

    @property
    def more(self) -> Mapping[str, Any]:
        """What the manifest says beside what it says of any face."""
        return {}

    def file_name(self, number: int) -> str:
        """Of its picture, as frame ``number``."""
        return f"{number:05d}-{self.noun}-{self.age_years:.0f}.png"

    def text(self) -> str:
        """For the address: '77.3.f.34.2' and, if they were asked for, race and words."""
        parts = [str(self.seed), str(self.index), self.sex[0], f"{self.age_years:g}"]
        return "_".join([*parts, self.race or "", self.words] if self.race or self.words else parts)

    @classmethod
    def of_text(cls, text: str) -> Self:
        """``text()`` read back. ``RequestError`` for anything else."""
        parts = text.split("_", 5)
        try:
            if len(parts) not in (4, 6) or parts[2] not in ("f", "m") or not re.fullmatch(r"[\d.]{1,6}", parts[3]):
                raise ValueError
            seed, index, age = int(parts[0]), int(parts[1]), float(parts[3])
            if not (0 <= seed < SEED_LIMIT and 0 <= index < ROLL_STRIDE * (MOST_ROLLS + 1) and ages_allowed(age, age)):
                raise ValueError
        except ValueError as error:
            raise RequestError(f"address: '{text[:40]}' is no face of a sheet") from error
        race, words = (parts[4] or None, parts[5]) if len(parts) == 6 else (None, "")
        check_race(race)
        attributes_of(words)
        return cls(seed, index, "female" if parts[2] == "f" else "male", age, race, words)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A mix, the frames that were rolled anew, and those that stay whatever the mix becomes (locked)."""

    mix: Mix
    rolls: Mapping[int, int] = field(default_factory=dict)
    locked: Mapping[int, SheetFace] = field(default_factory=dict)

    @property
    def frames(self) -> tuple[SheetFace, ...]:
        """Every face of the sheet, in order."""
        return tuple(self.frame(place) for place in range(self.mix.count))

    def frame(self, place: int) -> SheetFace:
        """Face ``place`` of the sheet."""
        if place in self.locked:
            return self.locked[place]
        mix = self.mix
        ranks, quantiles = _even(mix.seed, mix.count)
        women = math.floor(mix.count * mix.women_percent / 100 + 0.5)
        sex: Sex = "female" if ranks[place] < women else "male"
        of_age = quantiles[place] ** (2.0 ** (-mix.lean / LEAN_HALF))
        age = mix.youngest_years + of_age * (mix.oldest_years - mix.youngest_years)
        index = place + self.rolls.get(place, 0) * ROLL_STRIDE
        return SheetFace(mix.seed, index, sex, round(float(age), 1), mix.race, mix.words)

    def with_mix(self, mix: Mix) -> Self:
        """Another mix; locked faces stay. A new seed forgets the rolls of the old."""
        return replace(self, mix=mix.checked(), rolls=self.rolls if mix.seed == self.mix.seed else {})

    def rolled(self, place: int) -> Self:
        """Another person in one frame, of the same sex and age; a locked frame stays as it is."""
        if place in self.locked:
            return self
        times = self.rolls.get(place, 0) % MOST_ROLLS + 1
        return replace(self, rolls={**self.rolls, place: times})

    def with_lock(self, place: int, frame: SheetFace | None) -> Self:
        """Lock a frame with that face, or open it (``None``)."""
        others = {number: kept for number, kept in self.locked.items() if number != place}
        return replace(self, locked=others if frame is None else {**others, place: frame})

    def query(self) -> dict[str, str]:
        """All of it, for an address. ``of_query`` reads it back."""
        mix = self.mix
        said = {
            "tab": "crowd",
            "count": str(mix.count),
            "women": str(mix.women_percent),
            "age": f"{mix.youngest_years}-{mix.oldest_years}",
            "lean": str(mix.lean) if mix.lean else "",
            "race": mix.race or "",
            "with": mix.words,
            "size": str(mix.size_px) if mix.size_px != SIZES_PX[0] else "",
            "seed": str(mix.seed),
            "rolls": "~".join(f"{place}-{times}" for place, times in sorted(self.rolls.items()) if place < mix.count),
            "locked": "~".join(
                f"{place}-{frame.text()}" for place, frame in sorted(self.locked.items()) if place < mix.count
            ),
        }
        return {name: value for name, value in said.items() if value}

    @classmethod
    def of_query(cls, query: Mapping[str, str], seed: int) -> Self:
        """A sheet from an address; what the address does not say is as ever. ``RequestError`` for what cannot be."""
        usual = Mix(seed)
        ages = re.fullmatch(r"(\d{1,3})-(\d{1,3})", query.get("age", "18-75"))
        if ages is None:
            raise RequestError(f"age: '{query['age'][:20]}' given; allowed: a range (20-35), from 1 to 100")
        mix = Mix(
            seed=_whole(query, "seed", seed),
            count=_whole(query, "count", usual.count),
            women_percent=_whole(query, "women", usual.women_percent),
            youngest_years=int(ages[1]),
            oldest_years=int(ages[2]),
            lean=_whole(query, "lean", usual.lean),
            race=query.get("race") or None,
            words=query.get("with", "")[:500],
            size_px=_whole(query, "size", usual.size_px),
        ).checked()
        rolls, locked = {}, {}
        for text in filter(None, query.get("rolls", "").split("~")):
            rolls[_place(text, mix)] = min(_whole({"rolls": text.partition("-")[2]}, "rolls", 0), MOST_ROLLS)
        for text in filter(None, query.get("locked", "").split("~")):
            locked[_place(text, mix)] = SheetFace.of_text(text.partition("-")[2])
        return cls(mix, rolls, locked)


@lru_cache(maxsize=64)
def _even(seed: int, count: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """For each frame its rank among all by sex (the lowest are women) and its quantile of age, evenly spread."""
    starts = stream(seed, "studio", "sheet").random(2)
    of_sex = [(place * GOLDEN + starts[0]) % 1.0 for place in range(count)]
    ranks = [0] * count
    for rank, place in enumerate(sorted(range(count), key=of_sex.__getitem__)):
        ranks[place] = rank
    return tuple(ranks), tuple(float((place * SISTER + starts[1]) % 1.0) for place in range(count))


def sweep(frame: SheetFace) -> tuple[SheetFace, ...]:
    """One draw of chance at several ages, as a woman and then as a man."""
    sexes: tuple[Sex, Sex] = ("female", "male")
    return tuple(replace(frame, sex=sex, age_years=age) for sex in sexes for age in SWEEP_AGES_YEARS)


def _whole(query: Mapping[str, str], name: str, usual: int) -> int:
    text = query.get(name, "")
    if not text:
        return usual
    if not re.fullmatch(r"-?\d{1,19}", text):
        raise RequestError(f"{name}: '{text[:20]}' given; a whole number is wanted")
    return int(text)


def _place(text: str, mix: Mix) -> int:
    place = _whole({"frame": text.partition("-")[0]}, "frame", -1)
    if not 0 <= place < mix.count:
        raise RequestError(f"frame: {place} given; allowed are 0 to {math.floor(mix.count) - 1}")
    return place
