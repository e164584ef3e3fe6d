"""The studio's own addresses: photos come in and pictures go out in memory; the page itself is Gradio's."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import quote, unquote

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from mien.apps.studio.state import StudioState
from mien.apps.web.forms import plain
from mien.apps.web.settings import MIB
from mien.apps.web.uploads import photo_of
from mien.core.errors import PhotoError

LONGEST_NAME = 80
PICTURE_HEADERS = {"Cache-Control": "private, max-age=3600"}


def add(app: FastAPI, state: StudioState) -> None:
    """Add ``POST photos``, ``GET pictures/TOKEN/NAME`` and ``GET healthz``."""
    limit = state.settings.upload_mib * MIB

    async def take_photo(request: Request) -> Response:
        """A photo as the body, its file's name in ``X-Name`` (percent-encoded); answers its token, or a sentence."""
        parts, size = [], 0
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > limit:
                return _refused(413, f"photo: too large; allowed are {state.settings.upload_mib} MiB")
        data = b"".join(parts)
        name = re.sub(r"[\x00-\x1f\x7f/\\]", "", unquote(request.headers.get("x-name", "")))[:LONGEST_NAME] or "photo"
        try:
            read = await asyncio.to_thread(photo_of, data, megapixels=state.settings.upload_megapixels)
        except PhotoError as error:
            return _refused(413 if error.reason == "too_large" else 415, plain(str(error)))
        height, width = read.photo.shape[:2]
        told = {"token": state.take_in(name, read.photo), "name": name, "width": width, "height": height}
        return JSONResponse({**told, "remark": read.remark})

    async def picture(token: str, name: str) -> Response:
        kept = state.kept(token)
        if kept is None:
            return Response("This picture is forgotten; make it again.", 404, media_type="text/plain")
        headers = {**PICTURE_HEADERS, "Content-Disposition": f"inline; filename*=UTF-8''{quote(kept.name)}"}
        return Response(kept.data, media_type=kept.media_type, headers=headers)

    async def healthz() -> dict[str, bool]:
        return {"alive": True}

    take_photo.__annotations__["request"] = Request
    picture.__annotations__.update(token=str, name=str)
    app.post("/photos", response_model=None)(take_photo)
    app.get("/pictures/{token}/{name}", response_model=None)(picture)
    app.get("/healthz")(healthz)


def _refused(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)
