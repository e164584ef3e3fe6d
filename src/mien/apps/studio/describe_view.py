"""A described photo on the page: boxes over it, and each face as a person reads a face. JSON -> HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mien.core.foreign import in_html

if TYPE_CHECKING:  # whatever draws in torch is imported where it is needed: the page is there sooner
    from mien.pipelines.describe_words import Entry

RIM = 0.06  # of the box's longer side: it is drawn a little wider than the mesh
LIKELY, MAYBE = 0.5, 0.2  # probabilities from which on an attribute is told as seen, and is named at once
RARE = 0.1  # a rare attribute may weigh in as present at 1 %: that is told with the less likely
NOBODY = (
    "Drop a photo, and read here what can be seen of each face: sex, age, hair, eyes, expression, pose, and how well."
)
CAUTION = (
    "Figures are percent. They say how a face looks to a network on one photo, never who it is. It errs, and not on all"
    " people alike: more on children and on women."
)


def nobody_html() -> str:
    """Before there is a face."""
    return f'<div class="person nobody"><p>{NOBODY}</p></div>'


def count_words(row: Mapping[str, Any]) -> str:
    """``3 faces, the largest first``."""
    n, small = len(row["faces"]), len(row["too_small"])
    words = "1 face" if n == 1 else f"{n} faces, the largest first"
    return words + (f"; {small} more too small to be described" if small else "")


def photo_html(address: str, width: int, height: int, faces: Sequence[Mapping[str, Any]], chosen: int) -> str:
    """The photo with a numbered box on each face; boxes are buttons."""
    boxes = "".join(_box(number, face, width, height, number == chosen) for number, face in enumerate(faces))
    return (
        f'<div class="photo" style="aspect-ratio:{width}/{height}"><img src="{in_html(address)}" alt="The photo">'
        f"{boxes}</div>"
    )


def _box(number: int, face: Mapping[str, Any], width: int, height: int, chosen: bool) -> str:
    x0, y0, x1, y1 = face["box"]
    rim = RIM * max(x1 - x0, y1 - y0)
    x0, y0, x1, y1 = max(x0 - rim, 0), max(y0 - rim, 0), min(x1 + rim, width), min(y1 + rim, height)
    place = (
        f"left:{100 * x0 / width:.2f}%;top:{100 * y0 / height:.2f}%;"
        f"width:{100 * (x1 - x0) / width:.2f}%;height:{100 * (y1 - y0) / height:.2f}%;--box:{_colour(number)}"
    )
    words = f"Face {number + 1}: {face['sentence']}"
    return (
        f'<button type="button" class="box" style="{place}" data-what="face" data-number="{number}"'
        f' aria-pressed="{str(chosen).lower()}" aria-label="{in_html(words)}" title="{in_html(words)}">'
        f"<span>{number + 1}</span></button>"
    )


def faces_html(faces: Sequence[Mapping[str, Any]], chosen: int, json_address: str) -> str:
    """The chosen face in words and figures, and the way to the others."""
    names = ""
    if len(faces) > 1:
        names = '<div class="names" role="group" aria-label="Faces">' + "".join(
            f'<button type="button" class="do" style="--box:{_colour(number)}" data-what="face" data-number="{number}"'
            f' aria-pressed="{str(number == chosen).lower()}"><b>{number + 1}</b></button>'
            for number, _ in enumerate(faces)
        ) + "</div>"  # fmt: skip
    face = faces[chosen]
    sentence = face["sentence"][:1].upper() + face["sentence"][1:]
    return (
        f'<article class="card">{names}<h2>{in_html(sentence)}.</h2><dl class="facts">{_facts(face)}</dl>'
        f'{_sections(face)}<p class="about">{CAUTION}</p>'
        f'<p><a class="do" href="{in_html(json_address)}" download>Save as JSON</a></p></article>'
    )


def _facts(face: Mapping[str, Any]) -> str:
    from mien.pipelines.describe_words import MEANING

    female, pose, seen = face["female"], face["pose"], face["quality"]
    likely, share = ("female", female) if female >= 0.5 else ("male", 1 - female)
    sex = f"{likely} {share * 100:.0f}" if face["sex"] else f"unclear ({likely} {share * 100:.0f})"
    poor = "; ".join(f"{word}: {MEANING[word]}" for word in face["remarks"])
    quality = f"{seen['size_px']:.0f} px, sharpness {seen['sharpness']:.2f}"
    rows = (
        ("Sex", sex, f'<span class="scale"><i style="left:{100 * female:.0f}%"></i><u>male</u><u>female</u></span>'),
        ("Age", f"about {max(round(face['age_years']), 1)}", ""),
        ("Head", _head(pose), ""),
        ("Picture", quality, f'<span class="poor">{in_html(poor)}</span>' if poor else ""),
    )
    return "".join(f"<div><dt>{name}</dt><dd>{in_html(value)}{more}</dd></div>" for name, value, more in rows)


def _head(pose: Mapping[str, float]) -> str:
    """``17° to the left, 3° up, upright``: of the photo's left and right."""
    yaw, pitch, roll = (round(pose[f"{name}_degrees"]) for name in ("yaw", "pitch", "roll"))
    turned = f"turned {abs(yaw)}° {'left' if yaw < 0 else 'right'}" if yaw else "straight ahead"
    nod = f", {abs(pitch)}° {'up' if pitch > 0 else 'down'}" if pitch else ""
    return turned + nod + (f", tilted {abs(roll)}° {'left' if roll > 0 else 'right'}" if roll else "")


def _sections(face: Mapping[str, Any]) -> str:
    from mien.pipelines.describe_words import sections

    rows = []
    for title, groups in sections(face["attributes"], face["present"], face["groups"]):
        entries = [entry for group in groups for entry in group]
        said = [e for e in entries if e.probability >= (RARE if e.present else MAYBE)]
        rest = [entry for entry in entries if entry not in said]
        chips = "".join(map(_chip, said)) or '<span class="none">nothing that stands out</span>'
        more = ""
        if rest:
            more = f"<details><summary>{len(rest)} less likely</summary>{''.join(map(_chip, rest))}</details>"
        rows.append(f'<div class="section"><h3>{in_html(title)}</h3><div class="chips">{chips}{more}</div></div>')
    return "".join(rows)


def _chip(entry: Entry) -> str:
    seen = entry.present and entry.probability >= LIKELY
    kind = "there" if seen else "maybe" if entry.probability >= (RARE if entry.present else MAYBE) else "hardly"
    return f'<span class="chip {kind}">{in_html(entry.name)} <b>{entry.probability * 100:.0f}</b></span>'


def _colour(number: int) -> str:
    from mien.pipelines.describe_words import COLOURS

    return "rgb({} {} {})".format(*COLOURS[number % len(COLOURS)])
