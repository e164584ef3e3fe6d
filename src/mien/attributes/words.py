"""What people write -> attributes: names, other words for them, "not", strengths, and what cannot be at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from mien.attributes.vocabulary import GROUPS, NAMES
from mien.core.errors import RequestError

# Other word -> (attribute, whether the word says that it is there). Lower case, blanks for hyphens and apostrophes.
SYNONYMS: Mapping[str, tuple[str, bool]] = {
    "man": ("Male", True), "female": ("Male", False), "woman": ("Male", False),
    "caucasian": ("White", True),
    "infant": ("Baby", True), "kid": ("Child", True), "young": ("Youth", True),
    "elderly": ("Senior", True), "old": ("Senior", True),
    "brunette": ("Brown Hair", True), "brunet": ("Brown Hair", True),
    "blonde": ("Blond Hair", True), "blond": ("Blond Hair", True), "blonde hair": ("Blond Hair", True),
    "grey hair": ("Gray Hair", True), "white hair": ("Gray Hair", True),
    "curls": ("Curly Hair", True), "curly": ("Curly Hair", True), "wavy": ("Wavy Hair", True),
    "fringe": ("Bangs", True), "hat": ("Wearing Hat", True), "cap": ("Wearing Hat", True),
    "glasses": ("Eyeglasses", True), "spectacles": ("Eyeglasses", True), "wearing glasses": ("Eyeglasses", True),
    "shades": ("Sunglasses", True), "dark glasses": ("Sunglasses", True), "no glasses": ("No Eyewear", True),
    "without glasses": ("No Eyewear", True),
    "moustache": ("Mustache", True), "beard": ("No Beard", False), "bearded": ("No Beard", False),
    "clean shaven": ("No Beard", True), "beardless": ("No Beard", True),
    "stubble": ("5 o' Clock Shadow", True), "five o clock shadow": ("5 o' Clock Shadow", True),
    "smile": ("Smiling", True), "frown": ("Frowning", True), "eyes closed": ("Eyes Open", False),
    "closed eyes": ("Eyes Open", False), "open eyes": ("Eyes Open", True), "closed mouth": ("Mouth Closed", True),
    "open mouth": ("Mouth Wide Open", True), "mouth open": ("Mouth Wide Open", True),
    "teeth": ("Teeth Not Visible", False), "teeth visible": ("Teeth Not Visible", False),
    "full lips": ("Big Lips", True), "thick eyebrows": ("Bushy Eyebrows", True), "pointed nose": ("Pointy Nose", True),
    "plump": ("Chubby", True), "pale": ("Pale Skin", True), "flushed": ("Flushed Face", True),
    "makeup": ("Heavy Makeup", True), "make up": ("Heavy Makeup", True), "lipstick": ("Wearing Lipstick", True),
    "earrings": ("Wearing Earrings", True), "necklace": ("Wearing Necklace", True),
    "necktie": ("Wearing Necktie", True), "tie": ("Wearing Necktie", True),
    "outdoors": ("Outdoor", True), "indoor": ("Outdoor", False), "indoors": ("Outdoor", False),
    "blurred": ("Blurry", True), "sharp": ("Blurry", False), "candid": ("Posed Photo", False),
    "colour photo": ("Color Photo", True), "black and white photo": ("Color Photo", False),
}  # fmt: skip

# What cannot be at once though it lies in two groups.
CONTRADICTIONS: tuple[tuple[tuple[str, bool], tuple[str, bool]], ...] = (
    (("Bald", True), ("Bangs", True)),  # marked at once on 2 photos of LFW, by chance it would be 94
    (("Male", True), ("Attractive Woman", True)),
    (("Male", False), ("Attractive Man", True)),
)

_DENIALS = ("not ", "no ", "without ")
_NEAR = 3


def plain(text: str) -> str:
    """``5 o' Clock-Shadow`` -> ``5 o clock shadow``: the form in which words are compared."""
    return " ".join(re.sub(r"[-_'\u2019]", " ", text.casefold()).split())


WORDS: Mapping[str, tuple[str, bool]] = {plain(name): (name, True) for name in NAMES} | dict(SYNONYMS)


def parse(
    text: str, *, option: str = "attributes", known: Mapping[str, str] | None = None, strengths: bool = True
) -> dict[str, bool | float]:
    """``"woman, glasses, not bald, smiling:0.8"`` -> attribute -> True, False, or how far it is there, in (0, 1).

    ``option`` is what an error calls the text. ``known``: attribute -> word, where a model knows not all of the 73.
    A strength of 1 is True and of 0 is False; "not" and words of the other side turn it round (woman:0.8 is 0.2 male).
    ``RequestError`` for a word that there is not (with those near it), a strength outside [0, 1] or where
    ``strengths`` is False, the same attribute said in two ways, and what cannot be at once: in a group, and in a pair
    of ``CONTRADICTIONS``, what is asked for may add up to 1 at most.
    """
    found: dict[str, bool | float] = {}
    said: dict[str, str] = {}
    for part in map(str.strip, text.split(",")):
        if not part:
            continue
        word, colon, strength = part.partition(":")
        name, there = _meaning(word, option, known)
        degree = _strength(strength, part, option, strengths) if colon else 1.0
        value = _value(degree if there else 1 - degree)
        if name in found and found[name] != value:
            raise RequestError(f"{option}: '{said[name]}' and '{part}' contradict each other")
        found[name], said[name] = value, part
    _refuse_contradictions(found, said, option)
    return found


def synonyms_of(name: str, there: bool = True) -> tuple[str, ...]:
    """The other words for an attribute, or (``there`` False) for its absence."""
    return tuple(word for word, meaning in SYNONYMS.items() if meaning == (name, there))


def _meaning(word: str, option: str, known: Mapping[str, str] | None) -> tuple[str, bool]:
    asked = plain(word)
    there = True
    if asked not in WORDS:  # "no beard" is a name, "no hat" a denial
        denial = next((denial for denial in _DENIALS if asked.startswith(denial)), "")
        asked, there = asked.removeprefix(denial), not denial
    name, side = WORDS.get(asked, ("", True))
    if not name or (known is not None and name not in known):
        raise RequestError(f"{option}: '{word.strip()}' given{_advice(asked, bool(name), known)}")
    return name, side == there


def _advice(asked: str, is_word: bool, known: Mapping[str, str] | None) -> str:
    words = {plain(word): word for word in known.values()} if known is not None else {word: word for word in WORDS}
    near = [words[word] for word in difflib.get_close_matches(asked, words, n=_NEAR, cutoff=0.5)]
    hint = f"; near it: {', '.join(near)}" if near else ""
    if known is None:
        return f"{hint}; `mien attributes` lists what is allowed"
    untaught = ", which this model was not taught" if is_word else ""
    return f"{untaught}{hint}; allowed: {', '.join(known.values())}, and each after 'not'"


def _strength(text: str, part: str, option: str, allowed: bool) -> float:
    if not allowed:
        raise RequestError(f"{option}: '{part}' given; strengths are not understood here, words and 'not' are")
    try:
        degree = float(text)
    except ValueError:
        degree = float("nan")
    if not 0 <= degree <= 1:
        raise RequestError(f"{option}: '{part}' given; a strength is a number from 0 to 1, as in smiling:0.8")
    return degree


def _value(degree: float) -> bool | float:
    rounded = round(degree, 6)  # 1 - 0.8 is 0.2
    return bool(rounded) if rounded in (0.0, 1.0) else rounded


def _refuse_contradictions(found: Mapping[str, bool | float], said: Mapping[str, str], option: str) -> None:
    for group in GROUPS:
        named = [name for name in found if name in group.members]  # in the order of the text
        wanted = [name for name in named if found[name]]
        if len(wanted) > 1 and round(sum(found[name] for name in wanted), 6) > 1:
            words = " and ".join(f"'{said[name]}'" for name in wanted)
            shares = any(found[name] is not True for name in wanted)
            rule = "strengths add up to 1 at most" if shares else "a face has one of them at most"
            raise RequestError(f"{option}: {words} exclude each other ({group.name}): {rule}")
        if group.none is None and not wanted and len(named) == len(group.members):
            words = ", ".join(f"'{said[name]}'" for name in named)
            raise RequestError(f"{option}: {words} leave nothing ({group.name}): a face has one of them")
    for pair in CONTRADICTIONS:
        if not all(name in found for name, _ in pair):
            continue
        degrees = [found[name] if there else 1 - found[name] for name, there in pair]
        if all(degrees) and round(sum(degrees), 6) > 1:
            named = [name for name in found if name in dict(pair)]
            words = " and ".join(f"'{said[name]}'" for name in named)
            raise RequestError(f"{option}: {words} contradict each other")
