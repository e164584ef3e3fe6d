"""A wide range of learning rates (section 5.1 of the paper), a short run each: which lowers the held-out loss most?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.evaluation.crowd_judged import slug_of
from mien.evaluation.experiments.panels import curves
from mien.evaluation.experiments.unfreezing import ProbedFaces, Unfrozen
from mien.evaluation.report import Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section


@dataclass(frozen=True, slots=True)
class RateRun:
    """One run at one rate of the heads; ``run`` is None where its loss did not stay finite."""

    learns: str  # "heads only", "from block17_1", ...
    rate: float
    run: Unfrozen | None

    @property
    def loss(self) -> float:
        """The last loss on held-out people; infinite where it diverged."""
        return self.run.held_out.losses[-1] if self.run is not None and self.run.held_out.losses else float("inf")


def best_of(runs: Sequence[RateRun]) -> RateRun:
    """The run of the lowest last held-out loss; of equal ones the lowest rate."""
    return min(runs, key=lambda one: (one.loss, one.rate))


def rates_report(runs: Sequence[RateRun], examined: ProbedFaces, provenance: ReportProvenance) -> Report:
    """The report on a sweep; every ``learns`` was tried at the same rates."""
    groups = {name: [one for one in runs if one.learns == name] for name in dict.fromkeys(one.learns for one in runs)}
    sections = tuple(_section(name, sorted(some, key=lambda one: one.rate), examined) for name, some in groups.items())
    overview = {name: _by_rate(some) for name, some in groups.items()}
    picture = ReportPicture(
        "loss-by-rate",
        "The last loss on held-out people, by the rate of the heads. A run that diverged has no point.",
        curves({name: line for name, line in overview.items() if line[0]}, x="rate", y="loss", dots=True, log="xy"),
    )
    text = (
        "The paper: 'We try a wide range of learning rates, diagnosing the learning process by looking at the loss "
        "curve.' The same faces, order, heads and steps at every rate; the encoder's keeps its share of the heads'."
    )
    summary = " ".join(_said(name, some) for name, some in groups.items())
    return Report(
        "Learning rates", summary, (Section("Loss by rate", text, pictures=(picture,)), *sections), provenance
    )


def _by_rate(runs: Sequence[RateRun]) -> tuple[list[float], list[float]]:
    known = sorted((one.rate, one.loss) for one in runs if np.isfinite(one.loss))
    return [rate for rate, _ in known], [loss for _, loss in known]


def _said(name: str, runs: Sequence[RateRun]) -> str:
    best, rates = best_of(runs), sorted(one.rate for one in runs)
    if not np.isfinite(best.loss):
        return f"{name}: every rate diverged; try lower ones."
    edge = {rates[0]: "lowest", rates[-1]: "highest"}.get(best.rate) if len(rates) > 1 else None
    more = f", the {edge} tried: the best may lie beyond" if edge else ""
    return f"{name}: best at {best.rate:g}{more} (held-out loss {best.loss:.3f})."


def _section(name: str, runs: Sequence[RateRun], examined: ProbedFaces) -> Section:
    best = best_of(runs)
    rows, figures = [], []
    for one in runs:
        cells: tuple[str | None, ...] = (None, "not finite", None, None)
        if one.run is not None:
            _, test = examined.scores(one.run)
            auc = test.auc[~np.isnan(test.auc)]
            cells = (
                f"{one.run.training.losses[-1]:.3f}" if one.run.training.losses else None,
                f"{one.loss:.3f}",
                f"{100 * test.accuracy.mean():.1f} %",
                f"{auc.mean():.3f}" if len(auc) else None,
            )
            slug = f"{slug_of(name)}_{one.rate:g}_n{one.run.images}"
            label = f"Last held-out loss, {name}"
            key, subject = f"loss-held-out_{slug}", f"rate {one.rate:g}"
            figures.append(Figure(key, label, subject, one.loss, one.run.images, better="lower"))
        rows.append((f"{one.rate:g}", *cells, "best" if one is best and np.isfinite(one.loss) else ""))
    columns = ("rate", "last training loss", "last held-out loss", "accuracy, test", "AUC, test", "")
    drawn = {f"{one.rate:g}": one.run.training for one in runs if one.run is not None}
    pictures = tuple(
        ReportPicture(
            f"curves-{slug_of(name)}",
            f"{name}: the training loss by step, at each rate.",
            curves({rate: (c.steps, c.losses) for rate, c in drawn.items() if c.steps}, x="step", y="loss", log="y"),
        )
        for _ in range(bool(drawn))
    )
    return Section(name[0].upper() + name[1:], "", tuple(figures), (ReportTable(columns, tuple(rows)),), pictures)
