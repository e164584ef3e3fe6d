"""The old name of ``sentences``, for the studio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mien.attributes.sentences import Unknown, understand


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says of a face."""

    wanted: Mapping[str, bool | float] = field(default_factory=dict)
    ages_years: tuple[float, float] | None = None
    unknown: tuple[Unknown, ...] = ()
    remark: str = ""


def read(text: str, *, option: str = "words") -> Reading:
    """``understand``."""
    found = understand(text, option=option)
    return Reading(found.description.attributes, found.description.ages_years, found.unknown, found.remark)
