"""How far down to unfreeze: loss curves (figure 4 of the paper) and accuracy on training and test people (table 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.records import Float32Array
from mien.evaluation.attributes_metrics import Scores, scores
from mien.evaluation.experiments.panels import curves
from mien.evaluation.report import Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section

NEAR_CHANCE = 0.55  # balanced accuracy up to which an attribute is named as failing
PRINTED = {"fc-6": (0.847, 0.795), "conv-5": (0.867, 0.815)}  # table 1: frozen beneath, training set, test set


@dataclass(frozen=True, slots=True)
class Curve:
    """A loss by step."""

    steps: tuple[float, ...]
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Unfrozen:
    """One short run: which layers learnt, how its losses fell, and what its heads said in the end."""

    name: str  # "heads only", "from mixed_7a", ...
    parameters: int  # that learnt, heads and encoder
    images: int
    seconds: float
    training: Curve
    held_out: Curve
    said_train: Float32Array  # N A: probabilities of marks, faces of training people
    said_test: Float32Array  # M A: of test people


@dataclass(frozen=True, slots=True)
class ProbedFaces:
    """The faces that all runs were asked about in the end."""

    names: tuple[str, ...]  # A
    train_marks: npt.NDArray[np.bool_]  # N A
    test_marks: npt.NDArray[np.bool_]  # M A
    shares: npt.NDArray[np.float64]  # A: how often each is marked in all training faces

    def scores(self, run: Unfrozen) -> tuple[Scores, Scores]:
        """Figures on training and on test people; an attribute is said at 1/2, for balance at its share in training."""
        half = np.full(len(self.names), 0.5)
        usual = (self.shares > 0.5).astype(np.float64)
        both = ((run.said_train, self.train_marks), (run.said_test, self.test_marks))
        train, test = (
            scores(said, marks, accuracy_threshold=half, balanced_threshold=self.shares, usual=usual)
            for said, marks in both
        )
        return train, test


def unfreezing_report(runs: Sequence[Unfrozen], examined: ProbedFaces, provenance: ReportProvenance) -> Report:
    """The report on short runs that differ only in what learnt."""
    found = {run.name: examined.scores(run) for run in runs}
    best = max(found, key=lambda name: _mean(found[name][1].auc))
    losses = {run.name: run.held_out.losses[-1] for run in runs if run.held_out.losses}
    low, high = min(losses.values()), max(losses.values())
    summary = (
        f"After {runs[0].images:,} faces each, losses on people never seen lie between {low:.3f} and {high:.3f}"
        f" ({min(losses, key=lambda name: losses[name])} is lowest); of {len(runs)} ways {best} ranks faces best on"
        f" test people (mean AUC {_mean(found[best][1].auc):.3f})."
    )
    sections = (_losses(runs), _table_one(runs, found), _attributes(found, best, examined))
    return Report("Unfreezing from different layers on", summary, sections, provenance)


def _losses(runs: Sequence[Unfrozen]) -> Section:
    drawn = (
        ("training", "training people, as they are learnt from", {run.name: run.training for run in runs}),
        ("held-out", "held-out people", {run.name: run.held_out for run in runs}),
    )
    pictures = tuple(
        ReportPicture(
            f"loss-{slug}",
            f"The loss on faces of {who}, by step (figure 4).",
            curves({name: (c.steps, c.losses) for name, c in lines.items() if c.steps}, x="step", y="loss"),
        )
        for slug, who, lines in drawn
    )
    rows = tuple(
        (
            run.name,
            f"{run.parameters:,}",
            run.images,
            f"{run.training.losses[-1]:.3f}" if run.training.losses else None,
            f"{run.held_out.losses[-1]:.3f}" if run.held_out.losses else None,
            f"{run.seconds:.0f} s",
        )
        for run in runs
    )
    columns = ("what learns", "parameters that learn", "faces seen", "last training loss", "last held-out loss", "time")
    text = (
        "The same heads, faces, order and steps; only the layers that learn differ. The paper: unfreezing more layers"
        " helps the learning, and the final loss is very similar across all trials. These runs are short: they show"
        " how the learning begins, not where it ends."
    )
    return Section("Losses", text, (), (ReportTable(columns, rows),), pictures)


def _table_one(runs: Sequence[Unfrozen], found: Mapping[str, tuple[Scores, Scores]]) -> Section:
    figures: list[Figure] = []
    rows: list[tuple[str | int | float | None, ...]] = []
    for run in runs:
        for who, part in zip(("training people", "test people"), found[run.name], strict=True):
            slug = f"{run.name.replace(' ', '-').replace(',', '')}_{who.split()[0]}_n{part.n}"
            figures.append(
                Figure(f"accuracy-73_{slug}", f"Mean accuracy, {run.name}", who, float(part.accuracy.mean()), part.n,
                       unit="%", better="higher")
            )  # fmt: skip
            rows.append(
                (
                    run.name,
                    who,
                    part.n,
                    f"{100 * part.accuracy.mean():.1f} %",
                    f"{100 * part.majority.mean():.1f} %",
                    f"{100 * _mean(part.balanced_accuracy):.1f} %",
                    f"{_mean(part.auc):.3f}",
                    f"{_mean(part.average_precision):.3f}",
                )
            )
    for layer, (train, test) in PRINTED.items():
        label = f"Paper (PubFig, VGG-Face), frozen beneath {layer}"
        figures.append(Figure(f"table-1_{layer}_train", label, "training people", train, 0, unit="%"))
        figures.append(Figure(f"table-1_{layer}_test", label, "test people", test, 0, unit="%"))
    columns = ("what learns", "faces of", "n", "accuracy", "majority", "balanced", "AUC", "average precision")
    text = (
        "Table 1 of the paper, after short runs. Accuracy alone flatters rare attributes: beside it stands that of"
        " always saying the more frequent answer. No test person is a training person; the paper's test set shares no"
        " photo with its training set, but the same 200 people may be in both."
    )
    table = ReportTable(columns, tuple(rows), "Means over the attributes.")
    return Section("Accuracy by what was frozen (table 1)", text, tuple(figures), (table,))


def _attributes(found: Mapping[str, tuple[Scores, Scores]], best: str, examined: ProbedFaces) -> Section:
    train, test = found[best]
    order = np.argsort(-np.nan_to_num(test.balanced_accuracy, nan=-1), kind="stable")
    rows = tuple(
        (
            examined.names[a],
            f"{100 * test.share[a]:.1f} %",
            f"{100 * train.accuracy[a]:.1f} %",
            f"{100 * test.accuracy[a]:.1f} %",
            f"{100 * test.majority[a]:.1f} %",
            f"{100 * test.balanced_accuracy[a]:.1f} %",
            f"{test.auc[a]:.3f}",
            f"{test.average_precision[a]:.3f}",
        )
        for a in order
    )
    columns = ("attribute", "marked", "accuracy, training", "accuracy, test", "majority, test", "balanced, test",
               "AUC, test", "average precision, test")  # fmt: skip
    failing = [examined.names[a] for a in order if not test.balanced_accuracy[a] > NEAR_CHANCE]
    words = ", ".join(failing) if failing else "none"
    text = (
        f"Of the run {best}. Near chance on test people (balanced accuracy up to {100 * NEAR_CHANCE:.0f} %): {words}."
    )
    return Section("Each attribute", text, (), (ReportTable(columns, rows),))


def _mean(values: npt.NDArray[np.float64]) -> float:
    """The mean of what is known; NaN where nothing is (no attribute with both kinds of faces)."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
