"""Statements on attributes -> one value an attribute; what cannot be at once is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mien.attributes.grammar import Statement
from mien.attributes.vocabulary import GROUP_OF, GROUPS
from mien.core.errors import RequestError

# What cannot be at once though it lies in two groups.
CONTRADICTIONS: tuple[tuple[tuple[str, bool], tuple[str, bool]], ...] = (
    (("Bald", True), ("Bangs", True)),  # marked at once on 2 photos of LFW, by chance it would be 94
    (("Male", True), ("Attractive Woman", True)),
    (("Male", False), ("Attractive Man", True)),
)


def combine(statements: Sequence[Statement], *, aged: bool = False, option: str) -> dict[str, bool | float]:
    """Attribute -> True, False, or how far it is there, in (0, 1); a strength of 1 is True and of 0 is False.

    "not" and words of the other side turn a strength round (woman:0.8 is 0.2 male). ``aged``: an age in years is
    given, and implied ones give way. ``RequestError`` for the same attribute said in two ways, and for what cannot be
    at once: in a group, and in a pair of ``CONTRADICTIONS``, what is wanted may add up to 1 at most.
    """
    values: dict[str, bool | float] = {}
    said: dict[str, str] = {}
    for statement in _standing(statements, aged):
        name, value = statement.name, _value(statement)
        word = statement.word if statement.degree is None else f"{statement.word}:{statement.degree:g}"
        if name in values and values[name] != value:
            raise RequestError(f"{option}: '{said[name]}' and '{word}' contradict each other")
        values[name], said[name] = value, word
    _refuse_groups(values, said, option)
    _refuse_pairs(values, said, option)
    return values


def _standing(statements: Sequence[Statement], aged: bool) -> Iterator[Statement]:
    """Without what is implied where its group is said, or implied in two ways; and without what a "but" takes back."""
    plainly = [each for each in statements if not each.implied]
    taken = {GROUP_OF[each.name].name for each in plainly} | ({"age"} if aged else set())
    implied = {(GROUP_OF[each.name].name, each.name, each.there) for each in statements if each.implied}
    groups = [group for group, _, _ in implied]
    for each in statements:
        group = GROUP_OF[each.name].name
        if each.implied and (group in taken or groups.count(group) > 1):
            continue
        if each.conceded and any(_takes_back(other, each) for other in plainly if not other.conceded):
            continue
        yield each


def _takes_back(later: Statement, earlier: Statement) -> bool:
    if later.name == earlier.name:
        return later.there != earlier.there or later.degree != earlier.degree
    return later.there and earlier.there and GROUP_OF[later.name] == GROUP_OF[earlier.name]


def _value(statement: Statement) -> bool | float:
    degree = 1.0 if statement.degree is None else statement.degree
    rounded = round(degree if statement.there else 1 - degree, 6)  # 1 - 0.8 is 0.2
    return bool(rounded) if rounded in (0.0, 1.0) else rounded


def _refuse_groups(values: Mapping[str, bool | float], said: Mapping[str, str], option: str) -> None:
    for group in GROUPS:
        named = [name for name in values if name in group.members]  # in the order of the text
        wanted = [name for name in named if values[name]]
        if len(wanted) > 1 and round(sum(values[name] for name in wanted), 6) > 1:
            words = " and ".join(f"'{said[name]}'" for name in wanted)
            shares = any(values[name] is not True for name in wanted)
            rule = "strengths add up to 1 at most" if shares else "a face has one of them at most"
            raise RequestError(f"{option}: {words} exclude each other ({group.name}): {rule}")
        if group.none is None and not wanted and len(named) == len(group.members):
            words = ", ".join(f"'{said[name]}'" for name in named)
            raise RequestError(f"{option}: {words} leave nothing ({group.name}): a face has one of them")


def _refuse_pairs(values: Mapping[str, bool | float], said: Mapping[str, str], option: str) -> None:
    for pair in CONTRADICTIONS:
        if not all(name in values for name, _ in pair):
            continue
        degrees = [values[name] if there else 1 - values[name] for name, there in pair]
        if all(degrees) and round(sum(degrees), 6) > 1:
            words = " and ".join(f"'{said[name]}'" for name in values if name in dict(pair))
            raise RequestError(f"{option}: {words} contradict each other")
