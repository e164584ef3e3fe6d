"""One thread that owns the models: requests wait in one bounded line, and neighbours of a kind are made together.

What waits is taken in order of arrival. Work that can wait (a piece of a job) goes when nobody else does, or after
``TURNS`` batches of others, so that neither stops the other.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from mien.core.errors import MienError

log = logging.getLogger("mien.service")
FULL_PHOTOS_SECONDS = 5
TURNS = 8  # batches of direct requests for one piece of a job


class FullError(MienError):
    """The line is full. ``retry_seconds`` is when there may be room again."""

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(f"the service is busy; try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class UnavailableError(MienError):
    """A model is not there, not loaded yet, or the service is stopping."""


class MemoryBudget:
    """Memory that all requests together may hold. A small upload can be a large photo: flat areas pack a thousandfold.

    Used from the thread of the event loop alone.
    """

    def __init__(self, most: int) -> None:
        self.most, self.now = most, 0

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Hold ``size`` bytes until the block ends. ``FullError`` where others hold too much; one alone may always."""
        if self.now and self.now + size > self.most:
            raise FullError(FULL_PHOTOS_SECONDS)
        self.now += size
        try:
            yield
        finally:
            self.now -= size


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model: how it is loaded, and how several jobs are done together (an answer or an error for each)."""

    load: Callable[[], Any]
    make: Callable[[Any, Sequence[Any]], Sequence[Any]]


@dataclass(slots=True)
class _Waiting:
    model: str
    job: Any
    size: int
    future: Future[Any] = field(default_factory=Future)


class InferenceWorker:
    """Makes what is ordered. ``batch`` is the size (faces or photos) that is made together."""

    def __init__(self, served: Mapping[str, ServedModel], *, waiting: int, batch: int) -> None:
        self.served = dict(served)
        self.waiting, self.batch = waiting, batch
        self.models: dict[str, Any] = {}
        self.missing: dict[str, str] = {}  # model -> one sentence
        self.batches: Callable[[str, int, float], None] = lambda model, size, seconds: None  # told of each batch
        self._line: deque[_Waiting] = deque()
        self._patient: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._turns = 0
        self._seconds_each = 0.1  # a request, by experience
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)

    def start(self) -> None:
        """Load the models and begin, in a thread of its own."""
        self._thread.start()

    @property
    def loaded(self) -> bool:
        """Whether every model is loaded or known to be missing."""
        return len(self.models) + len(self.missing) == len(self.served)

    @property
    def waits(self) -> int:
        """How many direct requests wait."""
        return len(self._line)

    def ahead(self, future: Future[Any]) -> int:
        """How many direct requests are made before that one; 0 when it is its turn, or it has been made."""
        with self._changed:
            return next((place + 1 for place, item in enumerate(self._line) if item.future is future), 0)

    def submit(self, model: str, job: Any, size: int, *, patient: bool = False) -> Future[Any]:
        """Put a job in the line; the future brings its answer. ``FullError`` and ``UnavailableError`` at once."""
        with self._changed:
            if self._stopping:
                raise UnavailableError("the service is stopping; try again later")
            if model in self.missing:
                raise UnavailableError(self.missing[model])
            if not patient and len(self._line) >= self.waiting:
                raise FullError(max(1, round(self._seconds_each * self.waiting)))
            item = _Waiting(model, job, size)
            (self._patient if patient else self._line).append(item)
            self._changed.notify()
        return item.future

    def stop(self, seconds: float) -> None:
        """Take no more, finish what waits, and end; what is not finished after ``seconds`` is told so."""
        with self._changed:
            self._stopping = True
            given_back = list(self._patient)
            self._patient.clear()
            self._changed.notify()
        _refuse(given_back)
        if self._thread.is_alive():
            self._thread.join(seconds)
        with self._changed:
            left = list(self._line)
            self._line.clear()
        _refuse(left)

    def _work(self) -> None:
        for name, model in self.served.items():
            self._load(name, model)
        while batch := self._next():
            self._make(batch)

    def _load(self, name: str, model: ServedModel) -> None:
        try:
            self.models[name] = model.load()
        except Exception as error:  # one model that cannot be had stops no other
            with self._changed:
                self.missing[name] = message_of(name, error)
                left = [item for item in self._line if item.model == name]
                self._line = deque(item for item in self._line if item.model != name)
            for item in left:
                item.future.set_exception(UnavailableError(self.missing[name]))

    def _next(self) -> list[_Waiting]:
        """The next jobs to be done together; nothing when the work is over."""
        with self._changed:
            while not self._line and not self._patient:
                if self._stopping:
                    return []
                self._changed.wait()
            if self._patient and (not self._line or self._turns >= TURNS):
                self._turns = 0
                return [self._patient.popleft()]
            self._turns += bool(self._patient)
            first = self._line[0].model
            chosen: list[_Waiting] = []
            size = 0
            rest: deque[_Waiting] = deque()
            for item in self._line:
                if item.model == first and (not chosen or size + item.size <= self.batch):
                    chosen.append(item)
                    size += item.size
                else:
                    rest.append(item)
            self._line = rest
            return chosen

    def _make(self, batch: list[_Waiting]) -> None:
        wanted = [item for item in batch if item.future.set_running_or_notify_cancel()]
        if not wanted:
            return
        name, started = wanted[0].model, time.monotonic()
        try:
            answers = self.served[name].make(self.models[name], [item.job for item in wanted])
        except Exception as error:  # the thread must outlive whatever one batch meets
            answers = [error] * len(wanted)
        seconds = time.monotonic() - started
        self._seconds_each += 0.1 * (seconds / len(wanted) - self._seconds_each)
        self.batches(name, sum(item.size for item in wanted), seconds)
        for item, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, BaseException):
                item.future.set_exception(answer)
            else:
                item.future.set_result(answer)


def message_of(name: str, error: Exception) -> str:
    """One sentence, without paths, about a model that could not be loaded."""
    if not isinstance(error, MienError):
        log.error("loading %s", name, exc_info=error)
    told = re.sub(r"\S*[/\\\\]", "", str(error)) if isinstance(error, MienError) else type(error).__name__
    return f"{name}: not available here ({told.removeprefix(f'{name}: ')})"


def _refuse(items: list[_Waiting]) -> None:
    for item in items:
        if item.future.set_running_or_notify_cancel():
            item.future.set_exception(UnavailableError("the service is stopping; try again later"))
