"""The density over the painter's codes: whoever is drawn is brought to the age and sex that are read from the features.

Scores of the density are linear in the code, and a linear score of age is pulled to the middle. What the heads of
``attributes`` read of the same features is not, so a code is moved until they read what was asked for.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import torch

from mien.attributes.person import PersonReader, packaged_person_reader
from mien.core.checkpoints import WEIGHTS, load_weights
from mien.core.contract import FaceRequest
from mien.generators.imagine.density import AGE, FaceDensity, Float64Array, Wish
from mien.generators.imagine.mien import TEMPERATURE, Imagine, grown
from mien.generators.imagine.weights import MODEL, from_tensors
from mien.generators.painter.renderer import PainterRenderer

DENSITY = "imagine-painter.safetensors"
ROUNDS = 12  # of bringing a code to what is to be read from it
MOST_YEARS = 8.0  # of one of them
LOG_ODDS = 2.0  # by which a face is to be of a sex
WRONG_SEX_YEARS = 20.0  # what a face read as of the other sex costs, in years of age
SMALLEST = 1e-9


class PaintedImagine(Imagine):
    """``Imagine`` over the painter's codes."""

    def features(
        self, wish: Wish, requests: Sequence[FaceRequest], *, temperature: float = TEMPERATURE
    ) -> Float64Array:
        """Encoder features (N F) of one face for each request, read as of the age and sex of the wish."""
        rows = super().features(wish, requests, temperature=temperature)
        ages, male = grown(wish, self.density).ages_years, wish.attributes.get("Male")
        if ages is None or AGE not in self.density.probes.names:
            return rows
        sex = male if isinstance(male, bool) else None
        return np.stack([self._settler.settle(row, ages, sex) for row in rows]) if len(rows) else rows

    @cached_property
    def _settler(self) -> Settler:
        return Settler(self.density, packaged_person_reader())


class Settler:
    """Moves features until they are read as somebody of an age and sex."""

    def __init__(self, density: FaceDensity, reader: PersonReader) -> None:
        frame = density.frame
        self.reader, self.metric = reader, torch.from_numpy(density.pooled)
        self.axes = torch.from_numpy(frame.scale[:, None] * frame.axes.T * frame.deviation)  # K F

    def settle(self, features: Float64Array, ages_years: tuple[float, float], male: bool | None = None) -> Float64Array:
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
    asked: Mapping[str, float] | None = None,
    device: str | None = None,
) -> PaintedImagine:
    """The density over the painter's codes (the packaged one, or ``weights``) and the painter, 128 px.

    ``asked``: the painter's own conditions of every picture.
    """
    path = weights or WEIGHTS / DENSITY
    tensors, metadata = load_weights(path, model=MODEL)
    density = from_tensors(tensors, metadata, name=str(path))
    renderer = PainterRenderer.load(look=look, device=device).asking(asked or {})
    return PaintedImagine(density, renderer, str(metadata["version"]))


def looking(wanted: Mapping[str, bool | float], density: FaceDensity, look: str) -> dict[str, bool | float]:
    """What is wanted of a face, and that its code is of that look where the density knows it."""
    name = f"look {look}"
    return {**wanted, **({name: True} if name in density.probes.names else {})}


def conditions_of(wanted: Mapping[str, bool | float], ages_years: tuple[float, float] | None) -> dict[str, float]:
    """What is wanted, in the painter's own conditions (``PainterRenderer.asking``)."""
    found = {name: float(value) for name, value in wanted.items()}
    if ages_years is not None:
        found[AGE] = sum(ages_years) / 200
    return found
