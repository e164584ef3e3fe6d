"""The tab Describe: a photo, its faces in boxes, and what a network says of each."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr

from mien.apps.studio import describe_view
from mien.apps.studio.state import Photo, StudioState
from mien.apps.studio.widgets import QUIET, acting, notice, photo_drop, script, told
from mien.apps.web.models import WITH_ETHNICITY, PhotoJob
from mien.core.errors import MienError, PhotoError
from mien.core.images import encode_jpeg, resize
from mien.core.records import UInt8Image
from mien.core.seeding import fresh_seed
from mien.pipelines.request import crowd_request

TITLE = "Describe"
SHOWN_PX = 1200  # longer side of the photo on the page
SHOWN_QUALITY = 88
FORGOTTEN = "This photo is forgotten (photos are kept for an hour at most); drop it again."
STOPPED = notice("Stopped. Drop a photo to go on.")
log = logging.getLogger("mien.studio")


class DescribeSession:
    """What one visitor has on the page."""

    def __init__(self) -> None:
        self.row: dict[str, Any] | None = None  # what `mien describe --json` says
        self.token = ""
        self.shown = ""  # address of the photo
        self.json = ""  # address of the row
        self.face = 0
        self.turn = 0
        self.stopped = False  # the newest turn is a stop


def build(state: StudioState) -> None:
    """Lay the tab out and tie it together."""
    tab = DescribeTab(state)
    session = gr.State(DescribeSession())  # each visitor gets a copy
    with gr.Row(elem_id="describe", elem_classes="reading"):
        with gr.Column(elem_id="describe-photo", min_width=300):
            drop = photo_drop("describe-drop")
            example = gr.Button("No photo at hand? Try a made face", size="sm", elem_id="describe-example")
            status = gr.HTML(notice(), elem_id="describe-status", js_on_load=script("acts.js"))
            picture = gr.HTML("", elem_id="describe-picture", js_on_load=script("acts.js"))
            ethnicity = gr.Checkbox(
                label="Also four names of ethnicities", info=WITH_ETHNICITY.partition(" Off: ")[2].capitalize(),
                elem_id="describe-ethnicity",
            )  # fmt: skip
        with gr.Column(elem_id="describe-words", min_width=300):
            words = gr.HTML(describe_view.nobody_html(), elem_id="describe-card", js_on_load=script("acts.js"))
    shown = [picture, words, status]
    live: dict[str, Any] = {**QUIET, "trigger_mode": "multiple"}
    drop.photos(tab.dropped, [session, ethnicity], shown, **live)
    example.click(tab.example, [session, ethnicity], shown, **live)
    ethnicity.input(tab.again, [session, ethnicity], shown, **live)
    for part in (picture, words, status):
        part.act(acting(tab.act), session, shown, **live)


class DescribeTab:
    """The events of the tab; each yields (picture, words, status)."""

    def __init__(self, state: StudioState) -> None:
        self.state = state

    def dropped(self, session: DescribeSession, ethnicity: bool, event: gr.EventData) -> Iterator[Any]:
        """A photo was dropped, pasted or chosen."""
        tokens = event._data.get("tokens") if isinstance(event._data, Mapping) else None
        session.token = str(tokens[0]) if isinstance(tokens, list) and tokens else ""
        yield from self.again(session, ethnicity)

    dropped.__annotations__["event"] = gr.EventData

    def example(self, session: DescribeSession, ethnicity: bool) -> Iterator[Any]:
        """A made face as the photo."""
        session.turn += 1
        turn = session.turn
        request = crowd_request(age="20-70", seed=fresh_seed()).request
        try:
            for step in self.state.ask("crowd", [request]):
                if step.answer is None:
                    yield gr.skip(), gr.skip(), notice(step.words, "busy")
                else:
                    session.token = self.state.take_in("made.png", step.answer[0].image)
        except Exception as error:
            yield gr.skip(), gr.skip(), _failed(error)
            return
        if session.turn == turn:
            yield from self.again(session, ethnicity)

    def again(self, session: DescribeSession, ethnicity: bool) -> Iterator[Any]:
        """Describe the photo that lies there."""
        session.turn += 1
        session.stopped = False
        turn = session.turn
        photo = self.state.photo(session.token) if session.token else None
        if photo is None:
            if session.token:
                yield gr.skip(), gr.skip(), told(PhotoError("forgotten", FORGOTTEN))
            return
        shown = self.state.keep(_preview(photo.image), "photo.jpg", "image/jpeg").address
        height, width = photo.image.shape[:2]
        yield describe_view.photo_html(shown, width, height, [], 0), "", notice("Reading the faces", "busy", stop=True)
        try:
            for step in self.state.ask("describe", [PhotoJob(photo.image, {"with_ethnicity": ethnicity})]):
                if session.turn != turn:  # what this turn said last may have come after the word of the stop
                    if session.stopped:
                        yield gr.skip(), describe_view.nobody_html(), STOPPED
                    return
                if step.answer is None:
                    yield gr.skip(), gr.skip(), notice(step.words, "busy", stop=True)
                else:
                    self._read(session, photo, step.answer, shown)
        except Exception as error:
            yield gr.skip(), describe_view.nobody_html(), _failed(error)
            return
        yield self._now(session)

    def act(self, session: DescribeSession, what: str, place: int, number: int) -> Iterator[Any]:
        """A box, or the name of a face; or the way to stop."""
        if what == "stop":
            session.turn += 1
            session.stopped = True
            yield gr.skip(), describe_view.nobody_html(), STOPPED
        elif what == "face" and session.row is not None and 0 <= number < len(session.row["faces"]):
            session.face = number
            yield self._now(session)

    def _read(self, session: DescribeSession, photo: Photo, row: dict[str, Any], shown: str) -> None:
        session.row, session.shown, session.face = {**row, "photo": photo.name}, shown, 0
        text = json.dumps(session.row, indent=2, ensure_ascii=False, allow_nan=False)
        session.json = self.state.keep(text.encode(), "description.json", "application/json").address

    def _now(self, session: DescribeSession) -> tuple[str, str, str]:
        row = session.row
        assert row is not None
        picture = describe_view.photo_html(session.shown, row["width_px"], row["height_px"], row["faces"], session.face)
        said = notice(describe_view.count_words(row))
        if row["problem"]:
            said = told(PhotoError(row["problem"]["reason"], row["problem"]["message"]))
        if not row["faces"]:
            return picture, describe_view.nobody_html(), said
        return picture, describe_view.faces_html(row["faces"], session.face, session.json), said


def _preview(photo: UInt8Image) -> bytes:
    """JPEG bytes of a photo at the size of the page."""
    height, width = photo.shape[:2]
    scale = min(SHOWN_PX / max(height, width), 1.0)
    small = photo if scale == 1 else resize(photo, max(round(height * scale), 1), max(round(width * scale), 1))
    return encode_jpeg(small, SHOWN_QUALITY)


def _failed(error: Exception) -> str:
    if not isinstance(error, MienError):
        log.exception("describe")
    return told(error)
