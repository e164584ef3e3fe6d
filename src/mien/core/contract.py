"""What every generator of mien promises.

1. ``make`` answers every request with one face, in order, of ``size_px`` x ``size_px`` px, with the labels it was made
   for (what a request left unknown is drawn, and told).
2. A face depends on (seed, index, labels) and on nothing else: not on the other requests, their number or their order.

``tests/test_generators_crowd.py`` and ``tests/test_generators_paper.py`` hold them to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from mien.core.records import Labels, MadeFace
from mien.core.seeding import stream

WHOLE_CROP = (0.0, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class FaceRequest:
    """One face to be made: face ``index`` of ``seed``, with the labels wanted (``None``: any)."""

    seed: int
    index: int
    labels: Labels = Labels()  # noqa: RUF009 (frozen)


@runtime_checkable
class Generator(Protocol):
    """Makes faces from requests."""

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

    def make(self, requests: Sequence[FaceRequest]) -> list[MadeFace]:
        """One face for each request, in order."""
        ...


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
