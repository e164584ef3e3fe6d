"""The crowd on the page: frames of a contact sheet, and the person that was picked. Values -> HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from mien.apps.studio.crowd_sheet import Sheet, SheetFace
from mien.core.foreign import in_html

# Red grease pencil around a frame that stays: not quite round, not quite closed, as a hand draws it.
PENCIL = (
    '<svg class="pencil" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true"><path d="M22 6 C46 1 78 2'
    ' 91 13 C99 24 98 70 93 86 C80 98 30 99 12 93 C2 82 1 30 7 14 C12 8 20 5 34 4"/></svg>'
)
LOCK = '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M5 9h10v8H5zM7 9V6a3 3 0 0 1 6 0v3"/></svg>'
OPEN = '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M5 9h10v8H5zM7 9V6a3 3 0 0 1 5.6-1.5"/></svg>'
ROLL = '<svg viewBox="0 0 20 20" aria-hidden="true"><path d="M16 10a6 6 0 1 1-2-4.5M16 3v4h-4"/></svg>'
NOBODY = "Pick a face to look at it, keep it, or see it younger, older, as a man, as a woman."
KEYS = "Keys: arrows move, Enter opens, <b>L</b> locks, <b>R</b> re-rolls, <b>V</b> varies sex and age."


def sheet_html(sheet: Sheet, addresses: Mapping[int, str], chosen: int | None, query: str = "") -> str:
    """All frames; those without a picture yet are empty. ``query`` becomes the page's address."""
    query = f' data-query="{in_html(query)}"' if query else ""
    frames = "".join(
        _frame(place, frame, addresses.get(place), place in sheet.locked, place == chosen)
        for place, frame in enumerate(sheet.frames)
    )
    return (
        f'<div class="sheet" role="group" aria-label="{sheet.mix.count} faces"{query}>{frames}</div>'
        f'<p class="keys">{KEYS}</p>'
    )


def link(sheet: Sheet, model_version: str = "") -> str:
    """What follows the '?' of an address that shows this sheet again, face for face where the model is the same."""
    said = {**sheet.query(), **({"model": model_version} if model_version else {})}
    return urlencode(said, quote_via=quote, safe="~,.-")


def _frame(place: int, frame: SheetFace, address: str | None, locked: bool, chosen: bool) -> str:
    who = f"{frame.noun} {frame.age_years:.0f}"
    state = " locked" * locked + " chosen" * chosen
    said = f"Frame {place + 1}: {frame.noun}, {frame.age_years:.0f}{', locked' if locked else ''}"
    picture = (
        f'<img src="{in_html(address)}" alt="" width="128" height="128" draggable="true">' if address else "<i></i>"
    )
    at = f'data-place="{place}"'
    return (
        f'<div class="frame{state}" {at}>'
        f'<button type="button" class="face" data-what="choose" {at} aria-label="{said}" aria-pressed="{_yes(chosen)}"'
        f' tabindex="{0 if chosen or not place else -1}">{picture}'
        f'<span class="number">{place + 1:02d}</span>{PENCIL if locked else ""}</button>'
        f'<div class="under"><span class="who">{who}</span>'
        f'<button type="button" class="act" data-what="lock" {at} tabindex="-1" aria-pressed="{_yes(locked)}"'
        f' title="{"Unlock" if locked else "Lock: this face stays"}" aria-label="Lock frame {place + 1}">'
        f"{LOCK if locked else OPEN}</button>"
        f'<button type="button" class="act" data-what="roll" {at} tabindex="-1"{" disabled" if locked else ""}'
        f' title="Another face here" aria-label="Another face in frame {place + 1}">{ROLL}</button></div></div>'
    )


def person_html(
    place: int | None,
    frame: SheetFace | None,
    address: str | None,
    locked: bool,
    variants: Sequence[tuple[SheetFace, str | None]],
) -> str:
    """The face that was picked, what can be done with it, and its variants by sex and age."""
    if place is None or frame is None:
        return f'<div class="person nobody"><p>{NOBODY}</p></div>'
    at = f'data-place="{place}"'
    asked = ", ".join(part for part in (frame.race or "", frame.words) if part)
    about = " · ".join([f"Frame {place + 1}", f"seed {frame.seed}", f"face {frame.index}", *([asked] if asked else [])])
    picture, download = "<i></i>", ""
    if address:
        alt = f"{frame.noun}, {frame.age_years:.0f}"
        picture = f'<img src="{in_html(address)}" alt="{alt}" width="256" height="256">'
        download = f'<a class="do" href="{in_html(address)}" download>Save PNG</a>'
    buttons = "".join(
        f'<button type="button" class="do" data-what="{what}" {at} {more}>{words}</button>'
        for what, words, more in (
            ("lock", "Unlock" if locked else "Lock", f'aria-pressed="{_yes(locked)}"'),
            ("roll", "Re-roll", "disabled" if locked else ""),
            ("vary", "Vary sex and age", ""),
        )
    )
    lines = (
        f'<div class="person" {at}>'
        f'<button type="button" class="close" data-what="close" {at} aria-label="Close">×</button>'
        f'<div class="big">{picture}{PENCIL if locked else ""}</div>'
        f'<p class="name">{frame.noun.capitalize()}, {frame.age_years:.0f}</p>'
        f'<p class="about">{in_html(about)}</p><div class="does">{buttons}{download}</div>'
    )
    return lines + _sweep(place, variants) + "</div>"


def _sweep(place: int, variants: Sequence[tuple[SheetFace, str | None]]) -> str:
    if not variants:
        return ""
    cells = "".join(_variant(place, number, frame, address) for number, (frame, address) in enumerate(variants))
    return (
        f'<div class="sweep" role="group" aria-label="The same draw of chance, other sexes and ages">{cells}</div>'
        '<p class="about">Pick one to put it in the frame, locked.</p>'
    )


def _variant(place: int, number: int, frame: SheetFace, address: str | None) -> str:
    who = f"{frame.noun} {frame.age_years:.0f}"
    picture = f'<img src="{in_html(address)}" alt="">' if address else "<i></i>"
    return (
        f'<button type="button" class="variant" data-what="take" data-place="{place}" data-number="{number}"'
        f' aria-label="Take the {who}">{picture}<small>{who}</small></button>'
    )


def _yes(value: bool) -> str:
    return "true" if value else "false"
