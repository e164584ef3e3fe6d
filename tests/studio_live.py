"""The studio in this process for tests in a browser: fakes instead of models, and a gate that holds their work up."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from browsing import PATIENCE_MS, Visit, served
from imagine_tiny import tiny_density
from service_live import fake_crowd
from test_studio_portrait import fake_make

from mien.apps.studio import imagine_jobs, portrait_make
from mien.apps.studio.app import create_app
from mien.apps.web.models import ModelSpec
from mien.apps.web.settings import ServiceSettings
from mien.generators.imagine.mien import DecoderRenderer, Imagine
from mien.pipelines.edit import EditSampler


@contextmanager
def studio(*specs: ModelSpec, keys: Path | None = None) -> Iterator[str]:
    """The studio in a thread, with discs for Crowd if nothing is given; yields its address."""
    settings = ServiceSettings(port=0, stop_seconds=2, together_faces=8, keys=keys)
    with served(create_app(settings, specs=specs or (fake_crowd(),)), settings) as address:
        yield address


def fakes(weights: Path) -> tuple[ModelSpec, ModelSpec, ModelSpec]:
    """Discs, a density of four attributes drawn by tiny ``weights``, and grey squares for portraits."""

    def load() -> EditSampler:
        return EditSampler(Imagine(tiny_density(), DecoderRenderer.load(weights), "tiny"))

    return (
        fake_crowd(),
        ModelSpec(imagine_jobs.MODEL, "faces", "Tiny faces", load, imagine_jobs.make),
        ModelSpec(portrait_make.MODEL, "photo", "Grey squares", lambda: None, fake_make),
    )


def held(spec: ModelSpec, gate: threading.Event, begun: threading.Event | None = None) -> ModelSpec:
    """A model that waits for a gate before each of its works; ``begun`` is set when it waits there."""

    def make(model: Any, orders: Sequence[Any]) -> Any:
        if begun is not None:
            begun.set()
        gate.wait(PATIENCE_MS / 1000)
        return spec.make(model, orders)

    return replace(spec, make=make)


def ready(one: Visit, tab: str, query: str = "") -> Any:
    """The page at a tab, once its scripts listen and its events are tied: Gradio's own first event was answered.

    A page whose stream of events broke while it was opened stays empty; as a person would, it is opened once more.
    """
    shown = {"imagine": "#imagine-board .chip", "portrait": "#portrait-drop .drop", "edit": "#edit-drop .drop"}[tab]
    with one.page.expect_response("**/queue/join**"):
        page = one.open(f"?tab={tab}{query}")
    if not _seen(page, shown, PATIENCE_MS / 3):
        one.open(f"?tab={tab}{query}")
        page.wait_for_selector(shown)
    last = {"imagine": "imagine-board", "portrait": "portrait-cards", "edit": "edit-card"}[tab]
    page.wait_for_selector(f"#{last}[data-ready], #{last} [data-ready]", state="attached")
    page.wait_for_timeout(2000)
    return page


def _seen(page: Any, selector: str, patience_ms: float) -> bool:
    from playwright.sync_api import TimeoutError as Late

    try:
        page.wait_for_selector(selector, timeout=patience_ms)
    except Late:
        return False
    return True
