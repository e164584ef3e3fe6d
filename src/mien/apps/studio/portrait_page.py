"""What the tab Portrait shows, as HTML. Every picture is inline: it is on the page, and in no file and no cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mien.apps.studio.portrait_make import Likeness, inline
from mien.core.foreign import in_html

PERSONAL = (
    "A photo of a face, and the numbers that are computed from it, are personal data: use photos of people who agree. "
    "Photos stay in the memory of this machine, are forgotten with the page or after an hour, and are never written to "
    "the disk. A portrait is made by AI, says so inside the file, and is no evidence of how somebody looks."
)
SAME_BY_ENCODER, SAME_BY_JUDGE = 0.436, 0.6  # similarity over, distance under: one person (a test holds both to faces/)


@dataclass(frozen=True, slots=True)
class Finished:
    """One portrait with its marked PNG, or one photo that gave none."""

    photo: str
    likeness: Likeness | None = None
    png: bytes = b""
    row: Mapping[str, Any] = field(default_factory=dict)  # of the manifest
    wrong: str = ""


def cards(finished: list[Finished]) -> str:
    """All portraits, in the order of their photos. One more is so much more at the end: that is all that is sent."""
    return "".join(map(_card, finished))


def _card(one: Finished) -> str:
    if one.likeness is None:
        return (
            f'<article class="likeness wrong"><h2>{in_html(one.photo)}</h2>'
            f'<p class="notice wrong" role="alert">{in_html(one.wrong)}</p></article>'
        )
    found = one.likeness
    crop, portrait = inline(found.crop, "image/jpeg"), inline(one.png, "image/png")
    face = f", face {found.number + 1}" if found.number else ""
    file = in_html(str(one.row["file"]))
    warnings = "".join(f"<li>{in_html(sentence(warning))}</li>" for warning in found.warnings)
    return (
        f'<article class="likeness"><h2>{in_html(one.photo)}{face}</h2>'
        f'<div class="compare" style="--at: 50%"><img class="under" src="{portrait}" alt="portrait">'
        f'<img class="over" src="{crop}" alt="the face in the photo">'
        f'<input type="range" min="0" max="100" value="50" aria-label="from portrait to photo, percent"></div>'
        f'<div class="compare-words" aria-hidden="true"><span>photo</span><span>portrait</span></div>'
        f'<div class="strip">{_small(crop, "crop")}{_small(inline(found.drawn, "image/png"), "drawn")}'
        f"{_small(inline(found.mask, 'image/png'), 'mask')}</div>"
        f"{_measure(found)}"
        + (f'<ul class="warnings">{warnings}</ul>' if warnings else "")
        + f'<p><a class="save" href="{portrait}" download="{file}">Save portrait</a></p></article>'
    )


def _small(address: str, words: str) -> str:
    return (
        f'<figure><img src="{address}" alt="{words}" width="84" height="84"><figcaption>{words}</figcaption></figure>'
    )


def _measure(found: Likeness) -> str:
    """How like the portrait is, in words and as a bar with the line from which two faces are one person's."""
    same = found.similarity >= SAME_BY_ENCODER if found.distance is None else found.distance < SAME_BY_JUDGE
    said = "within one person" if same else "may not look like the person"
    line = f"similarity {found.similarity:.2f} (one person: over {SAME_BY_ENCODER:.2f})"
    if found.distance is not None:
        line += f", distance by another network {found.distance:.2f} (one person: under {SAME_BY_JUDGE:.2f})"
    share = min(max(found.similarity, 0.0), 1.0) * 100
    return (
        f'<div class="measure{"" if same else " low"}" style="--share: {share:.0f}%; --line-at: {SAME_BY_ENCODER:.0%}">'
        f'<span class="bar" aria-hidden="true"></span><p><strong>{said}</strong><br>{in_html(line)}</p></div>'
    )


def sentence(words: str) -> str:
    """With a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:]}."
