"""What the judges said of a crowd: the values that the sections of its report are made from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.attributes.age_sex import AgeSexPredictions
from mien.core.records import Float32Array
from mien.evaluation import metrics
from mien.evaluation.faces import Faces
from mien.evaluation.report import shown
from mien.evaluation.statistics import Float64Array

ADULT_YEARS = 20


@dataclass(frozen=True, slots=True)
class JudgedFaces:
    """What the judges said of one set of faces, in the order of the faces."""

    name: str
    faces: Faces
    detected: npt.NDArray[np.bool_]  # N
    estimates: AgeSexPredictions  # N
    identity: Float32Array  # M 128 with M <= N: of the first M faces


@dataclass(frozen=True, slots=True)
class Sweep:
    """The same noises at rising ages: asked (T) and judged (T K) ages, judged and asked sexes (T K and K)."""

    asked_years: tuple[float, ...]
    judged_years: Float32Array
    female: npt.NDArray[np.bool_]
    asked_female: npt.NDArray[np.bool_]

    @property
    def mean_years(self) -> Float64Array:
        """The mean judged age (T) at each age asked for."""
        means: Float64Array = np.asarray(self.judged_years, np.float64).mean(1)
        return means

    @property
    def monotone(self) -> float:
        """The share of steps in which the mean judged age does not fall; 1 is monotone."""
        return metrics.monotone_share(self.mean_years)


@dataclass(frozen=True, slots=True)
class Memory:
    """Distances (N) of faces to their nearest training face, and which it is (N)."""

    distances: Float64Array
    nearest: npt.NDArray[np.int64]

    @classmethod
    def of(cls, features: Float32Array, training: Float32Array) -> Memory:
        """From features (N D) and those of the training faces (M D)."""
        distances, nearest = metrics.nearest(features, training)
        return cls(distances[:, 0], nearest[:, 0])


def sex_right(one: JudgedFaces) -> str:
    """The share of adults whose sex is judged as asked, as a person reads it."""
    chosen = adults(one) & ~np.isnan(one.faces.female)
    right = one.estimates.is_female[chosen] == (one.faces.female[chosen] > 0.5)
    return shown(float(right.mean()), "%") if len(right) else "unknown"


def age_error(one: JudgedFaces) -> str:
    """The mean absolute age error, as a person reads it."""
    aged = ~np.isnan(one.faces.ages_years)
    if not aged.any():
        return "unknown"
    return shown(metrics.mean_absolute_error(one.estimates.ages_years[aged], one.faces.ages_years[aged]), "years")


def anyone(one: JudgedFaces) -> npt.NDArray[np.bool_]:
    """A mask (N) of every face."""
    return np.ones(len(one.faces), bool)


def adults(one: JudgedFaces) -> npt.NDArray[np.bool_]:
    """A mask (N) of the faces whose label says ``ADULT_YEARS`` or more."""
    old: npt.NDArray[np.bool_] = one.faces.ages_years >= ADULT_YEARS
    return old


def slug_of(name: str) -> str:
    """A name as a part of a file name: lower case letters, digits and '-'."""
    words = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name.lower())
    return "-".join(word for word in words.split("-") if word) or "crowd"
