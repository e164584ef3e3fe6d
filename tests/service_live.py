"""A service on a real socket of this machine, in a thread of the test process, with models that need no weights."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from fake_generator import FakeGenerator

from mien.apps.service.app import create_app
from mien.apps.service.state import Service
from mien.apps.web.forms import CrowdForm, ImagineForm
from mien.apps.web.models import ModelSpec, PhotoJob, make_crowd, read_crowd, read_imagine
from mien.apps.web.server import address_of, server_of
from mien.apps.web.settings import ServiceSettings
from mien.generators.crowd.sampler import Crowd
from mien.pipelines.pictures import Picture
from mien.pipelines.request import FacesRequest


def fake_crowd(generator: Any = None) -> ModelSpec:
    """Discs instead of faces."""
    return ModelSpec(
        "crowd", "faces", "Discs", lambda: Crowd(generator or FakeGenerator()), make_crowd, CrowdForm, read_crowd
    )


def fake_imagine() -> ModelSpec:
    """Grey squares instead of faces."""

    def make(model: Any, orders: Sequence[FacesRequest]) -> list[list[Picture]]:
        return [
            [
                Picture(
                    np.full((32, 32, 3), index % 256, np.uint8),
                    {
                        "file": f"{index:05d}.png",
                        "seed": order.seed,
                        "index": index,
                        "model": "m",
                        "model_version": "1",
                    },
                )
                for index in range(order.first, order.first + order.count)
            ]
            for order in orders
        ]

    return ModelSpec("imagine", "faces", "Squares", lambda: None, make, ImagineForm, read_imagine)


def fake_describe(seen: Callable[[PhotoJob], dict[str, Any]] | None = None) -> ModelSpec:
    """Says how large a photo is."""

    def describe(order: PhotoJob) -> dict[str, Any]:
        height, width = order.photo.shape[:2]
        return {"width_px": width, "height_px": height, **order.options}

    def make(model: Any, orders: Sequence[PhotoJob]) -> list[dict[str, Any]]:
        return [(seen or describe)(order) for order in orders]

    return ModelSpec("describe", "photo", "Sizes", lambda: None, make, options={"with_ethnicity": "More."})


FAKES = (fake_crowd(), fake_imagine(), fake_describe())


@dataclass(frozen=True)
class Live:
    """A running service."""

    address: str
    port: int
    service: Service


@contextmanager
def live(settings: ServiceSettings, specs: Sequence[ModelSpec] = FAKES) -> Iterator[Live]:
    """Run it until the block ends, then stop it as a signal would."""
    app = create_app(settings, specs=specs)
    server, listening = server_of(app, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not (server.started and app.state.service.worker.loaded):
        assert time.monotonic() < until, "the service did not start"
        time.sleep(0.01)
    try:
        yield Live(address_of(settings, listening), listening.getsockname()[1], app.state.service)
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
        assert not thread.is_alive(), "the service did not stop"
