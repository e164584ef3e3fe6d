"""The judge of attributes and race examined itself, on held-out real faces: how well it tells each label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mien.attributes import NAMES
from mien.attributes.attribute_judge import MODEL, RACES, AttributePredictions
from mien.core.errors import TooFewError
from mien.core.records import Float32Array
from mien.evaluation import plots
from mien.evaluation.metrics import area_under_curve, metric_name
from mien.evaluation.report import Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section, shown
from mien.evaluation.statistics import mean_interval, proportion

FEWEST = 5  # faces of either kind: with fewer an attribute is not examined


def examine(
    seen: AttributePredictions,
    marks: Float32Array,
    seen_races: tuple[str, ...],
    races: tuple[str, ...],
    *,
    title: str,
    provenance: ReportProvenance,
) -> Report:
    """What an examination of held-out faces says of the judge.

    ``seen`` and ``marks`` (N 73: 1 marked, 0 unmarked, NaN unknown) are of the same N faces; ``seen_races`` and
    ``races`` of M others. ``TooFewError`` where neither holds enough.
    """
    parts = [*_attributes(seen, marks), *_races(seen_races, races)]
    if not parts:
        raise TooFewError(f"evaluate judge: no attribute marked on {FEWEST} faces and missing on {FEWEST}, and no race")
    summary = "; ".join(f"{part.figures[0].label} {part.figures[0].shown}" for part in parts)
    return Report(title, f"{summary}.", tuple(parts), provenance)


def _attributes(seen: AttributePredictions, marks: Float32Array) -> list[Section]:
    rows: list[tuple[str | int | float | None, ...]] = []
    areas: dict[str, float] = {}
    balanced: list[float] = []
    for place, name in enumerate(NAMES):
        known = ~np.isnan(marks[:, place])
        marked = marks[known, place] == 1
        positive, negative = int(marked.sum()), int((~marked).sum())
        if min(positive, negative) < FEWEST:
            rows.append((name, positive, negative, None, None, None, None))
            continue
        found = seen.found[known, place]
        hits, alarms = float(found[marked].mean()), float(found[~marked].mean())
        areas[name] = area_under_curve(seen.scores[known, place], marked)
        balanced.append((hits + 1 - alarms) / 2)
        cells = (f"{areas[name]:.3f}", shown(balanced[-1], "%"), shown(hits, "%"), shown(alarms, "%"))
        rows.append((name, positive, negative, *cells))
    if not areas:
        return []
    n = len(marks)
    figures = [
        Figure.of(
            mean_interval(values),
            name=metric_name(f"{metric}-of-{len(areas)}-attributes", MODEL, n),
            label=f"{label}, mean of {len(areas)} attributes",
            subject="real",
            unit=unit,
            better="higher",
        )
        for metric, label, values, unit in (
            ("auc", "area under the curve", list(areas.values()), ""),
            ("balanced-accuracy", "balanced accuracy", balanced, "%"),
        )
    ]
    columns = ("attribute", "marked", "unmarked", "AUC", "balanced", "found if marked", "found if unmarked")
    picture = plots.ranked(dict(sorted(areas.items(), key=lambda pair: -pair[1])), x="area under the curve")
    return [
        Section(
            "Attributes, on faces that it never saw",
            "Each face is read twice, once mirrored, and the logits averaged. A mark is a confident yes of its source; "
            "LFW's unmarked faces are those without and the unsure third of those with, so even a perfect judge would "
            "not reach 1. Where every face has one of a group (hair colour, say), only faces with a mark in the group "
            "count. Intervals are over attributes. Thresholds were chosen on the validation split.",
            tuple(figures),
            (ReportTable(columns, tuple(rows)),),
            (ReportPicture("areas", "Area under the curve, attribute by attribute", picture),),
        )
    ]


def _races(seen: tuple[str, ...], truth: tuple[str, ...]) -> list[Section]:
    said = [(guess, race) for guess, race in zip(seen, truth, strict=True) if race in RACES]
    if not said:
        return []
    right = sum(guess == race for guess, race in said)
    figures = [
        Figure.of(
            proportion(right, len(said)),
            name=metric_name("race-right", MODEL, len(said)),
            label="race as annotated",
            subject="real",
            unit="%",
            better="higher",
        )
    ]
    return [
        Section(
            "Race, in UTKFace's five words",
            "One annotator's words for looks, learned and repeated; nothing else. Only the inner square is seen.",
            tuple(figures),
            (confusion(seen, truth, "annotated"),),
        )
    ]


def confusion(seen: tuple[str, ...], truth: tuple[str, ...], what: str) -> ReportTable:
    """A row a race that is there: n, and the share that the judge calls each of the five."""
    guesses: npt.NDArray[np.str_] = np.array(seen)
    rows: list[tuple[str | int | float | None, ...]] = []
    for race in RACES:
        chosen = np.array([entry == race for entry in truth], bool)
        if chosen.any():
            rows.append((race, int(chosen.sum()), *(shown(float((guesses[chosen] == r).mean()), "%") for r in RACES)))
    return ReportTable((what, "n", *(f"judged {race}" for race in RACES)), tuple(rows))
