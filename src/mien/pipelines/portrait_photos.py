"""Photos -> portraits, in order, a few photos at once.

The networks are loaded once a photo could be read: a name that was mistyped is told at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from mien.core.errors import MienError, PhotoError
from mien.core.files import check_weights
from mien.core.photo_inputs import PhotoInput, photo_of
from mien.core.photos import PhotoFile
from mien.pipelines.engine import LOCAL, Engine
from mien.pipelines.portrait import PhotoPortraits, PortraitRequest

if TYPE_CHECKING:
    from mien.core.progress import OnProgress
    from mien.pipelines.portrait_model import PortraitPipeline, PortraitSubject

AT_ONCE = 4  # photos whose faces are drawn together: in half the time of one by one


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
    pieces = [named[start : start + AT_ONCE] for start in range(0, len(named), AT_ONCE)]
    done = 0
    for piece in engine.run(pieces, partial(photos_worker, replace(request, photos=()), own)):
        for made in piece:
            yield made
            done += 1
            if on_progress is not None:
                on_progress(done, len(named))


def photos_worker(
    request: PortraitRequest, pipeline: PortraitPipeline | None = None
) -> Callable[[Sequence[tuple[str, PhotoInput]]], list[PhotoPortraits]]:
    """What makes the portraits of some photos, given with their names; it loads networks when they are needed."""

    def work(named: Sequence[tuple[str, PhotoInput]]) -> list[PhotoPortraits]:
        nonlocal pipeline
        found: list[tuple[PhotoPortraits, list[PortraitSubject]]] = []
        for name, photo in named:
            try:
                shown = photo_of(photo, name=name)
            except MienError as error:
                found.append((PhotoPortraits(name, problem=error), []))
                continue
            pipeline = pipeline or _loaded(request)
            found.append(_found(pipeline, name, shown, request.largest))
        faces = [face for _, own in found for face in own]
        made = iter(pipeline.portraits(faces, request.size_px) if pipeline else ())
        return [replace(result, portraits=tuple(islice(made, len(own)))) for result, own in found]

    return work


def _found(
    pipeline: PortraitPipeline, name: str, shown: PhotoFile, largest: bool
) -> tuple[PhotoPortraits, list[PortraitSubject]]:
    """A photo without its portraits yet, and what they are drawn of."""
    try:
        faces = [pipeline.read(shown.photo, face) for face in pipeline.faces(shown.photo, largest=largest)]
        if not faces:
            raise PhotoError("no_face", f"{name}: no face found; is the photo upright?")
    except MienError as error:
        return PhotoPortraits(name, problem=error), []
    return PhotoPortraits(name, shown.photo, remark=shown.remark), faces


def _loaded(request: PortraitRequest) -> PortraitPipeline:
    from mien.pipelines.portrait_model import PortraitPipeline

    return PortraitPipeline.load(request.preset, weights=request.weights, settings=request.settings)
