"""The tab Crowd: a contact sheet that follows its sliders; faces that please are locked and stay."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from mien.apps.studio import crowd_out, crowd_view
from mien.apps.studio.crowd_cache import FaceCache, Frame, Place
from mien.apps.studio.crowd_cast import CastSheet, cast_drop, cast_html, cast_person_html
from mien.apps.studio.crowd_sheet import MOST_FACES, SIZES_PX, Mix, Sheet, SheetFace, attributes_of, noun_of, sweep
from mien.apps.studio.state import StudioState
from mien.apps.studio.widgets import QUIET, Address, Kind, acting, notice, script, told
from mien.core.errors import MienError, RequestError
from mien.core.seeding import fresh_seed
from mien.pipelines.pictures import safe_stem
from mien.pipelines.request import ATTRIBUTES, RACES

TITLE = "Crowd"
ANY = "any"
SETTLE_SECONDS = 0.2  # a slider that is being dragged asks for nothing
log = logging.getLogger("mien.studio")


class CrowdSession:
    """What one visitor has on the page. Each change takes a turn; work of an older turn stops."""

    def __init__(self) -> None:
        self.sheet = Sheet(Mix(seed=0))
        self.cast: CastSheet | None = None  # shown instead of the sheet
        self.chosen: int | None = None
        self.variants: tuple[SheetFace, ...] = ()
        self.turn = 0
        self.shown = False
        self.said = notice()  # the line of the newest turn

    def next_turn(self) -> int:
        """The number of a new turn; every older one is stale."""
        self.turn += 1
        return self.turn


def build(state: StudioState) -> Address:
    """Lay the tab out and tie it together."""
    tab = CrowdTab(state)
    session = gr.State(CrowdSession())  # each visitor gets a copy
    with gr.Row(elem_id="crowd", elem_classes="bench"):
        with gr.Column(elem_id="crowd-controls", elem_classes="controls", min_width=240):
            mix = Mix(0)
            count = gr.Slider(1, MOST_FACES, mix.count, step=1, buttons=[], label="How many", elem_id="crowd-count")
            women = gr.Slider(
                0, 100, mix.women_percent, step=1, buttons=[], label="Women, percent", elem_id="crowd-women"
            )
            young = gr.Slider(
                1, 100, mix.youngest_years, step=1, buttons=[], label="Youngest, years", elem_id="crowd-young"
            )
            old = gr.Slider(1, 100, mix.oldest_years, step=1, buttons=[], label="Oldest, years", elem_id="crowd-old")
            again = gr.Button("New faces", variant="primary", elem_id="crowd-again")
            with gr.Accordion("More: words, race, size, seed", open=False, elem_id="crowd-more"):
                lean = gr.Slider(-100, 100, 0, step=5, buttons=[], label="Lean, young to old", elem_id="crowd-lean")
                words = gr.Textbox(
                    label="All of them are", placeholder="smiling, eyeglasses, not bald", max_lines=2,
                    elem_id="crowd-words", info=f"From: {', '.join(ATTRIBUTES.values())}",
                )  # fmt: skip
                wrong = gr.HTML(notice(), elem_id="crowd-words-notice")
                race = gr.Dropdown([ANY, *RACES], value=ANY, label="Race, as the data names it", elem_id="crowd-race")
                size = gr.Radio(
                    [(f"{px} px", px) for px in SIZES_PX], value=SIZES_PX[0], label="Size", elem_id="crowd-size"
                )
                seed = gr.Textbox(label="Seed", max_lines=1, elem_id="crowd-seed")
            cast = cast_drop("crowd-cast")
        with gr.Column(elem_id="crowd-table", elem_classes="table", min_width=300):
            status = gr.HTML(notice(), elem_id="crowd-status", js_on_load=script("acts.js"))
            sheet = gr.HTML("", elem_id="crowd-sheet", js_on_load=script("crowd_sheet.js"))
            handout = gr.HTML(crowd_out.handout_html(), elem_id="crowd-handout", js_on_load=script("handout.js"))
        with gr.Column(elem_id="crowd-side", elem_classes="side", min_width=260):
            person = gr.HTML(
                crowd_view.person_html(None, None, None, False, ()),
                elem_id="crowd-person",
                js_on_load=script("acts.js"),
            )
    controls = [count, women, young, old, lean, race, words, size, seed]
    shown = [sheet, person, status, wrong]
    live: dict[str, Any] = {**QUIET, "trigger_mode": "multiple"}
    for slider in (count, women, young, old, lean):
        slider.input(tab.changed, [session, *controls], shown, **live)
    for choice in (race, size):
        choice.input(tab.changed, [session, *controls], shown, **live)
    for box in (words, seed):
        box.submit(tab.changed, [session, *controls], shown, **live)
        box.blur(tab.changed, [session, *controls], shown, **live)
    cast.cast(tab.dropped, session, shown, **live)
    again.click(tab.again, session, [*shown, seed], **live)
    sheet.act(acting(tab.act), session, shown, **live)
    person.act(acting(tab.act), session, shown, **live)
    status.act(acting(tab.act), session, shown, **live)
    handout.act(acting(tab.hand_out), session, [handout, status], **live)
    return Address(tab.restore, [*shown, *controls], [session])


class CrowdTab:
    """The events of the tab. ``shown`` is always (sheet, person, status, notice beside the words)."""

    def __init__(self, state: StudioState) -> None:
        self.cache = FaceCache(state)

    def restore(self, query: Mapping[str, str], session: CrowdSession) -> Iterator[Any]:
        """The sheet of the address, and the controls as they were."""
        said = ""
        try:
            session.sheet = Sheet.of_query(query, fresh_seed())
        except RequestError as error:
            session.sheet = Sheet(Mix(fresh_seed()))
            said = f"{error}. Here is a fresh sheet instead."
        mix = session.sheet.mix
        values = [
            mix.count, mix.women_percent, mix.youngest_years, mix.oldest_years, mix.lean, mix.race or ANY, mix.words,
            mix.size_px, str(mix.seed),
        ]  # fmt: skip
        yield *self._now(session, "", address=False), notice(), *values
        for shown in self._make(session, session.next_turn(), said=said, made_by=query.get("model", "")):
            yield *shown, *([gr.skip()] * len(values))

    def changed(
        self,
        session: CrowdSession,
        count: int,
        women: int,
        young: int,
        old: int,
        lean: int,
        race: str,
        words: str,
        size: int,
        seed: str,
    ) -> Iterator[Any]:
        """The controls were moved: the sheet follows, locked faces stay."""
        before = session.sheet.mix
        try:
            attributes_of(words)
        except RequestError as error:
            yield gr.skip(), gr.skip(), gr.skip(), told(error)
            return
        try:
            wanted = Mix(
                _seed(seed, before.seed),
                count,
                women,
                young,
                old,
                lean,
                None if race == ANY else race,
                words.strip(),
                size,
            ).checked()
        except RequestError as error:
            yield gr.skip(), gr.skip(), told(error), notice()
            return
        if wanted == before and session.shown and session.cast is None:
            yield gr.skip(), gr.skip(), gr.skip(), notice()
            return
        turn = session.next_turn()
        session.sheet, session.cast = session.sheet.with_mix(wanted), None
        time.sleep(SETTLE_SECONDS)
        yield from self._make(session, turn)

    def again(self, session: CrowdSession) -> Iterator[Any]:
        """Other faces everywhere but in locked frames."""
        session.sheet = session.sheet.with_mix(replace(session.sheet.mix, seed=fresh_seed()))
        if session.cast is not None:
            session.cast = replace(session.cast, seed=session.sheet.mix.seed)
        session.variants = ()
        for shown in self._make(session, session.next_turn()):
            yield *shown, str(session.sheet.mix.seed)

    def dropped(self, session: CrowdSession, event: gr.EventData) -> Iterator[Any]:
        """A cast list takes the place of the sheet until a slider is moved."""
        token = str(event.token)
        kept = self.cache.state.cast(token)
        if kept is None:
            yield gr.skip(), gr.skip(), notice("This list is forgotten; drop it again.", "wrong"), gr.skip()
            return
        session.cast = CastSheet(token, *kept, session.sheet.mix.seed)
        session.chosen, session.variants = None, ()
        yield from self._make(session, session.next_turn())

    def act(self, session: CrowdSession, what: str, place: int, number: int) -> Iterator[Any]:
        """A button on a frame or beside it."""
        if what == "stop":
            session.next_turn()
            yield *self._now(session, "Stopped. Move a slider, or press New faces, to go on.")[:3], gr.skip()
            return
        if not 0 <= place < len(_places(session)) or (session.cast and what not in ("choose", "close")):
            return
        sheet = session.sheet
        if what == "lock":
            session.sheet = sheet.with_lock(place, None if place in sheet.locked else sheet.frame(place))
            yield *self._now(session), gr.skip()
            return
        if what in ("choose", "close"):
            session.chosen = place if what == "choose" else None
            session.variants = ()
            yield *self._now(session), gr.skip()
        elif what == "roll":
            session.sheet = sheet.rolled(place)
            session.variants = ()
            yield from self._make(session, session.next_turn())
        elif what == "vary":
            session.chosen, session.variants = place, sweep(sheet.frame(place))
            yield from self._make(session, session.next_turn(), varied=True)
        elif what == "take" and 0 <= number < len(session.variants) and session.chosen == place:
            session.sheet = sheet.with_lock(place, session.variants[number])
            yield from self._make(session, session.next_turn())

    def hand_out(self, session: CrowdSession, what: str, place: int, number: int) -> Iterator[Any]:
        """The whole sheet as a zip or as one picture."""
        places = _places(session)
        try:
            for step in self.cache.make(places):
                yield gr.skip(), notice(step.words, "busy")
            stem = f"mien-crowd-{session.sheet.mix.seed}"
            if session.cast is not None:
                stem = f"mien-{safe_stem(Path(session.cast.name).stem) or 'cast'}"
            kept = crowd_out.packed(what, places, self.cache, stem)
            yield crowd_out.handout_html(kept), notice(f"{kept.name} is ready.")
        except Exception as error:
            yield gr.skip(), _failed(error)

    def _make(
        self, session: CrowdSession, turn: int, *, said: str = "", made_by: str = "", varied: bool = False
    ) -> Iterator[tuple[Any, ...]]:
        """Make what the sheet (and the variants) lack, showing how far it is, until a newer turn begins."""
        if session.turn != turn:
            yield gr.skip(), gr.skip(), gr.skip(), gr.skip()  # an event that yields nothing would empty its outputs
            return
        session.shown = True
        places = _places(session)
        if session.variants and session.chosen is not None:
            places += [(session.chosen, frame, session.sheet.mix.size_px) for frame in session.variants]
        try:
            yield *self._now(session, notice_html=notice("Making faces", "busy", stop=True)), notice()
            for step in self.cache.make(places):
                if session.turn != turn:  # what this turn said last may have come after the newer turn's words
                    yield *self._now(session, notice_html=session.said), gr.skip()
                    return
                if step.number is None:
                    yield gr.skip(), gr.skip(), notice(step.words, "busy", stop=True), gr.skip()
                elif step.done % 8 == 0 or step.done == step.total or varied:
                    yield *self._now(session, notice_html=notice(step.words, "busy", stop=True)), gr.skip()
            if session.turn == turn and session.cast is not None:
                yield *self._now(session, session.cast.words), gr.skip()
            elif session.turn == turn:
                said = said or self._other_model(made_by)
                women = sum(frame.sex == "female" for frame in session.sheet.frames)
                kept = f", {len(session.sheet.locked)} locked" if session.sheet.locked else ""
                count = session.sheet.mix.count if varied else len(places)
                words = said or f"{count} faces: {_counted(women, session)}{kept}"
                kind: Kind = "wrong" if said else "said"
                yield *self._now(session, notice_html=notice(words, kind)), gr.skip()
        except Exception as error:
            yield *self._now(session, notice_html=_failed(error)), gr.skip()

    def _now(
        self, session: CrowdSession, words: str | None = None, *, notice_html: str | None = None, address: bool = True
    ) -> tuple[Any, Any, Any]:
        """(sheet, person, status) as they are; the status stays where nothing is to be said."""
        if notice_html is None and words is not None:
            notice_html = notice(words)
        session.said = session.said if notice_html is None else notice_html
        status = gr.skip() if notice_html is None else notice_html
        if session.cast is not None:
            return *self._cast_now(session, session.cast), status
        sheet, chosen, size = session.sheet, session.chosen, session.sheet.mix.size_px
        if chosen is not None and chosen >= sheet.mix.count:
            chosen = session.chosen = None
        found = {place: self.cache.get((place, frame, size)) for place, frame in enumerate(sheet.frames)}
        addresses = {place: one.kept.address for place, one in found.items() if one is not None}
        frame = None if chosen is None else sheet.frame(chosen)
        variants = [(one, self._address((chosen, one, size))) for one in session.variants] if chosen is not None else []
        person = crowd_view.person_html(
            chosen, frame, None if chosen is None else addresses.get(chosen), chosen in sheet.locked, variants
        )
        query = crowd_view.link(sheet, self.cache.model_version) if address else ""
        return crowd_view.sheet_html(sheet, addresses, chosen, query), person, status

    def _cast_now(self, session: CrowdSession, cast: CastSheet) -> tuple[str, str]:
        """(sheet, person) of a cast list."""
        found = {place: self.cache.get(where) for place, where in enumerate(_places(session))}
        made = {
            place: (one.kept.address, f"{noun_of(one.picture.row['sex'], one.picture.row['age'])},"
                    f" {one.picture.row['age']:.0f}")
            for place, one in found.items() if one is not None
        }  # fmt: skip
        chosen = session.chosen
        if chosen is None or chosen >= len(cast.faces):
            return cast_html(cast.faces, made, None), crowd_view.person_html(None, None, None, False, ())
        person = cast_person_html(chosen, cast.faces[chosen], made.get(chosen))
        return cast_html(cast.faces, made, chosen), person

    def _other_model(self, made_by: str) -> str:
        """What to say of an address that was written with the faces of another model."""
        here = self.cache.model_version
        if not made_by or made_by == here:
            return ""
        return f"This link was made with model {made_by[:40]}; here is {here}, so these are other people."

    def _address(self, place: Place) -> str | None:
        found = self.cache.get(place)
        return found.kept.address if found else None


def _places(session: CrowdSession) -> list[Place]:
    frames: Sequence[Frame] = session.cast.faces if session.cast is not None else session.sheet.frames
    return [(place, frame, session.sheet.mix.size_px) for place, frame in enumerate(frames)]


def _failed(error: Exception) -> str:
    if not isinstance(error, MienError):
        log.exception("crowd")
    return told(error)


def _counted(women: int, session: CrowdSession) -> str:
    frames: Sequence[SheetFace] = session.sheet.frames
    ages = [frame.age_years for frame in frames]
    return f"{women} female, {len(frames) - women} male, {min(ages):.0f} to {max(ages):.0f} years"


def _seed(text: str, before: int) -> int:
    """The seed in its box; the one before where the box is empty."""
    text = text.strip()
    if not text:
        return before
    if not text.isdecimal() or len(text) > 19:
        raise RequestError(f"seed: '{text[:20]}' given; allowed are 0 to 2^63 - 1")
    return int(text)
