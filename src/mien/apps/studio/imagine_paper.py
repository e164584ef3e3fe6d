"""The same words by the paper's methods, beside those of mien: the mixture at once, the slow ones on request."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from mien.apps.studio.imagine_history import EditHistory
from mien.apps.studio.imagine_jobs import MODEL
from mien.apps.studio.imagine_page import Shown, sheet
from mien.apps.studio.imagine_save import kept_row
from mien.apps.studio.imagine_slow import optimised
from mien.apps.studio.state import StudioState
from mien.apps.studio.widgets import QUIET, notice, told
from mien.core.errors import RequestError
from mien.pipelines.edit import MixtureRequest
from mien.pipelines.edit_request import EditRequest
from mien.pipelines.imagine import names_of, tellable
from mien.pipelines.imagine_optimised import Method
from mien.pipelines.pictures import Picture
from mien.pipelines.request import Description

COUNT = 3
OURS = 4
SLOW: dict[Method, str] = {"visualise": "class visualisation", "invert": "mixture, inverted"}
ABOUT = (
    "The same words by the methods of Cate, Dalvi and Hussain (2016). Their mixture averages one Gaussian for each "
    "attribute, so its faces lie near the mean of all faces; here it is drawn by the decoder that draws ours. Class "
    "visualisation and inversion optimise a picture in many steps: a minute or two."
)
Shows = Iterator[dict[Any, Any]]


class Beside:
    """The part of the tab below the sheet."""

    def __init__(self, state: StudioState, history: gr.State, faces: gr.State) -> None:
        self.state = state
        with gr.Accordion(
            "Beside the paper of 2016", open=False, visible=False, elem_id="imagine-beside"
        ) as self.panel:
            gr.HTML(f'<p class="aside">{ABOUT}</p>')
            with gr.Row(elem_classes="tools"):
                self.go = gr.Button("Mixture, decoded", size="sm", elem_id="imagine-paper")
                slow = {
                    method: gr.Button(f"{words[0].upper()}{words[1:]} (slow)", size="sm", elem_id=f"imagine-{method}")
                    for method, words in SLOW.items()
                }
                self.stop = gr.Button(
                    "Cancel", size="sm", variant="stop", visible=False, elem_id="imagine-paper-cancel"
                )
            self.status = gr.HTML(notice(), elem_id="imagine-paper-status")
            self.sheet = gr.HTML("", elem_id="imagine-paper-sheet")
            self.slow_sheets = {method: gr.HTML("", elem_id=f"imagine-{method}-sheet") for method in SLOW}
        asked: list[Any] = [self.go.click(self.make, [history, faces], [self.status, self.sheet, self.stop], **QUIET)]
        for method, button in slow.items():
            outputs = [self.status, self.slow_sheets[method], self.stop]
            asked.append(button.click(partial(self.optimise, method), history, outputs, **QUIET))
        self.stop.click(self.stopped, None, [self.status, self.stop], cancels=asked, **QUIET)

    @property
    def reset_outputs(self) -> list[Any]:
        """What changes when another sheet is shown."""
        return [self.panel, self.status, self.sheet, *self.slow_sheets.values()]

    def reset(self) -> dict[Any, Any]:
        """Nothing is compared yet."""
        empty = dict.fromkeys(self.slow_sheets.values(), "")
        return {self.panel: gr.Accordion(visible=True), self.status: notice(), self.sheet: "", **empty}

    def make(self, history: EditHistory, faces: tuple[Shown, ...]) -> Shows:
        """Our faces, and below them samples of the paper's mixture and its weighted means, for the same words."""
        try:
            request = _shown(history)
            names = names_of(tellable(dict(request.wanted)), "mixture")
            yield {self.status: notice("Making the faces", "busy"), self.stop: gr.Button(visible=True)}
            jobs = [MixtureRequest(names, request.seed, COUNT, False), MixtureRequest(names, request.seed, 1, True)]
            rows = []
            for progress in self.state.ask(MODEL, jobs):
                if progress.answer:
                    rows += progress.answer
                else:
                    yield {self.status: notice(progress.words, "busy")}
            theirs = kept_row(self.state, rows, [*(f"paper, sample {k + 1}" for k in range(COUNT)), "paper, means"])
        except Exception as error:  # told beside the control, whatever it is
            yield {self.status: told(error), self.stop: gr.Button(visible=False)}
            return
        ours = [Shown(face.address, f"mien, {face.caption}", face.name) for face in faces[:OURS]]
        yield {
            self.status: notice(_left_out(request)),
            self.sheet: sheet([*ours, *theirs], "faces of mien, and of the paper's mixture", pickable=False),
            self.stop: gr.Button(visible=False),
        }

    def optimise(self, method: Method, history: EditHistory) -> Shows:
        """Pictures by one of the slow methods."""
        place = self.slow_sheets[method]
        pictures: tuple[Picture, ...] = ()
        try:
            request = _shown(history)
            yield {self.stop: gr.Button(visible=True)}
            for going in optimised(method, dict(request.wanted), request.seed):
                pictures = going.pictures
                yield {self.status: notice(going.words, "busy")}
            row = kept_row(self.state, pictures, [f"paper, {SLOW[method]}"] * len(pictures))
        except Exception as error:  # told beside the control, whatever it is
            yield {self.status: told(error), self.stop: gr.Button(visible=False)}
            return
        yield {
            self.status: notice(_left_out(request)),
            place: sheet(row, SLOW[method], pickable=False),
            self.stop: gr.Button(visible=False),
        }

    def stopped(self) -> dict[Any, Any]:
        """Cancelled by the person who asked."""
        return {self.status: notice("Cancelled."), self.stop: gr.Button(visible=False)}


def _shown(history: EditHistory) -> EditRequest:
    if history.now is None:
        raise RequestError("words: none given; make a sheet first")
    return history.now


def _left_out(request: EditRequest) -> str:
    """What the paper's method was not told."""
    told = tellable(dict(request.wanted))
    words = [Description({name: value}).words for name, value in request.wanted if name not in told]
    all_words = [*words, *(["the age"] if request.ages_years else [])]
    if not all_words:
        return ""
    return f"The paper's attributes are there or not spoken of; it was not told: {', '.join(all_words)}."
