"""The vocabulary of attributes as front ends list it: groups in sections, other words for each, what excludes what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mien.attributes.contradictions import CONTRADICTIONS
from mien.attributes.lexicon import synonyms_of
from mien.attributes.sections import SECTIONS
from mien.attributes.vocabulary import GROUP_OF, GROUPS, NAMES

__all__ = ["AGE", "AGE_WORDS", "GROUP_OF", "NAMES", "SECTIONS", "VocabularyGroup", "VocabularyWord", "vocabulary",
           "with_value"]  # fmt: skip

AGE = "age"  # the group of baby to senior; what a density calls the age in years has the same name
AGE_WORDS = next(group for group in GROUPS if group.name == AGE).members


@dataclass(frozen=True, slots=True)
class VocabularyWord:
    """One attribute, with other words for it and for its absence."""

    name: str
    words: tuple[str, ...]
    words_for_not: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VocabularyGroup:
    """Attributes of which a face has at most one; ``none`` says that it has none of them (None: unknown)."""

    name: str
    none: str | None
    attributes: tuple[VocabularyWord, ...]


def vocabulary() -> tuple[VocabularyGroup, ...]:
    """The 73 attributes in their 42 groups."""
    return tuple(
        VocabularyGroup(
            group.name,
            group.none,
            tuple(
                VocabularyWord(name, tuple(synonyms_of(name)), tuple(synonyms_of(name, False)))
                for name in group.members
            ),
        )
        for group in GROUPS
    )


def with_value(wanted: Mapping[str, bool | float], attribute: str, value: bool | float) -> dict[str, bool | float]:
    """A description with one attribute set, and without what that excludes: in its group, and contradictions."""
    group = set(GROUP_OF[attribute].members) - {attribute}
    kept = {
        name: degree
        for name, degree in wanted.items()
        if name != attribute and not (value and degree and name in group)
    }
    for pair in CONTRADICTIONS:
        sides = dict(pair)
        if attribute in sides and bool(value) == sides[attribute]:
            kept = {name: degree for name, degree in kept.items() if name not in sides or bool(degree) != sides[name]}
    return {**kept, attribute: value}
