"""The tab Portrait: photos in, for each face its portrait beside it, with what is known of the likeness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import gradio as gr

from mien.apps.studio.portrait_make import (
    BACKGROUNDS,
    MODEL,
    MODEL_SPECS,
    SIZES_PX,
    FindJob,
    Likeness,
    PortraitJob,
    inline,
    marked,
)
from mien.apps.studio.portrait_page import PERSONAL, Finished, cards, sentence
from mien.apps.studio.state import Photo, StudioState
from mien.apps.studio.widgets import QUIET, Address, notice, photo_drop, script
from mien.core.errors import MienError
from mien.pipelines.pictures import zipped

__all__ = ["MODEL_SPECS", "TITLE", "build"]

TITLE = "Portrait"
MOST_PHOTOS = 32
Shows = Iterator[dict[Any, Any]]


def build(state: StudioState) -> Address | None:
    """Lay the tab out."""
    PortraitTab(state)
    return None


class PortraitTab:
    """The controls of the tab, and what they do."""

    def __init__(self, state: StudioState) -> None:
        self.state = state
        self.tokens = gr.State([], delete_callback=self.forget_all, time_to_live=3600)
        with gr.Row(elem_classes="desk"):
            with gr.Column(scale=4, min_width=300):
                self.drop = photo_drop("portrait-drop", many=True, label="Drop photos here, paste one, or choose files")
                self.largest = gr.Checkbox(label="Only the largest face of each photo", elem_id="portrait-largest")
                self.background = gr.Radio(
                    list(BACKGROUNDS), value="white", label="Background", elem_id="portrait-background"
                )
                self.size = gr.Radio(list(SIZES_PX), value=SIZES_PX[0], label="Size, px", elem_id="portrait-size")
                with gr.Row(elem_classes="buttons"):
                    self.again = gr.Button("Make again", visible=False, elem_id="portrait-again")
                    self.forget = gr.Button("Forget photos", visible=False, elem_id="portrait-forget")
                gr.HTML(f'<p class="aside personal">{PERSONAL}</p>')
            with gr.Column(scale=8, min_width=320):
                self.status = gr.HTML(
                    notice("Each face becomes a portrait: looking ahead, at rest, on a plain ground.")
                )
                with gr.Row(elem_classes="tools"):
                    self.stop = gr.Button("Cancel", size="sm", variant="stop", visible=False, elem_id="portrait-cancel")
                self.save = gr.HTML("", elem_id="portrait-save")
                self.cards = gr.HTML("", elem_id="portrait-cards", js_on_load=script("portrait_cards.js"))
        self._tie()

    def _tie(self) -> None:
        options = [self.largest, self.background, self.size]
        shown = [self.status, self.cards, self.save, self.stop, self.again, self.forget, self.tokens]
        dropped = self.drop.photos(self.dropped, [self.tokens, *options], shown, **QUIET)
        again = self.again.click(self.make, [self.tokens, *options], shown, **QUIET)
        self.stop.click(self.stopped, None, [self.status, self.stop, self.again], cancels=[dropped, again], **QUIET)
        self.forget.click(self.forgotten, self.tokens, shown, cancels=[dropped, again], **QUIET)

    def dropped(self, before: list[str], largest: bool, background: str, size: int, event: gr.EventData) -> Shows:
        """New photos take the place of those before."""
        tokens = [str(token) for token in list(event.tokens)]
        self.forget_all([token for token in before if token not in tokens])
        yield from self.make(tokens, largest, background, size)

    def make(self, tokens: list[str], largest: bool, background: str, size: int) -> Shows:
        """The portraits of all photos; one that cannot be used stops no other."""
        chosen, left = tokens[:MOST_PHOTOS], len(tokens) - MOST_PHOTOS
        finished: list[Finished] = []
        yield {
            self.tokens: chosen,
            self.stop: gr.Button(visible=True),
            self.again: gr.Button(visible=False),
            self.forget: gr.Button(visible=True),
            self.cards: "",
            self.save: "",
        }
        for number, token in enumerate(chosen, 1):
            photo = self.state.photo(token)
            if photo is None:
                finished.append(Finished("photo", wrong="This photo is forgotten; drop it again."))
                continue
            where = f"Photo {number} of {len(chosen)}" if len(chosen) > 1 else "The photo"
            try:
                for news in self._faces(photo, bool(largest), background, size):
                    if isinstance(news, str):
                        yield {self.status: notice(f"{where}. {news}", "busy")}
                    else:
                        made = sum(one.likeness is not None for one in finished)
                        finished.append(self._finished(news, made))
                        yield {self.cards: cards(finished)}
            except MienError as error:
                finished.append(Finished(photo.name, wrong=sentence(str(error))))
            except Exception:  # one photo stops no other, whatever it holds
                finished.append(Finished(photo.name, wrong="The studio failed at this photo."))
            yield {self.cards: cards(finished)}
        yield {
            self.status: notice(_done(finished, left)),
            self.cards: cards(finished),
            self.save: self._save_all(finished),
            self.stop: gr.Button(visible=False),
            self.again: gr.Button(visible=True),
        }

    def _faces(self, photo: Photo, largest: bool, background: str, size: int) -> Iterator[str | Likeness]:
        """The likenesses of a photo's faces one by one, and words about how far it is meanwhile."""
        found: Sequence[Any] = ()
        for step in self.state.ask(MODEL, [FindJob(photo.image, largest)]):
            found = step.answer or found
            if not found:
                yield step.words if step.loading or step.ahead else "Looking for faces"
        jobs = [
            PortraitJob(photo.image, photo.name, face, number, _size(size), _background(background))
            for number, face in enumerate(found)
        ]
        for step in self.state.ask(MODEL, jobs):
            yield step.answer or (step.words if step.ahead or len(jobs) > 1 else "Making the portrait")

    def _finished(self, likeness: Likeness, number: int) -> Finished:
        row, png = marked(likeness, number, self.state.marks)
        return Finished(likeness.photo, likeness, png, row)

    def _save_all(self, finished: Sequence[Finished]) -> str:
        """A link to a zip with a manifest, which is on the page and nowhere else."""
        made = [one for one in finished if one.likeness is not None]
        if len(made) < 2:
            return ""
        address = inline(zipped([one.row for one in made], [one.png for one in made]), "application/zip")
        return f'<p class="link"><a href="{address}" download="portraits.zip">Save all {len(made)} portraits</a></p>'

    def stopped(self) -> dict[Any, Any]:
        """Cancelled by the person who asked; what was made stays, and so do the photos."""
        return {
            self.status: notice("Cancelled."),
            self.stop: gr.Button(visible=False),
            self.again: gr.Button(visible=True),
        }

    def forgotten(self, tokens: list[str]) -> dict[Any, Any]:
        """Photos and portraits are gone from the page and from memory."""
        self.forget_all(tokens)
        hidden = gr.Button(visible=False)
        return {
            self.status: notice("Forgotten: nothing of the photos is left in memory."),
            self.cards: "",
            self.save: "",
            self.tokens: [],
            self.stop: hidden,
            self.again: hidden,
            self.forget: hidden,
        }

    def forget_all(self, tokens: list[str]) -> None:
        """Photos go from memory; the page was closed, or somebody said so."""
        for token in tokens:
            self.state.forget_photo(token)


def _size(value: Any) -> int:
    return value if value in SIZES_PX else SIZES_PX[0]


def _background(value: Any) -> str:
    return value if value in BACKGROUNDS else "white"


def _done(finished: Sequence[Finished], left: int) -> str:
    made = sum(one.likeness is not None for one in finished)
    failed = len(finished) - made
    words = f"{made} portrait{'s' if made != 1 else ''}."
    if failed:
        words += f" {failed} photo{'s' if failed != 1 else ''} gave none."
    if left > 0:
        words += f" {left} more were left out: {MOST_PHOTOS} at a time."
    return words
