"""The studio's own addresses: photos come in and pictures go out in memory; the page itself is Gradio's."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import quote, unquote

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, Response

from mien.apps.studio.crowd_cast import MOST_FACES as MOST_CAST_FACES
from mien.apps.studio.state import StudioState
from mien.apps.web.cast import read_cast_file
from mien.apps.web.forms import plain
from mien.apps.web.query import known_query
from mien.apps.web.settings import MIB
from mien.apps.web.uploads import photo_of
from mien.core.errors import CellsError, PhotoError, RequestError

LONGEST_NAME = 80
PICTURE_HEADERS = {"Cache-Control": "private, max-age=3600"}


def add(app: FastAPI, state: StudioState) -> None:
    """Add ``POST photos``, ``POST casts``, ``GET pictures/TOKEN/NAME`` and ``GET healthz``."""
    limit = state.settings.upload_mib * MIB

    async def take_photo(request: Request) -> Response:
        """A photo as the body, its file's name in ``X-Name`` (percent-encoded); answers its token, or a sentence."""
        data, name = await _body(request, limit), _name(request) or "photo"
        if data is None:
            return _refused(413, f"photo: too large; allowed are {state.settings.upload_mib} MiB")
        try:
            read = await asyncio.to_thread(photo_of, data, megapixels=state.settings.upload_megapixels)
        except PhotoError as error:
            return _refused(413 if error.reason == "too_large" else 415, plain(str(error)))
        height, width = read.photo.shape[:2]
        told = {"token": state.take_in(name, read.photo), "name": name, "width": width, "height": height}
        return JSONResponse({**told, "remark": read.remark})

    async def take_cast(request: Request) -> Response:
        """A cast list as the body, named as a photo is; answers its token, or every cell that cannot be read."""
        data, name = await _body(request, state.settings.cast_kib * 1024), _name(request) or "the list"
        if data is None:
            return _refused(413, f"{name}: too large; allowed are {state.settings.cast_kib} KiB")
        try:
            cast = await asyncio.to_thread(read_cast_file, data, name, MOST_CAST_FACES)
        except CellsError as error:
            cells = [{"row": cell.row, "column": cell.column, "message": plain(cell.message)} for cell in error.cells]
            return JSONResponse({"error": plain(str(error)), "name": name, "cells": cells}, 422)
        except RequestError as error:
            return _refused(422, plain(str(error)))
        return JSONResponse({"token": state.take_cast(name, cast), "name": name, "count": cast.count})

    async def picture(token: str, name: str) -> Response:
        kept = state.kept(token)
        if kept is None:
            return Response("This picture is forgotten; make it again.", 404, media_type="text/plain")
        headers = {**PICTURE_HEADERS, "Content-Disposition": f"inline; filename*=UTF-8''{quote(kept.name)}"}
        return Response(kept.data, media_type=kept.media_type, headers=headers)

    async def healthz() -> dict[str, bool]:
        return {"alive": True}

    for handler in (take_photo, take_cast):
        handler.__annotations__["request"] = Request
    picture.__annotations__.update(token=str, name=str)
    known = [Depends(known_query)]
    app.post("/photos", response_model=None, dependencies=known)(take_photo)
    app.post("/casts", response_model=None, dependencies=known)(take_cast)
    app.get("/pictures/{token}/{name}", response_model=None, dependencies=known)(picture)
    app.get("/healthz", dependencies=known)(healthz)

    @app.exception_handler(RequestError)
    async def wrong(request: Request, error: RequestError) -> Response:
        return _refused(422, plain(str(error)))


async def _body(request: Request, limit: int) -> bytes | None:
    """The body; ``None`` where it has more than ``limit`` bytes."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > limit:
            return None
    return b"".join(parts)


def _name(request: Request) -> str:
    given = unquote(request.headers.get("x-name", ""))
    return re.sub(r"[\x00-\x1f\x7f/\\]", "", given)[:LONGEST_NAME]


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)
