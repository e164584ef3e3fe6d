"""Free text -> attributes: "smiling woman with glasses, no beard, in her thirties".

``words.parse`` reads lists ("woman, glasses, not bald") and refuses what it does not know; this reads what people
write when nobody tells them how, and hands ``parse`` a list, so that contradictions are told in the same sentences.
Every list that ``parse`` takes means the same here. What is not understood is told, with what is near it, and the rest
stands.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mien.attributes import prose_words as prose
from mien.attributes.vocabulary import GROUP_OF
from mien.attributes.words import WORDS, parse, plain
from mien.core.errors import RequestError

LONGEST_PHRASE = 5  # words
NEAR, ENOUGH_ALIKE = 3, 0.72
AGES_YEARS = (1.0, 100.0)
GROWN_YEARS = 16.0
DECADES = {"twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70,
           "eighties": 80, "nineties": 90}  # fmt: skip
PARTS = {"": (0, 9), "early": (0, 3), "mid": (4, 6), "late": (7, 9)}  # of a decade, years

_YEARS = r"(?:\s*[-\s]?\s*(?:years?|yrs?|y\s?/?\s?o)\b(?:[-\s]*(?:olds?|of\s+age)\b)?)"
_NUMBER = r"(?<![:.\d\w])(\d{1,3})(?![\d%:]|\.\d|\s*%|\s*o\b)"
_DECADE = re.compile(
    r"\b(?:in\s+)?(?:(?:his|her|their|the|my)\s+)?(?:(early|mid|late)[-\s]+)?"
    rf"({'|'.join(DECADES)}|[2-9]0\s?'?s)\b"
)
_TEENS = re.compile(r"\b(?:in\s+)?(?:(?:his|her|their)\s+)?(?:(?:early|mid|late)[-\s]+)?teens\b")
_RANGE = re.compile(
    rf"(?:\b(?:ages?|aged)\s+)?(?:\b(?:between|from)\s+)?{_NUMBER}\s*(?:-|\u2013|\u2014|to|and|until)\s*"
    rf"(\d{{1,3}})(?![\d.%:]){_YEARS}?"
)
_OVER = re.compile(rf"\b(?:over|above|older\s+than|at\s+least)\s+{_NUMBER}{_YEARS}?")
_UNDER = re.compile(rf"\b(?:under|below|younger\s+than|at\s+most)\s+{_NUMBER}{_YEARS}?")
_ABOUT = re.compile(rf"\b(?:ages?|aged|about|around)(?:\s+of)?\s+{_NUMBER}{_YEARS}?")
_ONE = re.compile(rf"(?:\ba[n]?\s+)?{_NUMBER}{_YEARS}")
_BARE = re.compile(rf"{_NUMBER}\s*$")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A word that was not understood, and known ones near it, the nearest first."""

    word: str
    near: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says of a face."""

    wanted: Mapping[str, bool | float] = field(default_factory=dict)  # attribute -> True, False, or how far, in (0, 1)
    ages_years: tuple[float, float] | None = None
    unknown: tuple[Unknown, ...] = ()

    @property
    def remark(self) -> str:
        """What was not understood, in one line; empty where everything was."""
        told = [f"'{each.word}'" + (f" (near: {', '.join(each.near)})" if each.near else "") for each in self.unknown]
        return f"not understood, and left out: {', '.join(told)}" if told else ""


@dataclass(slots=True)
class _Said:
    """One attribute as the text names it; ``implied`` by another word, it gives way to what is said."""

    word: str
    name: str
    there: bool
    degree: float | None = None
    implied: bool = False

    @property
    def entry(self) -> str:
        """What ``parse`` is given: the user's own word where it can read it, for the sake of its messages."""
        side = {(self.name, self.there): "", (self.name, not self.there): "not "}
        known = WORDS.get(self.word)
        word = side[known] + self.word if known in side else ("" if self.there else "not ") + self.name
        return word if self.degree is None else f"{word}:{self.degree:g}"


def read(text: str, *, option: str = "words") -> Reading:
    """Read free text. ``RequestError`` for what contradicts itself, and for ages outside 1 to 100 years."""
    parts = [part.strip() for part in re.split(r"[,;!?()\n\"\u201c\u201d]+|\.(?!\d)", _opened(text))]
    ages: tuple[float, float] | None = None
    entries: list[_Said | str] = []
    state = _Found([], [], [])
    for place, part in enumerate(parts):
        if _is_list_entry(part):
            entries.append(part)
            continue
        rest, found = _ages(part, option)
        ages = ages or found
        begin = len(state.said)
        _Clause(rest, _first_head(parts[place + 1]) if place + 1 < len(parts) else None, option, state).read()
        entries += state.said[begin:]
    if state.pronouns:
        entries.append(_Said("", "Male", state.pronouns[0], implied=True))
    wanted = parse(", ".join(_without_crowded_out(entries, ages is not None, option)), option=option)
    return Reading(wanted, ages, tuple(Unknown(word, near(word)) for word in dict.fromkeys(state.unknown)))


def near(word: str) -> tuple[str, ...]:
    """Known words that are spelled nearly like ``word``."""
    words = [*WORDS, *(phrase for phrase, meaning in prose.PHRASES.items() if meaning)]
    return tuple(difflib.get_close_matches(plain(word), words, n=NEAR, cutoff=ENOUGH_ALIKE))


def _opened(text: str) -> str:
    """Lower case, one kind of apostrophe, "isn't" as "is not", "smiling: 0.8" as "smiling:0.8"."""
    lower = re.sub(r"[\u2018\u2019`]", "'", text.casefold())
    return re.sub(r"\s*:\s*", ":", re.sub(r"n't\b", " not", lower))


def _is_list_entry(part: str) -> bool:
    """Whether ``parse`` reads a part by itself, or would read it but for its strength."""
    word, colon, strength = part.partition(":")
    try:
        parse(word)
        if colon:
            float(strength)
    except (RequestError, ValueError):
        return False
    return bool(part)


def _ages(text: str, option: str) -> tuple[str, tuple[float, float] | None]:
    """(a part of the text without its age, the age in years)."""
    for pattern, ages_of in _AGES:
        found = pattern.search(text)
        if found is None:
            continue
        low, high = ages_of(found)
        if not AGES_YEARS[0] <= low <= high <= AGES_YEARS[1]:
            raise RequestError(f"{option}: '{found[0].strip()}' given; ages go from 1 to 100, the lower one first")
        # Of whom it is said stays: "in her thirties" speaks of a woman.
        whose = next((f" {word} " for word in prose.PRONOUNS if re.search(rf"\b{word}\b", found[0])), " ")
        return text[: found.start()] + whose + text[found.end() :], (low, high)
    return text, None


def _decade(found: re.Match[str]) -> tuple[float, float]:
    low, high = PARTS[found[1] or ""]
    begin = DECADES.get(found[2]) or int(found[2][:2])
    return float(begin + low), float(begin + high)


def _under(found: re.Match[str]) -> tuple[float, float]:
    """Grown up, unless that leaves nothing."""
    high = float(found[1])
    return (GROWN_YEARS if high > GROWN_YEARS else AGES_YEARS[0]), high


def _exactly(found: re.Match[str]) -> tuple[float, float]:
    return float(found[1]), float(found[1])


_AGES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], tuple[float, float]]], ...] = (
    (_DECADE, _decade),
    (_TEENS, lambda _: (13.0, 19.0)),
    (_RANGE, lambda found: (float(found[1]), float(found[2]))),
    (_OVER, lambda found: (float(found[1]), AGES_YEARS[1])),
    (_UNDER, _under),
    (_ABOUT, _exactly),
    (_ONE, _exactly),
    (_BARE, _exactly),
)


def _meaning(words: Sequence[str]) -> prose.Meaning | None:
    """What a phrase means; a plural means what its singular does; ``None`` where it means nothing."""
    phrase = " ".join(words)
    for form in (phrase, phrase.removesuffix("s")):
        if form in WORDS:
            return (WORDS[form],)
        if form in prose.PHRASES:
            return prose.PHRASES[form] or None
    return None


def _first_head(part: str) -> str | None:
    """The word that adjectives before a comma wait for: "brown, curly hair"."""
    for token in plain(part).split():
        if token in prose.HEADS:
            return prose.HEADS[token]
        if token in prose.ENDS or token in prose.DENIALS:
            return None
    return None


@dataclass(frozen=True, slots=True)
class _Found:
    said: list[_Said]
    unknown: list[str]
    pronouns: list[bool]  # whether each speaks of a man


class _Clause:
    """What stands between two commas, read from left to right. Tokens are words, ":0.8" and "%0.8" (80 %)."""

    def __init__(self, text: str, next_head: str | None, option: str, found: _Found) -> None:
        self.next_head, self.option, self.found = next_head, option, found
        self.tokens: list[str] = []
        for part in re.sub(r"(\d)\s+%", r"\1%", text).split():
            word, colon, number = part.partition(":")
            words = (token.lstrip("%:") for token in plain(word).split() if token[-1] != "%")
            self.tokens += [token for token in words if re.search(r"\w", token)]
            if colon and number:
                self.tokens.append(f":{self._strength(number, 1, part):g}")
            elif word.endswith("%"):
                self.tokens.append(f"%{self._strength(word[:-1], 100, part):g}")
        self.denied: str | None = None  # the word that denies what comes
        self.degree: float | None = None  # waits for an attribute
        self.last: _Said | None = None

    def read(self) -> None:
        """Add what the clause says to ``found``."""
        place = 0
        while place < len(self.tokens):
            place += self._step(place)
        self._end_degree()

    def _strength(self, text: str, whole: float, part: str) -> float:
        try:
            value = float(text) / whole
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise RequestError(f"{self.option}: '{part}' given; a strength is a number from 0 to 1, as in smiling:0.8")
        return value

    def _step(self, place: int) -> int:
        """Read at ``place``; how many tokens were read."""
        token = self.tokens[place]
        if token[0] == ":":
            if self.last is not None:
                self.last.degree = float(token[1:])
        elif token[0] == "%":
            self.degree = float(token[1:])
        elif length := self._phrase_length(place):
            phrase = self.tokens[place : place + length]
            self._say(" ".join(phrase), _meaning(phrase) or ())
            self.denied = phrase[0] if phrase[0] in prose.DENIALS else self.denied  # "no beard or glasses"
            return length
        elif token in prose.DENIALS:
            self.denied = token
        elif length := self._degree_length(place):
            self.degree = prose.DEGREES[" ".join(self.tokens[place : place + length])]
            return length
        elif (head := self._head_of(place)) and (meaning := _meaning([token, head])):
            self._say(f"{token} {head}", meaning)
        elif meaning := _meaning([token]):
            self._say(token, meaning)
        else:
            self._other(place, token)
        return 1

    def _other(self, place: int, token: str) -> None:
        """A word that is no attribute."""
        if token in prose.PRONOUNS:
            self.found.pronouns.append(prose.PRONOUNS[token][1])
        if token in prose.ENDS:
            self._end_degree()
            if self.denied not in prose.LASTING or token != "and":
                self.denied = None
        elif token not in prose.FILLERS and token not in prose.HEADS:
            head = self._head_of(place)
            self.found.unknown.append(f"{token} {head}" if head else token)

    def _say(self, word: str, meaning: prose.Meaning) -> None:
        for number, (name, there) in enumerate(meaning):
            if self.denied and number:
                break  # "not a boy" says nothing of the age
            said = _Said(word, name, there != bool(self.denied), self.degree if number == 0 else None, number > 0)
            self.found.said.append(said)
            self.last = said if number == 0 else self.last
        self.degree = None

    def _end_degree(self) -> None:
        """A degree that nothing came after belongs to what came before: "smiling a little"."""
        if self.degree is not None and self.last is not None and self.last.degree is None:
            self.last.degree = self.degree
        self.degree = None

    def _phrase_length(self, place: int) -> int:
        """How long a known phrase of two words or more stands at ``place``; 0: none."""
        longest = min(LONGEST_PHRASE, len(self.tokens) - place)
        return next((n for n in range(longest, 1, -1) if _meaning(self.tokens[place : place + n])), 0)

    def _degree_length(self, place: int) -> int:
        for length in range(min(LONGEST_PHRASE, len(self.tokens) - place), 0, -1):
            if " ".join(self.tokens[place : place + length]) in prose.DEGREES:
                inside = any(self._phrase_length(place + k) for k in range(1, length))  # "a little girl"
                return 0 if inside else length
        return 0

    def _head_of(self, place: int) -> str | None:
        """The noun that an adjective at ``place`` belongs to, across other adjectives: "brown curly hair"."""
        for token in self.tokens[place + 1 :]:
            if token in prose.HEADS:
                return prose.HEADS[token]
            if token in prose.DENIALS or (token in prose.FILLERS and token != "and"):
                return None
            if _meaning([token]) and not any(_meaning([token, head]) for head in prose.HEADS.values()):
                return None
        return self.next_head if len(self.tokens) == place + 1 else None


def _without_crowded_out(entries: Sequence[_Said | str], ages: bool, option: str) -> Iterator[str]:
    """Entries for ``parse``: what is implied gives way to what is said of the same group, and to ages."""
    plainly = [next(iter(parse(each, option=option))) if isinstance(each, str) else each.name
               for each in entries if isinstance(each, str) or not each.implied]  # fmt: skip
    taken = {GROUP_OF[name].name for name in plainly} | ({"age"} if ages else set())
    for each in entries:
        if isinstance(each, str):
            yield each
        elif not each.implied or GROUP_OF[each.name].name not in taken:
            yield each.entry
            if each.implied:
                taken.add(GROUP_OF[each.name].name)
