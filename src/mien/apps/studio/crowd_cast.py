"""A cast list in the tab Crowd: a spreadsheet is dropped, and each of its rows becomes a frame with its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import gradio as gr

from mien.apps.studio.widgets import notice, script
from mien.apps.web.cast import pieces_of
from mien.core.foreign import in_html
from mien.pipelines.cast import COLUMNS, Cast
from mien.pipelines.request import FacesRequest

MOST_FACES = 200  # on the page at once
ACCEPT = ".csv,.tsv,.txt,text/csv,text/tab-separated-values,text/plain"


@dataclass(frozen=True)
class CastFace:
    """One face of a list; a frame of the sheet. Of two lists no two are the same, whatever their names."""

    list_token: str
    seed: int  # of the rows that have none
    file: str
    name: str = field(compare=False)
    request: FacesRequest = field(compare=False)
    more: Mapping[str, Any] = field(compare=False)  # what the manifest says of its row

    def file_name(self, number: int) -> str:
        """As the list names it."""
        return self.file


@dataclass(frozen=True)
class CastSheet:
    """A list that was dropped, with the seed of its rows that have none."""

    token: str
    name: str
    cast: Cast
    seed: int

    @cached_property
    def faces(self) -> tuple[CastFace, ...]:
        """Every face, in order."""
        names = {row.number: row.name or f"row {row.number}" for row in self.cast.rows}
        return tuple(
            CastFace(self.token, self.seed, str(piece.more[0]["file"]), names[piece.more[0]["row"]],
                     piece.requests[0], piece.more[0])
            for piece in pieces_of(self.cast, self.seed, None, 1)
        )  # fmt: skip

    @property
    def words(self) -> str:
        """What is said once all are made; also of what was left out."""
        said = [f"{len(self.faces)} faces of {self.name}, seed {self.seed}"]
        if self.cast.not_read:
            said.append(f"Columns that are not read: {', '.join(self.cast.not_read)}")
        return ". ".join(
            [*said, *(f"Row {remark.row}, {remark.column}: {remark.message}" for remark in self.cast.remarks)]
        )


def cast_drop(elem_id: str) -> Any:
    """A place for a cast list. Its event ``cast`` brings ``event.token``; unreadable cells are told below it."""
    html = (
        f'<label class="drop low"><input type="file" accept="{ACCEPT}">'
        '<span class="drop-words">Drop a cast list, or choose a CSV</span>'
        f'<span class="drop-hint">A face for every row. Columns, in any order: {", ".join(COLUMNS)}.</span></label>'
        f'{notice()}<ul class="cells" hidden aria-label="Cells that cannot be read"></ul>'
    )
    return gr.HTML(html, elem_id=elem_id, js_on_load=script("cast_drop.js"))


def cast_html(faces: Sequence[CastFace], made: Mapping[int, tuple[str, str]], chosen: int | None) -> str:
    """All frames; ``made``: place -> (address of the picture, who it is: "woman, 34")."""
    frames = "".join(_frame(place, face, made.get(place), place == chosen) for place, face in enumerate(faces))
    return f'<div class="sheet cast" role="group" aria-label="{len(faces)} faces of a cast list">{frames}</div>'


def _frame(place: int, face: CastFace, made: tuple[str, str] | None, chosen: bool) -> str:
    name, at = in_html(face.name), f'data-place="{place}"'
    picture = f'<img src="{in_html(made[0])}" alt="" width="128" height="128">' if made else "<i></i>"
    who = f" · {in_html(made[1])}" if made else ""
    return (
        f'<div class="frame{" chosen" * chosen}" {at}>'
        f'<button type="button" class="face" data-what="choose" {at} aria-label="{name}"'
        f' aria-pressed="{"true" if chosen else "false"}" tabindex="{0 if chosen or not place else -1}">{picture}'
        f'<span class="number">{place + 1:02d}</span></button>'
        f'<div class="under"><span class="who" title="{name}{who}"><b>{name}</b>{who}</span></div></div>'
    )


def cast_person_html(place: int, face: CastFace, made: tuple[str, str] | None) -> str:
    """The face that was picked, with its row of the list."""
    picture, who, download = "<i></i>", "", ""
    if made:
        address, who = in_html(made[0]), in_html(made[1])
        picture = f'<img src="{address}" alt="{in_html(face.name)}" width="256" height="256">'
        download = f'<a class="do" href="{address}" download="{in_html(face.file)}">Save PNG</a>'
    cells = "; ".join(f"{name}: {cell}" for name, cell in face.more["cells"].items())
    about = " · ".join(filter(None, (who, f"row {face.more['row']}", f"seed {face.request.seed}", in_html(cells))))
    return (
        f'<div class="person" data-place="{place}">'
        f'<button type="button" class="close" data-what="close" data-place="{place}" aria-label="Close">×</button>'
        f'<div class="big">{picture}</div><p class="name">{in_html(face.name)}</p><p class="about">{about}</p>'
        f'<div class="does">{download}</div></div>'
    )
