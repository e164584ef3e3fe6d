"""Ages and sexes of the painter's codes: a code is moved until the heads read what was asked for.

Scores of the density are linear in the code, and a linear score of age is pulled to the middle. What the heads of
``attributes`` read of the same features is not.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from mien.attributes.person import PersonReader
from mien.generators.imagine.density import FaceDensity, Float64Array

# What words of an age mean where no years are given.
WORDS_YEARS = {
    "Baby": (0.5, 2.0),
    "Child": (4.0, 11.0),
    "Youth": (15.0, 28.0),
    "Middle Aged": (40.0, 58.0),
    "Senior": (64.0, 90.0),
}
GROWN_YEARS = 14.0  # from here on sex is seen in a face
# Of the painter: who is to look of the first age is to be read as of the second. It pulls ages to the middle.
LOOKED_YEARS = (1.0, 8.0, 14.0, 20.0, 28.0, 35.0, 43.0, 50.0, 58.0, 70.0, 80.0)
AIMED_YEARS = (1.0, 5.6, 9.5, 13.2, 24.9, 36.2, 49.7, 56.3, 63.9, 78.0, 87.0)
MARGIN, MOST_MARGIN_YEARS = 0.25, 3.0  # share of a range of ages that is kept from either end
ROUNDS, STEP_YEARS = 40, 4.0  # of bringing a code to an age, and the most of one of them
LOG_ODDS, CHILD_LOG_ODDS, MOST_LOG_ODDS = 2.0, 0.5, 7.0  # of a sex: at least, of a child, and the most that is held
WRONG_SEX_YEARS = 25.0  # what a code that is read as of the other sex costs, in years of age
CLOSE_ENOUGH = 0.01  # years and log-odds
MOST_DISTANCE = 12.0  # of a code, in standard deviations of the Gaussians' common covariance
SMALLEST = 1e-9


def grown(ages_years: tuple[float, float]) -> bool:
    """Whether these are years in which sex is seen in a face."""
    return ages_years[1] >= GROWN_YEARS


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
        """Features (F) near those given that are read as of an age within ``ages_years`` and of that sex, if any.

        Newton's steps, nearest in the metric of the Gaussians' common covariance. Each meets both wishes at once (the
        nearest change under two linear constraints): one after the other they undo one another, and old women become
        men. The log-odds of an adult's sex become as high as those of the person's own are. Far away the steps end:
        codes more than ``MOST_DISTANCE`` off are of nobody.
        """
        begin, sign = torch.from_numpy(features), 1.0 if male else -1.0
        change = dual = torch.zeros(len(self.axes), dtype=torch.float64)  # change = metric @ dual
        best, nearest, least = features, math.inf, CHILD_LOG_ODDS
        for number in range(ROUNDS):
            change = change.detach().requires_grad_(True)
            now = begin + change @ self.axes
            years, woman = self.reader.answers(now[None].float())
            odds = -sign * woman.item()  # that the face is of the sex that is wanted
            if not number and grown(ages_years):
                least = max(LOG_ODDS, min(abs(odds), MOST_LOG_ODDS))
            missing = min(max(years.item(), ages_years[0]), ages_years[1]) - years.item()
            wrong = 0.0 if male is None else max(0.0, least - odds)
            away = abs(missing) + wrong + WRONG_SEX_YEARS * (male is not None and odds < 0)
            if away < nearest:
                best, nearest = now.detach().numpy(), away
            if max(abs(missing), wrong) < CLOSE_ENOUGH or (dual @ change).item() > MOST_DISTANCE**2:
                break
            wishes = [(years, max(-STEP_YEARS, min(missing, STEP_YEARS)))]
            if wrong:  # a sex that is clear enough may become less so
                wishes.append((woman, -sign * min(wrong, LOG_ODDS)))
            slopes = torch.stack([torch.autograd.grad(one.sum(), change, retain_graph=True)[0] for one, _ in wishes], 1)
            inner = slopes.T @ self.metric @ slopes + SMALLEST * torch.eye(len(wishes), dtype=slopes.dtype)
            dual = dual + slopes @ torch.linalg.solve(inner, slopes.new_tensor([lacks for _, lacks in wishes]))
            change = self.metric @ dual
        return best
