"""Crowds by the painter: labels -> a code of the painter's own density -> a whole face."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from mien.attributes.person import packaged_person_reader
from mien.core.checkpoints import WEIGHTS, load_weights
from mien.core.contract import WHOLE_CROP, FaceRequest, complete
from mien.core.records import Labels, MadeFace
from mien.generators.imagine.density import AGE, FaceDensity, Float64Array, Wish
from mien.generators.imagine.mien import Imagine
from mien.generators.imagine.weights import MODEL, from_tensors
from mien.generators.painter.renderer import PainterRenderer

NAME = "crowd-painter"
DENSITY = "imagine-painter.safetensors"
DRAWN_AGES_YEARS = (18.0, 75.0)
CLOSE_YEARS = 0.5  # an age is asked for within so much
ROUNDS, STRIDE = 6, 0.8  # of bringing a code to the age that is read from it
WRONG_SEX_YEARS = 20.0  # what a face read as of the other sex costs, in years of age


def painted(
    weights: str | os.PathLike[str] | None = None, look: str = "studio", asked: Mapping[str, float] | None = None
) -> Imagine:
    """The density over the painter's codes (the packaged one, or ``weights``) and the painter, 128 px.

    ``asked``: the painter's own conditions of every picture.
    """
    path = weights or WEIGHTS / DENSITY
    tensors, metadata = load_weights(path, model=MODEL)
    density = from_tensors(tensors, metadata, name=str(path))
    renderer = PainterRenderer.load(look=look).asking(asked or {})
    return Imagine(density, renderer, str(metadata["version"]))


def looking(wanted: Mapping[str, bool | float], density: FaceDensity, look: str) -> dict[str, bool | float]:
    """What is wanted of a face, and that its code is of that look where the density knows it."""
    name = f"look {look}"
    return {**wanted, **({name: True} if name in density.probes.names else {})}


def conditions_of(wanted: Mapping[str, bool | float], ages_years: tuple[float, float] | None) -> dict[str, float]:
    """What a wish says in the painter's own conditions (``PainterRenderer.asking``)."""
    found = {name: float(value) for name, value in wanted.items()}
    if ages_years is not None:
        found[AGE] = sum(ages_years) / 200
    return found


def told(labels: Labels) -> dict[str, float]:
    """The labels of one face in the painter's own conditions."""
    age = labels.age_years
    return conditions_of({"Male": labels.sex == "male", **labels.attributes}, None if age is None else (age, age))


class PainterCrowd:
    """Behind the contract of generators; each face is drawn alone from the density and painted in fixed rows."""

    name = NAME
    frame = WHOLE_CROP

    def __init__(self, imagine: Imagine, look: str) -> None:
        if not isinstance(imagine.renderer, PainterRenderer):
            raise TypeError("a crowd of the painter wants the painter")
        self.imagine, self.renderer, self.look = imagine, imagine.renderer, look
        self.version = imagine.version

    @classmethod
    def load(cls, weights: str | os.PathLike[str] | None = None, *, look: str = "studio") -> Self:
        """The packaged painter with its density, or another density."""
        return cls(painted(weights, look), look)

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        return self.renderer.size_px

    def make(self, requests: Sequence[FaceRequest]) -> list[MadeFace]:
        """One face for each request, in order."""
        if not requests:
            return []
        wanted = [complete(request, DRAWN_AGES_YEARS) for request in requests]
        pairs = zip(requests, wanted, strict=True)
        rows = [self._features(labels, request) for request, labels in pairs]
        photos = self.renderer.draw(np.stack(rows), requests, asked=[told(labels) for labels in wanted])
        return [
            MadeFace(photo, labels, request.seed, request.index, self.name, self.version)
            for photo, labels, request in zip(photos, wanted, requests, strict=True)
        ]

    def _features(self, labels: Labels, request: FaceRequest) -> Float64Array:
        """Features (F) of somebody who is read as of that age and sex: scores are linear, what is read is not."""
        density, reader = self.imagine.density, packaged_person_reader()
        features = self.imagine.features(self._wish(labels), [request])
        age = labels.age_years
        if age is None or AGE not in density.probes.names:
            return np.asarray(features[0])
        code, best, nearest = density.frame.codes(features)[0], features[0], math.inf
        for _ in range(ROUNDS):
            features = density.frame.features(code[None])
            (read,), (woman,) = reader.read(features)
            wrong = labels.sex is not None and (woman > 0.5) != (labels.sex == "female")
            off = abs(age - float(read)) + WRONG_SEX_YEARS * wrong
            if off < nearest:
                best, nearest = features[0], off
            if off < CLOSE_YEARS:
                break
            scores = dict(zip(density.probes.names, density.probes.scores(code[None])[0], strict=True))
            aim = {AGE: float(scores[AGE]) + STRIDE * (age - float(read)) / 100}
            if wrong:
                aim["Male"] = density.probes.level("Male", 1.3 if labels.sex == "male" else -0.3)
            code = density.at_scores(code, {"Male": float(scores["Male"])} | aim)
        return np.asarray(best)

    def _wish(self, labels: Labels) -> Wish:
        wanted: dict[str, bool | float] = {"Male": labels.sex == "male", **labels.attributes}
        if labels.race in self.imagine.density.probes.names:
            wanted[str(labels.race)] = True
        age = labels.age_years or 0.0
        ages = (max(age - CLOSE_YEARS, 1.0), age + CLOSE_YEARS)
        return Wish(looking(wanted, self.imagine.density, self.look), ages)
