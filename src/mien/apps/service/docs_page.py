"""The page `/docs`: Swagger UI over `/openapi.json`, from files that came with the package; nobody else is asked."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files as resources
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from mien.apps.web.auth import OPEN_PATHS

SWAGGER = "fastapi_swagger.resources"  # a package that carries a release of Swagger UI (Apache-2.0)
OURS = "mien.apps.service.assets"
FILES = {
    "swagger-ui-bundle.js": (SWAGGER, "text/javascript; charset=utf-8"),
    "swagger-ui.css": (SWAGGER, "text/css; charset=utf-8"),
    "favicon-32x32.png": (SWAGGER, "image/png"),
    "docs.js": (OURS, "text/javascript; charset=utf-8"),
}
# Scripts from here alone and none in the page; styles in attributes, which Swagger UI sets, are no way to run anything.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer"}
PAGE, DOCUMENT = "/docs", "/openapi.json"
PATHS = (PAGE, DOCUMENT, *(f"{PAGE}/{name}" for name in FILES))  # they tell nothing of anybody, and need no key


def add(app: FastAPI, *, keys_wanted: bool) -> None:
    """Add the page and its files; with keys, the document says so, and the page has a place to give one."""
    page = resources(OURS).joinpath("docs.html").read_bytes()

    async def docs() -> Response:
        return Response(page, media_type="text/html; charset=utf-8", headers=HEADERS)

    async def document() -> Response:
        return JSONResponse(app.openapi())

    app.get(PAGE, include_in_schema=False)(docs)
    app.get(DOCUMENT, include_in_schema=False)(document)
    for name, (package, kind) in FILES.items():
        app.get(f"{PAGE}/{name}", include_in_schema=False)(_file(resources(package).joinpath(name).read_bytes(), kind))
    if keys_wanted:
        _ask_for_keys(app)


def _file(data: bytes, kind: str) -> Callable[[], Any]:
    async def held() -> Response:
        return Response(data, media_type=kind, headers=HEADERS)

    return held


def _ask_for_keys(app: FastAPI) -> None:
    without = app.openapi

    def openapi() -> dict[str, Any]:
        document = without()
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["key"] = {"type": "http", "scheme": "bearer", "description": "A key of mien serve --new-key."}
        document["security"] = [{"key": []}]
        for path in OPEN_PATHS:
            for operation in document["paths"].get(path, {}).values():
                operation["security"] = []
        return document

    app.openapi = openapi  # type: ignore[method-assign]
