"""The chips of the studio and the words in its text box: two ways to say one wish, each of which follows the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mien.attributes import GROUP_OF, GROUPS, parse
from mien.attributes.contradictions import CONTRADICTIONS
from mien.attributes.sections import SECTIONS

Ages = tuple[float, float]
Wanted = tuple[tuple[str, bool | float], ...]  # attribute -> True, False or how far; a tuple, for frozen records

# Attribute -> what a chip says where it is there, and where it is not (no chip of its own: None, "not ..." denies it).
# All others are called by their own names. ``parse`` reads every one of these words.
LABELS: Mapping[str, tuple[str | None, str | None]] = {
    "Male": ("man", "woman"),
    "No Eyewear": ("no glasses", None),
    "Eyeglasses": ("glasses", None),
    "Eyes Open": (None, "eyes closed"),
    "Teeth Not Visible": (None, "teeth visible"),
    "No Beard": ("clean shaven", "beard"),
    "5 o' Clock Shadow": ("stubble", None),
    "Heavy Makeup": ("makeup", None),
    "Wearing Lipstick": ("lipstick", None),
    "Wearing Hat": ("hat", None),
    "Wearing Earrings": ("earrings", None),
    "Wearing Necktie": ("tie", None),
    "Wearing Necklace": ("necklace", None),
    "Outdoor": ("outdoors", "indoors"),
    "Blurry": ("blurry", "sharp"),
    "Color Photo": ("colour photo", "black and white photo"),
    "Posed Photo": ("posed photo", "candid"),
}
TITLES = {"raters say": "raters of 2009 said", "nose, cheeks": "nose and cheeks"}
GIVEN_AGE = "aged"
LEAST_STRENGTH = 0.1


@dataclass(frozen=True, slots=True)
class Chip:
    """One thing that can be wanted. ``there`` False: it says that the attribute is absent ("woman")."""

    label: str
    attribute: str
    there: bool
    deniable: bool  # whether "not" makes sense: where no other chip says the opposite

    @property
    def group(self) -> str:
        """Chips of one group exclude each other."""
        return GROUP_OF[self.attribute].name


def labels_of(attribute: str) -> tuple[str | None, str | None]:
    """What a chip says for an attribute and for its absence."""
    return LABELS.get(attribute, (attribute.lower(), None))


def _chips_of(attribute: str) -> list[Chip]:
    there, absent = labels_of(attribute)
    chips = [
        Chip(label, attribute, side, not (there and absent))
        for label, side in ((there, True), (absent, False))
        if label
    ]
    return chips[::-1] if attribute == "Male" else chips  # woman, man: as a list of words would have it


_MEMBERS = {group.name: group.members for group in GROUPS}
BOARD: tuple[tuple[str, tuple[Chip, ...]], ...] = tuple(
    (TITLES.get(title, title), tuple(c for group in groups for name in _MEMBERS[group] for c in _chips_of(name)))
    for title, groups in SECTIONS
)
CHIPS: Mapping[str, Chip] = {chip.label: chip for _, chips in BOARD for chip in chips}


def in_words(wanted: Mapping[str, bool | float], ages_years: Ages | None = None) -> str:
    """A wish as the text box shows it; ``understand`` reads it back as the same wish."""
    parts = []
    for name, value in wanted.items():
        there, absent = labels_of(name)
        if value is True:
            parts.append(there or f"not {absent}")
        elif value is False:
            parts.append(absent or f"not {there}")
        else:
            parts.append(f"{there}:{value:g}" if there else f"{absent}:{round(1 - value, 6):g}")
    if ages_years is not None:
        low, high = ages_years
        parts.append(f"{GIVEN_AGE} {low:g}" if low == high else f"{GIVEN_AGE} {low:g}-{high:g}")
    return ", ".join(parts)


def lit(wanted: Mapping[str, bool | float]) -> dict[str, float]:
    """A wish as the chips show it: label -> strength in (0, 1], or -1 where it is denied."""
    shown: dict[str, float] = {}
    for name, value in wanted.items():
        there, absent = labels_of(name)
        degree = float(value)
        if degree == 0:
            shown[absent or str(there)] = 1.0 if absent else -1.0
        elif there:
            shown[there] = degree
        else:
            shown[str(absent)] = -1.0 if degree == 1 else round(1 - degree, 6)
    return shown


def unlit(shown: Mapping[str, float]) -> dict[str, bool | float]:
    """The wish that chips show; the inverse of ``lit``. ``RequestError`` for a label that there is not, a strength over
    1, and what cannot be at once.
    """
    parts = []
    for label, strength in shown.items():
        if strength == 0:
            continue
        parts.append(f"not {label}" if strength < 0 else label if strength == 1 else f"{label}:{strength:g}")
    return parse(", ".join(parts), option="chips")


def replaced(wanted: Mapping[str, bool | float], attribute: str, value: bool | float) -> dict[str, bool | float]:
    """A wish with one attribute set, and without what that excludes: others wanted in its group, and contradictions."""
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
