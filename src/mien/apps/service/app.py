"""The application: routes, and nothing that could not be said in another protocol."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

import mien
from mien.apps.service import docs_page, routes
from mien.apps.service.state import Service
from mien.apps.web.auth import OPEN_PATHS
from mien.apps.web.forms import plain, sentence
from mien.apps.web.middleware import JSON, AuthMiddleware
from mien.apps.web.models import ModelSpec, chosen
from mien.apps.web.query import fields_once, known_query
from mien.apps.web.settings import ServiceSettings
from mien.apps.web.uploads import PHOTO_TYPES
from mien.apps.web.worker import FullError, UnavailableError
from mien.core.errors import CellsError, MienError, PhotoError

PHOTO_STATUS = {"too_large": 413, "not_an_image": 415, "needs_heif": 415}
ABOUT = "Faces of people who do not exist, and what can be said of photos. Nothing that is uploaded is kept."


def create_app(settings: ServiceSettings | None = None, *, specs: Sequence[ModelSpec] | None = None) -> FastAPI:
    """The service as an ASGI application (``app.state.service`` is its ``Service``).

    ``specs`` instead of those that the settings name is for tests. ``RequestError`` for settings that cannot be: an
    address that others can reach and no keys, files that are not there.
    """
    settings = settings or ServiceSettings()
    keys = settings.access_keys()
    temporary = None if settings.jobs else tempfile.TemporaryDirectory(prefix="mien-jobs-")
    service = Service(
        settings, specs or chosen(settings.models), settings.jobs or Path(str(temporary and temporary.name))
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()
        if temporary:
            temporary.cleanup()

    app = FastAPI(
        title="mien", version=mien.__version__, summary=ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url=None,  # docs_page has it
        redirect_slashes=False,  # the address of a redirect would be a guess behind a proxy
        servers=[{"url": settings.address}] if settings.address else None,
        dependencies=[Depends(known_query), Depends(fields_once)],
    )  # fmt: skip
    app.state.service = service
    routes.add(app, service)
    docs_page.add(app, keys_wanted=keys is not None)
    _say_errors(app)
    types = {f"/v1/{m.name}": JSON if m.takes == "faces" else PHOTO_TYPES for m in service.specs.values()}
    types[routes.CAST_PATH] = JSON
    app.add_middleware(
        AuthMiddleware,
        settings=settings,
        keys=keys,
        types=types,
        limits={routes.CAST_PATH: settings.cast_kib * 1024},
        answered=service.metrics.answered,
        without_key=(*OPEN_PATHS, *docs_page.PATHS),
    )
    return app


def _say_errors(app: FastAPI) -> None:
    """Every error becomes one status and one sentence."""

    def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
        return JSONResponse({"error": plain(message)}, status, headers)

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> Response:
        form = getattr(request.scope.get("endpoint"), "form", None)
        return refusal(422, sentence(error.errors(), form))

    @app.exception_handler(MienError)
    async def wrong(request: Request, error: MienError) -> Response:
        if isinstance(error, FullError):
            return refusal(429, str(error), {"Retry-After": str(error.retry_seconds)})
        if isinstance(error, UnavailableError):
            return refusal(503, str(error), {"Retry-After": "30"})
        if isinstance(error, PhotoError):
            return refusal(PHOTO_STATUS.get(error.reason, 422), str(error))
        if isinstance(error, CellsError):
            cells = [{"row": cell.row, "column": cell.column, "message": plain(cell.message)} for cell in error.cells]
            return JSONResponse({"error": plain(str(error)), "cells": cells}, 422)
        return refusal(422 if error.exit_status == 2 else 503, str(error))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == 400:  # JSON that no reader takes: nested too deep, or bytes that are no text
            return refusal(400, "body: not JSON that can be read", dict(error.headers or {}))
        said = {404: "no such address", 405: "no such method here"}.get(error.status_code, str(error.detail))
        return refusal(error.status_code, said, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return refusal(500, "the service failed at this request")
