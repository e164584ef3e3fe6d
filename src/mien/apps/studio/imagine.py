"""The tab Imagine: words and chips, a sheet of faces, one face picked and refined, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from mien.apps.studio import imagine_page as page
from mien.apps.studio import imagine_paper as paper
from mien.apps.studio.imagine_chips import strengths_of, wanted_of
from mien.apps.studio.imagine_history import EditHistory, called, title_of
from mien.apps.studio.imagine_jobs import MODEL, MODEL_SPECS
from mien.apps.studio.imagine_save import kept_sheet
from mien.apps.studio.state import StudioState
from mien.apps.studio.widgets import QUIET, Address, notice, script, told
from mien.core.errors import MienError, RequestError
from mien.core.seeding import SEED_LIMIT, fresh_seed
from mien.pipelines.edit_request import CLOSENESS, COUNTS, EditRequest, from_words, request_of, whole
from mien.pipelines.pictures import Picture
from mien.pipelines.request import Description, understand
from mien.pipelines.vocabulary import AGE, NAMES

__all__ = ["MODEL_SPECS", "TITLE", "build"]

TITLE = "Imagine"
BEGIN = "Say what the face is like, or touch a few words below, and press Imagine."
EXAMPLES = ("smiling woman with glasses, no beard", "old man, grey beard, hat", "slightly smiling boy, curly hair")
LIKENESS = dict(zip(("very much like it", "like it", "loosely like it"), CLOSENESS, strict=True))
Shows = Iterator[dict[Any, Any]]  # component -> what it shows


def build(state: StudioState) -> Address | None:
    """Lay the tab out."""
    return ImagineTab(state).address


class ImagineTab:
    """The controls of the tab, and what they do. Nothing of a person is kept here: histories are in ``gr.State``."""

    def __init__(self, state: StudioState) -> None:
        self.state = state
        self.history = gr.State(EditHistory())
        self.faces: Any = gr.State(())  # of the sheet: Shown, ...
        self.pick = gr.State(-1)
        with gr.Row(elem_classes="desk"):
            with gr.Column(scale=4, min_width=320):
                self._lay_words()
            with gr.Column(scale=7, min_width=320):
                self._lay_sheet()
                self._lay_refine()
                self.beside = paper.Beside(state, self.history, self.faces)
        self._tie()
        self.address = Address(self.restore, [*self.shown, self.words, self.said, self.board])

    def _lay_words(self) -> None:
        self.words = gr.Textbox(
            label="What is the face like?", lines=1, max_lines=4, elem_id="imagine-words", placeholder=EXAMPLES[0],
        )  # fmt: skip
        self.said = gr.HTML(notice(), elem_id="imagine-said")
        with gr.Row(elem_classes="buttons"):
            self.go = gr.Button("Imagine", variant="primary", elem_id="imagine-go", scale=2)
            self.clear = gr.Button("Clear", elem_id="imagine-clear", scale=1)
        with gr.Row(elem_classes="examples"):
            self.examples = [gr.Button(words, size="sm", elem_classes="example") for words in EXAMPLES]
        self.board = gr.HTML(page.board({}), elem_id="imagine-board", js_on_load=script("imagine_chips.js"))
        with gr.Accordion("More settings", open=False, elem_id="imagine-more"):
            self.count = gr.Radio(list(COUNTS), value=COUNTS[1], label="How many faces", elem_id="imagine-count")
            self.seed = gr.Textbox(
                label="Seed", info="Empty: new people each time.", max_lines=1, elem_id="imagine-seed"
            )
            self.typical = gr.Checkbox(label="What is not mentioned stays average", elem_id="imagine-typical")

    def _lay_sheet(self) -> None:
        self.status = gr.HTML(notice(BEGIN), elem_id="imagine-status")
        with gr.Row(elem_classes="tools"):
            self.undo = gr.Button("Undo", size="sm", interactive=False, elem_id="imagine-undo")
            self.redo = gr.Button("Redo", size="sm", interactive=False, elem_id="imagine-redo")
            self.stop = gr.Button("Cancel", size="sm", variant="stop", visible=False, elem_id="imagine-cancel")
        self.trail = gr.HTML("", elem_id="imagine-trail", js_on_load=script("imagine_trail.js"))
        self.sheet = gr.HTML("", elem_id="imagine-sheet", js_on_load=script("imagine_sheet.js"))

    def _lay_refine(self) -> None:
        with gr.Row(visible=False, elem_id="imagine-refine") as self.refine:
            with gr.Column(min_width=260, scale=2):
                self.large = gr.HTML("", elem_id="imagine-large")
            with gr.Column(min_width=260, scale=3):
                self.likeness = gr.Radio(
                    list(LIKENESS), value=list(LIKENESS)[1], label="Other people like this one",
                    elem_id="imagine-likeness",
                )  # fmt: skip
                self.more = gr.Button("More like this", elem_id="imagine-near")
                self.attribute = gr.Dropdown(
                    [("age", AGE), *sorted((called(name), name) for name in NAMES)], value="Smiling",
                    label="Change one thing, keep the rest", elem_id="imagine-attribute",
                )  # fmt: skip
                self.change = gr.Button("Show it from none to full", elem_id="imagine-change")

    def _tie(self) -> None:
        self.shown = [
            self.status, self.sheet, self.trail, self.history, self.faces, self.pick, self.refine, self.undo, self.redo,
            self.stop, *self.beside.reset_outputs,
        ]  # fmt: skip
        # Not the box's own ``input``, which Gradio (6.31) gives for keys that write, and not for Backspace, Delete, a
        # paste or a dictated word.
        self.board.written(self.typed, None, [self.said, self.board], trigger_mode="always_last", **QUIET)
        self.words.blur(self.left, self.words, [self.said, self.board], **QUIET)
        listen(self.board, "chosen", self.choose, [self.words], [self.words, self.said])
        self.clear.click(self.wipe, None, [self.words, self.said, self.board], **QUIET)
        asked = [self.words, self.count, self.seed, self.typical, self.history]
        wide = [*self.shown, self.said, self.board, self.words]
        asks: list[Any] = [
            gr.on([self.go.click, self.words.submit], self.imagine, asked, wide, **QUIET),
            self.more.click(self.near, [self.history, self.pick, self.likeness, self.count], self.shown, **QUIET),
            self.change.click(self.vary, [self.history, self.pick, self.attribute], self.shown, **QUIET),
            self.undo.click(self.step_back, self.history, self.shown, **QUIET),
            self.redo.click(self.step_forward, self.history, self.shown, **QUIET),
            listen(self.trail, "goto", self.go_to, [self.history], self.shown),
        ]
        for button in self.examples:
            filled = button.click(self.example, button, [self.words, self.said, self.board], **QUIET)
            asks.append(filled.then(self.imagine, asked, wide, **QUIET))
        self.stop.click(self.stopped, self.history, [self.status, self.stop, self.sheet], cancels=asks, **QUIET)
        listen(self.sheet, "pick", self.picked, [self.history, self.faces], [self.pick, self.refine, self.large])

    # What is said

    def typed(self, event: gr.EventData) -> dict[Any, Any]:
        """The chips follow the words; of the last one nothing is told, because it may not be finished."""
        return self.describe(str(event.words), typing=True)

    def left(self, words: str) -> dict[Any, Any]:
        """The box is left: all of it is told. An empty one says nothing: a click on Imagine leaves the box too, and its
        answer is not to be wiped out.
        """
        return self.describe(words) if words.strip() else {self.said: gr.skip(), self.board: gr.skip()}

    def describe(self, words: str, typing: bool = False) -> dict[Any, Any]:
        """The chips follow the words; what is not understood is told."""
        try:
            found = understand(words, option="words")
        except MienError as error:
            return {self.said: told(error), self.board: gr.skip()}
        unfinished = typing and found.unknown and words.casefold().endswith(found.unknown[-1].word)
        said = replace(found, unknown=found.unknown[:-1]) if unfinished else found
        return {
            self.said: notice(_capital(said.remark)),
            self.board: page.board(strengths_of(found.description.attributes)),
        }

    def choose(self, words: str, event: gr.EventData) -> dict[Any, Any]:
        """The words follow the chips; an age that they tell stays."""
        try:
            wanted = wanted_of({str(label): float(strength) for label, strength in dict(event.chips).items()})
        except (MienError, TypeError, ValueError) as error:
            return {self.words: gr.skip(), self.said: told(error)}
        return {self.words: Description(wanted, _age_in(words)).words, self.said: notice()}

    def example(self, words: str) -> dict[Any, Any]:
        """An example fills the box."""
        return {self.words: words, **self.describe(words)}

    def wipe(self) -> dict[Any, Any]:
        """Nothing is asked any more."""
        return {self.words: "", self.said: notice(), self.board: page.board({})}

    # What is made

    def imagine(self, words: str, count: int, seed: str | None, typical: bool, history: EditHistory) -> Shows:
        """A new sheet from words."""
        try:
            found = understand(words, option="words")
            wanted = found.description.attributes
            if found.nothing:
                nothing = f" ({found.remark})" if found.remark else ""
                raise RequestError(f"words: none given{nothing}; say what the face is like, for example {EXAMPLES[0]}")
            drawn = whole(seed.strip(), "seed", 0, SEED_LIMIT - 1) if seed and seed.strip() else fresh_seed()
        except MienError as error:
            yield {self.said: told(error)}
            return
        yield {self.said: notice(_capital(found.remark)), self.board: page.board(strengths_of(wanted))}
        edit = from_words(found.description, drawn, _count(count), typical=bool(typical))
        yield from self.show(history, history.push(edit))

    def near(self, history: EditHistory, pick: int, likeness: str, count: int) -> Shows:
        """More like the picked face."""
        closeness = LIKENESS.get(likeness, CLOSENESS[1])
        yield from self._further(history, lambda edit: edit.near(pick, closeness, fresh_seed(), _count(count)))

    def vary(self, history: EditHistory, pick: int, attribute: str) -> Shows:
        """The picked face with one attribute from none to full."""
        yield from self._further(history, lambda edit: edit.change(pick, attribute))

    def _further(self, history: EditHistory, turn: Callable[[EditRequest], EditRequest]) -> Shows:
        try:
            if history.now is None:
                raise RequestError("face: none picked; pick one on the sheet first")
            after = history.push(turn(history.now))
        except MienError as error:
            yield {self.status: told(error)}
            return
        yield from self.show(history, after)

    def step_back(self, history: EditHistory) -> Shows:
        """Undo."""
        yield from self.show(history, history.undo())

    def step_forward(self, history: EditHistory) -> Shows:
        """Redo."""
        yield from self.show(history, history.redo())

    def go_to(self, history: EditHistory, event: gr.EventData) -> Shows:
        """Any edit of the way."""
        yield from self.show(history, history.go_to(int(event.at)))

    def show(self, before: EditHistory, history: EditHistory) -> Shows:
        """Have the sheet of ``history.now`` made, and show it with everything that goes with it."""
        edit = history.now
        if edit is None:
            return
        begun = {self.stop: gr.Button(visible=True), self.status: notice("Making the faces", "busy")}
        yield begun if before.now else {**begun, self.sheet: page.waiting(edit.count)}
        try:
            pictures: list[Picture] = []
            for progress in self.state.ask(MODEL, [edit]):
                pictures = progress.answer or pictures
                if not pictures:
                    yield {self.status: notice(progress.words, "busy")}
            saved = kept_sheet(self.state, pictures, edit)
        except Exception as error:  # told beside the control, whatever it is
            gone = {} if before.now else {self.sheet: ""}
            yield {self.status: told(error), self.stop: gr.Button(visible=False), **gone}
            return
        yield {
            self.status: notice(_done(edit)),
            self.sheet: page.sheet(saved.faces, title_of(edit)),
            self.trail: page.trail(history, saved.zip_address),
            self.history: history,
            self.faces: saved.faces,
            self.pick: -1,
            self.refine: gr.Row(visible=False),
            self.undo: gr.Button(interactive=history.undoable),
            self.redo: gr.Button(interactive=history.redoable),
            self.stop: gr.Button(visible=False),
            **self.beside.reset(),
        }

    def stopped(self, history: EditHistory) -> dict[Any, Any]:
        """Cancelled by the person who asked."""
        empty = {} if history.now else {self.sheet: ""}
        return {self.status: notice("Cancelled."), self.stop: gr.Button(visible=False), **empty}

    def picked(self, history: EditHistory, faces: tuple[page.Shown, ...], event: gr.EventData) -> dict[Any, Any]:
        """One face of the sheet is looked at."""
        number = int(event.number)
        if history.now is None or not 0 <= number < len(faces):
            return {self.pick: -1, self.refine: gr.Row(visible=False), self.large: ""}
        words = history.now.described(number).words
        return {self.pick: number, self.refine: gr.Row(visible=True), self.large: page.large(faces[number], words)}

    def restore(self, query: Mapping[str, str]) -> Shows:
        """The sheet that an address tells."""
        if not {"words", "seed"} <= query.keys():
            return
        try:
            edit = request_of(query)
        except MienError as error:
            yield {self.status: told(error)}
            return
        first = edit.first.description
        yield {self.words: first.words, self.said: notice(), self.board: page.board(strengths_of(first.attributes))}
        yield from self.show(EditHistory(), EditHistory.ending_at(edit))


def listen(component: Any, name: str, react: Callable[..., Any], inputs: list[Any], outputs: list[Any]) -> Any:
    """Tie a function to an event that a script of ours triggers."""
    return getattr(component, name)(react, inputs, outputs, **QUIET)


def _capital(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."[: 0 if not words else None]


def _count(count: Any) -> int:
    return count if count in COUNTS else COUNTS[0]


def _age_in(words: str) -> tuple[float, float] | None:
    try:
        return understand(words).description.ages_years
    except MienError:
        return None


def _done(edit: EditRequest) -> str:
    if edit.method == "change":
        return f"{_capital(called(edit.attribute))[:-1]} from little to much. Pick one to go on with it."
    return f"{edit.count} people who share the words. Pick one to refine it."
