"""What is said of one face, in the order in which a person reads it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from mien.attributes.sections import SECTIONS
from mien.attributes.vocabulary import GROUPS

_MEMBERS = {group.name: group.members for group in GROUPS}


@dataclass(frozen=True, slots=True)
class Entry:
    """One attribute of one face."""

    name: str
    probability: float
    present: bool


def sections(
    attributes: Mapping[str, float], present: Collection[str], groups: Collection[str]
) -> Iterator[tuple[str, list[list[Entry]]]]:
    """(title, groups) of a ``FaceDescription``'s values, or of the same values in its JSON, in reading order.

    A group is a list of entries, the likeliest first. Groups that were left out (ethnicity) do not appear.
    """
    for title, names in SECTIONS:
        found = [
            sorted(
                (Entry(n, attributes[n], n in present) for n in _MEMBERS[name]), key=lambda entry: -entry.probability
            )
            for name in names
            if name in groups
        ]
        if found:
            yield title, found
