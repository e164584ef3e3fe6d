"""Crowds by the painter: labels -> a code of the painter's own density -> a whole face."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Self

import numpy as np
from torch import Tensor

from mien.core.contract import WHOLE_CROP, FaceRequest, complete
from mien.core.limits import DRAWN_AGES_YEARS
from mien.core.records import Labels
from mien.generators.imagine.density import Condition, Float64Array
from mien.generators.painter.people import PaintedImagine, conditions_of, painted
from mien.generators.painter.renderer import PainterRenderer

NAME = "crowd-painter"
CLOSE_YEARS = 0.5  # an age is asked for within so much


def told(labels: Labels) -> dict[str, float]:
    """The labels of one face in the painter's own conditions."""
    age = labels.age_years
    return conditions_of({"Male": labels.sex == "male", **labels.attributes}, None if age is None else (age, age))


class PainterCrowd:
    """Behind the contract of generators; each face is drawn alone from the density and painted in fixed rows."""

    name = NAME
    frame = WHOLE_CROP

    def __init__(self, imagine: PaintedImagine) -> None:
        self.imagine, self.renderer, self.version = imagine, imagine.renderer, imagine.version

    @classmethod
    def load(
        cls, weights: str | os.PathLike[str] | None = None, *, look: str = "studio", device: str | None = None
    ) -> Self:
        """The packaged painter with its density, or another density."""
        return cls(painted(weights, look, device))

    def at(self, size_px: int | None) -> Self:
        """The same faces at another size; networks are shared."""
        return type(self)(self.imagine.at(size_px))

    def looking(self, look: str) -> Self:
        """The same people in another look of photographs; networks are shared."""
        return self._by(self.renderer.looking(look))

    def _by(self, renderer: PainterRenderer) -> Self:
        imagine = self.imagine
        return type(self)(type(imagine)(imagine.density, renderer, imagine.density_version))

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        return self.renderer.size_px

    def draw(self, requests: Sequence[FaceRequest]) -> tuple[Tensor, list[Labels]]:
        """One picture for each request, in order, and what each was drawn for."""
        wanted = [complete(request, DRAWN_AGES_YEARS) for request in requests]
        asked = [told(one) for one in wanted]
        return self.renderer.draw(self._features(requests, wanted), requests, asked=asked), wanted

    def changes(self, requests: Sequence[FaceRequest], wanted: Sequence[Labels]) -> tuple[Float64Array, Float64Array]:
        """Codes (N K) of faces with the labels ``wanted``, and how much their pictures change at last (N)."""
        features = self._features(requests, wanted)
        changed = self.renderer.changes(features, requests, [told(one) for one in wanted])
        return self.renderer.codes(features).double().numpy(), changed

    def _features(self, requests: Sequence[FaceRequest], wanted: Sequence[Labels]) -> Float64Array:
        pairs = zip(requests, wanted, strict=True)
        return np.stack([self.imagine.features(self._condition(labels), [request])[0] for request, labels in pairs])

    def _condition(self, labels: Labels) -> Condition:
        wanted: dict[str, bool | float] = {"Male": labels.sex == "male", **labels.attributes}
        if labels.race in self.imagine.density.probes.names:
            wanted[str(labels.race)] = True
        age = labels.age_years or 0.0
        ages = (max(age - CLOSE_YEARS, 1.0), age + CLOSE_YEARS)
        return Condition(wanted, ages)
