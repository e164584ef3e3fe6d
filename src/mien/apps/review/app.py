"""The pages of the review as an application: forms that work without a script, and a script that adds keys."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader
from starlette.exceptions import HTTPException

import mien
from mien.apps.review.face_page import changes_of, face_page
from mien.apps.web.keys import Keys
from mien.apps.web.settings import ServiceSettings
from mien.core.errors import MienError, RequestError
from mien.pipelines.review import Review, Reviewer, TakenError

HERE = Path(__file__).parent
SEAT, NAME, KEY = "mien_seat", "mien_name", "mien_key"
YEAR_SECONDS = 365 * 24 * 3600
NAME_LETTERS = 80
FORM_BYTES = 64 * 1024
ACTIONS = ("keep", "classifier", "reject", "skip", "undo")
SECURITY = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
NOTES = {
    "accepted": "Kept as it was.",
    "corrected": "Corrected.",
    "rejected": "Taken out of training.",
    "skipped": "Skipped; others may see it.",
    "undone": "Taken back. Decide again.",
    "undone-skip": "Skip taken back; somebody else has that face now.",
    "nothing": "There is nothing to take back.",
    "taken": "That face was answered already, or somebody else has it now. Here is another.",
}


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form as browsers send them without files."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM_BYTES:
            raise HTTPException(413, f"The form is larger than {FORM_BYTES // 1024} KiB.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=500))
    except ValueError:
        raise HTTPException(400, "The form cannot be read.") from None


def _reviewer(request: Request) -> Reviewer:
    """Who asks."""
    reviewer: Reviewer = request.app.state.reviewer_of(request)
    return reviewer


Person = Annotated[Reviewer, Depends(_reviewer)]
Form = Annotated[dict[str, str], Depends(_form)]
Page = Callable[..., HTMLResponse]  # template, status, values -> the page


def create_app(review: Review, settings: ServiceSettings, *, by: str | None = None) -> FastAPI:
    """The review as an ASGI application. ``by`` is the name of everybody who comes; without it the page asks, once.

    ``RequestError`` for an address that others can reach and no keys. With keys a person's name is that of the key.
    """
    keys, root = settings.access_keys(), settings.public_path
    pages = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True, trim_blocks=True)
    app = FastAPI(
        title="mien data review",
        version=mien.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.mount("/static", StaticFiles(directory=HERE / "static"))

    def page(template: str, status: int = 200, /, **values: object) -> HTMLResponse:
        return HTMLResponse(pages.get_template(f"{template}.html.j2").render(dataset=review.title, **values), status)

    def reviewer_of(request: Request) -> Reviewer:
        """Who asks. Someone without key, or without a name, is sent where it is asked for."""
        holder = keys.holder(request.cookies.get(KEY, "")) if keys else None
        if keys and holder is None:
            raise HTTPException(303, headers={"Location": f"{root}/key"})
        name = holder or by or unquote(request.cookies.get(NAME, "")).strip()
        seat = request.cookies.get(SEAT, "")
        if not name or not 16 <= len(seat) <= 64:
            raise HTTPException(303, headers={"Location": f"{root}/name"})
        return Reviewer(seat, name[:NAME_LETTERS])

    app.state.reviewer_of = reviewer_of
    _add_faces(app, review, page, root)
    _add_access(app, keys, by, page, settings)
    _add_errors(app, settings, page, guarded=keys is not None)
    return app


def _add_faces(app: FastAPI, review: Review, page: Page, root: str) -> None:
    """The pages on which faces are looked at and decided."""

    @app.get("/")
    def look(reviewer: Person, said: str = "") -> Response:
        face = review.queue.next(reviewer)
        progress = review.queue.progress(reviewer)
        if face is None:
            return page("done", reviewer=reviewer, progress=progress, note=NOTES.get(said, ""))
        shown = face_page(review, face)
        return page("face", reviewer=reviewer, progress=progress, note=NOTES.get(said, ""), face=shown, error="")

    @app.post("/say")
    def say(reviewer: Person, form: Form) -> Response:
        action, face = form.get("do", ""), form.get("face", "")
        try:
            if action not in ACTIONS:
                raise RequestError(f"do: '{action}' given; allowed: {', '.join(ACTIONS)}")
            return _back(root, _act(review, reviewer, action, face, form))
        except TakenError:
            return _back(root, "taken")
        except RequestError as error:
            if not review.has(face):
                return page("broken", 422, error=str(error))
            typed, progress = face_page(review, face, form), review.queue.progress(reviewer)
            return page("face", 422, reviewer=reviewer, progress=progress, note="", face=typed, error=str(error))

    @app.get("/crops/{row}.jpg")
    def crop(reviewer: Person, row: int) -> Response:
        return Response(review.crop(row), media_type="image/jpeg")

    @app.post("/leave")
    def leave(reviewer: Person) -> Response:
        review.queue.leave(reviewer)
        return page("left", reviewer=reviewer, progress=review.queue.progress(reviewer))

    @app.get("/healthz")
    def healthy() -> Response:
        return Response("ok", media_type="text/plain")


def _add_access(app: FastAPI, keys: Keys | None, by: str | None, page: Page, settings: ServiceSettings) -> None:
    """The pages on which a reviewer gives a name, and a key where one is needed."""

    @app.get("/name")
    def ask_name(request: Request) -> Response:
        if keys and keys.holder(request.cookies.get(KEY, "")) is None:
            return RedirectResponse(f"{settings.public_path}/key", 303)
        if by or keys:
            return _seated(request, settings)
        return page("name", name=unquote(request.cookies.get(NAME, "")), error="")

    @app.post("/name")
    def take_name(request: Request, form: Form) -> Response:
        name = " ".join(form.get("name", "").split())
        if not 0 < len(name) <= NAME_LETTERS or not name.isprintable():
            return page(
                "name", 422, name=name[:NAME_LETTERS], error=f"A name of 1 to {NAME_LETTERS} letters is wanted."
            )
        return _cookie(_seated(request, settings), settings, NAME, quote(name), hidden=False)

    @app.get("/key")
    def ask_key() -> Response:
        return page("key", error="")

    @app.post("/key")
    def take_key(request: Request, form: Form) -> Response:
        key = form.get("key", "").strip()
        if keys is None or keys.holder(key) is None:
            return page("key", 401, error="This key is not known here.")
        return _cookie(_seated(request, settings), settings, KEY, key)


def _add_errors(app: FastAPI, settings: ServiceSettings, page: Page, *, guarded: bool) -> None:
    """Errors on a page, requests of other sites refused, and headers for every answer."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == 303:
            return RedirectResponse((error.headers or {}).get("Location", "/"), 303)
        said = {404: "There is no such page.", 405: "This page takes no such request."}.get(error.status_code)
        return page("broken", error.status_code, error=said or str(error.detail))

    @app.exception_handler(MienError)
    async def failed(request: Request, error: MienError) -> Response:
        return page("broken", 422 if error.exit_status == 2 else 503, error=str(error))

    @app.middleware("http")
    async def door(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        answer = _stranger(request, settings, guarded=guarded)
        response = answer or await go_on(request)
        for header, value in SECURITY.items():
            response.headers.setdefault(header, value)
        return response


def _act(review: Review, reviewer: Reviewer, action: str, face: str, form: dict[str, str]) -> str:
    """Do what a button says; the word of ``NOTES`` for it."""
    if action == "undo":
        back = review.queue.undo(reviewer)
        if back is None:
            return "nothing"
        return "undone" if review.queue.next(reviewer) == back else "undone-skip"
    if not review.has(face):
        raise RequestError("face: this dataset has no such face")
    if action == "skip":
        review.queue.skip(reviewer, face)
        return "skipped"
    changes = changes_of(review.face(face), form) if action == "keep" else {}
    decision = review.decision(face, action, changes)  # type: ignore[arg-type]
    review.queue.decide(reviewer, decision)
    return decision.verdict


def _stranger(request: Request, settings: ServiceSettings, *, guarded: bool) -> Response | None:
    """The refusal of a request that comes through another site's page; None: it may pass."""
    host = request.headers.get("host", "")
    known = {name.strip("[]") for name in (*settings.host_names, "testserver")}
    if not guarded and urlsplit(f"//{host}").hostname not in known:
        return Response("another name than that of this page; open it as localhost", 421)
    origin = request.headers.get("origin")
    own = (host, urlsplit(settings.address or "").netloc)
    if request.method == "POST" and origin is not None and urlsplit(origin).netloc not in own:
        return Response("this form was sent from another site", 403)
    return None


def _back(root: str, said: str) -> RedirectResponse:
    return RedirectResponse(f"{root}/?said={said}", 303)


def _seated(request: Request, settings: ServiceSettings) -> RedirectResponse:
    """To the faces, under the id that this browser has or gets."""
    seat = request.cookies.get(SEAT, "")
    response = RedirectResponse(f"{settings.public_path}/", 303)
    return _cookie(response, settings, SEAT, seat if 16 <= len(seat) <= 64 else secrets.token_urlsafe(24))


def _cookie(
    response: RedirectResponse, settings: ServiceSettings, name: str, value: str, *, hidden: bool = True
) -> RedirectResponse:
    response.set_cookie(
        name, value, max_age=YEAR_SECONDS, path=settings.cookie_path, httponly=hidden, samesite="strict",
        secure=settings.over_tls(None),
    )  # fmt: skip
    return response
