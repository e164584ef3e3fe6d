"""Ages in words and figures: "in her late fifties", "seventy-year-old", "aged 40 to 50", "a man of about sixty"."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mien.attributes.lexicon import FILLERS, NUMBERED, PRONOUNS, is_known
from mien.core.errors import RequestError
from mien.core.limits import AGES_YEARS, ages_allowed

Years = tuple[float, float]

ADULT_YEARS = 16.0  # where "under 30" begins
ABOUT_YEARS = 3.0  # "about 60": 57 to 63

_ONES = "one two three four five six seven eight nine"
_TIES = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: n for n, word in enumerate(_ONES.split(), 1)}
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = {word: 10 * n for n, word in enumerate(_TIES.split(), 2)}
_SMALL = _UNITS | {word: n for n, word in enumerate(_TEENS.split(), 10)} | {"a hundred": 100, "hundred": 100}
_DECADES = {word.removesuffix("y") + "ies": n for word, n in _TENS.items()}
_PARTS = {"early": (0, 3), "mid": (4, 6), "middle": (4, 6), "late": (7, 9)}  # of a decade, years

_TEEN_PARTS = {"": (13.0, 19.0), "early": (13.0, 15.0), "mid": (15.0, 16.0), "late": (17.0, 19.0)}

# Nouns that say an age. Baby, child, young, middle-aged and senior are attributes.
NOUNS: Mapping[str, Years] = {
    "toddler": (1, 3), "preschooler": (3, 5), "tween": (10, 12), "preteen": (10, 12), "pre-teen": (10, 12),
    "teen": (13, 19), "teenager": (13, 19), "teenage": (13, 19), "teenaged": (13, 19), "adolescent": (13, 19),
    "sexagenarian": (60, 69), "septuagenarian": (70, 79), "octogenarian": (80, 89), "nonagenarian": (90, 99),
    "centenarian": (100, 100),
}  # fmt: skip

_WHOSE = rf"(?:(?:{'|'.join(PRONOUNS)}|their|the|my)\s+)?"
_YEARS = r"(?:\s*[-\s]?\s*(?:years?|yrs?|y(?:\s?/?\s?o)?)\b(?:[-\s]*(?:olds?|of\s+age)\b)?)"
_NO_AGE = r"(?![\d%:]|\.\d|\s*(?:%|(?:o|feet|foot|ft|cm|kg|lbs?|pounds?|inch(?:es)?|months?|percent)\b))"
_GOES_ON = "(?:with|without|wearing|having|in|and|who|whose)"  # what follows a bare age: "a woman of 30 with glasses"
_NUMBER = rf"(?<![:.\d\w])(\d{{1,3}}){_NO_AGE}"
_PART = rf"(?:({'|'.join(_PARTS)})(?:[-\s]+(?:to|or)[-\s]+({'|'.join(_PARTS)}))?[-\s]+)?"
_DECADE = rf"(?:in\s+)?{_WHOSE}{_PART}({'|'.join(_DECADES)}|[2-9]0\s?'?s|[2-9]0[-\s]?(?:something|odd)s?)\b"
_TO = r"\s*(?:-|\u2013|\u2014|to|and|or|until|till)\s*"
_NEAR = 80  # characters that are looked at before a figure, however long the text is
# A figure that no word of age stands beside is the number of what stands before it: "page 12", "#3", "7*7".
_BARE = re.compile(r"(?:between\s+|from\s+)?\d+(?:\s*(?:[-\u2013\u2014]|to|and|or|until|till)\s*\d+)?")
_SIGN = re.compile(r"(?:\d[\d\s]*)?[#$\u20ac\u00a3*\\@^%]\s*\Z")
_WORD_BEFORE = re.compile(r"([\w']+)\W*\Z")
_YOUNG = "boy|girl|child|kid|lad|lass|son|daughter|brother|sister|schoolboy|schoolgirl|nephew|niece"
_ROUGHLY = "about|around|approximately|approx|roughly|circa|nearly|almost|maybe|perhaps|probably|some"


def with_digits(text: str) -> str:
    """ "twenty-five" -> "25". One to nine are left alone where they tell no age: "one woman", "a mother of three"."""
    units, tens, teens = "|".join(_UNITS), "|".join(_TENS), "|".join(set(_SMALL) - set(_UNITS))
    text = re.sub(r"\b(?:\d{1,2}|six|nine|ten|a\s+few)[-\s]+months?(?:[-\s]+olds?)?\b", "baby", text)
    text = re.sub(
        rf"\b({tens})(?:[-\s]({units}))?(?=ish\b|\b)", lambda m: str(_TENS[m[1]] + (_UNITS[m[2]] if m[2] else 0)), text
    )
    text = re.sub(rf"\b(?:({teens})\b|({units})(?=[-\s]+(?:years?|yrs?)\b))", lambda m: str(_SMALL[m[1] or m[2]]), text)
    aged = rf"\b((?:{_YOUNG})\s+of|aged?)((?:\s+(?:{_ROUGHLY}))?\s+)({units})\b"  # "a boy of six", "aged about four"
    return re.sub(aged, lambda m: f"{m[1]}{m[2]}{_UNITS[m[3]]}", text)


@dataclass(frozen=True, slots=True)
class AgesSaid:
    """A text without its ages, the years that they leave, and what was said of ages that a range cannot be."""

    text: str
    years: Years | None
    unknown: tuple[str, ...] = ()


def read_ages(text: str, option: str) -> AgesSaid:
    """Take the ages out of a clause (lower case, numbers in figures). ``RequestError`` outside 1 to 100 years."""
    years: Years | None = None
    unknown: list[str] = []
    for pattern, years_of in _AGES:
        while found := pattern.search(text):
            before = text[: found.start()]
            low, high = years_of(found)
            if denied := re.search(r"\b(?:not|never|no)(?:\s+(?:an?|the))?\s*$", before):
                unknown.append(f"{denied[0].strip()} {found[0].strip()}")
                before = before[: denied.start()]
            elif _BARE.fullmatch(found[0].strip()) and (counted := _counted(before)):
                unknown.append(f"{counted}{found[0].strip()}")
                before = before.removesuffix(counted)
            elif not ages_allowed(low, high):
                raise RequestError(f"{option}: '{found[0].strip()}' given; ages go from 1 to 100, the lower one first")
            else:
                years = common((low, high), years, option)
            # Of whom it is said stays: "in her thirties" speaks of a woman.
            whose = next((f" {word} " for word in PRONOUNS if re.search(rf"\b{word}\b", found[0])), " ")
            text = before + whose + text[found.end() :]
    return AgesSaid(text, years, tuple(unknown))


def _counted(before: str) -> str:
    """The end of ``before`` where it is nobody who could have an age, and what follows is its number; else nothing."""
    near = before[-_NEAR:]
    if sign := _SIGN.search(near):
        return sign[0]
    found = _WORD_BEFORE.search(near)
    if found is None or (found[1] not in NUMBERED and (found[1] in FILLERS or is_known(found[1]))):
        return ""
    return found[0]


def common(years: Years | None, others: Years | None, option: str) -> Years | None:
    """What two ranges of ages share. ``RequestError`` where they share nothing."""
    if years is None or others is None:
        return years or others
    low, high = max(years[0], others[0]), min(years[1], others[1])
    if low > high:
        both = " and ".join(f"{a:g} years" if a == b else f"{a:g} to {b:g} years" for a, b in sorted([years, others]))
        raise RequestError(f"{option}: {both} contradict each other")
    return low, high


def _decade(part: str | None, last_part: str | None, decade: str) -> Years:
    begin = _DECADES.get(decade) or int(decade[:2])
    low, high = _PARTS.get(part or "", (0, 9))
    return float(begin + low), float(begin + (_PARTS[last_part][1] if last_part else high))


def _decades(found: re.Match[str]) -> Years:
    return _decade(*found.group(1, 2, 3))[0], _decade(*found.group(4, 5, 6))[1]


def _under(found: re.Match[str]) -> Years:
    """An adult, unless that leaves nothing."""
    high = float(found[1])
    return (ADULT_YEARS if high > ADULT_YEARS else AGES_YEARS[0]), high


def _over(found: re.Match[str]) -> Years:
    return float(found[1]), AGES_YEARS[1]


def _about(found: re.Match[str]) -> Years:
    age = float(found[1])
    if not ages_allowed(age, age):
        return age, age  # refused
    return max(age - ABOUT_YEARS, AGES_YEARS[0]), min(age + ABOUT_YEARS, AGES_YEARS[1])


def _exactly(found: re.Match[str]) -> Years:
    age = float(found[found.lastindex or 1])
    return age, age


_AGES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Years]], ...] = tuple(
    (re.compile(pattern), years_of)
    for pattern, years_of in (
        (rf"\b(?:from\s+|between\s+)?{_DECADE}{_TO}{_DECADE}", _decades),
        (rf"\b{_DECADE}", lambda found: _decade(*found.group(1, 2, 3))),
        (rf"\b(?:in\s+)?{_WHOSE}(?:(early|mid|late)[-\s]+)?teens\b", lambda found: _TEEN_PARTS[found[1] or ""]),
        (rf"\b({'|'.join(NOUNS)})s?\b", lambda found: NOUNS[found[1]]),
        (
            rf"(?:\b(?:ages?|aged)\s+)?(?:\b(?:between|from)\s+)?{_NUMBER}{_TO}(\d{{1,3}}){_NO_AGE}{_YEARS}?",
            lambda found: (float(found[1]), float(found[2])),
        ),
        (rf"{_NUMBER}{_YEARS}?\s+(?:and|or)\s+(?:under|below|younger|less)\b", _under),
        (rf"{_NUMBER}{_YEARS}?\s+(?:and|or)\s+(?:over|above|older|up|more)\b", _over),
        (rf"\b(?:n(?:ot?|ever)\s+(?:over|above|older\s+than)|at\s+most|up\s+to|under|below|younger\s+than)\s+"
         rf"{_NUMBER}{_YEARS}?", _under),
        (rf"\b(?:n(?:ot?|ever)\s+(?:under|below|younger\s+than)|over|above|past|older\s+than|at\s+least)\s+"
         rf"{_NUMBER}{_YEARS}?", _over),
        (rf"{_NUMBER}\s?\+(?:{_YEARS}|(?!\w))", _over),
        (rf"\b(?:(?:ages?|aged|of)\s+)?(?:{_ROUGHLY})(?:\s+(?:the\s+)?ages?(?:\s+of)?)?\s+"
         rf"{_NUMBER}(?:[-\s]?ish\b)?{_YEARS}?", _about),
        (rf"{_NUMBER}[-\s]?ish\b", _about),
        (rf"\b(?:ages?|aged)(?:\s+of)?\s+{_NUMBER}{_YEARS}?", _exactly),
        (rf"(?:\ban?\s+)?{_NUMBER}{_YEARS}", _exactly),
        (rf"(?:\bof\s+{_NUMBER}|(?<![:.\d\w])(?<!with )(\d\d){_NO_AGE})(?=\s+{_GOES_ON}\b)", _exactly),
        (rf"{_NUMBER}\s*$", _exactly),
    )
)  # fmt: skip
