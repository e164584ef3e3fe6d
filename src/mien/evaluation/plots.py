"""Plots as photos (H W 3 uint8 RGB), drawn by matplotlib's Agg: no window, no global state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.core.errors import MienError
from mien.core.records import UInt8Image

DPI = 110
COLOURS = ("#3b5bdb", "#e8590c", "#2b8a3e", "#862e9c", "#5c5f66")


def new_figure(width: float = 7.6, height: float = 3.8, columns: int = 1) -> tuple[Any, list[Any]]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MienError("plots need matplotlib; run: pip install 'mien[evaluate]'") from error
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, columns, place + 1) for place in range(columns)]
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
        each.grid(alpha=0.25, linewidth=0.6)
        each.set_axisbelow(True)
    return figure, axes


def legend_beside(axes: Any) -> None:
    """The legend right of the axes: it hides nothing, and no place among many points is looked for."""
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))


def rendered(figure: Any) -> UInt8Image:
    figure.canvas.draw()
    return np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])


def histograms(
    series: Mapping[str, npt.ArrayLike], *, x: str, bins: int = 40, marks: Mapping[str, float] | None = None
) -> UInt8Image:
    """Histograms of several series over one axis, as shares of each; ``marks`` are named vertical lines."""
    figure, (axes,) = new_figure()
    arrays = {name: np.asarray(values, np.float64).ravel() for name, values in series.items()}
    everything = np.concatenate(list(arrays.values()))
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    for (name, values), colour in zip(arrays.items(), COLOURS, strict=False):
        weights = np.full(len(values), 1 / max(len(values), 1))
        axes.hist(values, edges, weights=weights, color=colour, alpha=0.45, label=f"{name} (n = {len(values):,})")
    for name, place in (marks or {}).items():
        axes.axvline(place, color="#1d2330", linewidth=1, linestyle="--", label=name)
    axes.set_xlabel(x)
    axes.set_ylabel("share")
    legend_beside(axes)
    return rendered(figure)


def bands(
    x: npt.ArrayLike,
    series: Mapping[str, npt.ArrayLike],
    *,
    x_label: str,
    y_label: str,
    diagonal: bool = False,
) -> UInt8Image:
    """The median of each series (T K: K values at each of T places) with the band from its 10th to 90th percentile."""
    figure, (axes,) = new_figure(height=4.4)
    places = np.asarray(x, np.float64)
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        low, middle, high = np.percentile(np.asarray(values, np.float64), [10, 50, 90], axis=1)
        axes.fill_between(places, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(places, middle, color=colour, marker="o", markersize=3.5, label=name)
    if diagonal:
        axes.plot(places, places, color="#1d2330", linewidth=1, linestyle="--", label="as asked")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    legend_beside(axes)
    return rendered(figure)


def bars(
    groups: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    *,
    y_label: str,
    limits: tuple[float, float] | None = None,
) -> UInt8Image:
    """Bars of several series side by side for each group; ``None`` leaves a gap."""
    figure, (axes,) = new_figure(width=max(7.6, 0.55 * len(groups) + 2))
    width = 0.8 / max(len(series), 1)
    for index, ((name, values), colour) in enumerate(zip(series.items(), COLOURS, strict=False)):
        heights = [np.nan if value is None else value for value in values]
        places = np.arange(len(groups)) + (index - (len(series) - 1) / 2) * width
        axes.bar(places, heights, width * 0.92, color=colour, label=name)
    axes.set_xticks(
        np.arange(len(groups)),
        groups,
        rotation=35 if len(groups) > 6 else 0,
        ha="right" if len(groups) > 6 else "center",
    )
    if limits is not None:
        axes.set_ylim(*limits)
    axes.set_ylabel(y_label)
    legend_beside(axes)
    return rendered(figure)


def scatter(
    x: npt.ArrayLike, y: npt.ArrayLike, *, x_label: str, y_label: str, limit: int = 4000, diagonal: bool = True
) -> UInt8Image:
    """Points (the first ``limit`` of them) with the diagonal."""
    figure, (axes,) = new_figure(width=5.2, height=4.6)
    a, b = np.asarray(x, np.float64).ravel()[:limit], np.asarray(y, np.float64).ravel()[:limit]
    axes.scatter(a, b, s=5, alpha=0.3, color=COLOURS[0], linewidths=0)
    if diagonal and len(a):
        ends = [min(a.min(), b.min()), max(a.max(), b.max())]
        axes.plot(ends, ends, color="#1d2330", linewidth=1, linestyle="--")
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    return rendered(figure)


def ranked(shares: Mapping[str, float], *, x: str) -> UInt8Image:
    """Horizontal bars of named shares (0 to 1) in the order given, the first on top."""
    figure, (axes,) = new_figure(width=7.6, height=max(1.6, 0.17 * len(shares) + 0.7))
    places = np.arange(len(shares))
    axes.barh(places, [100 * share for share in shares.values()], color=COLOURS[0], height=0.7)
    axes.set_yticks(places, list(shares), fontsize=7)
    axes.set_ylim(len(shares) - 0.4, -0.6)
    axes.set_xlabel(f"{x}, %")
    return rendered(figure)


def ranges(found: Mapping[str, tuple[float, float, float]], *, x: str, mark: float | None = None) -> UInt8Image:
    """A point with a bar from low to high for each named (value, low, high), the first on top."""
    figure, (axes,) = new_figure(height=max(1.8, 0.42 * len(found) + 1.0))
    for place, (value, low, high) in enumerate(found.values()):
        colour = COLOURS[place % len(COLOURS)]
        axes.plot([low, high], [place, place], color=colour, linewidth=2.4, solid_capstyle="round")
        axes.plot([value], [place], "o", color=colour, markersize=8)
    if mark is not None:
        axes.axvline(mark, color="#1d2330", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(found)), list(found))
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlabel(x)
    return rendered(figure)


def lines(series: Mapping[str, Sequence[float]], *, x: str, y: str) -> UInt8Image:
    """Each series (a value a step, from step 1) as a line."""
    figure, (axes,) = new_figure()
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        axes.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=1.2, label=name)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    legend_beside(axes)
    return rendered(figure)
