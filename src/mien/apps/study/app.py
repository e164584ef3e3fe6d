"""The study as a web application: consent, a few trials for practice, the trials, thanks; and leaving at any moment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files as resources
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import Field
from starlette.exceptions import HTTPException

from mien.apps.study.middleware import CLOSED_PATH, StudyMiddleware
from mien.apps.study.pages import page, paragraphs
from mien.apps.web.settings import ServiceSettings
from mien.core.config import Config
from mien.core.errors import MienError, RequestError
from mien.pipelines.study import Design, picture_path
from mien.pipelines.study_answers import AnswerStore, Participant, tidy

STATIC = {"study.css": "text/css", "study.js": "text/javascript"}
COOKIE_SECONDS = 30 * 24 * 3600
REST_EVERY = 30  # answers
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}
ABOUT = "Real or generated? People judge faces."


class ShowForm(Config):
    """The page is about to show the trial at ``place``."""

    place: int = Field(ge=0)


class AnswerForm(Config):
    """What a participant said, and when by the page's clock."""

    place: int = Field(ge=0)
    said: Literal["real", "generated"]
    reaction_ms: float = Field(ge=0, le=86_400_000)
    exposed_ms: float | None = Field(default=None, ge=0, le=86_400_000)
    interrupted: bool = False
    way: Literal["key", "touch", "mouse"] = "key"


class Gone(Exception):  # noqa: N818 (an answer, no error)
    """The cookie names nobody (any more)."""


def create_study(folder: Path, answers: AnswerStore, settings: ServiceSettings) -> FastAPI:
    """The study in ``folder`` as an ASGI application.

    ``RequestError`` for an address that others can reach and no keys.
    """
    keys, design = settings.access_keys("study run OUT"), answers.design

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        answers.store.close()

    app = FastAPI(
        title="mien study",
        summary=ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    cookie = f"mien_study_{answers.study[:8]}"
    _add_pages(app, design, answers, _Way(settings, cookie))
    _add_trials(app, folder, design, answers, cookie)
    _add_files(app)
    _say_errors(app, design)
    app.add_middleware(StudyMiddleware, settings=settings, keys=keys, types={}, answered=lambda *_: None)
    return app


def _html(name: str, design: Design, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(page(name, design, **values), status, SECURITY)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form that a browser sent."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    return {name: values[0] for name, values in fields.items()}


@dataclass(frozen=True, slots=True)
class _Way:
    """Where participants are sent, and the cookie that knows them again."""

    settings: ServiceSettings
    cookie: str

    def to(self, path: str) -> RedirectResponse:
        """To another page of the study."""
        return RedirectResponse(self.settings.public_path + path, 303)

    def remember(self, response: Response, request: Request, code: str) -> Response:
        """``response``, with which the browser keeps ``code``."""
        response.set_cookie(
            self.cookie, code, max_age=COOKIE_SECONDS, path=self.settings.cookie_path, httponly=True, samesite="lax",
            secure=self.settings.over_tls(request.url.scheme),
        )  # fmt: skip
        return response

    def forget(self, response: Response) -> None:
        """Have the browser forget it."""
        response.delete_cookie(self.cookie, self.settings.cookie_path)


def _add_pages(app: FastAPI, design: Design, answers: AnswerStore, way: _Way) -> None:
    def who(request: Request) -> tuple[str, Participant | None]:
        code = request.cookies.get(way.cookie, "")
        return code, answers.find(code) if code else None

    def consent(status: int = 200, **values: Any) -> HTMLResponse:
        return _html("consent", design, status, added=paragraphs(design.consent), **values)

    @app.get("/")
    def start(request: Request) -> Response:
        _, person = who(request)
        if person is None:
            return consent()
        return way.to("/done" if person.finished else "/ready")

    @app.post("/begin")
    async def begin(request: Request) -> Response:
        fields = await _form(request)
        if fields.get("agree") != "yes":
            return consent(422, wrong="agree")
        return way.remember(way.to("/ready"), request, await _in_thread(answers.begin))

    @app.post("/resume")
    async def resume(request: Request) -> Response:
        code = tidy((await _form(request)).get("code", ""))
        if await _in_thread(answers.find, code) is None:
            return consent(422, wrong="code", code=code)
        return way.remember(way.to("/"), request, code)

    @app.get("/ready")
    def ready(request: Request) -> Response:
        code, person = who(request)
        if person is None:
            return way.to("/")
        left = answers.real_on_left(person)
        return _html("ready", design, code=code, person=person, real_left=left, practice=len(design.of("practice")))

    @app.get("/trials")
    def trials(request: Request) -> Response:
        _, person = who(request)
        if person is None or person.finished:
            return way.to("/")
        about, left = json.dumps(_about(answers, person)), answers.real_on_left(person)
        return _html("trials", design, about=about, real_left=left, person=person)

    @app.get("/done")
    def done(request: Request) -> Response:
        code, person = who(request)
        if person is None or not person.finished:
            return way.to("/")
        return _html("done", design, code=code, person=person)

    @app.get(CLOSED_PATH)
    def closed() -> Response:
        return _html("closed", design, 401)

    _add_withdrawal(app, answers, way)


def _about(answers: AnswerStore, person: Participant) -> dict[str, Any]:
    """What the page of trials is told: where the participant is, and the trials for practice."""
    design = answers.design
    practice = answers.practice(person) if person.place == 0 else ()
    return {
        "place": person.place,
        "total": design.places,
        "exposure_ms": design.exposure_ms,
        "masks": [one.id for one in design.of("mask")],
        "practice": [{"picture": one.picture, "real": one.real} for one in practice],
        "rest_every": REST_EVERY,
    }


def _add_withdrawal(app: FastAPI, answers: AnswerStore, way: _Way) -> None:
    design = answers.design

    @app.get("/withdraw")
    def ask(request: Request) -> Response:
        code = request.cookies.get(way.cookie, "")
        person = answers.find(code) if code else None
        return _html("withdraw", design, code=code if person else "", person=person)

    @app.post("/withdraw")
    async def withdraw(request: Request) -> Response:
        code = tidy((await _form(request)).get("code", ""))
        if not await _in_thread(answers.withdraw, code):
            return _html("withdraw", design, 422, code=code, person=None, wrong=True)
        response = _html("gone", design)
        way.forget(response)
        return response


def _add_trials(app: FastAPI, folder: Path, design: Design, answers: AnswerStore, cookie: str) -> None:
    def someone(request: Request) -> tuple[str, Participant]:
        code = request.cookies.get(cookie, "")
        person = answers.find(code) if code else None
        if person is None:
            raise Gone
        return code, person

    @app.post("/api/show")
    def show(request: Request, form: ShowForm) -> dict[str, Any]:
        code, before = someone(request)
        person = answers.show(code, form.place)
        if person is None:
            raise Gone
        trials = answers.trials(before.slot, before.attempt)
        if person.place >= len(trials):
            return {"place": person.place, "done": True}
        now = trials[person.place]
        later = trials[person.place + 1] if person.place + 1 < len(trials) else None
        return {
            "place": now.place,
            "done": False,
            "card": now.kind == "card",
            "picture": now.picture,
            "then": later.picture if later else "",
        }

    @app.post("/api/answer")
    def answer(request: Request, form: AnswerForm) -> dict[str, Any]:
        code, _ = someone(request)
        person = answers.answer(
            code,
            form.place,
            said_real=form.said == "real",
            reaction_ms=form.reaction_ms,
            exposed_ms=form.exposed_ms,
            interrupted=form.interrupted,
            way=form.way,
        )
        if person is None:
            raise Gone
        return {"place": person.place, "done": person.finished}

    @app.get("/picture/{name}")
    def picture(request: Request, name: str) -> Response:
        """One of the pictures of this participant: those for practice, masks, and faces up to the next but one."""
        _, person = someone(request)
        trials = answers.trials(person.slot, person.attempt)[: person.place + 2]
        open_now = {trial.picture for trial in trials} | {
            one.id for one in (*design.of("practice"), *design.of("mask"))
        }
        if not name or name not in open_now:
            raise HTTPException(404)
        return FileResponse(picture_path(folder, name), media_type="image/png", headers=SECURITY)


def _add_files(app: FastAPI) -> None:
    folder = resources("mien.apps.study").joinpath("assets")
    held = {name: folder.joinpath(name).read_bytes() for name in STATIC}

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in held:
            raise HTTPException(404)
        return Response(held[name], media_type=f"{STATIC[name]}; charset=utf-8", headers=SECURITY)

    @app.get("/healthz")
    def health() -> dict[str, str]:
        return {"status": "ok"}


async def _in_thread(call: Any, *values: Any) -> Any:
    from starlette.concurrency import run_in_threadpool

    return await run_in_threadpool(call, *values)


def _say_errors(app: FastAPI, design: Design) -> None:
    """Programs are told in JSON, people on a page."""

    def refusal(request: Request, status: int, message: str) -> Response:
        if request.url.path.startswith("/api/"):
            return JSONResponse({"error": message}, status, SECURITY)
        return _html("trouble", design, status, message=message)

    @app.exception_handler(Gone)
    async def gone(request: Request, error: Gone) -> Response:
        return refusal(request, 410, "nobody takes part under this code (any more)")

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
        return refusal(request, 422, f"{where}: {first['msg']}")

    @app.exception_handler(MienError)
    async def wrong(request: Request, error: MienError) -> Response:
        return refusal(request, 409 if isinstance(error, RequestError) else 503, str(error))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        said = {404: "there is no such page", 405: "that cannot be done here"}
        return refusal(request, error.status_code, said.get(error.status_code, str(error.detail)))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return refusal(request, 500, "something failed here; your answers so far are kept")
