"""What every generator and renderer of mien promises.

1. ``draw`` answers every request with one picture, in order, of ``size_px`` x ``size_px`` px; a generator says which
   labels it was drawn for (what a request left unknown is drawn, and told).
2. A face depends on (seed, index, labels) and on nothing else: not on the other requests, their number or their order.
3. Pictures are float tensors (N 3 S S, -1 to 1) from one network to the next; ``make`` rounds them once, at the end.

``tests/test_generators_crowd.py`` and ``tests/test_generators_paper.py`` hold them to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from mien.core.records import Labels, MadeFace
from mien.core.seeding import stream

if TYPE_CHECKING:
    from torch import Tensor

WHOLE_CROP = (0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class FaceRequest:
    """One face to be made: face ``index`` of ``seed``, with the labels wanted (``None``: any)."""

    seed: int
    index: int
    labels: Labels = Labels()  # noqa: RUF009 (frozen)


@runtime_checkable
class Generator(Protocol):
    """Draws faces from requests."""

    @property
    def name(self) -> str:
        """For example ``crowd-paper``; goes into manifests."""
        ...

    @property
    def version(self) -> str:
        """Changes whenever the same request gives another face."""
        ...

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        ...

    @property
    def frame(self) -> tuple[float, float, float]:
        """Which square of mien's aligned crop the images show: left, top, side in shares of the crop's side."""
        ...

    def at(self, size_px: int | None) -> Self:
        """The same faces at ``size_px`` (``None``: its own size); networks are shared. ``RequestError`` for others."""
        ...

    def looking(self, look: str) -> Self:
        """The same people in another look of photographs. ``RequestError`` where there is none of that name."""
        ...

    def draw(self, requests: Sequence[FaceRequest]) -> tuple[Tensor, list[Labels]]:
        """One picture (N 3 S S, about -1 to 1) for each request, in order, and what each was drawn for."""
        ...


class Renderer(Protocol):
    """Draws encoder features (``generators/imagine/mien.DecoderRenderer``)."""

    @property
    def version(self) -> str:
        """Changes whenever the same features give another picture."""
        ...

    @property
    def size_px(self) -> int:
        """Height and width of the pictures."""
        ...

    def at(self, size_px: int | None) -> Self:
        """The same pictures at ``size_px`` (``None``: its own size). ``RequestError`` names the sizes there are."""
        ...

    def draw(
        self, features: Any, requests: Sequence[FaceRequest], styles: Sequence[FaceRequest] | None = None
    ) -> Tensor:
        """Features N F -> pictures N 3 S S, about -1 to 1. Style and grain are of ``styles``, or else ``requests``."""
        ...


def make(generator: Generator, requests: Sequence[FaceRequest]) -> list[MadeFace]:
    """One face for each request, in order: the only place where a generator's pictures are rounded."""
    from mien.core.images import to_photos

    if not requests:
        return []
    pictures, labels = generator.draw(requests)
    return [
        MadeFace(photo, wanted, request.seed, request.index, generator.name, generator.version)
        for photo, wanted, request in zip(to_photos(pictures), labels, requests, strict=True)
    ]


def requests_for(labels: Sequence[Labels], seed: int, first: int = 0) -> list[FaceRequest]:
    """Requests for faces ``first``, ``first + 1``, ... of ``seed``."""
    return [FaceRequest(seed, first + number, wanted) for number, wanted in enumerate(labels)]


def complete(request: FaceRequest, ages_years: tuple[float, float]) -> Labels:
    """The labels of a request with unknown sex (a fair coin) and age (uniform in ``ages_years``) drawn.

    The draws come from a stream of their own: asking for the sex that would have been drawn gives the same face.
    """
    draws = stream(request.seed, "labels", request.index)
    coin, age = draws.random(), round(float(draws.uniform(*ages_years)), 1)
    labels = request.labels
    return replace(
        labels,
        sex=labels.sex if labels.sex is not None else ("female" if coin < 0.5 else "male"),
        age_years=labels.age_years if labels.age_years is not None else min(max(age, ages_years[0]), ages_years[1]),
    )


def in_fixed_rows(requests: Sequence[FaceRequest], rows: int) -> Iterator[list[tuple[int, FaceRequest] | None]]:
    """Requests (with their positions) laid into batches of exactly ``rows`` rows, face k always in row k % ``rows``.

    A matrix product rounds by the size of the batch and the place of a row; with both fixed, a face is the same to the
    bit whatever else was asked for. Empty rows are ``None``.
    """
    pages: list[list[tuple[int, FaceRequest] | None]] = []
    filled = [0] * rows  # how many pages have this row
    for position, request in enumerate(requests):
        row = request.index % rows
        if filled[row] == len(pages):
            pages.append([None] * rows)
        pages[filled[row]][row] = (position, request)
        filled[row] += 1
    yield from pages
