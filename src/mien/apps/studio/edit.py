"""The tab Edit: a photo in, the same person with another age, sex or attributes, and a slider between the two."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from mien.apps.studio.portrait_make import inline
from mien.apps.studio.portrait_page import PERSONAL
from mien.apps.studio.state import Photo, StudioState
from mien.apps.studio.widgets import QUIET, notice, photo_drop, script, told
from mien.apps.web.models import PhotoJob, read_edit
from mien.core.errors import PhotoError
from mien.core.foreign import in_html
from mien.core.images import encode_jpeg, resize
from mien.core.records import UInt8Image
from mien.pipelines.pictures import Picture, marked_row, png_of

TITLE = "Edit"
MOST_PX = 1600  # longer side of what is changed here; the command line changes photos at their own size
QUALITY = 90
SEXES = {"as it is": "", "female": "female", "male": "male"}
Shows = Iterator[dict[Any, Any]]


def build(state: StudioState) -> None:
    """Lay the tab out."""
    EditTab(state)


class EditTab:
    """The controls of the tab, and what they do."""

    def __init__(self, state: StudioState) -> None:
        self.state = state
        self.token = gr.State("", delete_callback=state.forget_photo, time_to_live=3600)
        with gr.Row(elem_classes="desk"):
            with gr.Column(scale=4, min_width=300):
                self.drop = photo_drop("edit-drop")
                self.age = gr.Textbox(label="Age", placeholder="60, or 60-70; empty: as it is", elem_id="edit-age")
                self.sex = gr.Radio(list(SEXES), value="as it is", label="Sex", elem_id="edit-sex")
                self.words = gr.Textbox(
                    label="What is to be seen", placeholder="smiling, no glasses", max_lines=3, elem_id="edit-words"
                )
                with gr.Row(elem_classes="buttons"):
                    self.go = gr.Button("Change it", variant="primary", elem_id="edit-go")
                    self.forget = gr.Button("Forget the photo", visible=False, elem_id="edit-forget")
                gr.HTML(f'<p class="aside personal">{PERSONAL}</p>')
            with gr.Column(scale=8, min_width=320):
                self.status = gr.HTML(notice("Drop a photo, say what is to change; hair, light and background stay."))
                self.card = gr.HTML("", elem_id="edit-card", js_on_load=script("portrait_cards.js"))
        shown = [self.token, self.status, self.card, self.forget]
        options = [self.token, self.age, self.sex, self.words]
        self.drop.photos(self.dropped, self.token, shown, **QUIET)
        made = self.go.click(self.change, options, shown, **QUIET)
        self.words.submit(self.change, options, shown, **QUIET)
        self.forget.click(self.forgotten, self.token, shown, cancels=[made], **QUIET)

    def dropped(self, before: str, event: gr.EventData) -> dict[Any, Any]:
        """A new photo takes the place of the one before."""
        tokens = event._data.get("tokens") if isinstance(event._data, Mapping) else None
        token = str(tokens[0]) if isinstance(tokens, list) and tokens else ""
        if before and before != token:
            self.state.forget_photo(before)
        photo = self.state.photo(token) if token else None
        card = "" if photo is None else alone(photo.name, small(photo.image))
        words = notice("Say what is to change." if card else "Drop a photo.")
        return {self.token: token, self.status: words, self.card: card, self.forget: gr.Button(visible=bool(card))}

    dropped.__annotations__["event"] = gr.EventData

    def change(self, token: str, age: str, sex: str, words: str) -> Shows:
        """The photo changed, beside itself."""
        photo = self.state.photo(token) if token else None
        if photo is None:
            yield {self.status: told(PhotoError("forgotten", "a photo is wanted: drop one, or drop it again"))}
            return
        options = {"age": str(age or "").strip(), "sex": SEXES.get(sex, ""), "words": str(words or "").strip()}
        try:
            request = read_edit(options)
            shown = small(photo.image)
            for step in self.state.ask("edit", [PhotoJob(shown, options)]):
                if step.answer is None:
                    yield {self.status: notice(step.words, "busy")}
                else:
                    yield {
                        self.status: notice(request.left_out or "Changed. Move the slider."),
                        self.card: self._card(photo, shown, step.answer[0]),
                    }
        except Exception as error:
            yield {self.status: told(error)}

    def _card(self, photo: Photo, before: UInt8Image, made: Picture) -> str:
        row = marked_row({**made.row, "photo": photo.name}, self.state.marks)
        return compared(photo.name, before, png_of(made.image, row, self.state.marks, made.comment), row)

    def forgotten(self, token: str) -> dict[Any, Any]:
        """Photo and picture are gone from the page and from memory."""
        if token:
            self.state.forget_photo(token)
        words = notice("Forgotten: nothing of the photo is left in memory.")
        return {self.token: "", self.status: words, self.card: "", self.forget: gr.Button(visible=False)}


def small(photo: UInt8Image) -> UInt8Image:
    """A photo of at most ``MOST_PX``."""
    height, width = photo.shape[:2]
    scale = min(MOST_PX / max(height, width), 1.0)
    return photo if scale == 1 else resize(photo, max(round(height * scale), 1), max(round(width * scale), 1))


def alone(name: str, photo: UInt8Image) -> str:
    """The photo before anything is changed."""
    address = inline(encode_jpeg(photo, QUALITY), "image/jpeg")
    return f'<article class="likeness edited"><h2>{in_html(name)}</h2><img src="{address}" alt="the photo"></article>'


def compared(name: str, before: UInt8Image, after: bytes, row: Mapping[str, Any]) -> str:
    """Photo and picture with a slider between them, and what is known of the change."""
    height, width = before.shape[:2]
    under, over = inline(after, "image/png"), inline(encode_jpeg(before, QUALITY), "image/jpeg")
    warnings = "".join(f"<li>{in_html(str(one))}</li>" for one in row["warnings"])
    return (
        f'<article class="likeness edited"><h2>{in_html(name)}</h2>'
        f'<div class="compare" style="--at: 50%; aspect-ratio: {width} / {height}">'
        f'<img class="under" src="{under}" alt="the changed photo"><img class="over" src="{over}" alt="the photo">'
        f'<input type="range" min="0" max="100" value="50" aria-label="from changed to photo, percent"></div>'
        f'<div class="compare-words" aria-hidden="true"><span>photo</span><span>changed</span></div>'
        f"<p>{in_html(readings(row))}</p>"
        + (f'<ul class="warnings">{warnings}</ul>' if warnings else "")
        + f'<p><a class="save" href="{under}" download="edited.png">Save the picture</a></p></article>'
    )


def readings(row: Mapping[str, Any]) -> str:
    """What was read before and after, and how like the two are: "age 34 to 61; similarity 0.61"."""
    before, after = row["read_before"], row["read_after"]
    parts = [
        f"{name.lower()} {_said(before[name])} to {_said(after[name])}" for name in after if before[name] != after[name]
    ]
    return "; ".join([*parts, f"similarity {row['identity_similarity']:.2f} (one person: over 0.44)"])


def _said(value: Any) -> str:
    return json.dumps(round(value, 2)) if isinstance(value, float) else str(value)
