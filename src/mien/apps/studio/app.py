"""The studio as an application: FastAPI, and on it one Gradio page with a tab for each way in.

**A tab** is a module here with these names (listed in ``TABS``):

- ``TITLE: str``, what the tab says;
- ``build(state: StudioState) -> Address | None``, called once inside its ``gr.Tab``: lays the controls out and
  ties them to functions. What it returns, if anything, restores the tab from the page's address (``widgets.Address``).

- ``MODEL_SPECS``, if the service's own are not enough: more of them, for ``state.ask``.

What a tab has at hand:

- ``state.ask("crowd", [FacesRequest(...), ...])``: have a model of the service work, between the requests of others. It
  yields ``JobProgress``: ``words`` for the person who waits, ``answer`` (pictures, JSON) when one job is done. An
  event is a generator that yields what it shows; ``button.click(..., cancels=[event])`` stops it between two jobs,
  and ``widgets.Turns`` drops answers that somebody no longer waits for.
- ``state.marks`` and ``pipelines.pictures.png_of``: every picture that is shown or handed out is a marked PNG.
- ``state.keep(png, "face.png").address``: for ``<img src>`` and ``<a href download>`` (zip files as well).
- ``widgets.photo_drop(elem_id, many=False)``: drop, paste or choose photos, kept in memory only; its event ``photos``
  brings tokens for ``state.photo(token)``. (``gr.Image`` and ``gr.File`` would write uploads to the disk: refused.)
- ``widgets.notice(words, kind)``: the line beside a control that says what goes on or what is wrong; ``told(error)``.
- ``theme.css``: variables ``--paper --ink --soft --line --mark`` and the classes of buttons, chips, sheets.

Events get ``**QUIET`` (``show_progress="hidden"``, no public API); names in ``elem_id`` begin with the tab's name.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

from mien.apps.studio.quick_import import without_proxies, without_stub_files

with without_stub_files(), without_proxies():
    import gradio as gr
from fastapi import FastAPI

import mien
from mien.apps.studio import character, crowd, describe, edit, imagine, portrait, routes, theme, widgets
from mien.apps.studio.middleware import StudioMiddleware
from mien.apps.studio.state import StudioState
from mien.apps.web.models import MODEL_SPECS, ModelSpec
from mien.apps.web.settings import ServiceSettings

TABS = {  # id in the address -> module
    "crowd": crowd, "imagine": imagine, "character": character, "portrait": portrait, "edit": edit,
    "describe": describe,
}  # fmt: skip
EVENTS_AT_ONCE = 16  # of a kind; the models' own line is in StudioState
EVENTS_WAITING = 64


def page(state: StudioState) -> gr.Blocks:
    """All tabs."""
    with gr.Blocks(title="mien studio", analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(theme.HEADER, elem_id="masthead", js_on_load=widgets.script("tab_of_address.js"))
        with gr.Tabs(elem_id="tabs") as tabs:
            addresses, shown = {}, {}
            for name, tab in TABS.items():
                with gr.Tab(tab.TITLE, id=name, elem_id=f"tab-{name}") as shown[name]:
                    addresses[name] = tab.build(state)
        gr.HTML(theme.FOOTER.format(version=mien.__version__), elem_id="colophon")
        widgets.restore(blocks, tabs, shown, addresses)
    blocks.queue(default_concurrency_limit=EVENTS_AT_ONCE, max_size=EVENTS_WAITING, api_open=False)
    made: gr.Blocks = blocks
    return made


def create_app(settings: ServiceSettings | None = None, *, specs: Sequence[ModelSpec] = MODEL_SPECS) -> FastAPI:
    """The studio as an ASGI application (``app.state.studio`` is its ``StudioState``).

    ``RequestError`` for an address that others can reach and no keys. ``specs`` is for tests.
    """
    settings = settings or ServiceSettings()
    keys = settings.access_keys("studio")
    own = [spec for tab in TABS.values() for spec in getattr(tab, "MODEL_SPECS", ())]
    state = StudioState(settings, [*own, *specs])  # of two with one name the latter

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state.start()
        yield
        state.stop()

    app = FastAPI(
        title="mien studio", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.state.studio = state
    routes.add(app, state)
    gr.mount_gradio_app(
        app, page(state), path="/", footer_links=[], run_history=False, ssr_mode=False, pwa=False,
        enable_monitoring=False, root_path=settings.address, mcp_server=False, show_error=False,
        theme=theme.theme(), css=theme.css(), head=theme.HEAD,
    )  # fmt: skip
    app.add_middleware(StudioMiddleware, settings=settings, keys=keys)
    return app
