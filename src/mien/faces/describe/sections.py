"""The 42 groups in the order in which a person reads a face: who, hair, eyes, nose and mouth ... and the photo last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mien.faces.attributes.vocabulary import GROUPS
from mien.faces.describe.records import FaceDescription

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("person", ("sex", "age", "ethnicity")),
    ("hair", ("hair", "hair texture", "hairline", "sideburns")),
    ("forehead", ("forehead",)),
    ("eyes", ("eyebrows", "eyes open", "eye shape", "eye color", "bags under eyes", "eyewear")),
    ("nose, cheeks", ("nose", "nose-mouth lines", "cheekbones", "cheeks")),
    ("mouth", ("expression", "mouth", "teeth", "lips")),
    ("beard", ("beard", "mustache", "stubble")),
    ("shape", ("face shape", "jaw", "chin", "build")),
    ("skin", ("complexion", "shine", "makeup", "lipstick")),
    ("worn", ("hat", "earrings", "neckwear")),
    ("raters say", ("attractiveness",)),
    ("photo", ("color", "focus", "lighting", "place", "occasion")),
)

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
