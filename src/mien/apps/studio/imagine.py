"""The tab Imagine."""

from __future__ import annotations

import gradio as gr

from mien.apps.studio.rooms import Rooms
from mien.apps.studio.widgets import Address

TITLE = "Imagine"


def build(rooms: Rooms) -> Address | None:
    """Lay the tab out."""
    gr.HTML("<p>In the making.</p>")
    return None
