"""The same words by the paper's methods, beside those of mien: the mixture at once, the slow ones on request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from mien.apps.studio.imagine_make import MAKER, PaperOrder
from mien.apps.studio.imagine_page import sheet
from mien.apps.studio.imagine_save import kept_row
from mien.apps.studio.imagine_story import Story
from mien.apps.studio.imagine_words import in_words
from mien.apps.studio.rooms import Rooms
from mien.apps.studio.widgets import QUIET, notice, told
from mien.errors import RequestError

COUNT = 4


class Beside:
    """The part of the tab below the sheet."""

    def __init__(self, rooms: Rooms, story: gr.State) -> None:
        self.rooms = rooms
        with gr.Accordion(
            "Beside the paper of 2016", open=False, visible=False, elem_id="imagine-beside"
        ) as self.panel:
            gr.HTML(f'<p class="aside">{ABOUT}</p>')
            with gr.Row(elem_classes="tools"):
                self.go = gr.Button("Show the paper's faces", size="sm", elem_id="imagine-paper")
                self.stop = gr.Button("Cancel", size="sm", variant="stop", visible=False)
            self.status = gr.HTML(notice(), elem_id="imagine-paper-status")
            self.sheet = gr.HTML("", elem_id="imagine-paper-sheet")
        made = self.go.click(self.make, story, [self.status, self.sheet, self.stop], **QUIET)
        self.stop.click(self.stopped, None, [self.status, self.stop], cancels=[made], **QUIET)

    @property
    def reset_outputs(self) -> list[Any]:
        """What changes when another sheet is shown."""
        return [self.panel, self.status, self.sheet]

    def reset(self) -> dict[Any, Any]:
        """Nothing is compared yet."""
        return {self.panel: gr.Accordion(visible=True), self.status: notice(), self.sheet: ""}

    def make(self, story: Story) -> Iterator[dict[Any, Any]]:
        """Samples of the paper's mixture and its weighted means, for the words of the sheet that is shown."""
        step = story.now
        try:
            if step is None:
                raise RequestError("words: none given; make a sheet first")
            names = tuple(name for name, value in step.wanted if value is True)
            left = [in_words({name: value}) for name, value in step.wanted if value is not True and name != "Male"]
            if step.ages_years:
                left.append("the age")
            yield {self.status: notice("Making the faces", "busy"), self.stop: gr.Button(visible=True)}
            orders = [PaperOrder(names, step.seed, COUNT, False), PaperOrder(names, step.seed, 1, True)]
            rows = []
            for told_step in self.rooms.ask(MAKER, orders):
                if told_step.answer:
                    rows += told_step.answer
                else:
                    yield {self.status: notice(told_step.words, "busy")}
        except Exception as error:  # told beside the control, whatever it is
            yield {self.status: told(error), self.stop: gr.Button(visible=False)}
            return
        faces = kept_row(self.rooms, rows, [*(f"sample {k + 1}" for k in range(COUNT)), "weighted means"])
        words = f"The paper knows no denials, strengths and ages: it was not told of {', '.join(left)}." if left else ""
        yield {
            self.status: notice(words),
            self.sheet: sheet(faces, "faces of the paper's mixture", pickable=False),
            self.stop: gr.Button(visible=False),
        }

    def stopped(self) -> dict[Any, Any]:
        """Cancelled by the person who asked."""
        return {self.status: notice("Cancelled."), self.stop: gr.Button(visible=False)}


ABOUT = (
    "The same words by the mixture of Cate, Dalvi and Hussain (2016): it averages one Gaussian for each attribute, so "
    "its faces lie near the mean of all faces. Drawn by the same decoder as above."
)
