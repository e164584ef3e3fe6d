"""The plots of a study."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mien.core.images import resize
from mien.core.records import UInt8Image
from mien.evaluation import plots
from mien.evaluation.statistics import Float64Array, Interval

SLOWEST_SHOWN = 98  # percentile


def intervals(found: Mapping[str, Interval], *, x: str, times: float = 1.0, mark: float | None = None) -> UInt8Image:
    """A point with its interval for each name, the first on top; ``mark`` is a vertical line."""
    return plots.ranges(
        {name: (times * one.value, times * one.low, times * one.high) for name, one in found.items()}, x=x, mark=mark
    )


def people(shares: Float64Array) -> UInt8Image:
    """A histogram of the participants' shares of right answers (0 to 1)."""
    return plots.histograms({"participants": 100 * shares}, x="right answers, %", bins=20, marks={"guessing": 50.0})


def times(curves: Mapping[str, Float64Array]) -> UInt8Image:
    """Histograms of reaction times in ms, without the slowest."""
    everything = np.concatenate(list(curves.values()))
    slowest = float(np.percentile(everything, SLOWEST_SHOWN))
    return plots.histograms({name: values[values <= slowest] for name, values in curves.items()}, x="time, ms")


def tile(photo: UInt8Image, size: int) -> UInt8Image:
    """A picture of a sheet."""
    return photo if photo.shape[0] == size else resize(photo, size, size)
