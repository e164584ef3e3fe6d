"""What the judges said of a crowd: the values that the sections of its report are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.attributes.age_sex import AgeSexPredictions
from mien.core.records import Float32Array
from mien.evaluation import metrics
from mien.evaluation.faces import Faces
from mien.evaluation.report import Better, Figure, shown
from mien.evaluation.statistics import Float64Array, mean_interval, proportion

ADULT_YEARS = 20
NEAR_YEARS = 10  # an age judged so near counts as the one asked for
MEMORY_SAMPLES, LEAST_REMEMBERED = 1000, 10
FACE_FOUND = "a face is found (cascades)"


@dataclass(frozen=True, slots=True)
class JudgedFaces:
    """What the judges said of one set of faces, in the order of the faces."""

    name: str
    faces: Faces
    detected: npt.NDArray[np.bool_]  # N
    estimates: AgeSexPredictions  # N
    identity: Float32Array  # M 128 with M <= N: of the first M faces
    is_photo: bool = False  # a photograph shows a face, whether or not a cascade finds it

    @property
    def face(self) -> npt.NDArray[np.bool_]:
        """N: which pictures count; the others are failures, whatever a judge says of them."""
        return np.ones_like(self.detected) if self.is_photo else self.detected


@dataclass(frozen=True, slots=True)
class Sweep:
    """The same noises at rising ages: asked (T) and judged (T K) ages, judged and asked sexes (T K and K)."""

    asked_years: tuple[float, ...]
    judged_years: Float32Array
    female: npt.NDArray[np.bool_]
    asked_female: npt.NDArray[np.bool_]
    face: npt.NDArray[np.bool_]  # T K: where a cascade finds one

    @property
    def mean_years(self) -> Float64Array:
        """The mean judged age (T) of the faces at each age asked for; NaN where there is none."""
        pairs = zip(np.asarray(self.judged_years, np.float64), self.face, strict=True)
        return np.array([row[seen].mean() if seen.any() else np.nan for row, seen in pairs])

    @property
    def monotone(self) -> float:
        """The share of steps in which the mean judged age does not fall; 1 is monotone. Without faces it falls."""
        return metrics.monotone_share(self.mean_years)

    @property
    def correlations(self) -> Float64Array:
        """K: each noise's rank correlation of asked and judged age, times the share of its ages with a face."""
        asked, found = np.asarray(self.asked_years), []
        for judged, seen in zip(np.asarray(self.judged_years).T, self.face.T, strict=True):
            found.append(seen.mean() * metrics.rank_correlation(asked[seen], judged[seen]) if seen.sum() > 1 else 0.0)
        return np.array(found, np.float64)


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


def remembered(one: JudgedFaces) -> npt.NDArray[np.int64]:
    """Which faces (N of the first ``MEMORY_SAMPLES``) are looked for in training: a picture without one is no copy."""
    return np.flatnonzero(one.face[: len(one.identity)][:MEMORY_SAMPLES])


def memories_of(judged: Mapping[str, JudgedFaces], training: Float32Array) -> dict[str, Memory]:
    """Of each set of faces in which enough are found."""
    kept = {name: remembered(one) for name, one in judged.items()}
    enough = [name for name, places in kept.items() if min(len(places), len(training)) >= LEAST_REMEMBERED]
    return {name: Memory.of(judged[name].identity[kept[name]], training) for name in enough}


def face_found(what: str, subject: str, face: npt.NDArray[np.bool_]) -> Figure:
    """What stands first in every table: figures of pictures without faces say nothing. ``what`` names the pictures."""
    share = proportion(int(face.sum()), face.size)
    name = metrics.metric_name(f"face-found-{what}", "7cascades", face.size)
    return Figure.of(share, name=name, label=FACE_FOUND, subject=subject, unit="%", better="higher")


def mean_of(
    values: Float64Array, metric: str, judge: str, label: str, subject: str, unit: str, better: Better
) -> Figure:
    """The mean of ``values`` (N), n in its name; unknown where there are none."""
    name = metrics.metric_name(metric, judge, len(values))
    if not len(values):
        return Figure(name, label, subject, float("nan"), 0, unit=unit, better=better)
    return Figure.of(mean_interval(values), name=name, label=label, subject=subject, unit=unit, better=better)


def sex_right(one: JudgedFaces) -> str:
    """The share of adults whose sex is judged as asked, as a person reads it."""
    chosen = adults(one) & ~np.isnan(one.faces.female)
    right = right_sex(one)[chosen]
    return shown(float(right.mean()), "%") if len(right) else "unknown"


def right_sex(one: JudgedFaces) -> npt.NDArray[np.bool_]:
    """N: whether there is a face, of the sex that is asked for."""
    right: npt.NDArray[np.bool_] = one.face & (one.estimates.is_female == (one.faces.female > 0.5))
    return right


def age_error(one: JudgedFaces) -> str:
    """The mean absolute age error, as a person reads it."""
    aged = one.face & ~np.isnan(one.faces.ages_years)
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
