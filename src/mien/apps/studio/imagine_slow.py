"""The paper's methods that optimise pictures, step by step: in a thread of their own, with progress, to be stopped.

They take many seconds, so they do not stand in the line of the models; of them one runs at a time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mien.pipelines.imagine_optimised import STEPS, Method, OnStep, optimised_pictures
from mien.pipelines.pictures import Picture

COUNT = 2
LOOK_SECONDS = 0.4
ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is, of ``STEPS``; 0 while networks are loaded, -1 while somebody else's is made. Then the pictures."""

    step: int
    pictures: tuple[Picture, ...] = ()

    @property
    def words(self) -> str:
        """For the person who waits."""
        if self.step < 0:
            return "In line: pictures of somebody else are optimised first."
        return f"Step {self.step} of {STEPS}" if self.step else "Waking the networks"


class AbandonedError(Exception):
    """Nobody waits for it any more."""


Make = Callable[[Method, Mapping[str, bool | float], int, int, OnStep], list[Picture]]


def optimised(
    method: Method, wanted: Mapping[str, bool | float], seed: int, make: Make | None = None
) -> Iterator[Progress]:
    """Pictures of the words by ``method``, and how far they are meanwhile; closing the iterator stops the work.

    ``RequestError`` for words that the method has no notion of; ``WeightsError`` where networks were not fetched.
    """
    stopped, news = threading.Event(), queue.SimpleQueue[Any]()

    def on_step(step: int, _loss: float) -> None:
        if stopped.is_set():
            raise AbandonedError
        news.put(Progress(step))

    def work() -> None:
        try:
            while not ONE_AT_A_TIME.acquire(timeout=LOOK_SECONDS):
                on_step(-1, 0.0)
            try:
                news.put(Progress(STEPS, tuple((make or optimised_pictures)(method, wanted, seed, COUNT, on_step))))
            finally:
                ONE_AT_A_TIME.release()
        except BaseException as error:  # handed over to whoever waits
            news.put(error)

    threading.Thread(target=work, name="optimised", daemon=True).start()
    try:
        yield Progress(0)
        while True:
            found = news.get()
            if isinstance(found, BaseException):
                raise found
            yield found
            if found.pictures:
                return
    finally:
        stopped.set()
