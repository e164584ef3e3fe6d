"""A generator of crowds that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mien.core.contract import WHOLE_CROP, FaceRequest, complete
from mien.core.records import MadeFace
from mien.core.seeding import sample_generator


@dataclass(frozen=True, slots=True)
class FakeGenerator:
    """Keeps the contract without a network: a disc whose colour says the sex, whose size says the age."""

    name: str = "fake"
    version: str = "1"
    size_px: int = 16
    frame: tuple[float, float, float] = WHOLE_CROP
    look: str = "studio"

    def looking(self, look: str) -> FakeGenerator:
        """The same discs in negative."""
        return self if look == self.look else replace(self, look=look, version=f"{self.version}-{look}")

    def make(self, requests: Sequence[FaceRequest]) -> list[MadeFace]:
        """One disc for each request, in order."""
        return [self._one(request) for request in requests]

    def _one(self, request: FaceRequest) -> MadeFace:
        labels = complete(request, (10.0, 80.0))
        size = self.size_px
        image = sample_generator(request.seed, request.index).integers(0, 60, (size, size, 3)).astype(np.uint8)
        across, down = np.meshgrid(np.arange(size), np.arange(size))
        radius = size * (0.2 + 0.3 * (labels.age_years or 0.0) / 100)
        disc = np.hypot(across - (size - 1) / 2, down - (size - 1) / 2) <= radius
        image[disc] += np.array([180, 120, 60] if labels.sex == "female" else [60, 120, 180], np.uint8)
        if self.look != "studio":
            image = 255 - image
        return MadeFace(image, labels, request.seed, request.index, self.name, self.version)
