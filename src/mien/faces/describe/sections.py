"""What is said of one face, in the order in which a person reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mien.faces.attributes.sections import SECTIONS
from mien.faces.attributes.vocabulary import GROUPS
from mien.faces.describe.records import FaceDescription

_MEMBERS = {group.name: group.members for group in GROUPS}


@dataclass(frozen=True, slots=True)
class Entry:
    """One attribute of one face."""

    name: str
    probability: float
    present: bool


def sections(described: FaceDescription) -> Iterator[tuple[str, list[list[Entry]]]]:
    """(title, groups) in reading order; a group is a list of entries, the likeliest first.

    Groups that were left out (ethnicity) do not appear.
    """
    for title, names in SECTIONS:
        groups = [
            sorted(
                (Entry(n, described.attributes[n], n in described.present) for n in _MEMBERS[name]),
                key=lambda entry: -entry.probability,
            )
            for name in names
            if name in described.groups
        ]
        if groups:
            yield title, groups
