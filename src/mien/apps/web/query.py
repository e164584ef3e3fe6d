"""What every address asks of a request beside its own form: nothing unknown, and nothing twice."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request

from mien.core.errors import RequestError


async def known_query(request: Request) -> None:
    """``RequestError`` for a parameter of the query that the route does not know, or that is given twice."""
    allowed = [field.alias for field in request.scope["route"].dependant.query_params]
    unknown = next((name for name in request.query_params if name not in allowed), None)
    if unknown is not None:
        raise RequestError(f"{unknown}: no such parameter here; allowed: {', '.join(allowed) or 'none'}")
    names = [name for name, _ in request.query_params.multi_items()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RequestError(f"{twice}: given {names.count(twice)} times; once is wanted")


async def fields_once(request: Request) -> None:
    """``RequestError`` for a field of a JSON body that is given twice. FastAPI has found before that it is JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json" and (body := await request.body()):
        json.loads(body, object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise RequestError(f"{twice}: given {names.count(twice)} times; once is wanted")
    return dict(pairs)
