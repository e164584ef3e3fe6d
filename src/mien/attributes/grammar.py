"""Text -> statements on attributes: clauses between commas, read from left to right, longest known phrase first.

A list ("smiling:0.5, woman, not hat") is text like any other: each of its words is a clause.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import mien.attributes.lexicon as lexicon
from mien.attributes.ages import Years, common, read_ages, with_digits
from mien.attributes.lexicon import Meaning, meaning_of, plain
from mien.core.errors import RequestError

LONGEST_TEXT = 2000  # characters

_APOSTROPHES = re.compile("[\u2018\u2019\u201b\u02bc\u00b4`\u2032]")
_ABBREVIATIONS = ((r"\b(?:sex|gender|race|ethnicity)\s*[:=]", " "), (r"(^|[,;])\s*age\s*[:=]", r"\1 aged "),
                  (r"\b(hair|eyes?|skin)(?:\s+colou?r)?\s*[:=](?!\s*[\d.])", r"\1 "), (r"(?<=\w)=(?=[\d.])", ":"),
    (r"\b(not|no|without)\s*:", r"\1 "), (r"\by\.\s?o\.?", "yo"), (r"\s*[:=]\s*(?:yes|true)\b", ""),
    (r"([\w' -]+?)\s*[:=]\s*(?:no|none|false)\b(?!\s+\w)", r"not \1"),
                  (r"\bn[or]\.\s*(?=\d)(?!\d\s*o)", "number "), (r"\bca?\.\s*(?=\d)|(?<!\S)~\s*(?=\d)", "about "),
    (r"(?:(?<!\S)|(?<=\bage))(?:<=?|\u2264)\s*(?=\d)", " under "),
    (r"(?:(?<!\S)|(?<=\bage))(?:>=?|\u2265)\s*(?=\d)", " over "),
                  (r"\bw/o\b", " without "), (r"\bw/", " with "), (r"&", " and "), (r"\bapprox\.", "about"),
                  (r"\bcan(?:'?t|not)\b", " not "), (r"n't\b", " not "), (r"\b(\w+)'s\b", r"\1 's"),
                  (r"\b(is|does|do|did|has|have|was|are)nt\b", " not "))  # fmt: skip
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"<[/?!]?([a-z][\w-]*)(?:[^<>]*>|\Z)")
_CALL = re.compile(r"(\w+)[(\[]([\d\s,.;-]+)[)\]]")
_SENTENCE_END = re.compile(r"[;!?\n]+|\.(?!\d)")
# Commas, brackets, quotes, dashes between blanks, and a colon that no strength follows.
_CLAUSE_END = re.compile(
    r"[,()\[\]{}\"\u201c\u201d\u201e\u00ab\u00bb|]+|(?<!\d)\s+[-\u2013\u2014]+\s+|[\u2013\u2014](?!\s*\d)|"
    r":(?!\s*(?:[-+]?[.\d]|nan\b|inf))"
)
_STRENGTH = re.compile(r":\s*(\S+)")
_PERCENT = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*%")
_MEASURE = re.compile(r"(?<![\w.])\d+(?:[.,']\d+)?\s*(?:feet|foot|ft|cm|m|kg|lbs?|pounds?|inch(?:es)?)\b|\d'\s?\d+\"?")
_NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
_COUNT = re.compile(
    rf"(?<![-\u2013.:\d\w])(?<!to )(?<!over )(?<!under )(?<!and )(?<!about )(?<!age )(?<!aged )"
    rf"(?:(?:group|crowd)\s+of\b|couple\b(?!\s+of)|twins\b|({'|'.join(_NUMBERS)}|several|many|a\s+couple\s+of|a\s+few|[2-9]|[1-9]\d+)\s+"
    rf"(?:(?!(?:years?|yrs?|months?|yo|y|o|to|and|or|with|of|in|who)\b)[\w'-]+\s+){{0,3}}?(?:{'|'.join(lexicon.PEOPLE)})\b)"
)


@dataclass(slots=True)
class Statement:
    """One attribute as a text names it. ``implied`` by another word it gives way to what is said; ``conceded`` it
    stands before a "but", and gives way to what follows that.
    """

    word: str
    name: str
    there: bool
    degree: float | None = None  # 0 to 1
    implied: bool = False
    conceded: bool = False


@dataclass(slots=True)
class Statements:
    """What a text says, word by word."""

    said: list[Statement] = field(default_factory=list)
    ages_years: Years | None = None
    unknown: list[str] = field(default_factory=list)
    unshowable: list[str] = field(default_factory=list)  # understood, but no face can show it
    pronoun: bool | None = None  # whether the first one speaks of a man


def read_statements(text: str, option: str) -> Statements:
    """Read a text. ``RequestError`` for one that is too long, for a number of people, and for ages and strengths that
    cannot be.
    """
    if len(text) > LONGEST_TEXT:
        raise RequestError(f"{option}: {len(text)} characters given; at most {LONGEST_TEXT} are read")
    text = _opened(text)
    if many := _COUNT.search(text):
        number = (
            f" {_NUMBERS.get(many[1], many[1])}" if (many[1] or "") in _NUMBERS or (many[1] or "").isdecimal() else ""
        )
        raise RequestError(
            f"{option}: '{many[0].strip()}' given; say what one face is like, and how many with --count{number}"
        )
    found = Statements()
    for sentence in _SENTENCE_END.split(with_digits(text)):
        begin = len(found.said)
        found.unshowable += _MEASURE.findall(sentence)
        sentence = _MEASURE.sub(" ", sentence)
        clauses = [clause for clause in map(str.strip, _CLAUSE_END.split(sentence)) if clause]
        denied: str | None = None
        for place, clause in enumerate(clauses):
            ages = read_ages(clause, option)
            found.ages_years = common(found.ages_years, ages.years, option)
            found.unknown += ages.unknown
            reader = _Clause(ages.text, _first_head(clauses[place + 1]) if place + 1 < len(clauses) else None, option,
                             found, begin)  # fmt: skip
            reader.denied = denied
            reader.read()
            # "without beard, glasses or hat" denies all three; "no hat, smiling" one.
            denied = reader.denied if _series_goes_on(clauses[place + 1 :]) else None
    _rate(found)
    if found.pronoun is not None and not any(each.name == "Male" for each in found.said):
        found.said.append(Statement("he" if found.pronoun else "she", "Male", found.pronoun, implied=True))
    return found


def _rate(found: Statements) -> None:
    """A beautiful man is an attractive man; "attractive" alone says neither."""
    for statement in found.said:
        if statement.word.split()[-1] in lexicon.RATED and statement.name.startswith("Attractive"):
            sex = next((each for each in found.said if each.name == "Male"), None)
            male = sex.there if sex else found.pronoun
            if male is not None:
                statement.name = "Attractive Man" if male else "Attractive Woman"
            elif statement.word == "attractive":
                found.unknown.append(statement.word)
    if found.unknown[-1:] == ["attractive"]:
        found.said = [each for each in found.said if each.word != "attractive"]


def _opened(text: str) -> str:
    """Lower case, one kind of apostrophe, "isn't" as "is not", "w/" as "with"."""
    text = re.sub(r"[\x00-\x08\x0e-\x1f]", " ", text)  # of which tokens are made below
    text = _without_markup(text.casefold())
    text = _APOSTROPHES.sub("'", text).replace("\u2010", "-").replace("\u2011", "-")
    for pattern, words in _ABBREVIATIONS:
        text = re.sub(pattern, words, text)
    return text


def _without_markup(text: str) -> str:
    """Tags as their names, and "alert(1)" as "alert 1": figures of markup and of code are no clauses of their own."""
    text = _TAG.sub(r" \1 ", _COMMENT.sub(" ", text))

    def call(found: re.Match[str]) -> str:
        known = lexicon.is_known(found[1]) or found[1] in lexicon.FILLERS
        return found[0] if known else f"{found[1]} {re.sub('[^0-9]+', ' ', found[2])}"

    return _CALL.sub(call, text)


def _series_goes_on(clauses: list[str]) -> bool:
    """Whether what follows is more of a series that ends with "or"."""
    for clause in clauses:
        words = plain(clause).split()
        if not words or len(words) > 4 or words[0] in lexicon.DENIALS or set(words) & lexicon.ENDS:
            return False
        if set(words) & lexicon.CARRIES:
            return True
    return False


def _first_head(clause: str) -> str | None:
    """The word that adjectives before a comma wait for: "brown, curly hair"."""
    for token in plain(clause).split():
        if token in lexicon.HEADS:
            return lexicon.HEADS[token]
        if token in lexicon.ENDS or token in lexicon.DENIALS:
            return None
    return None


def _strength(text: str, whole: float, given: str, option: str) -> float:
    try:
        value = float(text) / whole
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise RequestError(f"{option}: '{given}' given; a strength is a number from 0 to 1, as in smiling:0.8")
    return value


class _Clause:
    """What stands between two commas. Tokens are words, ":0.8" and "%0.8" (80 %)."""

    def __init__(self, text: str, next_head: str | None, option: str, found: Statements, begin: int) -> None:
        self.next_head, self.option, self.found, self.begin = next_head, option, found, begin
        self.tokens = self._tokens(text)
        self.denied: str | None = None  # the word that denies what comes
        self.spent = False  # whether it has denied something yet
        self.degree: float | None = None  # waits for an attribute
        self.last: Statement | None = None
        self.open_head: str | None = None  # "hair" of "the hair is black", until an adjective has it
        self.place = 0
        self.used: set[int] = set()  # tokens that an adjective before them has read

    def read(self) -> None:
        """Add what the clause says to ``found``."""
        place = 0
        while place < len(self.tokens):
            self.place = place
            place += 1 if place in self.used else self._step(place)
        self._end_degree()
        if self.tokens and self.tokens[-1] in lexicon.DENIALS:
            self.found.unknown.append(self.tokens[-1])

    def _tokens(self, text: str) -> list[str]:
        def strength(found: re.Match[str]) -> str:
            word = text[: found.start()].split()[-1:]
            given = f"{''.join(word)}:{found[1]}"
            return f" \0{_strength(found[1], 1, given, self.option):.6f} "

        text = _STRENGTH.sub(strength, text)
        text = _PERCENT.sub(lambda m: f" \1{_strength(m[1], 100, m[0], self.option):.6f} ", text)
        tokens = []
        for part in re.split(r"\s+", re.sub(r"(?<=\w)/(?=\w)", " ", text)):
            if part[:1] in ("\0", "\1"):
                tokens.append(part)
            else:
                tokens += re.findall(r"\d+\.\d+|\w+", plain(part))
        words = plain(" ".join(tokens)).split()  # phrases have other spellings too: "make up"
        for word in words:
            if word in lexicon.PRONOUNS and self.found.pronoun is None:
                self.found.pronoun = lexicon.PRONOUNS[word]
        return [word for word in words if word not in lexicon.DROPPED]

    def _step(self, place: int) -> int:
        """Read at ``place``; how many tokens were read."""
        token = self.tokens[place]
        if token[0] == "\0":
            if self.last is not None:
                self.last.degree = float(token[1:])
            else:
                self.found.unknown.append(f":{float(token[1:]):g}")
        elif token[0] == "\1":
            self.degree = float(token[1:])
        elif length := self._phrase_length(place):
            phrase = self.tokens[place : place + length]
            self._say(phrase)
            if phrase[0] in lexicon.DENIALS:  # "no beard or glasses"
                self.denied, self.spent = phrase[0], True
            return length
        elif token in lexicon.DENIALS:
            if self.tokens[place + 1 : place + 2] in (["only"], ["just"]):
                return 2
            if self.denied and not self.spent and token not in lexicon.CARRIES:  # "not not bald": who knows
                self.found.unknown.append(token)
            self.denied, self.spent = token, False
        elif token in ("free", "off") and self.last is not None:
            self.last.there = not self.last.there
        elif length := self._degree_length(place):
            self.degree = lexicon.DEGREES[" ".join(self.tokens[place : place + length])]
            return length
        elif not self._with_head(place, token):
            if meaning_of([token]) is not None:
                self._say([token])
            else:
                self._other(token)
        return 1

    def _with_head(self, place: int, token: str) -> bool:
        """Read an adjective with the noun that it belongs to; False where it belongs to none."""
        at, head, crossed = self._head_of(place)
        for noun in (self.open_head, head) if at is None else (head, self.open_head):
            if noun and noun != lexicon.HEADS.get(token) and meaning_of([token, noun]) is not None:
                self._say([token, noun])
                if noun == head and at is not None and at == place + 1:
                    self.used.add(at)
                elif noun == self.open_head and noun != head:
                    self.open_head = None
                return True
        if head is None or crossed or token in lexicon.FILLERS or token in lexicon.HEADS:
            return False
        if token in lexicon.ADJECTIVES and at is not None:
            self.found.unshowable.append(f"{token} {head}")
            self.used |= {at} if meaning_of([head]) == ((), False) else set()
        elif meaning_of([token]) is None:
            self.found.unknown.append(token if head in lexicon.THINGS or token.isdecimal() else f"{token} {head}")
        else:
            return False
        self.spent = True
        return True

    def _head_of(self, place: int) -> tuple[int | None, str | None, bool]:
        """(where it stands, the noun that an adjective at ``place`` may belong to, whether across an "and")."""
        crossed = False
        for at, token in enumerate(self.tokens[place + 1 :], place + 1):
            if token in lexicon.HEADS:
                return at, lexicon.HEADS[token], crossed
            if token in lexicon.DENIALS or (token in lexicon.FILLERS and token != "and"):
                break
            if meaning_of([token]) and token not in lexicon.ADJECTIVES and not _waits(token):
                break
            crossed = crossed or token == "and"
        else:
            adjective, others = self.tokens[place], self.tokens[:place]
            # A whole entry of a list is no adjective: "not white, bangs".
            alone = meaning_of([adjective]) and all(token in lexicon.DENIALS | set(lexicon.DEGREES) for token in others)
            if not alone and adjective not in lexicon.FILLERS and len(self.tokens) == place + 1:
                return None, self.next_head, True
        return None, None, crossed

    def _other(self, token: str) -> None:
        """A word that is no attribute."""
        if token == "but":
            for statement in self.found.said[self.begin :]:
                statement.conceded = True
        if token in lexicon.ENDS:
            self._end_degree()
            if self.spent and (self.denied not in lexicon.LASTING or token != "and"):
                self.denied = None
        elif token in lexicon.HEADS:
            self.open_head = lexicon.HEADS[token]
        elif token == "attractive":
            self._say_meaning(token, (("Attractive Woman", True),), denying=False)  # or man: see _rate
        elif token not in lexicon.FILLERS and token not in lexicon.PRONOUNS:
            (self.found.unshowable if token in lexicon.ADJECTIVES and not _waits(token) else self.found.unknown).append(
                token
            )
            self.spent = True

    def _say(self, phrase: list[str]) -> None:
        found = meaning_of(phrase)
        if found is None:
            return
        meaning, denying = found
        word = " ".join(phrase)
        if not meaning:
            self.found.unshowable.append(word)
        self._say_meaning(word, meaning, denying)

    def _say_meaning(self, word: str, meaning: Meaning, denying: bool) -> None:
        denial = self.denied
        if denial and self.spent and meaning[:1] and meaning[0][0] == "Male" and not self._carried():
            denial = None  # "a not smiling woman" is a woman
        denied = bool(denial) != denying
        self.spent = True
        for number, (name, there) in enumerate(meaning):
            if denied and number:
                break  # "not a boy" says nothing of the age
            degree = self.degree if number == 0 else None
            told = f"{denial} {word}" if denial else word
            statement = Statement(told, name, there != denied, degree, implied=number > 0)
            self.found.said.append(statement)
            self.last = statement if number == 0 else self.last
        self.degree = None

    def _carried(self) -> bool:
        return self.tokens[self.place - 1] in lexicon.CARRIES | {"and"}

    def _end_degree(self) -> None:
        """A degree that nothing came after belongs to what came before: "smiling a little"."""
        if self.degree is not None and self.last is not None and self.last.degree is None:
            self.last.degree = self.degree
        self.degree = None

    def _phrase_length(self, place: int) -> int:
        """How long a known phrase of two words or more stands at ``place``; 0: none."""
        longest = min(lexicon.LONGEST_PHRASE, len(self.tokens) - place)
        return next((n for n in range(longest, 1, -1) if meaning_of(self.tokens[place : place + n]) is not None), 0)

    def _degree_length(self, place: int) -> int:
        for length in range(min(3, len(self.tokens) - place), 0, -1):
            if " ".join(self.tokens[place : place + length]) in lexicon.DEGREES:
                return length
        return 0


def _waits(token: str) -> bool:
    """Whether a word that means something by itself may also stand before a noun: "curly" of "brown curly hair"."""
    return any(meaning_of([token, head]) for head in ("hair", "eyes", "nose", "lips", "skin", "eyebrows", "face"))
