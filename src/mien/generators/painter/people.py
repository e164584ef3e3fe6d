"""The density over the painter's codes: whoever is drawn is brought to the age and sex that are read (``ages.py``)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from torch import Tensor

from mien.attributes.person import packaged_person_reader
from mien.core.checkpoints import WEIGHTS, load_weights
from mien.core.contract import FaceRequest
from mien.core.records import UInt8Image
from mien.core.seeding import stream
from mien.generators.imagine.density import AGE, Condition, Float64Array
from mien.generators.imagine.mien import TEMPERATURE, Imagine, adults
from mien.generators.imagine.weights import MODEL, from_tensors
from mien.generators.painter.ages import WORDS_YEARS, AgeSolver, aimed_years
from mien.generators.painter.renderer import PainterRenderer

DENSITY = "imagine-painter.safetensors"
SPREAD = 0.95  # of the temperature: the far ends of the density are caricatures
TRIES = 4  # to draw a face that the painter can paint


class PaintedImagine(Imagine):
    """``Imagine`` over the painter's codes: the painter's look is asked of the code, too, and words of the painter."""

    renderer: PainterRenderer

    def features(
        self, condition: Condition, requests: Sequence[FaceRequest], *, temperature: float = TEMPERATURE
    ) -> Float64Array:
        """Encoder features (N F) of one face for each request, read as of the age and sex of the condition.

        Who would become a caricature (``unrest.py``) is drawn again, at most ``TRIES`` times in all; the calmest stays.
        """
        rows, unrest = self._drawn(condition, requests, temperature), self.renderer.unrest
        if unrest is None:
            return rows
        for attempt in range(1, TRIES):
            found = unrest.of(self.renderer.codes(rows))
            restless = np.flatnonzero(found > unrest.most)
            others = [_again(requests[int(k)], attempt) for k in restless]
            if not others:
                break
            again = self._drawn(condition, others, temperature)
            calmer = unrest.of(self.renderer.codes(again)) < found[restless]
            rows[restless[calmer]] = again[calmer]
        return rows

    def _drawn(self, condition: Condition, requests: Sequence[FaceRequest], temperature: float) -> Float64Array:
        condition = adults(condition, self.density)
        look = f"look {self.renderer.look}"
        known = {look: True} if look in self.density.probes.names else {}
        rows = super().features(
            replace(condition, attributes={**condition.attributes, **known}), requests, temperature=temperature
        )
        said = [years for word, years in WORDS_YEARS.items() if condition.attributes.get(word) is True]
        ages, male = condition.ages_years or (said[0] if said else None), condition.attributes.get("Male")
        if ages is None or AGE not in self.density.probes.names or not len(rows):
            return rows
        sex = male if isinstance(male, bool) else None
        within = aimed_years(ages)
        return np.stack([self.age_solver.solve(row, within, sex) for row in rows])

    def pictures(self, condition: Condition, features: Float64Array, requests: Sequence[FaceRequest]) -> Tensor:
        """The painter is told the words, too."""
        return self.renderer.asking(conditions_of(condition.attributes, condition.ages_years)).draw(features, requests)

    def redrawn(
        self, condition: Condition, features: Float64Array, requests: Sequence[FaceRequest], photo: UInt8Image,
        kept: float,
    ) -> Tensor:  # fmt: skip
        """The photo painted anew, ``kept`` (0 to 1) of it staying."""
        rows, photos = np.repeat(features[None], len(requests), 0), np.repeat(photo[None], len(requests), 0)
        painter = self.renderer.asking(conditions_of(condition.attributes, condition.ages_years))
        return painter.repaint(rows, requests, photos, np.full(len(requests), kept))

    @cached_property
    def age_solver(self) -> AgeSolver:
        """What brings features to an age and a sex."""
        return AgeSolver(self.density, packaged_person_reader())


def _again(request: FaceRequest, attempt: int) -> FaceRequest:
    draws = stream(request.seed, "again", request.index, attempt)
    return replace(request, seed=int(draws.integers(2**31)))


def painted(
    weights: str | os.PathLike[str] | None = None,
    look: str = "studio",
    device: str | None = None,
    painter: str | os.PathLike[str] | None = None,
) -> PaintedImagine:
    """The density over the painter's codes (the packaged one, or ``weights``) and the painter (or ``painter``)."""
    path = weights or WEIGHTS / DENSITY
    tensors, metadata = load_weights(path, model=MODEL)
    density = from_tensors(tensors, metadata, name=str(path))
    return PaintedImagine(density, PainterRenderer.load(painter, look=look, device=device), str(metadata["version"]))


def conditions_of(wanted: Mapping[str, bool | float], ages_years: tuple[float, float] | None) -> dict[str, float]:
    """What is wanted, in the painter's own conditions (``PainterRenderer.asking``)."""
    found = {name: float(value) for name, value in wanted.items()}
    if ages_years is not None:
        found[AGE] = sum(aimed_years(ages_years)) / 200
    return found
