"""A description of a face in words or sentences -> one typed description: the one reader of text of all front ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from mien.attributes.prose import Unknown, read
from mien.attributes.sections import SECTIONS
from mien.attributes.vocabulary import GROUP_OF, NAMES
from mien.attributes.words import WORDS, parse
from mien.core.errors import RequestError

# What is printed where the attribute's own name (lower case, after "not" where it is absent) says it worse.
_PRINTED: Mapping[tuple[str, bool], str] = {
    ("Male", True): "man", ("Male", False): "woman", ("No Beard", True): "not beard", ("No Beard", False): "beard",
    ("Youth", True): "young", ("Youth", False): "not young", ("Color Photo", False): "black and white photo",
    ("Eyes Open", False): "eyes closed", ("Outdoor", False): "indoors",
}  # fmt: skip
_ADVERBS: Mapping[float, str] = {0.25: "barely", 0.5: "slightly", 0.75: "quite"}
# Who, then the expression, then what a person sees from hair to photo.
_WHO = ("sex", "age", "ethnicity", "expression")
_ORDER = (*_WHO, *(group for _, groups in SECTIONS for group in groups if group not in _WHO))


@dataclass(frozen=True, slots=True)
class Description:
    """What a face is to be like: attributes of the vocabulary (sex is ``Male``), and an age range in years."""

    attributes: Mapping[str, bool | float] = field(default_factory=dict)  # True, False, or how far, in (0, 1)
    ages_years: tuple[float, float] | None = None

    @property
    def words(self) -> str:
        """``woman, 30 to 39 years, smiling, eyeglasses``: for people, and read again it is the same description."""
        in_order = sorted(self.attributes, key=lambda name: (_ORDER.index(GROUP_OF[name].name), NAMES.index(name)))
        parts = [_printed(name, self.attributes[name]) for name in in_order]
        if self.ages_years is not None:
            low, high = self.ages_years
            years = f"{low:g} years" if low == high else f"{low:g} to {high:g} years"
            parts.insert(1 if "Male" in self.attributes else 0, years)
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Understood:
    """What a text says of a face, and the words of it that were not understood."""

    description: Description
    unknown: tuple[Unknown, ...] = ()
    left_out: tuple[str, ...] = ()  # sentences on what was understood and cannot be shown

    @property
    def words(self) -> str:
        """What was understood, as front ends print it; empty where nothing was."""
        return self.description.words

    @property
    def remark(self) -> str:
        """What was left out, in one line; empty where everything was understood."""
        told = [f"'{each.word}'" + (f" (near: {', '.join(each.near)})" if each.near else "") for each in self.unknown]
        return "; ".join(([f"not understood, and left out: {', '.join(told)}"] if told else []) + [*self.left_out])

    @property
    def nothing(self) -> bool:
        """Whether nothing at all was understood."""
        return not self.description.attributes and self.description.ages_years is None


def understand(
    text: str, *, avoid: str = "", known: Collection[str] | None = None, strengths: bool = True, option: str = "WORDS",
    avoid_option: str = "--avoid",
) -> Understood:  # fmt: skip
    """Read a list or a sentence: "smiling:0.5, woman, not hat", "a smiling woman in her thirties, no hat".

    ``avoid``: what the face is not like. ``known``: the attributes that a generator knows; others are left out, and
    ``remark`` says so. ``strengths`` False: it knows only there and not there. ``option`` and ``avoid_option`` are what
    errors call the two texts. ``RequestError`` for what contradicts itself, for a number of people, for ages outside
    1 to 100 years and strengths outside 0 to 1, and for an age in ``avoid``.
    """
    found, against = read(text, option=option), read(avoid, option=avoid_option)
    if against.ages_years is not None:
        raise RequestError(f"{avoid_option}: '{avoid.strip()}' given; an age is asked for, and cannot be avoided")
    wanted = dict(found.wanted)
    if against.wanted:
        entries = [*wanted.items(), *((name, _opposite(value)) for name, value in against.wanted.items())]
        listed = ", ".join(f"{name}:{float(value):g}" for name, value in entries)
        wanted = parse(listed, option=f"{option} and {avoid_option}")
    left_out: list[str] = []
    if not strengths:
        partly = [name for name, value in wanted.items() if not isinstance(value, bool)]
        wanted |= {name: wanted[name] >= 0.5 for name in partly}
        left_out += [f"how far is not known here: taken as '{_printed(name, wanted[name])}'" for name in partly]
    if known is not None:
        strange = [_printed(name, value) for name, value in wanted.items() if name not in known]
        wanted = {name: value for name, value in wanted.items() if name in known}
        if strange:
            words = ", ".join(_printed(name, True) for name in NAMES if name in known)
            left_out.append(f"not known to this model, and left out: {', '.join(map(repr, strange))}; it knows {words}")
    return Understood(Description(wanted, found.ages_years), (*found.unknown, *against.unknown), tuple(left_out))


def understand_or_refuse(
    text: str, *, avoid: str = "", known: Collection[str] | None = None, strengths: bool = True, option: str = "WORDS",
    avoid_option: str = "--avoid",
) -> Understood:  # fmt: skip
    """``understand``, and ``RequestError`` where there is text and nothing of it was understood."""
    found = understand(
        text, avoid=avoid, known=known, strengths=strengths, option=option, avoid_option=avoid_option
    )  # fmt: skip
    if found.nothing and f"{text}{avoid}".strip():
        raise RequestError(f"{option}: {found.remark or 'nothing said'}; `mien attributes` lists what is understood")
    return found


def _opposite(value: bool | float) -> bool | float:
    return not value if isinstance(value, bool) else round(1 - value, 6)


def _printed(name: str, value: bool | float) -> str:
    if isinstance(value, bool):
        return _PRINTED.get((name, value)) or ("" if value else "not ") + name.casefold()
    word = _PRINTED.get((name, True), name.casefold())
    if word not in WORDS or (name == "Male" and value < 0.5):  # "not beard"
        word, value = _PRINTED[name, False], round(1 - value, 6)
    return f"{_ADVERBS[value]} {word}" if value in _ADVERBS else f"{word}:{value:g}"
