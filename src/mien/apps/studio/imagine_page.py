"""What the tab Imagine shows, as HTML: the chips, the sheet of faces, the way that led here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from mien.apps.studio.imagine_chips import BOARD, Chip
from mien.apps.studio.imagine_history import EditHistory, title_of
from mien.core.foreign import in_html
from mien.pipelines.edit_request import link_of

OPEN_SECTIONS = ("person", "hair", "eyes", "mouth")


@dataclass(frozen=True, slots=True)
class Shown:
    """A face on a sheet: where its PNG is, what stands under it, and what it is called when it is saved."""

    address: str
    caption: str
    name: str


def board(shown: Mapping[str, float]) -> str:
    """The chips in their sections; ``shown``: label -> strength in (0, 1], or -1 where it is denied."""
    return '<div class="chipboard">' + "".join(_section(title, chips, shown) for title, chips in BOARD) + "</div>"


def _section(title: str, chips: Sequence[Chip], shown: Mapping[str, float]) -> str:
    on = sum(chip.label in shown for chip in chips)
    opened = " open" if on or title in OPEN_SECTIONS else ""
    buttons = "".join(_chip(chip, shown.get(chip.label, 0.0)) for chip in chips)
    strengths = "".join(_strength(chip.label, shown[chip.label]) for chip in chips if shown.get(chip.label, 0) > 0)
    return (
        f'<details{opened}><summary>{in_html(title)}<span class="on">{on or ""}</span></summary>'
        f'<div class="chips" role="group" aria-label="{in_html(title)}">{buttons}</div>'
        f'<div class="strengths">{strengths}</div></details>'
    )


def _chip(chip: Chip, strength: float) -> str:
    kind = "denied" if strength < 0 else "lit" if strength > 0 else ""
    label = in_html(chip.label)
    return (
        f'<button type="button" class="chip {kind}" data-label="{label}" data-group="{in_html(chip.group)}" '
        f'data-attribute="{in_html(chip.attribute)}" data-deniable="{int(chip.deniable)}" data-strength="{strength:g}" '
        f'aria-pressed="{"true" if strength else "false"}">{"not " if strength < 0 else ""}{label}</button>'
    )


def _strength(label: str, strength: float) -> str:
    """How far a wanted attribute goes; the same markup as ``scripts/imagine_chips.js`` makes."""
    name = in_html(label)
    return (
        f'<label class="strength" data-label="{name}"><span>{name}</span>'
        f'<input type="range" min="10" max="100" step="5" value="{strength * 100:.0f}" '
        f'aria-label="how {name}, percent">'
        f"<output>{strength * 100:.0f} %</output></label>"
    )


def sheet(faces: Sequence[Shown], name: str, *, picked: int = -1, pickable: bool = True) -> str:
    """Faces as a contact sheet. Arrow keys go from face to face, Enter and the space bar pick."""
    if not faces:
        return ""
    tiles = []
    for k, face in enumerate(faces):
        image = f'<img src="{in_html(face.address)}" alt="face no. {k + 1}" width="128" height="128" draggable="false">'
        caption = f'<span class="caption">{in_html(face.caption)}</span>'
        if pickable:
            stop = 0 if k == max(picked, 0) else -1
            tiles.append(
                f'<button type="button" class="tile{" picked" if k == picked else ""}" role="radio" data-number="{k}" '
                f'aria-checked="{"true" if k == picked else "false"}" tabindex="{stop}" '
                f'aria-label="{in_html(face.caption)}">{image}{caption}</button>'
            )
        else:
            tiles.append(f'<figure class="tile">{image}{caption}</figure>')
    role = f'role="{"radiogroup" if pickable else "group"}" aria-label="{in_html(name)}"'
    return f'<div class="tiles" {role}>{"".join(tiles)}</div>'


def waiting(count: int) -> str:
    """The sheet before its faces are there."""
    return f'<div class="tiles blank" aria-hidden="true">{"<span class=tile></span>" * count}</div>'


def trail(history: EditHistory, zip_address: str = "") -> str:
    """The edits as buttons; the one that is shown is marked, those that were undone are pale. With link and zip."""
    steps = "".join(
        f'<li><button type="button" class="step{" now" if k == history.at else " undone" if k > history.at else ""}" '
        f'data-at="{k}"{" aria-current=step" if k == history.at else ""}>{in_html(_short(title))}</button></li>'
        for k, title in enumerate(map(title_of, history.edits))
    )
    if history.now is None:
        return ""
    address = "?" + urlencode({"tab": "imagine", **link_of(history.now)})
    return (
        f'<nav class="trail" aria-label="steps"><ol>{steps}</ol></nav>'
        f'<p class="link"><a href="{in_html(address)}">Link to this sheet</a> '
        f'<button type="button" class="copy">Copy it</button> '
        f'<a href="{in_html(zip_address)}" download="imagined.zip">Save all</a> '
        f'<span class="seed">seed {history.now.seed}</span></p>'
    )


def _short(title: str, most: int = 48) -> str:
    return title if len(title) <= most else title[: most - 1].rstrip(" ,") + "\u2026"


def large(face: Shown, words: str) -> str:
    """The picked face, large, with its way to the disk."""
    return (
        f'<figure class="large"><img src="{in_html(face.address)}" alt="the picked face" width="256" height="256">'
        f"<figcaption><strong>{in_html(face.caption)}</strong> {in_html(words)}<br>"
        f'<a href="{in_html(face.address)}" download="{in_html(face.name)}">Save this face</a></figcaption></figure>'
    )
