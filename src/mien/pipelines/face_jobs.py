"""Crowds and imagined faces as jobs: all that a process, here or elsewhere, needs to make any part of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.pipelines.imagine import ImagineRequest
from mien.pipelines.pictures import Picture
from mien.pipelines.request import FacesRequest

if TYPE_CHECKING:
    from mien.provenance.marks import Marks

CHUNK = 64  # faces that a crowd's generator is asked for at once


@dataclass(frozen=True, slots=True)
class Marking:
    """Whether pictures are marked, and with which credential; each machine reads the folder, or has its own."""

    wanted: bool = True
    credentials: Path | None = None

    def load(self) -> Marks:
        """The marks."""
        from mien.provenance.marks import Marks

        return Marks.load(self.wanted, self.credentials)


@dataclass(frozen=True, slots=True)
class CrowdJob:
    """The faces of a request for a crowd, which has its seed."""

    request: FacesRequest
    preset: str
    look: str | None = None
    weights: Path | None = None
    device: str | None = None
    size_px: int | None = None
    marking: Marking = Marking()

    @property
    def count(self) -> int:
        """How many."""
        return self.request.count

    def seeded(self, seed: int) -> CrowdJob:
        """The same of a seed."""
        return replace(self, request=replace(self.request, seed=seed))

    def about(self) -> dict[str, Any]:
        """What they are."""
        return _about("crowd", self.request.seed, self.marking, asdict(self.request), {
            "preset": self.preset, "look": self.look, "weights": self.weights, "size_px": self.size_px,
        })  # fmt: skip

    def load(self) -> Callable[[int, int], Iterator[Picture]]:
        """Load the networks; gives the function from (first, number) to those faces."""
        from mien.core.contract import make as make_faces
        from mien.pipelines.crowd_out import load_looks, tasks_of

        model = load_looks([self.look], self.preset, weights=self.weights, device=self.device, size_px=self.size_px)(
            self.look
        )

        def make(first: int, number: int) -> Iterator[Picture]:
            for start in range(first, first + number, CHUNK):
                part = self.request.part(start, min(CHUNK, first + number - start))
                tasks = list(tasks_of(part, self.request.seed or 0, look=self.look))
                faces = make_faces(model.generator, [task.request for task in tasks])
                for task, face in zip(tasks, faces, strict=True):
                    yield Picture(face.image, task.row(model))

        return make

    def marks(self) -> Marks:
        """How they are marked."""
        return self.marking.load()


@dataclass(frozen=True, slots=True)
class ImagineJob:
    """The faces of a request for imagined ones."""

    request: ImagineRequest
    count: int
    marking: Marking = Marking()

    def seeded(self, seed: int) -> ImagineJob:
        """The same of a seed."""
        return replace(self, request=replace(self.request, seed=seed))

    def about(self) -> dict[str, Any]:
        """What they are."""
        said = {name: getattr(self.request, name) for name in self.request.__slots__ if name != "settings"}
        said.pop("device")
        settings = self.request.settings.model_dump(mode="json")
        return _about("imagine", self.request.seed, self.marking, said, {"settings": settings})

    def load(self) -> Callable[[int, int], Iterator[Picture]]:
        """Load the networks; gives the function from (first, number) to those faces."""
        from mien.pipelines.imagine import sampler_of
        from mien.pipelines.imagine_out import imagined_pictures

        sampler = sampler_of(self.request)

        def make(first: int, number: int) -> Iterator[Picture]:
            return imagined_pictures(sampler, self.request.seed, first, number, self.request.wanted)

        return make

    def marks(self) -> Marks:
        """How they are marked."""
        return self.marking.load()


def _about(command: str, seed: int | None, marking: Marking, *parts: dict[str, Any]) -> dict[str, Any]:
    """Values for JSON: paths as text."""
    said: dict[str, Any] = {}
    for part in parts:
        said |= {name: str(value) if isinstance(value, Path) else value for name, value in part.items()}
    return {"command": command, **said, "seed": seed, "marked": marking.wanted}
