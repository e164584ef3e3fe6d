"""What photograph a new face is shown in: pose, light, sharpness and background of one of the photographs learnt from.

A code says who it is and a little of the photograph it comes from. What goes together in photographs (an official
portrait has a blue cloth and a person of fifty) is hard to say in Gaussians, so each face borrows the conditions of one
photograph of the wanted look whose person is of about that age and whose code promises about that photograph: a hot
deck, as statisticians fill gaps in a survey (Andridge and Little, 2010). Nothing of the lender's face is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core.records import Float32Array

MOST = 2500  # lenders of a look that are kept
LENDERS = 24  # the nearest photographs, of which one is drawn
AGE_YEARS = 6.0  # as far in age counts as much as one deviation of a promised condition
PREFIX = "scenes."


Scene = tuple[Mapping[str, float], int]  # standardised conditions by name, and the place of the source


@dataclass(frozen=True)
class Scenes:
    """M photographs' conditions, and what their codes promised of them."""

    names: tuple[str, ...]  # S conditions of a photograph, as the painter knows them
    values: Float32Array  # M S: standardised
    promised: Float32Array  # M S: of ``values``, by the code
    guide: Float32Array  # K + 1, S: code and a one -> what it promises
    ages_years: Float32Array  # M
    sources: Float32Array  # M: place among the painter's sources
    looks: Float32Array  # M: place among ``look_names``
    look_names: tuple[str, ...]

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], names: Sequence[str], looks: Sequence[str]) -> Self | None:
        """Undo ``tensors``; None where a weights file has none."""
        if f"{PREFIX}values" not in tensors:
            return None
        kept = {
            name: tensors[PREFIX + name].float().numpy()
            for name in ("values", "promised", "guide", "ages_years", "sources", "looks")
        }
        return cls(names=tuple(names), look_names=tuple(looks), **kept)

    def tensors(self) -> dict[str, Tensor]:
        """What a weights file keeps."""
        arrays = {
            name: getattr(self, name) for name in ("values", "promised", "guide", "ages_years", "sources", "looks")
        }
        return {PREFIX + name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}

    def lend(self, code: Float32Array, age_years: float | None, look: str, draws: np.random.Generator) -> Scene | None:
        """Standardised conditions by name and the source, for a code (K); None for a look without photographs."""
        place = self.look_names.index(look) if look in self.look_names else -1
        rows = np.flatnonzero(self.looks == place)
        if not len(rows):
            return None
        promise = np.append(code, 1.0) @ self.guide
        apart = np.square(self.promised[rows] - promise).sum(1)
        if age_years is not None:
            apart = apart + np.square((self.ages_years[rows] - age_years) / AGE_YEARS)
        count = min(LENDERS, len(rows))
        lender = rows[np.argpartition(apart, count - 1)[:count]][draws.integers(count)]
        known = {name: float(value) for name, value in zip(self.names, self.values[lender], strict=True)}
        return known, int(self.sources[lender])

    def toward(self, name: str, value: float, code: npt.NDArray[np.float64], metric: npt.NDArray[np.float64]) -> Any:
        """A code (K) changed as little as ``metric`` (K K) allows, so that it promises ``value`` of a condition."""
        along = self.guide[:, self.names.index(name)].astype(np.float64)
        moved = metric @ along[:-1]
        return code + moved * (value - np.append(code, 1.0) @ along) / (along[:-1] @ moved)


def fit_scenes(
    codes: Float32Array,
    conditions: Mapping[str, Float32Array],
    ages_years: Float32Array,
    sources: Sequence[int],
    looks: Mapping[str, Sequence[int]],
) -> Scenes:
    """Lenders for each look: name -> rows of ``codes`` (N K). ``conditions``: name -> N standardised values."""
    names = tuple(conditions)
    values = np.nan_to_num(np.stack([conditions[name] for name in names], 1)).astype(np.float32)
    rows = np.concatenate([np.asarray(chosen, np.int64) for chosen in looks.values()])
    known = np.concatenate([codes[rows], np.ones((len(rows), 1))], 1).astype(np.float64)
    products = known.T @ known + 0.05 * len(rows) * np.eye(known.shape[1])
    guide = np.linalg.solve(products, known.T @ values[rows]).astype(np.float32)
    places = np.concatenate([np.full(len(chosen), place) for place, chosen in enumerate(looks.values())])
    return Scenes(
        names, values[rows], (known @ guide).astype(np.float32), guide, ages_years[rows].astype(np.float32),
        np.asarray(sources, np.float32)[rows], places.astype(np.float32), tuple(looks),
    )  # fmt: skip
