"""The strict reader of lists that front ends had before ``sentences.understand``; it refuses what that leaves out."""

from __future__ import annotations

from collections.abc import Mapping

from mien.attributes.sentences import understand
from mien.core.errors import RequestError


def parse(
    text: str, *, option: str = "attributes", known: Mapping[str, str] | None = None, strengths: bool = True
) -> dict[str, bool | float]:
    """Attribute -> True, False, or how far. ``RequestError`` for all that ``understand`` remarks on, and for ages."""
    found = understand(text, option=option, known=known, strengths=strengths)
    allowed = f"allowed: {', '.join(known.values())}, and each after 'not'" if known else ""
    if found.unknown or found.unshowable:
        word, near = (found.unknown[0].word, found.unknown[0].near) if found.unknown else (found.unshowable[0], ())
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise RequestError(f"{option}: '{word}' given{hint}; {allowed or '`mien attributes` lists what is allowed'}")
    if found.not_known:
        raise RequestError(f"{option}: '{found.not_known[0]}' given, which this model was not taught; {allowed}")
    if found.rounded:
        part = next((part.strip() for part in text.split(",") if ":" in part), text)
        raise RequestError(f"{option}: '{part}' given; strengths are not understood here, words and 'not' are")
    if found.description.ages_years:
        raise RequestError(f"{option}: '{text}' given; an age is no attribute")
    return dict(found.description.attributes)
