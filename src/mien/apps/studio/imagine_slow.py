"""The paper's methods that optimise pictures, step by step: in a thread of their own, with progress, to be stopped.

They take many seconds, so they do not stand in the line of the models; of them one runs at a time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from mien.apps.web.models import Picture
from mien.core.errors import RequestError

if TYPE_CHECKING:
    from mien.pipelines.imagine_pictures import Inverter, Visualiser

Method = Literal["visualise", "invert"]
Progress = Callable[[int, float], None]  # step, loss

COUNT = 2
STEPS = 60
LOOK_SECONDS = 0.4
ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Going:
    """How far it is, of ``STEPS``; 0 while networks are loaded, -1 while somebody else's is made. Then the pictures."""

    step: int
    pictures: tuple[Picture, ...] = ()

    @property
    def words(self) -> str:
        """For the person who waits."""
        if self.step < 0:
            return "In line: pictures of somebody else are optimised first."
        return f"Step {self.step} of {STEPS}" if self.step else "Waking the networks"


class StoppedError(Exception):
    """Nobody waits for it any more."""


Make = Callable[[Method, Mapping[str, bool | float], int, Progress], list[Picture]]


def optimised(
    method: Method, wanted: Mapping[str, bool | float], seed: int, make: Make | None = None
) -> Iterator[Going]:
    """Pictures of the words by ``method``, and how far they are meanwhile; closing the iterator stops the work.

    ``RequestError`` for words that the method has no notion of; ``WeightsError`` where networks were not fetched.
    """
    stopped, told = threading.Event(), queue.SimpleQueue[Any]()

    def progress(step: int, _loss: float) -> None:
        if stopped.is_set():
            raise StoppedError
        told.put(Going(step))

    def work() -> None:
        try:
            while not ONE_AT_A_TIME.acquire(timeout=LOOK_SECONDS):
                progress(-1, 0.0)
            try:
                told.put(Going(STEPS, tuple((make or made)(method, wanted, seed, progress))))
            finally:
                ONE_AT_A_TIME.release()
        except BaseException as error:  # handed over to whoever waits
            told.put(error)

    threading.Thread(target=work, name="optimised", daemon=True).start()
    try:
        yield Going(0)
        while True:
            found = told.get()
            if isinstance(found, BaseException):
                raise found
            yield found
            if found.pictures:
                return
    finally:
        stopped.set()


def made(method: Method, wanted: Mapping[str, bool | float], seed: int, progress: Progress) -> list[Picture]:
    """``COUNT`` pictures at once."""
    from mien.core.images import to_photos
    from mien.core.memory import keep_freed_memory
    from mien.core.seeding import sample_generator
    from mien.pipelines.imagine import names_of, tellable
    from mien.pipelines.imagine_pictures import draws_of

    keep_freed_memory()
    sure = tellable(wanted)
    draws = [draws_of(seed, method, index) for index in range(COUNT)]
    names = names_of(sure, method)
    if method == "visualise":
        if not names:
            raise RequestError("words: the method knows one attribute or more, for example smiling")
        painter = _visualiser()
        found, version = painter.make([names] * COUNT, draws, progress), painter.version
    else:
        inverter, mixture, version = _inverter()
        import numpy as np

        targets = np.stack([mixture.target(names, sample_generator(seed, index)) for index in range(COUNT)])
        found = inverter.toward(mixture.layer, targets, draws, progress)
    about = {"model": f"imagine-{method}", "model_version": version, "attributes": sure, "steps": STEPS}
    return [
        Picture(image, {"file": f"{method}-{k:05d}.png", "seed": seed, "index": k, **about})
        for k, image in enumerate(to_photos(found.pictures))
    ]


@cache
def _visualiser() -> Visualiser:
    from mien.papers.deepface_2016.picture import MIEN
    from mien.pipelines.imagine import load_mixture
    from mien.pipelines.imagine_pictures import Visualiser

    _, mean_face, _ = load_mixture(None)
    return Visualiser.load(None, "facenet", mean_face, MIEN.model_copy(update={"steps": STEPS}))


@cache
def _inverter() -> tuple[Inverter, Any, str]:
    from mien.faces.encoder import load_encoder
    from mien.papers.deepface_2016.picture import MIEN
    from mien.pipelines.imagine import load_mixture
    from mien.pipelines.imagine_pictures import Inverter

    mixture, mean_face, metadata = load_mixture(None)
    encoder = load_encoder(str(metadata.get("encoder", "facenet")))
    return Inverter(encoder, mean_face, MIEN.model_copy(update={"steps": STEPS})), mixture, str(metadata["version"])
