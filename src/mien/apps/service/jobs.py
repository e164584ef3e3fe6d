"""Large requests, kept on disk: what was asked, how far it is, and the result, until it expires.

A job is a folder named by its id with ``job.json`` and, once it is done, ``result.zip``; both are written whole or not
at all. A process that is killed leaves "queued" or "running" behind, and the next one takes those up again; a job that
was begun ``ATTEMPTS`` times and never ended is failed, so that no job can stop a service for ever.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mien.core.errors import MienError, RequestError
from mien.core.files import write_json
from mien.core.foreign import json_of

State = Literal["queued", "running", "done", "failed", "cancelled"]
STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "cancelled")
ID = re.compile(r"[A-Za-z0-9_-]{22}")
RECORD, RESULT = "job.json", "result.zip"
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Job:
    """One large request. Times are seconds since 1970."""

    id: str
    kind: str
    form: Mapping[str, Any]  # what was asked, with its seed
    count: int
    owner: str  # name of the API key, or ""
    created: float
    state: State = "queued"
    made: int = 0
    attempts: int = 0
    expires: float | None = None
    error: str | None = None

    @property
    def open(self) -> bool:
        """Whether there is still something to be done."""
        return self.state in ("queued", "running")


class JobStore:
    """The jobs in one folder, which belongs to one process at a time. Safe for threads."""

    def __init__(self, folder: Path, *, keep_seconds: float, now: Callable[[], float] = time.time) -> None:
        self.folder, self.keep_seconds, self.now = folder, keep_seconds, now
        self._lock = threading.RLock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise RequestError(f"--jobs: {folder} cannot be made ({error.strerror}); a directory is wanted") from error
        self._jobs = {job.id: job for job in map(_read, sorted(folder.glob(f"*/{RECORD}"))) if job}

    def add(self, kind: str, form: Mapping[str, Any], count: int, owner: str) -> Job:
        """A new job, queued."""
        job = Job(secrets.token_urlsafe(16), kind, dict(form), count, owner, self.now())
        return self._keep(job)

    def get(self, id: str, owner: str) -> Job | None:
        """The job of that id and owner, if it is there and has not expired."""
        self.forget_expired()
        with self._lock:
            job = self._jobs.get(id)
        return job if job and job.owner == owner else None

    def open_jobs(self) -> list[Job]:
        """Jobs with something left to do, the oldest first."""
        with self._lock:
            return sorted((job for job in self._jobs.values() if job.open), key=lambda job: (job.created, job.id))

    def count(self, state: State) -> int:
        """How many are in that state."""
        with self._lock:
            return sum(job.state == state for job in self._jobs.values())

    def begin(self, id: str) -> Job | None:
        """A queued job becomes a running one; ``None`` where it was cancelled meanwhile, or begun too often."""
        with self._lock:
            job = self._jobs.get(id)
            if job is None or not job.open:
                return None
            if job.attempts >= ATTEMPTS:
                self.finish(id, "failed", "the service stopped each time it worked on this; ask for less at once")
                return None
            return self._keep(dataclasses.replace(job, state="running", attempts=job.attempts + 1, made=0))

    def progress(self, id: str, made: int) -> bool:
        """Note how many faces are made; False where the job was cancelled."""
        with self._lock:
            job = self._jobs.get(id)
            if job is None or job.state != "running":
                return False
            self._jobs[id] = dataclasses.replace(job, made=made)  # in memory: a restart begins anew
            return True

    def give_back(self, id: str) -> None:
        """A running job that the stopping service did not finish waits for the next one; that was no attempt of it."""
        with self._lock:
            job = self._jobs.get(id)
            if job is not None and job.state == "running":
                self._keep(dataclasses.replace(job, state="queued", made=0, attempts=job.attempts - 1))

    def finish(self, id: str, state: State, error: str | None = None) -> Job | None:
        """An open job ends as done, failed or cancelled; one that has ended stays as it is."""
        with self._lock:
            job = self._jobs.get(id)
            if job is None or not job.open:
                return job
            made = job.count if state == "done" else job.made
            expires = self.now() + self.keep_seconds
            return self._keep(dataclasses.replace(job, state=state, made=made, error=error, expires=expires))

    def forget(self, id: str) -> None:
        """Remove a job and its result."""
        with self._lock:
            self._jobs.pop(id, None)
        shutil.rmtree(self.folder / id, ignore_errors=True)

    def forget_expired(self) -> None:
        """Remove what nobody may fetch any more."""
        with self._lock:
            now = self.now()
            old = [job.id for job in self._jobs.values() if job.expires is not None and job.expires <= now]
        for id in old:
            self.forget(id)

    def result(self, id: str) -> Path:
        """Where the result of a job lies or will lie."""
        return self.folder / id / RESULT

    def _keep(self, job: Job) -> Job:
        with self._lock:
            try:
                write_json(self.folder / job.id / RECORD, dataclasses.asdict(job))
            except OSError as error:
                raise MienError(f"jobs: {self.folder} cannot be written ({error.strerror})") from error
            self._jobs[job.id] = job
        return job


def _read(path: Path) -> Job | None:
    """A job from its file; ``None`` for what is no job of this version."""
    try:
        values = json_of(path.read_text(encoding="utf-8"))
        job = Job(**values)
    except (OSError, ValueError, TypeError):
        return None
    return job if ID.fullmatch(job.id) and job.id == path.parent.name and job.state in STATES else None
