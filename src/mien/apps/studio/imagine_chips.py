"""The chips of the studio and the words in its text box: two ways to say one description, each follows the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mien.pipelines.request import understand_all
from mien.pipelines.vocabulary import GROUP_OF, SECTIONS, vocabulary

# Attribute -> what a chip says where it is there, and where it is not (no chip of its own: None, "not ..." denies it).
# All others are called by their own names. ``understand`` reads every one of these words.
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


_MEMBERS = {group.name: [each.name for each in group.attributes] for group in vocabulary()}
BOARD: tuple[tuple[str, tuple[Chip, ...]], ...] = tuple(
    (TITLES.get(title, title), tuple(c for group in groups for name in _MEMBERS[group] for c in _chips_of(name)))
    for title, groups in SECTIONS
)
CHIPS: Mapping[str, Chip] = {chip.label: chip for _, chips in BOARD for chip in chips}


def strengths_of(wanted: Mapping[str, bool | float]) -> dict[str, float]:
    """A description as the chips show it: label -> strength in (0, 1], or -1 where it is denied."""
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


def wanted_of(shown: Mapping[str, float]) -> dict[str, bool | float]:
    """The description that chips show; the inverse of ``strengths_of``. ``RequestError`` for a label that there is not,
    a strength over 1, and what cannot be at once.
    """
    parts = []
    for label, strength in shown.items():
        if strength == 0:
            continue
        parts.append(f"not {label}" if strength < 0 else label if strength == 1 else f"{label}:{strength:g}")
    return dict(understand_all(", ".join(parts), option="chips").attributes)
