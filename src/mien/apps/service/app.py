"""The application: routes, and nothing that could not be said in another protocol."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

import mien
from mien.apps.jobs import Job, JobStore
from mien.apps.service import docs_page, routes
from mien.apps.service.door import JSON, Door
from mien.apps.service.entrance import OPEN_PATHS
from mien.apps.service.forms import FacesForm, plain, sentence
from mien.apps.service.keys import Keys
from mien.apps.service.makers import FacesOrder, Maker, Seeds, chosen, order_of
from mien.apps.service.metrics import Metrics
from mien.apps.service.runner import JobRunner
from mien.apps.service.settings import MIB, ServiceSettings
from mien.apps.service.uploads import TYPES
from mien.apps.service.workshop import Allowance, FullError, Machine, UnavailableError, Workshop
from mien.core.errors import MienError, PhotoError, RequestError
from mien.provenance.marks import Marks

PHOTO_STATUS = {"too_large": 413, "wrong_type": 415, "not_an_image": 415, "polyglot": 415}
ENCODERS = 2  # threads that write PNGs
ABOUT = "Faces of people who do not exist, and what can be said of photos. Nothing that is uploaded is kept."


class Service:
    """What the routes share: settings, the models' thread, jobs, marks, seeds, counters."""

    def __init__(self, settings: ServiceSettings, makers: Sequence[Maker], folder: Path) -> None:
        self.settings, self.makers = settings, {maker.name: maker for maker in makers}
        machines = {maker.name: Machine(maker.load, maker.make) for maker in makers}
        self.workshop = Workshop(machines, waiting=settings.waiting, batch=settings.together_faces)
        self.photos = Allowance(settings.photos_mib * MIB)
        self.store = JobStore(folder, keep_seconds=settings.job_minutes * 60)
        self.marks = Marks.load(settings.marked, settings.credentials)
        self.seeds = Seeds()
        self.metrics = Metrics(self.workshop, self.store)
        self.pool = ThreadPoolExecutor(ENCODERS, thread_name_prefix="pictures")
        self.runner = JobRunner(self.store, self.workshop, self.marks, self.order_of_job, settings.together_faces)

    def order_of_job(self, job: Job) -> tuple[Maker, FacesOrder]:
        """What a job asks for. ``RequestError`` where this version cannot read it any more."""
        maker = self.makers.get(job.kind)
        if maker is None or maker.form is None:
            raise RequestError(f"{job.kind}: not made by this service")
        try:
            form = maker.form.model_validate(job.form)
        except ValueError as error:
            raise RequestError(f"{job.kind}: a job of another version of mien") from error
        assert isinstance(form, FacesForm)
        return maker, order_of(maker, form, self.seeds)

    def start(self) -> None:
        """Begin to load, and to work on what an earlier process left."""
        self.workshop.start()
        self.runner.start()

    def stop(self) -> None:
        """Finish direct requests, give jobs back to the store."""
        self.workshop.stop(self.settings.stop_seconds)
        self.runner.stop(self.settings.stop_seconds)
        self.pool.shutdown()


def create_app(settings: ServiceSettings | None = None, *, makers: Sequence[Maker] | None = None) -> FastAPI:
    """The service as an ASGI application (``app.state.service`` is its ``Service``).

    ``makers`` instead of those that the settings name is for tests. ``RequestError`` for settings that cannot be: an
    address that others can reach and no keys, files that are not there.
    """
    settings = settings or ServiceSettings()
    settings.check_open()
    keys = Keys.read(settings.keys) if settings.keys else None
    temporary = None if settings.jobs else tempfile.TemporaryDirectory(prefix="mien-jobs-")
    service = Service(
        settings, makers or chosen(settings.makers), settings.jobs or Path(str(temporary and temporary.name))
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()
        if temporary:
            temporary.cleanup()

    app = FastAPI(
        title="mien", version=mien.__version__, summary=ABOUT, lifespan=lifespan, docs_url=None, redoc_url=None
    )  # fmt: skip
    app.state.service = service
    routes.add(app, service)
    docs_page.add(app, keys_wanted=keys is not None)
    _say_errors(app)
    types = {f"/v1/{m.name}": JSON if m.takes == "faces" else tuple(TYPES) for m in service.makers.values()}
    app.add_middleware(
        Door,
        settings=settings,
        keys=keys,
        types=types,
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
        return refusal(422 if error.exit_status == 2 else 503, str(error))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        said = {404: "no such address", 405: "no such method here"}.get(error.status_code, str(error.detail))
        return refusal(error.status_code, said, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return refusal(500, "the service failed at this request")
