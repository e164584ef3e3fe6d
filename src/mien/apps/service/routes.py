"""The addresses of the service, made from its table of models."""

from __future__ import annotations

import asyncio
import base64
import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from mien.apps.service.jobs import Job
from mien.apps.service.metrics import CONTENT_TYPE_LATEST
from mien.apps.web.cast import CAST, pieces_of, read_cast_form
from mien.apps.web.forms import CastForm, FacesForm, FacesMade, Form, JobBegun, JobMade, Refusal, limited
from mien.apps.web.models import ModelSpec, PhotoJob, read_form
from mien.apps.web.uploads import photo_of, size_of
from mien.apps.web.worker import FullError
from mien.core.errors import RequestError
from mien.core.formats import MAIN_TYPES
from mien.core.seeding import fresh_seed
from mien.pipelines.pictures import Picture, marked_row, png_of, zipped

if TYPE_CHECKING:
    from mien.apps.service.state import Service
    from mien.pipelines.request import Read

CAST_PATH = f"/v1/{CAST}"
BUSY_JOBS_SECONDS = 60
BYTES_A_PIXEL = 3
LONGEST_TEXT = 2000
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": words}
    for status, words in {
        400: "Not HTTP as it should be", 401: "No key, or an unknown one", 408: "The body came too slowly",
        413: "Too large", 415: "Of another type", 421: "Another host", 422: "A wrong request",
        429: "Busy: see Retry-After", 503: "Not available",
    }.items()
}  # fmt: skip
FACES_ANSWERS: dict[int | str, dict[str, Any]] = {
    **REFUSALS,
    200: {"model": FacesMade, "content": {"application/zip": {}, "image/png": {}}, "description": "The faces"},
    202: {"model": JobBegun, "description": "A job: its status is at `status_url`"},
}


def add(app: FastAPI, service: Service) -> None:
    """Add every route."""
    for spec in service.specs.values():
        (_faces if spec.takes == "faces" else _photo)(app, service, spec)
    if "crowd" in service.specs:
        _cast(app, service)
    _jobs(app, service)
    _health(app, service)


def _faces(app: FastAPI, service: Service, spec: ModelSpec) -> None:
    assert spec.form is not None
    settings = service.settings

    async def route(form: Any, request: Request) -> Response:
        assert isinstance(form, FacesForm)
        if form.format == "png" and form.count != 1:
            raise RequestError(f"format: png given with count {form.count}; allowed: count 1, or json or zip")
        if form.count > settings.direct_faces:
            return _begin_job(service, spec, form, _holder(request))
        read = read_form(spec, form, service.seeds)
        asked = read.request
        made = await asyncio.wrap_future(service.worker.submit(spec.name, asked, asked.count))
        about = {"seed": asked.seed, "first": asked.first, **_understood(read)}
        return await _picture_answer(service, made, form.format, about)

    form_here = limited(spec.form, settings.most_faces)
    route.__annotations__["form"] = form_here
    route.__annotations__["request"] = Request
    route.form = form_here  # type: ignore[attr-defined]
    app.post(
        f"/v1/{spec.name}", summary=spec.summary, operation_id=spec.name, responses=FACES_ANSWERS,
        response_model=None, tags=["faces"],
    )(route)  # fmt: skip


def _cast(app: FastAPI, service: Service) -> None:
    settings = service.settings

    async def route(form: CastForm, request: Request) -> Response:
        read = partial(read_cast_form, form, settings.most_faces)
        cast = await asyncio.get_running_loop().run_in_executor(service.pool, read)
        seed = fresh_seed() if form.seed is None else form.seed
        left_out = "; ".join(map(str, cast.remarks))
        if cast.count > settings.direct_faces:
            asked = form.model_copy(update={"seed": seed})
            return _queue(service, CAST, asked, cast.count, _holder(request), {"understood": "", "left_out": left_out})
        (piece,) = pieces_of(cast, seed, form.size, cast.count)
        made = await asyncio.wrap_future(service.worker.submit("crowd", piece, piece.count))
        return await _picture_answer(service, made, form.format, {"seed": seed, "first": 0, "left_out": left_out})

    route.__annotations__ |= {"form": CastForm, "request": Request}
    route.form = CastForm  # type: ignore[attr-defined]
    app.post(
        CAST_PATH, summary="A face for each row of a cast list", operation_id="cast", response_model=None,
        responses=FACES_ANSWERS, tags=["faces"],
    )(route)  # fmt: skip


def _photo(app: FastAPI, service: Service, spec: ModelSpec) -> None:
    async def route(request: Request, **options: Any) -> Response:
        if spec.check is not None:
            spec.check(options)
        data = await request.body()
        loop = asyncio.get_running_loop()
        look = partial(size_of, data, megapixels=service.settings.upload_megapixels)
        height, width = await loop.run_in_executor(service.pool, look)
        with service.photos.held(height * width * BYTES_A_PIXEL):
            read = partial(photo_of, data, megapixels=service.settings.upload_megapixels)
            found = await loop.run_in_executor(service.pool, read)
            job = PhotoJob(found.photo, options, found.remark)
            made = await asyncio.wrap_future(service.worker.submit(spec.name, job, 1))
        if isinstance(made, Mapping):
            return JSONResponse(made)
        return await _picture_answer(service, made, "json", {"remark": found.remark} if found.remark else {})

    parameters = [inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=bool, default=Query(False, description=help))
        for name, help in spec.options.items()
    ]
    parameters += [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, annotation=str,
            default=Query("", description=help, max_length=LONGEST_TEXT),
        )
        for name, help in spec.texts.items()
    ]  # fmt: skip
    route.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    content = {
        name: {"schema": {"type": "string", "format": "binary"}} for name in (*MAIN_TYPES, "application/octet-stream")
    }
    app.post(
        f"/v1/{spec.name}", summary=spec.summary, operation_id=spec.name, tags=["photos"], response_model=None,
        responses={**REFUSALS, 200: {"description": "What was found", "content": {"application/json": {}}}},
        openapi_extra={"requestBody": {"required": True, "content": content}},
    )(route)  # fmt: skip


def _begin_job(service: Service, spec: ModelSpec, form: FacesForm, holder: str) -> Response:
    seed = fresh_seed() if form.seed is None else form.seed
    asked = form.model_copy(update={"seed": seed})
    read = read_form(spec, asked, service.seeds)  # a wrong request is told now
    return _queue(service, spec.name, asked, form.count, holder, _understood(read))


def _queue(service: Service, kind: str, form: Form, count: int, holder: str, about: Mapping[str, str]) -> Response:
    if len(service.store.open_jobs()) >= service.settings.jobs_waiting:
        raise FullError(BUSY_JOBS_SECONDS)
    job = service.store.add(kind, form.model_dump(mode="json"), count, holder)
    service.runner.wake()
    told = _told(job, service)
    return JSONResponse({**told, **about}, 202, {"Location": told["status_url"]})


async def _picture_answer(
    service: Service, made: Sequence[Picture], form: str, about: Mapping[str, Any]
) -> Response:  # fmt: skip
    """Pictures as JSON, as a zip with a manifest, or one as a PNG; written by the pool, not by the loop."""
    return await asyncio.get_running_loop().run_in_executor(service.pool, _written, service, made, form, about)


def _written(service: Service, made: Sequence[Picture], form: str, about: Mapping[str, Any]) -> Response:
    rows = [marked_row(picture.row, service.marks) for picture in made]
    pngs = [png_of(picture.image, row, service.marks, picture.comment) for picture, row in zip(made, rows, strict=True)]
    if form == "png":
        return Response(pngs[0], media_type="image/png")
    if form == "zip":
        return Response(zipped(rows, pngs), media_type="application/zip")
    faces = [{**row, "png": base64.b64encode(png).decode()} for row, png in zip(rows, pngs, strict=True)]
    return JSONResponse({**about, "faces": faces})


def _understood(read: Read) -> dict[str, str]:
    """What a text was taken for, and what of it was left out."""
    return {"understood": read.understood, "left_out": read.left_out}


def _jobs(app: FastAPI, service: Service) -> None:
    answers: dict[int | str, dict[str, Any]] = {**REFUSALS, 404: {"model": Refusal, "description": "No such job"}}

    def find(id: str, request: Request) -> Job:
        job = service.store.get(id, _holder(request))
        if job is None:
            raise HTTPException(404, "job: no such job, or its time is over")
        return job

    async def status(id: str, request: Request) -> dict[str, Any]:
        return _told(find(id, request), service)

    async def result(id: str, request: Request) -> Response:
        job = find(id, request)
        if job.state != "done":
            raise HTTPException(409, f"job: {job.state}; its result is there once it is done")
        return FileResponse(service.store.result(id), media_type="application/zip", filename=f"mien-{job.kind}.zip")

    async def cancel(id: str, request: Request) -> dict[str, Any]:
        job = find(id, request)
        return _told(service.store.finish(id, "cancelled") or job, service)

    for handler in (status, result, cancel):
        handler.__annotations__ |= {"id": str, "request": Request}
    path = "/v1/jobs/{id}"
    zipped: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/zip": {}}, "description": "PNGs and manifest.jsonl"}
    }
    conflict: dict[int | str, dict[str, Any]] = {409: {"model": Refusal, "description": "Not done"}}
    app.get(path, summary="How far a job is", response_model=JobMade, responses=answers, tags=["jobs"])(status)
    app.delete(path, summary="Cancel a job", response_model=JobMade, responses=answers, tags=["jobs"])(cancel)
    app.get(
        f"{path}/result", summary="What a job made", responses={**answers, **zipped, **conflict},
        response_class=FileResponse, tags=["jobs"],
    )(result)  # fmt: skip


def _health(app: FastAPI, service: Service) -> None:
    worker = service.worker

    async def healthz() -> dict[str, bool]:
        return {"alive": True}

    async def readyz() -> Response:
        ready = worker.loaded and bool(worker.models)
        models = {name: worker.missing.get(name, "ready" if name in worker.models else "loading")
                  for name in worker.served}  # fmt: skip
        return JSONResponse({"ready": ready, "models": models}, 200 if ready else 503)

    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.get("/healthz", summary="Whether the process answers", tags=["health"])(healthz)
    not_ready: dict[int | str, dict[str, Any]] = {503: {"description": "Not yet"}}
    app.get("/readyz", summary="Whether models are loaded", responses=not_ready, tags=["health"])(readyz)
    app.get("/metrics", summary="Counters for Prometheus", response_class=Response, tags=["health"])(metrics)


def _holder(request: Request) -> str:
    return str(request.scope.get("state", {}).get("holder", ""))


def _told(job: Job, service: Service) -> dict[str, Any]:
    here = f"{service.settings.public_path}/v1/jobs/{job.id}"
    return {
        "id": job.id, "kind": job.kind, "state": job.state, "count": job.count, "made": job.made,
        "seed": job.form["seed"], "first": job.form.get("first", 0), "created": job.created, "expires": job.expires,
        "error": job.error, "status_url": here, "result_url": f"{here}/result" if job.state == "done" else None,
    }  # fmt: skip
