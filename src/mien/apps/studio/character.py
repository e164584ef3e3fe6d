"""The tab Character: one person who does not exist at five angles, with four expressions and of four ages."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import gradio as gr

from mien.apps.studio.imagine_page import Shown, waiting
from mien.apps.studio.state import StudioState
from mien.apps.studio.widgets import QUIET, Address, notice, told
from mien.apps.web.models import ModelSpec
from mien.core.errors import MienError, RequestError
from mien.core.foreign import in_html
from mien.core.seeding import SEED_LIMIT, fresh_seed
from mien.pipelines.character import ROWS, CharacterMaker, CharacterPart, character_sheet, load_character
from mien.pipelines.edit_request import whole
from mien.pipelines.pictures import Picture, marked_row, png_of, zipped
from mien.pipelines.request import FacesRequest, imagine_request

TITLE = "Character"
MODEL = "character"
BEGIN = "Say who it is, and press Make: thirteen pictures of one person."
EXAMPLES = ("a woman of 30 with curly hair", "old man, grey beard", "a smiling young man with black hair")
HEADS = ("Angles", "Expressions", "Ages")
log = logging.getLogger("mien.studio")


def make(maker: CharacterMaker, jobs: Sequence[CharacterPart]) -> list[Any]:
    """An answer to each job: its pictures, or what is wrong with it."""
    answers: list[Any] = []
    for job in jobs:
        try:
            answers.append(maker.pictures(job))
        except MienError as error:
            answers.append(error)
    return answers


MODEL_SPECS = (ModelSpec(MODEL, "faces", "One person several times", load_character, make),)


def build(state: StudioState) -> Address:
    """Lay the tab out."""
    tab = CharacterTab(state)
    with gr.Row(elem_classes="desk"):
        with gr.Column(scale=4, min_width=320):
            words = gr.Textbox(
                label="Who is it?", lines=1, max_lines=4, elem_id="character-words", placeholder=EXAMPLES[0]
            )
            said = gr.HTML(notice(), elem_id="character-said")
            with gr.Row(elem_classes="buttons"):
                go = gr.Button("Make", variant="primary", elem_id="character-go", scale=2)
                stop = gr.Button("Cancel", variant="stop", visible=False, elem_id="character-cancel", scale=1)
            with gr.Row(elem_classes="examples"):
                examples = [gr.Button(text, size="sm", elem_classes="example") for text in EXAMPLES]
            seed = gr.Textbox(
                label="Seed", info="Empty: a new person each time.", max_lines=1, elem_id="character-seed"
            )
        with gr.Column(scale=7, min_width=320):
            status = gr.HTML(notice(BEGIN), elem_id="character-status")
            sheet = gr.HTML("", elem_id="character-sheet")
    shown = [said, status, sheet, stop]
    asks = [gr.on([go.click, words.submit], tab.made, [words, seed], shown, **QUIET)]
    for button in examples:
        filled = button.click(lambda text: text, button, words, **QUIET)
        asks.append(filled.then(tab.made, [words, seed], shown, **QUIET))
    stop.click(tab.stopped, None, shown, cancels=asks, **QUIET)
    return Address(tab.restore, [words, seed, *shown])


class CharacterTab:
    """The events of the tab; each yields (said, status, sheet, stop)."""

    def __init__(self, state: StudioState) -> None:
        self.state = state

    def made(self, words: str, seed: str | None) -> Iterator[tuple[Any, ...]]:
        """All pictures of the person whom words describe."""
        try:
            number = whole(seed.strip(), "seed", 0, SEED_LIMIT - 1) if seed and seed.strip() else fresh_seed()
            read = imagine_request(words, seed=number)
            described = read.request.description
            if not described.attributes and described.ages_years is None:
                raise RequestError(f"words: none given; say who it is, for example {EXAMPLES[0]}")
        except MienError as error:
            yield told(error), gr.skip(), gr.skip(), gr.skip()
            return
        busy, hidden = gr.Button(visible=True), gr.Button(visible=False)
        told_back = "; ".join(filter(None, (f"Understood: {read.understood}", read.left_out)))
        yield notice(told_back), notice("Making it", "busy"), waiting(sum(ROWS)), busy
        pictures: list[Picture] = []
        try:
            for step in self.state.ask(MODEL, CharacterPart.of(read.request)):
                pictures += step.answer or []
                yield gr.skip(), notice(step.words, "busy"), gr.skip(), gr.skip()
            page = self._page(pictures, read.request, words)
        except Exception as error:  # told beside the control, whatever it is
            if not isinstance(error, MienError):
                log.exception("character")
            yield gr.skip(), told(error), "", hidden
            return
        yield gr.skip(), notice("One person, thirteen pictures."), page, hidden

    def stopped(self) -> tuple[Any, ...]:
        """Cancelled by the person who asked."""
        return gr.skip(), notice("Cancelled."), "", gr.Button(visible=False)

    def restore(self, query: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
        """The person whom an address tells."""
        if {"words", "seed"} <= query.keys():
            words, seed = query["words"], query["seed"]
            for shown in self.made(words, seed):
                yield words, seed, *shown

    def _page(self, pictures: Sequence[Picture], request: FacesRequest, words: str) -> str:
        """The pictures in three rows, with the ways to the disk."""
        marks, shown, pngs, rows = self.state.marks, [], [], []
        for picture in pictures:
            row = marked_row(picture.row, marks)
            data = png_of(picture.image, row, marks, picture.comment)
            name = f"mien-{request.seed}-{row['file']}"
            shown.append(Shown(self.state.keep(data, name).address, str(row["variation"]), name))
            pngs.append(data)
            rows.append(row)
        whole_sheet = character_sheet([picture.image for picture in pictures], [face.caption for face in shown])
        about = {**rows[0], "file": "sheet.png"}
        sheet = self.state.keep(png_of(whole_sheet, about, marks, pictures[0].comment), "sheet.png").address
        archive = self.state.keep(zipped(rows, pngs), "character.zip", "application/zip").address
        link = "?" + urlencode({"tab": MODEL, "words": words, "seed": str(request.seed)})
        return _rows(shown) + (
            f'<p class="link"><a href="{in_html(link)}">Link to this person</a> '
            f'<a href="{in_html(sheet)}" download="character-{request.seed}.png">Save the sheet</a> '
            f'<a href="{in_html(archive)}" download="character.zip">Save all</a> '
            f'<span class="seed">seed {request.seed}</span></p>'
        )


def _rows(faces: Sequence[Shown]) -> str:
    """HTML of the pictures, a titled row for angles, expressions and ages each."""
    parts, start = [], 0
    for head, count in zip(HEADS, ROWS, strict=True):
        tiles = "".join(
            f'<figure class="tile"><a href="{in_html(face.address)}" download="{in_html(face.name)}">'
            f'<img src="{in_html(face.address)}" alt="{in_html(face.caption)}" width="256" height="256"></a>'
            f'<figcaption class="caption">{in_html(face.caption)}</figcaption></figure>'
            for face in faces[start : start + count]
        )
        parts.append(f'<h3 class="turns">{head}</h3><div class="tiles of-{count}">{tiles}</div>')
        start += count
    return "".join(parts)
