"""What more than one tab shows: the notice beside a control, the place where photos are dropped, the address."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from mien.apps.web.forms import plain
from mien.core.errors import MienError
from mien.core.foreign import in_html
from mien.core.formats import MAIN_TYPES, SUFFIXES

Kind = Literal["busy", "wrong", "said"]
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
SCRIPTS = Path(__file__).parent / "scripts"
ACCEPT = ",".join((*MAIN_TYPES, *SUFFIXES))  # some systems know the one, some the other


@dataclass(frozen=True, slots=True)
class Address:
    """How a tab is restored from the address: ``restore(query, *inputs)`` -> values for ``outputs``.

    Called once a visit, when the tab is first shown: with what follows the '?' where the address names this tab (it is
    whatever somebody typed), and with nothing where the person came by a click. A generator may yield several times.
    """

    restore: Callable[..., Any]
    outputs: Sequence[Any]
    inputs: Sequence[Any] = ()


def notice(words: str = "", kind: Kind = "said", *, stop: bool = False) -> str:
    """A line beside a control: work that goes on, what is wrong, or something said; announced to screen readers.

    ``stop`` adds a button whose ``what`` is "stop" (for ``scripts/acts.js``).
    """
    if not words:
        return '<p class="notice" role="status"></p>'
    role = "alert" if kind == "wrong" else "status"
    button = ' <button type="button" class="stop" data-what="stop">Stop</button>' if stop else ""
    return f'<p class="notice {kind}" role="{role}">{in_html(words)}{button}</p>'


def told(error: Exception) -> str:
    """A notice of what went wrong: the sentence of the command line without its dashes."""
    words = plain(str(error)) if isinstance(error, MienError) else "The studio failed at this; please try again."
    return notice(words[:1].upper() + words[1:], "wrong")


def script(name: str) -> str:
    """What ``js_on_load`` of ``gr.HTML`` takes, from the folder ``scripts``."""
    return (SCRIPTS / name).read_text(encoding="utf-8")


def acting(handle: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """An event ``act`` of ``scripts/acts.js`` as a call ``handle(state, what, place, number)``.

    What comes from a browser may be anything: numbers that are none are -1.
    """

    def act(state: Any, event: gr.EventData) -> Iterator[Any]:
        given = event._data if isinstance(event._data, Mapping) else {}
        numbers = [text if text.isdecimal() and len(text) < 10 else "-1" for text in
                   (str(given.get(name, "")) for name in ("place", "number"))]  # fmt: skip
        answered = False
        for shown in handle(state, str(given.get("what", "")), *map(int, numbers)):
            answered = True
            yield shown
        if not answered:  # an event that yields nothing would empty its outputs
            yield gr.skip()

    act.__annotations__["event"] = gr.EventData
    return act


def photo_drop(
    elem_id: str, *, many: bool = False, label: str = "Drop a photo here, paste one, or choose a file"
) -> Any:
    """A place for photos. Its event ``photos`` brings ``event.tokens``: a list of tokens for ``state.photo``.

    What is wrong with a file is said below it, in words. ``drop.photos(fn, ...)`` ties a function to the event; its
    function takes ``event: gr.EventData``.
    """
    html = (
        f'<label class="drop"><input type="file" accept="{ACCEPT}" {"multiple" if many else ""}>'
        f'<span class="drop-words">{in_html(label)}</span>'
        '<span class="drop-hint">JPEG, PNG, WebP, HEIC and others. It stays in memory on this machine.</span></label>'
        '<p class="notice" role="status"></p>'
    )
    return gr.HTML(html, elem_id=elem_id, js_on_load=script("photo_drop.js"))


def restore(
    blocks: gr.Blocks, tabs: gr.Tabs, tab_of: Mapping[str, gr.Tab], addresses: Mapping[str, Address | None]
) -> None:
    """When the page opens, show the tab that its address names and restore it; the others when they are first shown."""
    first, opened = next(iter(addresses)), gr.State(set())

    def named(request: gr.Request) -> str:
        wanted = str(request.query_params.get("tab", first))
        return wanted if wanted in addresses else first

    def choose(request: gr.Request) -> Any:
        return gr.Tabs(selected=named(request))

    choose.__annotations__["request"] = gr.Request
    blocks.load(choose, None, tabs, **QUIET)
    for name, address in addresses.items():
        if address is not None:
            _restore_one(blocks, tab_of[name], name, address, named, opened)


def _restore_one(
    blocks: gr.Blocks, tab: gr.Tab, name: str, address: Address, named: Callable[[gr.Request], str], opened: gr.State
) -> None:
    def on_load(been: set[str], request: gr.Request, *given: Any) -> Iterator[Any]:
        been.add(named(request))
        yield gr.skip()  # an event that yields nothing would empty its outputs
        if named(request) == name:
            yield from _listed(address.restore(dict(request.query_params), *given))

    def on_select(been: set[str], *given: Any) -> Iterator[Any]:
        yield gr.skip()
        if been and name not in been:  # the first tab is selected before the page is loaded: that is no choice
            been.add(name)
            yield from _listed(address.restore({}, *given))

    on_load.__annotations__["request"] = gr.Request
    blocks.load(on_load, [opened, *address.inputs], address.outputs, **QUIET)
    tab.select(on_select, [opened, *address.inputs], address.outputs, **QUIET)


def _listed(made: Any) -> Iterator[Any]:
    """What a ``restore`` gives, one value or several in turn."""
    if isinstance(made, Iterator):
        yield from made
    else:
        yield made
