"""The application's state: what its routes share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mien.apps.service.jobs import Job, JobStore
from mien.apps.service.metrics import Metrics
from mien.apps.service.runner import JobRunner, Piece
from mien.apps.web.cast import CAST, pieces_of, read_cast_form
from mien.apps.web.forms import CastForm, FacesForm
from mien.apps.web.models import ModelSpec, Seeds, read_form
from mien.apps.web.settings import MIB, ServiceSettings
from mien.apps.web.worker import InferenceWorker, MemoryBudget, ServedModel
from mien.core.errors import RequestError
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
        self.runner = JobRunner(self.store, self.worker, self.marks, self.work_of)

    def work_of(self, job: Job) -> tuple[str, Iterable[Piece]]:
        """The model that a job asks, and the pieces. ``RequestError`` where this version cannot read it any more."""
        spec = self.specs.get("crowd" if job.kind == CAST else job.kind)
        form_of = CastForm if job.kind == CAST else spec.form if spec else None
        if spec is None or form_of is None:
            raise RequestError(f"{job.kind}: not made by this service")
        try:
            form = form_of.model_validate(job.form)
        except ValueError as error:
            raise RequestError(f"{job.kind}: a job of another version of mien") from error
        most = self.settings.together_faces
        if isinstance(form, CastForm):
            cast = read_cast_form(form, self.settings.most_faces)
            return spec.name, pieces_of(cast, form.seed or 0, form.size, most)
        assert isinstance(form, FacesForm)
        request = read_form(spec, form, self.seeds).request
        starts = range(0, request.count, most)
        return spec.name, (request.part(start, min(most, request.count - start)) for start in starts)

    def start(self) -> None:
        """Begin to load, and to work on what an earlier process left."""
        self.worker.start()
        self.runner.start()

    def stop(self) -> None:
        """Finish direct requests, give jobs back to the store."""
        self.worker.stop(self.settings.stop_seconds)
        self.runner.stop(self.settings.stop_seconds)
        self.pool.shutdown()
