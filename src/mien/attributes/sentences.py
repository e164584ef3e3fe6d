"""A description of a face in words or sentences -> one typed description: the one reader of text of all front ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mien.attributes.prose import Unknown, read


@dataclass(frozen=True, slots=True)
class Description:
    """What a face is to be like: attributes of the vocabulary (sex is ``Male``), and an age range in years."""

    attributes: Mapping[str, bool | float] = field(default_factory=dict)  # True, False, or how far, in (0, 1)
    ages_years: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Understood:
    """What a text says of a face, and the words of it that were not understood."""

    description: Description
    unknown: tuple[Unknown, ...] = ()


def understand(text: str, *, option: str = "WORDS") -> Understood:
    """Read free text. ``RequestError`` for what contradicts itself, and for ages outside 1 to 100 years."""
    found = read(text, option=option)
    return Understood(Description(found.wanted, found.ages_years), found.unknown)
