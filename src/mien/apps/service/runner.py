"""Works on jobs, one after the other, a piece at a time; between pieces it looks whether it should stop."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from mien.apps.service.jobs import Job, JobStore
from mien.apps.web.worker import InferenceWorker, UnavailableError
from mien.core.errors import MienError
from mien.pipelines.pictures import MANIFEST, Picture, marked_row, png_of
from mien.provenance.marks import Marks

log = logging.getLogger("mien.service")
PART = ".part"


class Piece(Protocol):
    """A part of a job, which is made in one go."""

    @property
    def count(self) -> int:
        """How many faces."""
        ...


class StoppedError(Exception):
    """The service is stopping: the job is given back."""


class JobRunner:
    """One thread that makes what the open jobs of a store ask for."""

    def __init__(
        self,
        store: JobStore,
        worker: InferenceWorker,
        marks: Marks,
        work_of: Callable[[Job], tuple[str, Iterable[Piece]]],
    ) -> None:
        """``work_of`` a job: the model that makes it, and its pieces in order."""
        self.store, self.worker, self.marks, self.work_of = store, worker, marks, work_of
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin with what an earlier process left."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there is a new job."""
        self._news.set()

    def stop(self, seconds: float) -> None:
        """Give the job that is worked on back to the store and end."""
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _work(self) -> None:
        while not self._stopping.is_set():
            self._news.clear()
            waiting = self.store.open_jobs()
            if not waiting:
                self._news.wait(60)
                self.store.forget_expired()
                continue
            self._one(waiting[0].id)

    def _one(self, id: str) -> None:
        try:
            job = self.store.begin(id)
            if job is None:
                return
            done = self._make(job)
            self.store.finish(id, "done" if done else "cancelled")
        except (StoppedError, UnavailableError) as error:
            if self._stopping.is_set():
                self.store.give_back(id)
            else:
                self.store.finish(id, "failed", str(error))
        except MienError as error:
            self.store.finish(id, "failed", str(error))
        except Exception:  # a job may fail, the thread may not
            log.exception("a job failed")
            self.store.finish(id, "failed", "the service could not finish this job")

    def _make(self, job: Job) -> bool:
        """Write the result; False where the job was cancelled."""
        model, pieces = self.work_of(job)
        target = self.store.result(job.id)
        for part in target.parent.glob(f"*{PART}"):
            part.unlink(missing_ok=True)  # of a process that was killed
        handle, name = tempfile.mkstemp(dir=target.parent, suffix=PART)
        try:
            with os.fdopen(handle, "wb") as file:
                if not self._fill(job, model, pieces, file):
                    return False
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, target)
            return True
        finally:
            Path(name).unlink(missing_ok=True)

    def _fill(self, job: Job, model: str, pieces: Iterable[Piece], file: object) -> bool:
        rows: list[str] = []
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
            for piece in pieces:
                if self._stopping.is_set():
                    raise StoppedError
                made: list[Picture] = self.worker.submit(model, piece, piece.count, patient=True).result()
                for picture in made:
                    row = marked_row(picture.row, self.marks)
                    archive.writestr(row["file"], png_of(picture.image, row, self.marks, picture.comment))
                    rows.append(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
                if not self.store.progress(job.id, len(rows)):
                    return False
            archive.writestr(MANIFEST, "".join(rows))
        return True
