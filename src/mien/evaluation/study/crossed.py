"""Shares and sensitivities with intervals that hold for other people *and* other pictures.

Every answer belongs to a person and to a picture, and both differ among themselves, so answers are no independent
draws. The variance of a statistic is taken as

    V = V(people resampled) + V(pictures resampled) - V(answers resampled),

the two-way clustered variance of Cameron, Gelbach and Miller (2011), "Robust inference with multiway clustering",
equation 2.8, with each term from a bootstrap, so that it serves curved statistics (d') as well. Resampling both at
once (Owen 2007, "The pigeonhole bootstrap") would count the noise of single answers three times. V is not let fall
below either of its first two terms. Quantiles are Student's, with one less degree of freedom than there are people or
pictures, whichever are fewer.

d' is that of signal detection theory for yes/no tasks (Green and Swets 1966): z(share of generated faces called
generated) - z(share of real faces called generated), 0 where they cannot be told apart. Counts get the log-linear
correction (Hautus 1995): half an answer on either side. It is computed from all answers together; people with
different habits of answering make that a little smaller than the mean of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mien.core.errors import TooFewError
from mien.core.seeding import stream
from mien.evaluation.statistics import Float64Array, Interval

if TYPE_CHECKING:
    from mien.evaluation.study.answers import JudgedTrials

ROUNDS = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Resampled:
    """Counts of every source, as observed and under three ways of resampling (B rounds each)."""

    sources: tuple[str, ...]
    hits: Float64Array  # S: answers "real"
    answers: Float64Array  # S
    rounds: tuple[tuple[Float64Array, Float64Array], ...]  # people, pictures, answers: (hits, answers), B S each
    people: int
    pictures: tuple[int, ...]  # S: different pictures that were judged

    def at(self, source: str) -> int:
        """The column of a source."""
        return self.sources.index(source)

    def freedom(self, *sources: str) -> int:
        """Degrees of freedom of a statistic of these sources: of the fewer of people and of pictures of either."""
        return max(1, min(self.people, *(self.pictures[self.at(source)] for source in sources)) - 1)

    def variance(self, statistic: Callable[[Float64Array, Float64Array], Float64Array], *sources: str) -> float:
        """The variance of a statistic of (hits, answers), both ... S, for other people and other pictures."""
        pictures = min(self.pictures[self.at(source)] for source in sources)
        by = [_variance(statistic(*one)) for one in self.rounds]
        people_v = by[0] * self.people / max(self.people - 1, 1)
        pictures_v = by[1] * pictures / max(pictures - 1, 1)
        return max(people_v + pictures_v - by[2], people_v, pictures_v)


def _variance(values: Float64Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.var()) if len(known) > 1 else 0.0


def resample(
    data: JudgedTrials,
    *,
    groups: npt.NDArray[np.int64] | None = None,
    names: Sequence[str] = (),
    seed: int = 0,
    rounds: int = ROUNDS,
) -> Resampled:
    """Counts of every source under resampling; ``groups`` (N, with their ``names``) instead of the sources.

    Raises ``TooFewError`` where a source has no answer.
    """
    group = data.sources if groups is None else groups
    labels = tuple(data.design.sources) if groups is None else tuple(names)
    count = len(labels)
    n_people, n_pictures = len(data.numbers), len(data.ids)
    said = data.said_real.astype(np.float64)
    hits = np.asarray(np.bincount(group, said, count), np.float64)
    answers = np.asarray(np.bincount(group, minlength=count), np.float64)
    for name, n in zip(labels, answers, strict=True):
        if not n:
            raise TooFewError(f"study: no answer that counts about '{name}'")
    # Cells: (person, group) and (picture, group) counts turn a round into one matrix product.
    by_person = [_table(data.people, group, weights, n_people, count) for weights in (said, np.ones(len(said)))]
    by_picture = [_table(data.pictures, group, weights, n_pictures, count) for weights in (said, np.ones(len(said)))]
    random = stream(seed, "study", "resample", rounds)
    drawn_people = random.multinomial(n_people, np.full(n_people, 1 / n_people), rounds).astype(np.float64)
    drawn_pictures = _pictures_drawn(by_picture[1], rounds, random)
    each = tuple(
        (
            np.stack([drawn[:, :, s] @ table[0][:, s] for s in range(count)], 1),
            np.stack([drawn[:, :, s] @ table[1][:, s] for s in range(count)], 1),
        )
        for drawn, table in (
            (np.broadcast_to(drawn_people[:, :, None], (rounds, n_people, count)), by_person),
            (drawn_pictures, by_picture),
        )
    )
    answered = random.binomial(answers.astype(np.int64), hits / answers, (rounds, count)).astype(np.float64)
    third = (answered, np.tile(answers, (rounds, 1)))
    judged_pictures = tuple(int(n) for n in (by_picture[1] > 0).sum(0))
    return Resampled(labels, hits, answers, (each[0], each[1], third), n_people, judged_pictures)


def _table(
    rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], weights: Float64Array, n_rows: int, n_columns: int
) -> Float64Array:
    counts = np.bincount(rows * n_columns + columns, weights, n_rows * n_columns)
    return np.asarray(counts, np.float64).reshape(n_rows, n_columns)


def _pictures_drawn(table: Float64Array, rounds: int, random: np.random.Generator) -> Float64Array:
    """How often each picture is drawn (B I S), those of a source among themselves."""
    drawn = np.zeros((rounds, *table.shape))
    for s in range(table.shape[1]):
        members = np.flatnonzero(table[:, s])
        drawn[:, members, s] = random.multinomial(len(members), np.full(len(members), 1 / len(members)), rounds)
    return drawn


def share(of: Resampled, source: str) -> Interval:
    """The share of a source's faces that were called real, with Wilson's interval for the effective number of answers.

    That number is the one of independent answers with the same variance; n of the result is the number given.
    """
    s = of.at(source)
    value = float(of.hits[s] / of.answers[s])
    variance = of.variance(lambda hits, answers: _ratio(hits, answers)[..., s], source)
    given = float(of.answers[s])
    # Where all answers agree nothing shows how much people differ: each person then counts as one answer.
    effective = min(given, value * (1 - value) / variance) if variance > 0 else float(min(of.people, given))
    low, high = wilson(value, effective, _quantile(of.freedom(source)))
    return Interval(value, low, high, int(given))


def gap(of: Resampled, first: str, second: str) -> tuple[Interval, float]:
    """The share called real of ``first`` less that of ``second`` with its interval; the p-value of no difference."""
    a, b = of.at(first), of.at(second)
    return _normal(
        of, lambda hits, answers: _ratio(hits, answers)[..., a] - _ratio(hits, answers)[..., b], first, second
    )


def sensitivity(of: Resampled, model: str, real: str) -> tuple[Interval, float]:
    """d' of a model's faces against real ones, with its interval, and the p-value of 0."""
    a, b = of.at(real), of.at(model)
    return _normal(of, lambda hits, answers: _z(hits, answers)[..., a] - _z(hits, answers)[..., b], model, real)


def criterion(of: Resampled, model: str, real: str) -> Interval:
    """c of signal detection theory: above 0 where people lean to the answer "real"."""
    a, b = of.at(real), of.at(model)
    return _normal(of, lambda hits, answers: (_z(hits, answers)[..., a] + _z(hits, answers)[..., b]) / 2, model, real)[
        0
    ]


def correct(of: Resampled, models: Sequence[str], real: str) -> Interval:
    """The share of right answers: the mean of those to real faces and those to the models' faces; 0.5 is chance."""
    a, others = of.at(real), [of.at(model) for model in models]

    def statistic(hits: Float64Array, answers: Float64Array) -> Float64Array:
        rates = _ratio(hits, answers)
        return np.asarray((rates[..., a] + 1 - rates[..., others].mean(-1)) / 2)

    return _normal(of, statistic, real, *models)[0]


def _normal(
    of: Resampled, statistic: Callable[[Float64Array, Float64Array], Float64Array], *sources: str
) -> tuple[Interval, float]:
    from scipy.stats import t

    value = float(statistic(of.hits, of.answers))
    deviation = of.variance(statistic, *sources) ** 0.5
    freedom = of.freedom(*sources)
    half = _quantile(freedom) * deviation
    p = float(2 * t.sf(abs(value) / deviation, freedom)) if deviation else float(value == 0)
    n = int(sum(of.answers[of.at(source)] for source in sources))
    return Interval(value, value - half, value + half, n), p


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction (1979): the chance of any false difference among all of them stays at the level."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def wilson(value: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share for ``n`` answers, which need be no whole number."""
    square = quantile * quantile
    centre = (value + square / (2 * n)) / (1 + square / n)
    half = quantile * float(np.sqrt(value * (1 - value) / n + square / (4 * n * n))) / (1 + square / n)
    return min(value, max(0.0, centre - half)), max(value, min(1.0, centre + half))


def _quantile(freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))


def _ratio(hits: Float64Array, answers: Float64Array) -> Float64Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(hits / answers)


def _z(hits: Float64Array, answers: Float64Array) -> Float64Array:
    """z of the share called real, with half an answer added on either side."""
    from scipy.special import ndtri

    return np.asarray(ndtri((hits + 0.5) / (answers + 1)))
