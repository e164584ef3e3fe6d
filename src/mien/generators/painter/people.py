"""The density over the painter's codes: whoever is drawn is brought to the age and sex that are read from the features.

Scores of the density are linear in the code, and a linear score of age is pulled to the middle. What the heads of
``attributes`` read of the same features is not, so a code is moved until they read what was asked for.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mien.attributes.person import PersonReader, packaged_person_reader
from mien.core.checkpoints import WEIGHTS, load_weights
from mien.core.contract import FaceRequest
from mien.core.records import UInt8Image
from mien.core.seeding import stream
from mien.generators.imagine.density import AGE, Condition, FaceDensity, Float64Array
from mien.generators.imagine.mien import TEMPERATURE, Imagine, adults
from mien.generators.imagine.weights import MODEL, from_tensors
from mien.generators.painter.renderer import PainterRenderer

DENSITY = "imagine-painter.safetensors"
SPREAD = 0.95  # of the temperature: the far ends of the density are caricatures
# What words of an age mean where no years are given.
WORDS_YEARS = {
    "Baby": (0.5, 2.0),
    "Child": (4.0, 11.0),
    "Youth": (15.0, 28.0),
    "Middle Aged": (40.0, 58.0),
    "Senior": (64.0, 90.0),
}
# Of the painter: who is to look of the first age is to be read as of the second. It pulls ages to the middle.
LOOKED_YEARS = (1.0, 8.0, 14.0, 20.0, 28.0, 35.0, 43.0, 50.0, 58.0, 70.0, 80.0)
AIMED_YEARS = (1.0, 6.2, 10.1, 14.2, 25.0, 39.5, 52.6, 58.7, 65.5, 76.8, 87.0)
MARGIN, MOST_MARGIN_YEARS = 0.25, 3.0  # share of a range of ages that is kept from either end
ROUNDS = 12  # of bringing a code to what is to be read from it
MOST_YEARS = 8.0  # of one of them
LOG_ODDS = 2.0  # by which a face is to be of a sex
WRONG_SEX_YEARS = 20.0  # what a face read as of the other sex costs, in years of age
SMALLEST = 1e-9
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


def aimed_years(ages_years: tuple[float, float]) -> tuple[float, float]:
    """What a code is to be read as, and the painter told, so that its picture looks of an age within ``ages_years``.

    The painter pulls ages to the middle, and a code that has just come into a range lies at its edge.
    """
    low, high = ages_years
    margin = min(MARGIN * (high - low), MOST_MARGIN_YEARS)
    ends = np.interp((low + margin, high - margin), LOOKED_YEARS, AIMED_YEARS)
    return float(ends[0]), float(ends[1])


class AgeSolver:
    """Moves features until they are read as somebody of an age and sex."""

    def __init__(self, density: FaceDensity, reader: PersonReader) -> None:
        frame = density.frame
        self.reader, self.metric = reader, torch.from_numpy(density.pooled)
        self.axes = torch.from_numpy(frame.scale[:, None] * frame.axes.T * frame.deviation)  # K F

    def solve(self, features: Float64Array, ages_years: tuple[float, float], male: bool | None = None) -> Float64Array:
        """Features (F) near those given that are read as of an age within ``ages_years`` and of that sex.

        Newton's steps along what the reader says, nearest in the metric of the Gaussians' common covariance.
        """
        change = torch.zeros(len(self.axes), dtype=torch.float64, requires_grad=True)  # of the code
        begin, best, nearest = torch.from_numpy(features), features, math.inf
        for _ in range(ROUNDS):
            now = begin + change @ self.axes
            years, woman = self.reader.answers(now[None].float())
            age, sign = years.item(), 1.0 if male else -1.0
            missing = min(max(age, ages_years[0]), ages_years[1]) - age
            wrong = 0.0 if male is None else max(0.0, LOG_ODDS + sign * woman.item())
            off = abs(missing) + WRONG_SEX_YEARS * (wrong > LOG_ODDS)
            if off < nearest:
                best, nearest = now.detach().numpy(), off
            if not missing and not wrong:
                break
            step = torch.zeros_like(change)
            for value, lacks, most in ((years, missing, MOST_YEARS), (woman, -sign * wrong, LOG_ODDS)):
                (slope,) = torch.autograd.grad(value.sum(), change, retain_graph=True)
                along = self.metric @ slope
                step += along * (max(-most, min(lacks, most)) / ((slope @ along).item() + SMALLEST))
            change = (change + step).detach().requires_grad_(True)
        return best


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
