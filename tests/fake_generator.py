"""A generator of crowds that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from torch import Tensor

from mien.core.contract import WHOLE_CROP, FaceRequest, complete
from mien.core.images import to_tensor
from mien.core.limits import check_size
from mien.core.records import Labels, UInt8Image
from mien.core.seeding import sample_generator


@dataclass(frozen=True, slots=True)
class FakeGenerator:
    """Keeps the contract without a network: a disc whose colour says the sex, whose size says the age."""

    name: str = "fake"
    version: str = "1"
    size_px: int = 16
    frame: tuple[float, float, float] = WHOLE_CROP
    look: str = "studio"

    def looking(self, look: str) -> Self:
        """The same discs in negative."""
        return self if look == self.look else replace(self, look=look, version=f"{self.version}-{look}")

    def at(self, size_px: int | None) -> Self:
        """There is one size."""
        check_size(size_px, (self.size_px,))
        return self

    def draw(self, requests: Sequence[FaceRequest]) -> tuple[Tensor, list[Labels]]:
        """One disc for each request, in order."""
        labels = [complete(request, (10.0, 80.0)) for request in requests]
        return to_tensor(np.stack([self._one(*pair) for pair in zip(requests, labels, strict=True)])), labels

    def _one(self, request: FaceRequest, labels: Labels) -> UInt8Image:
        size = self.size_px
        image = sample_generator(request.seed, request.index).integers(0, 60, (size, size, 3)).astype(np.uint8)
        across, down = np.meshgrid(np.arange(size), np.arange(size))
        radius = size * (0.2 + 0.3 * (labels.age_years or 0.0) / 100)
        disc = np.hypot(across - (size - 1) / 2, down - (size - 1) / 2) <= radius
        image[disc] += np.array([180, 120, 60] if labels.sex == "female" else [60, 120, 180], np.uint8)
        if self.look != "studio":
            image = 255 - image
        return image
