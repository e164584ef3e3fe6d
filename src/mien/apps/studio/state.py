"""What the tabs share: the models behind one line, the pictures that were made, the photos that were dropped."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, TimeoutError
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from mien.apps.web.models import ModelSpec, Seeds
from mien.apps.web.settings import MIB, ServiceSettings
from mien.apps.web.worker import InferenceWorker, ServedModel, UnavailableError, message_of
from mien.core.records import UInt8Image
from mien.pipelines.cast import Cast
from mien.provenance.marks import Marks

Thing = TypeVar("Thing")
LOOK_SECONDS = 0.25  # between two looks at the line
PHOTO_MINUTES = 60.0
PICTURES_MIB, PHOTOS_MIB, CASTS_MIB = 512, 512, 64  # kept in memory at most, of all users together


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far an ``ask`` is. ``answer`` is set when one job was answered: it is that of job ``number``."""

    done: int
    total: int
    ahead: int  # requests of others that are made before this one
    loading: bool = False  # the model is being brought into memory
    number: int | None = None
    answer: Any = None

    @property
    def words(self) -> str:
        """For the person who waits."""
        if self.loading:
            return "Waking the model. The first time takes a few seconds."
        if self.ahead:
            before = "1 request of somebody else is" if self.ahead == 1 else f"{self.ahead} requests of others are"
            return f"In line: {before} made before yours."
        return f"Making {min(self.done + 1, self.total)} of {self.total}" if self.total > 1 else "Making it"


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes in memory that a browser may fetch at ``address`` (a capability: whoever has it may)."""

    data: bytes
    media_type: str
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that was dropped on the page; it is nowhere but in memory."""

    name: str
    image: UInt8Image


class TTLCache(Generic[Thing]):
    """Things by unguessable token; the oldest go when there are too many bytes or their time is over. Thread-safe."""

    def __init__(self, most_bytes: int, keep_seconds: float, size_of: Callable[[Thing], int]) -> None:
        self.most_bytes, self.keep_seconds, self.size_of = most_bytes, keep_seconds, size_of
        self._things: OrderedDict[str, tuple[Thing, float]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def put(self, thing: Thing, token: str | None = None) -> str:
        """Keep it; returns its token."""
        token = token or secrets.token_urlsafe(16)
        with self._lock:
            self._things[token] = (thing, time.monotonic())
            self._bytes += self.size_of(thing)
            while len(self._things) > 1 and self._bytes > self.most_bytes:
                self._forget(next(iter(self._things)))
        return token

    def get(self, token: str) -> Thing | None:
        """The thing, if it is still here."""
        with self._lock:
            until = time.monotonic() - self.keep_seconds
            for old in [name for name, (_, since) in self._things.items() if since < until]:
                self._forget(old)
            if token not in self._things:
                return None
            self._things.move_to_end(token)
            return self._things[token][0]

    def drop(self, token: str) -> None:
        """Forget it, if it is here."""
        with self._lock:
            if token in self._things:
                self._forget(token)

    def _forget(self, token: str) -> None:
        thing, _ = self._things.pop(token)
        self._bytes -= self.size_of(thing)


class StudioState:
    """One for the whole studio; each tab gets it."""

    def __init__(self, settings: ServiceSettings, specs: Sequence[ModelSpec]) -> None:
        self.settings = settings
        self.specs = {spec.name: spec for spec in specs}
        self.marks = Marks.load(settings.marked, settings.credentials)
        self.seeds = Seeds()
        self._lazy = {spec.name: _LazyModel(spec) for spec in specs}
        served = {name: ServedModel(lambda: None, lazy.make) for name, lazy in self._lazy.items()}
        self.worker = InferenceWorker(served, waiting=settings.waiting, batch=settings.together_faces)
        self._pictures: TTLCache[Kept] = TTLCache(PICTURES_MIB * MIB, 24 * 3600, lambda kept: len(kept.data))
        self._casts: TTLCache[tuple[str, Cast]] = TTLCache(CASTS_MIB * MIB, PHOTO_MINUTES * 60, size_of)
        self._photos: TTLCache[Photo] = TTLCache(PHOTOS_MIB * MIB, PHOTO_MINUTES * 60, lambda photo: photo.image.nbytes)

    def start(self, warm: str = "crowd") -> None:
        """Begin, and bring the model of the first tab into memory; the others are brought when they are asked for."""
        self.worker.start()
        if warm in self._lazy:
            self.worker.submit(warm, _WARM, 0, patient=True)

    def stop(self) -> None:
        """Finish what waits and end."""
        self.worker.stop(self.settings.stop_seconds)

    def ask(self, model: str, jobs: Sequence[Any], *, together: int = 1) -> Iterator[JobProgress]:
        """Have jobs done by a model of the service, ``together`` at a time, between the requests of others.

        Yields a ``JobProgress`` for each answer, in job, and others meanwhile; whoever stops listening (a cancelled
        event) has nothing more made. Errors are those of the service, one sentence each: ``MienError``.
        """
        total = len(jobs)
        for start in range(0, total, together):
            batch = jobs[start : start + together]
            futures = [self.worker.submit(model, job, getattr(job, "count", 1)) for job in batch]
            try:
                for number, future in enumerate(futures, start):
                    yield from self._until(model, future, number, total, number - start)
                    yield JobProgress(number + 1, total, 0, number=number, answer=future.result())
            finally:
                for future in futures:
                    future.cancel()

    def _until(self, model: str, future: Future[Any], done: int, total: int, own: int) -> Iterator[JobProgress]:
        """Progress until a future is done; its exception stays in it."""
        while True:
            try:
                future.exception(timeout=LOOK_SECONDS)
                return
            except TimeoutError:
                loading = self._lazy[model].loading
                yield JobProgress(done, total, max(self.worker.ahead(future) - own, 0), loading=loading)

    def keep(self, data: bytes, name: str, media_type: str = "image/png") -> Kept:
        """Keep bytes for the browser: ``kept.address`` goes into ``<img src>`` or ``<a href download>``."""
        token = secrets.token_urlsafe(16)
        kept = Kept(data, media_type, name, f"pictures/{token}/{name}")
        self._pictures.put(kept, token)
        return kept

    def kept(self, address: str) -> Kept | None:
        """What ``keep`` kept, by token or address; ``None`` when it is forgotten."""
        return self._pictures.get(address.split("/")[1] if "/" in address else address)

    def take_in(self, name: str, image: UInt8Image) -> str:
        """Keep a dropped photo (H W 3 uint8 RGB); returns its token."""
        return self._photos.put(Photo(name, image))

    def photo(self, token: str) -> Photo | None:
        """A dropped photo by its token; ``None`` when it is forgotten."""
        return self._photos.get(token)

    def take_cast(self, name: str, cast: Cast) -> str:
        """Keep a dropped cast list; returns its token."""
        return self._casts.put((name, cast))

    def cast(self, token: str) -> tuple[str, Cast] | None:
        """(name, list) by its token; ``None`` when it is forgotten."""
        return self._casts.get(token)

    def forget_photo(self, token: str) -> None:
        """Forget a dropped photo at once."""
        self._photos.drop(token)


def size_of(kept: tuple[str, Cast]) -> int:
    """Of a named list in memory, in bytes, roughly."""
    return sum(500 + sum(map(len, row.cells.values())) for row in kept[1].rows)


_WARM = object()


class _LazyModel:
    """A model that is loaded by the first job, in the thread that owns the models."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec, self.loading = spec, False
        self._model: Any = None
        self._loaded = False

    def make(self, _: Any, jobs: Sequence[Any]) -> Sequence[Any]:
        if not self._loaded:
            self.loading = True
            try:
                self._model = self.spec.load()
            except Exception as error:
                raise UnavailableError(message_of(self.spec.name, error)) from error
            finally:
                self.loading = False
            self._loaded = True
        wanted = [job for job in jobs if job is not _WARM]
        answers = iter(self.spec.make(self._model, wanted) if wanted else ())
        return [None if job is _WARM else next(answers) for job in jobs]
