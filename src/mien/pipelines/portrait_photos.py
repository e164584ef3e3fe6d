"""Photos -> portraits, one after the other. The networks are loaded once a photo could be read: a name that was
mistyped is told at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mien.core.errors import MienError, PhotoError
from mien.core.files import check_weights
from mien.core.photos import PhotoFile, PhotoInput, photo_of
from mien.pipelines.engine import LOCAL, Engine
from mien.pipelines.portrait import PhotoPortraits, PortraitRequest

if TYPE_CHECKING:
    from mien.core.progress import OnProgress
    from mien.pipelines.portrait_model import PortraitPipeline


def portraits(
    request: PortraitRequest,
    pipeline: PortraitPipeline | None = None,
    *,
    engine: Engine = LOCAL,
    on_progress: OnProgress | None = None,
) -> Iterator[PhotoPortraits]:
    """Photo by photo, in order; one that cannot be used stops no other.

    Args:
        pipeline: what makes them; by default the networks that the request names, loaded for the first photo that can
            be read. Workers of a cluster always load their own.
        engine: who does the work.
        on_progress: called with (photos done, photos in all) after each.
    """
    if pipeline is None:
        check_weights(request.weights)
    named = [
        (str(photo) if isinstance(photo, str | os.PathLike) else f"photo {number}", photo)
        for number, photo in enumerate(request.photos, 1)
    ]
    own = pipeline if engine.name == "local" else None
    yield from engine.run(named, partial(photo_worker, replace(request, photos=()), own), on_progress=on_progress)


def photo_worker(
    request: PortraitRequest, pipeline: PortraitPipeline | None = None
) -> Callable[[tuple[str, PhotoInput]], PhotoPortraits]:
    """What makes the portraits of one photo, given with its name; it loads networks when they are needed."""

    def work(named: tuple[str, PhotoInput]) -> PhotoPortraits:
        nonlocal pipeline
        name, photo = named
        try:
            read = photo_of(photo, name=name)
        except MienError as error:
            return PhotoPortraits(name, problem=error)
        pipeline = pipeline or _loaded(request)
        return _of_photo(pipeline, name, read, request)

    return work


def _loaded(request: PortraitRequest) -> PortraitPipeline:
    from mien.pipelines.portrait_model import PortraitPipeline

    return PortraitPipeline.load(request.preset, weights=request.weights, settings=request.settings)


def _of_photo(pipeline: PortraitPipeline, name: str, read: PhotoFile, request: PortraitRequest) -> PhotoPortraits:
    try:
        made = pipeline.make(read.photo, largest=request.largest, size_px=request.size_px)
        if not made:
            raise PhotoError("no_face", f"{name}: no face found; is the photo upright?")
    except MienError as error:
        return PhotoPortraits(name, problem=error)
    return PhotoPortraits(name, read.photo, tuple(made), remark=read.remark)
