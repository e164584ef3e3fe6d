"""A service on a real socket of this machine, in a thread of the test process, with makers that need no weights."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.apps.service.app import create_app
from mien.apps.service.forms import CrowdForm, ImagineForm
from mien.apps.service.makers import FacesOrder, Maker, PhotoOrder, Picture, crowd_wish, imagine_wish, make_crowd
from mien.apps.service.run import address_of, server_of
from mien.apps.service.settings import ServiceSettings
from mien.apps.service.state import Service
from mien.core.contract import FakeGenerator
from mien.generators.crowd.sampler import Crowd


def fake_crowd(generator: Any = None) -> Maker:
    """Discs instead of faces."""
    return Maker(
        "crowd", "faces", "Discs", lambda: Crowd(generator or FakeGenerator()), make_crowd, CrowdForm, crowd_wish
    )


def fake_imagine() -> Maker:
    """Grey squares instead of faces."""

    def make(model: Any, orders: Sequence[FacesOrder]) -> list[list[Picture]]:
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

    return Maker("imagine", "faces", "Squares", lambda: None, make, ImagineForm, imagine_wish)


def fake_describe(seen: Callable[[PhotoOrder], dict[str, Any]] | None = None) -> Maker:
    """Says how large a photo is."""

    def describe(order: PhotoOrder) -> dict[str, Any]:
        height, width = order.photo.shape[:2]
        return {"width_px": width, "height_px": height, **order.options}

    def make(model: Any, orders: Sequence[PhotoOrder]) -> list[dict[str, Any]]:
        return [(seen or describe)(order) for order in orders]

    return Maker("describe", "photo", "Sizes", lambda: None, make, options={"with_ethnicity": "More."})


FAKES = (fake_crowd(), fake_imagine(), fake_describe())


@dataclass(frozen=True)
class Live:
    """A running service."""

    address: str
    port: int
    service: Service


@contextmanager
def live(settings: ServiceSettings, makers: Sequence[Maker] = FAKES) -> Iterator[Live]:
    """Run it until the block ends, then stop it as a signal would."""
    app = create_app(settings, makers=makers)
    server, listening = server_of(app, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not (server.started and app.state.service.workshop.loaded):
        assert time.monotonic() < until, "the service did not start"
        time.sleep(0.01)
    try:
        yield Live(address_of(settings, listening), listening.getsockname()[1], app.state.service)
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()
        assert not thread.is_alive(), "the service did not stop"
