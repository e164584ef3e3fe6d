"""What more than one tab shows: the notice beside a control, the place where photos are dropped, the address."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from mien.apps.service.forms import plain
from mien.errors import MienError

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
SCRIPTS = Path(__file__).parent / "scripts"
ACCEPT = "image/jpeg,image/png,image/webp,image/avif"


@dataclass(frozen=True, slots=True)
class Address:
    """How a tab is restored from the address: ``restore(query)`` -> values for ``outputs``.

    ``query`` holds what follows the '?'; it is whatever somebody typed. A generator may yield several times.
    """

    restore: Callable[[Mapping[str, str]], Any]
    outputs: Sequence[Any]


def notice(words: str = "", kind: Literal["busy", "wrong", "said"] = "said") -> str:
    """A line beside a control: work that goes on, what is wrong, or something said; announced to screen readers."""
    if not words:
        return '<p class="notice" role="status"></p>'
    role = "alert" if kind == "wrong" else "status"
    return f'<p class="notice {kind}" role="{role}">{escape(words)}</p>'


def told(error: Exception) -> str:
    """A notice of what went wrong: the sentence of the command line without its dashes."""
    words = plain(str(error)) if isinstance(error, MienError) else "The studio failed at this; please try again."
    return notice(words[:1].upper() + words[1:], "wrong")


def photo_drop(
    elem_id: str, *, many: bool = False, label: str = "Drop a photo here, paste one, or choose a file"
) -> Any:
    """A place for photos. Its event ``photos`` brings ``event.tokens``: a list of tokens for ``rooms.photo``.

    What is wrong with a file is said below it, in words. ``drop.photos(fn, ...)`` ties a function to the event; its
    function takes ``event: gr.EventData``.
    """
    html = (
        f'<label class="drop" tabindex="0"><input type="file" accept="{ACCEPT}" {"multiple" if many else ""}>'
        f'<span class="drop-words">{escape(label)}</span>'
        '<span class="drop-hint">JPEG, PNG, WebP or AVIF. It stays in memory on this machine.</span></label>'
        '<p class="notice" role="status"></p>'
    )
    return gr.HTML(html, elem_id=elem_id, js_on_load=(SCRIPTS / "photo_drop.js").read_text(encoding="utf-8"))


def restore(blocks: gr.Blocks, tabs: gr.Tabs, addresses: Mapping[str, Address | None]) -> None:
    """When the page opens: show the tab that the address names, and let each tab restore itself."""

    def choose(request: gr.Request) -> Any:
        wanted = request.query_params.get("tab")
        return gr.Tabs(selected=wanted) if wanted in addresses else gr.skip()

    choose.__annotations__["request"] = gr.Request
    blocks.load(choose, None, tabs, **QUIET)
