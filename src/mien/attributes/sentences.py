"""A description of a face in words or sentences -> one typed description: the one reader of text of all front ends."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mien.attributes.ages import Years
from mien.attributes.contradictions import combine
from mien.attributes.grammar import read_statements
from mien.attributes.lexicon import MEANINGS, plain
from mien.attributes.sections import SECTIONS
from mien.attributes.vocabulary import GROUP_OF, NAMES
from mien.core.errors import RequestError

NEAR, ENOUGH_ALIKE, MOST_TOLD = 3, 0.72, 8
# What the attributes of age mean to a generator that knows years alone.
YEARS_OF: Mapping[str, Years] = {
    "Baby": (1, 2), "Child": (3, 12), "Youth": (16, 30), "Middle Aged": (40, 60), "Senior": (65, 100),
}  # fmt: skip

# What is printed where the attribute's own name (lower case, after "not" where it is absent) says it worse.
_PRINTED: Mapping[tuple[str, bool], str] = {
    ("Male", True): "man", ("Male", False): "woman", ("No Beard", True): "not beard", ("No Beard", False): "beard",
    ("Youth", True): "young", ("Youth", False): "not young", ("Color Photo", False): "black and white photo",
    ("Eyes Open", False): "eyes closed", ("Outdoor", False): "indoors", ("No Eyewear", True): "no glasses",
    ("Teeth Not Visible", False): "teeth visible",
}  # fmt: skip
_ADVERBS: Mapping[float, str] = {0.25: "barely", 0.5: "slightly", 0.75: "quite"}
_GRADUAL = frozenset({"Smiling", "Frowning", "Chubby", "Bald", "Blurry"})  # where an adverb is English
# Who, then the expression, then what a person sees from hair to photo.
_WHO = ("sex", "age", "ethnicity", "expression")
_ORDER = (*_WHO, *(group for _, groups in SECTIONS for group in groups if group not in _WHO))


@dataclass(frozen=True, slots=True)
class Description:
    """What a face is to be like: attributes of the vocabulary (sex is ``Male``), and an age range in years."""

    attributes: Mapping[str, bool | float] = field(default_factory=dict)  # True, False, or how far, in (0, 1)
    ages_years: Years | None = None

    @property
    def words(self) -> str:
        """``woman, 30 to 39 years, smiling, eyeglasses``: for people, and read again it is the same description."""
        in_order = sorted(self.attributes, key=lambda name: (_ORDER.index(GROUP_OF[name].name), NAMES.index(name)))
        parts = [_printed(name, self.attributes[name]) for name in in_order]
        if self.ages_years is None and parts[:2] in (["man", "child"], ["woman", "child"]):
            parts[:2] = ["boy" if self.attributes["Male"] else "girl"]
        if self.ages_years is not None:
            low, high = self.ages_years
            years = f"{low:g} years" if low == high else f"{low:g} to {high:g} years"
            parts.insert(1 if "Male" in self.attributes else 0, years)
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A word that was not understood, and known ones near it, the nearest first."""

    word: str
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Understood:
    """What a text says of a face, and what of the text was left out.

    ``unshowable`` was understood, but no attribute stands for it (freckles). ``not_known`` was understood, but the
    generator was not taught it. ``rounded``: where a strength was asked for and the generator knows none.
    """

    description: Description
    unknown: tuple[Unknown, ...] = ()
    unshowable: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    rounded: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What was understood, as front ends print it; empty where nothing was."""
        return self.description.words

    @property
    def remark(self) -> str:
        """What was left out, in one line; empty where everything was understood."""
        return "; ".join(self._remarks())

    @property
    def nothing(self) -> bool:
        """Whether nothing at all was understood."""
        return not self.description.attributes and self.description.ages_years is None

    def _remarks(self) -> Iterator[str]:
        if self.unknown:
            told = [f"'{each.word}'" + (f" (near: {', '.join(each.near)})" if each.near else "")
                    for each in self.unknown[:MOST_TOLD]]  # fmt: skip
            more = len(self.unknown) - len(told)
            yield f"not understood, and left out: {', '.join(told)}" + (f" and {more} more" if more else "")
        if self.unshowable:
            yield f"understood, but no face here can show it: {_quoted(self.unshowable)}"
        if self.not_known:
            knows = f"; it knows {', '.join(self.known)}" if self.known else ""
            yield f"not known to this model, and left out: {_quoted(self.not_known)}{knows}"
        if self.rounded:
            yield f"how far is not known to this model: taken as {_quoted(self.rounded)}"


def understand(
    text: str, *, avoid: str = "", known: Collection[str] | None = None, strengths: bool = True, option: str = "WORDS",
    avoid_option: str = "--avoid",
) -> Understood:  # fmt: skip
    """Read a list or a sentence: "smiling:0.5, woman, not hat", "a smiling woman in her thirties, no hat".

    ``avoid``: what the face is not like. ``known``: the attributes that a generator knows; others are left out, and
    ``remark`` says so (where it knows none of age, "old" becomes years). ``strengths`` False: it knows only there and
    not there. ``option`` and ``avoid_option`` are what errors call the two texts. ``RequestError`` for what contradicts
    itself, for a number of people, for ages outside 1 to 100 years, strengths outside 0 to 1, an age in ``avoid``, and
    texts that are too long.
    """
    found, against = read_statements(text, option), read_statements(avoid, avoid_option)
    if against.ages_years is not None:
        raise RequestError(f"{avoid_option}: '{avoid.strip()}' given; an age is asked for, and cannot be avoided")
    wanted = combine(found.said, aged=found.ages_years is not None, option=option)
    if against.said:
        combine(against.said, option=avoid_option)
        denied = [replace(each, word=f"not {each.word}", there=not each.there) for each in against.said
                  if not each.implied]  # fmt: skip
        both = [*found.said, *denied]
        wanted = combine(both, aged=found.ages_years is not None, option=f"{option} and {avoid_option}")
    strange = _once([*found.unknown, *against.unknown])
    unknown = [Unknown(word, near(word) if place < MOST_TOLD else ()) for place, word in enumerate(strange)]
    understood = Understood(
        Description(wanted, found.ages_years), tuple(unknown), _once([*found.unshowable, *against.unshowable])
    )
    if known is not None:
        understood = _as_known(understood, known)
    return understood if strengths else _without_strengths(understood)


def understand_or_refuse(
    text: str, *, avoid: str = "", known: Collection[str] | None = None, strengths: bool = True, option: str = "WORDS",
    avoid_option: str = "--avoid",
) -> Understood:  # fmt: skip
    """``understand``, and ``RequestError`` where there is text and nothing of it was understood."""
    found = understand(text, avoid=avoid, known=known, strengths=strengths, option=option, avoid_option=avoid_option)
    if found.nothing and f"{text}{avoid}".strip():
        nothing = found.remark or f"nothing of '{text.strip() or avoid.strip()}' was understood"
        raise RequestError(f"{option}: {nothing}; `mien attributes` lists what is understood")
    return found


def understand_all(
    text: str, *, known: Collection[str] | None = None, strengths: bool = True, option: str = "WORDS"
) -> Description:
    """``understand`` where nobody is there to be told what was left out: ``RequestError`` for all that would be."""
    found = understand(text, known=known, strengths=strengths, option=option)
    if found.remark:
        raise RequestError(f"{option}: {found.remark}")
    return found.description


def near(word: str) -> tuple[str, ...]:
    """Known words that begin with ``word``, and those that are spelled nearly like it."""
    words = [known for known, meaning in MEANINGS.items() if meaning]
    begun = [known for known in words if known.startswith(f"{plain(word)} ")]
    alike = difflib.get_close_matches(plain(word), words, n=NEAR, cutoff=ENOUGH_ALIKE)
    return _once([*begun, *alike])[:NEAR]


def _as_known(understood: Understood, known: Collection[str]) -> Understood:
    wanted, years = dict(understood.description.attributes), understood.description.ages_years
    if not set(known) & set(YEARS_OF):
        aged = next((name for name, value in wanted.items() if name in YEARS_OF and value is True), None)
        if aged is not None:
            del wanted[aged]
            years = years or YEARS_OF[aged]
    strange = [_printed(name, value) for name, value in wanted.items() if name not in known]
    kept = {name: value for name, value in wanted.items() if name in known}
    words = [_printed(name, True) for name in NAMES if name in known]
    return replace(understood, description=Description(kept, years), not_known=tuple(strange), known=tuple(words))


def _without_strengths(understood: Understood) -> Understood:
    wanted = dict(understood.description.attributes)
    partly = [name for name, value in wanted.items() if not isinstance(value, bool)]
    wanted |= {name: wanted[name] >= 0.5 for name in partly}
    description = replace(understood.description, attributes=wanted)
    return replace(understood, description=description, rounded=tuple(_printed(name, wanted[name]) for name in partly))


def _once(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _printed(name: str, value: bool | float) -> str:
    own = name.casefold().removeprefix("wearing ")
    if isinstance(value, bool):
        return _PRINTED.get((name, value)) or ("" if value else "not ") + own
    word = _PRINTED.get((name, True), own)
    if word == "not beard" or (name == "Male" and value < 0.5):
        word, value = _PRINTED[name, False], round(1 - value, 6)
    if name in _GRADUAL and value in _ADVERBS:
        return f"{_ADVERBS[value]} {word}"
    return f"{word}:{value:.6f}".rstrip("0")
