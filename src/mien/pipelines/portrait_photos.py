"""Photos -> portraits, one after the other. The networks are loaded once a photo could be read: a name that was
mistyped is told at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mien.core.errors import MienError, PhotoError
from mien.core.files import check_weights
from mien.core.photos import PhotoFile, photo_of
from mien.pipelines.portrait import PhotoPortraits, PortraitRequest

if TYPE_CHECKING:
    from mien.core.progress import OnProgress
    from mien.pipelines.portrait_model import PortraitPipeline


def portraits(
    request: PortraitRequest, pipeline: PortraitPipeline | None = None, *, on_progress: OnProgress | None = None
) -> Iterator[PhotoPortraits]:
    """Photo by photo, in order; one that cannot be used stops no other.

    Args:
        pipeline: what makes them; by default the networks that the request names, loaded for the first photo that can
            be read.
        on_progress: called with (photos done, photos in all) after each.
    """
    if pipeline is None:
        check_weights(request.weights)
    for number, photo in enumerate(request.photos, 1):
        name = str(photo) if isinstance(photo, str | os.PathLike) else f"photo {number}"
        try:
            read = photo_of(photo, name=name)
        except MienError as error:
            yield PhotoPortraits(name, problem=error)
        else:
            pipeline = pipeline or _loaded(request)
            yield _of_photo(pipeline, name, read, request)
        if on_progress is not None:
            on_progress(number, len(request.photos))


def _loaded(request: PortraitRequest) -> PortraitPipeline:
    from mien.pipelines.portrait_model import PortraitPipeline

    return PortraitPipeline.load(request.preset, weights=request.weights, settings=request.settings)


def _of_photo(pipeline: PortraitPipeline, name: str, read: PhotoFile, request: PortraitRequest) -> PhotoPortraits:
    try:
        made = pipeline.make(read.photo, largest=request.largest, size_px=request.size_px)
        if not made:
            raise PhotoError("no_face", f"{name}: no face found")
    except MienError as error:
        return PhotoPortraits(name, problem=error)
    return PhotoPortraits(name, read.photo, tuple(made), remark=read.remark)
