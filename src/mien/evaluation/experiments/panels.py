"""Pictures of the experiments that ``plots`` has no form for: maps of points, bells over histograms, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import numpy.typing as npt

from mien.core.records import UInt8Image
from mien.evaluation.plots import COLOURS, legend_beside, new_figure, rendered

Mask = npt.NDArray[np.bool_]
DARK, PALE = "#1d2330", "#b6bcc6"


def maps(points: npt.ArrayLike, sides: Mapping[str, Mask], *, columns: int = 3) -> UInt8Image:
    """The same points (N 2) once for every entry of ``sides``: marked ones in colour over the others in grey."""
    places = np.asarray(points, np.float64)
    named = list(sides.items())
    rows = []
    for start in range(0, len(named), columns):
        figure, axes = new_figure(width=3.6 * columns, height=3.7, columns=columns)
        for each in axes:
            each.set_axis_off()
        for each, (title, marked) in zip(axes, named[start : start + columns], strict=False):
            each.scatter(*places[~marked].T, s=5, color=PALE, linewidths=0, alpha=0.6)
            each.scatter(*places[marked].T, s=7, color=COLOURS[1], linewidths=0, alpha=0.8)
            each.set_title(title, fontsize=9)
        rows.append(rendered(figure))
    return np.concatenate(rows)


def bells(values: Mapping[str, npt.ArrayLike], *, columns: int = 4, bins: int = 24) -> UInt8Image:
    """A histogram of each series with the normal curve of its mean and deviation."""
    named = [(title, np.asarray(each, np.float64).ravel()) for title, each in values.items()]
    rows = []
    for start in range(0, len(named), columns):
        figure, axes = new_figure(width=3.0 * columns, height=2.6, columns=columns)
        for each in axes[len(named[start : start + columns]) :]:
            each.set_axis_off()
        for each, (title, series) in zip(axes, named[start : start + columns], strict=False):
            each.hist(series, bins, density=True, color=COLOURS[0], alpha=0.55)
            spread = float(series.std())
            if spread > 0:
                grid = np.linspace(series.min(), series.max(), 160)
                curve = np.exp(-(((grid - series.mean()) / spread) ** 2) / 2) / (spread * np.sqrt(2 * np.pi))
                each.plot(grid, curve, color=DARK, linewidth=1.2)
            each.set_title(title, fontsize=8)
            each.tick_params(labelsize=7)
            each.set_yticks([])
        rows.append(rendered(figure))
    return np.concatenate(rows)


def curves(
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x: str,
    y: str,
    dots: bool = False,
    log: str = "",
    marks: Mapping[str, float] | None = None,
) -> UInt8Image:
    """Lines of (x, y) by name; ``marks`` are named horizontal lines; ``log`` names the axes with a log scale: "xy"."""
    figure, (axes,) = new_figure(height=4.2)
    styles = cycle(("-", "--", ":"))
    style = next(styles)
    for number, (name, (places, heights)) in enumerate(series.items()):
        if number and number % len(COLOURS) == 0:
            style = next(styles)
        axes.plot(
            places,
            heights,
            color=COLOURS[number % len(COLOURS)],
            linestyle=style,
            linewidth=1.5,
            marker="o" if dots else None,
            markersize=3.5,
            label=name,
        )
    for name, height in (marks or {}).items():
        axes.axhline(height, color=DARK, linewidth=1, linestyle="--", label=name)
    if "x" in log:
        axes.set_xscale("log")
    if "y" in log:
        axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    legend_beside(axes)
    return rendered(figure)
