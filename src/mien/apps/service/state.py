"""The application's state: what its routes share."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mien.apps.service.jobs import Job, JobStore
from mien.apps.service.metrics import Metrics
from mien.apps.service.runner import JobRunner
from mien.apps.web.forms import FacesForm
from mien.apps.web.models import ModelSpec, Seeds, read_form
from mien.apps.web.settings import MIB, ServiceSettings
from mien.apps.web.worker import InferenceWorker, MemoryBudget, ServedModel
from mien.core.errors import RequestError
from mien.pipelines.request import FacesRequest
from mien.provenance.marks import Marks

ENCODERS = 2  # threads that write PNGs


class Service:
    """What the routes share: settings, the models' thread, jobs, marks, seeds, counters."""

    def __init__(self, settings: ServiceSettings, specs: Sequence[ModelSpec], folder: Path) -> None:
        self.settings, self.specs = settings, {spec.name: spec for spec in specs}
        served = {spec.name: ServedModel(spec.load, spec.make) for spec in specs}
        self.worker = InferenceWorker(served, waiting=settings.waiting, batch=settings.together_faces)
        self.photos = MemoryBudget(settings.photos_mib * MIB)
        self.store = JobStore(folder, keep_seconds=settings.job_minutes * 60)
        self.marks = Marks.load(settings.marked, settings.credentials)
        self.seeds = Seeds()
        self.metrics = Metrics(self.worker, self.store)
        self.pool = ThreadPoolExecutor(ENCODERS, thread_name_prefix="pictures")
        self.runner = JobRunner(self.store, self.worker, self.marks, self.request_of_job, settings.together_faces)

    def request_of_job(self, job: Job) -> tuple[ModelSpec, FacesRequest]:
        """What a job asks for. ``RequestError`` where this version cannot read it any more."""
        spec = self.specs.get(job.kind)
        if spec is None or spec.form is None:
            raise RequestError(f"{job.kind}: not made by this service")
        try:
            form = spec.form.model_validate(job.form)
        except ValueError as error:
            raise RequestError(f"{job.kind}: a job of another version of mien") from error
        assert isinstance(form, FacesForm)
        return spec, read_form(spec, form, self.seeds).request

    def start(self) -> None:
        """Begin to load, and to work on what an earlier process left."""
        self.worker.start()
        self.runner.start()

    def stop(self) -> None:
        """Finish direct requests, give jobs back to the store."""
        self.worker.stop(self.settings.stop_seconds)
        self.runner.stop(self.settings.stop_seconds)
        self.pool.shutdown()
