"""The attribute heads examined: 73 marks, sex and age on people never seen, by attribute and by group of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mien.attributes.calibration import Calibration
from mien.attributes.reader import HeadPredictions
from mien.attributes.targets import FaceLabels
from mien.attributes.vocabulary import GROUPS, NAMES
from mien.core.errors import TooFewError
from mien.core.seeding import stream
from mien.evaluation import plots
from mien.evaluation.attributes_metrics import Scores, quick_scores, scores
from mien.evaluation.metrics import metric_name
from mien.evaluation.report import Better, Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section, shown
from mien.evaluation.statistics import Interval, mean_interval, proportion

ADULT_YEARS = 20
AGE_BINS = (0, 5, 10, 20, 35, 50, 65, 80, 120)  # years, lower edges
NEAR_CHANCE = 0.6  # balanced accuracy below which an attribute is named as hardly known
FEWEST = 30  # faces of a group of people, and
FEWEST_OF_A_KIND = 5  # marked and not marked ones, below which nothing is said
ROUNDS = 100  # of the bootstrap over faces
FEATURES = "attribute-heads"
PROTOCOL = (
    "Faces of people that the heads never saw. A mark is a confident one of LFW's labels; every other face of the "
    "labels is 'not marked', be it absent or unsure. Accuracy is that at the probability 0.5, balanced accuracy that "
    "at the share of training photos that are marked; nothing was chosen on these faces. "
    "Means weigh the attributes equally; intervals are 95 %, by drawing faces anew."
)


@dataclass(frozen=True, slots=True)
class HeldOutPredictions:
    """N faces: what was read of them, what is known of them, and who annotated them."""

    readings: HeadPredictions
    labels: FaceLabels
    sources: tuple[str, ...]
    races: tuple[str, ...]  # "" unknown
    people: tuple[str, ...]  # who it is; "" nobody says


def examine(
    faces: HeldOutPredictions,
    calibration: Calibration,
    usual: npt.ArrayLike,
    *,
    title: str,
    provenance: ReportProvenance,
) -> Report:
    """What an examination says; ``usual`` (73) are the shares of marks in the training data.

    ``TooFewError`` for fewer than 30 faces with attributes and none of known sex or age.
    """
    marked = faces.labels.marked
    sections = []
    summary = []
    if int(marked.sum()) >= FEWEST:
        section, found = _marks(faces, calibration, np.asarray(usual, np.float64))
        sections += [section, _people(faces, calibration)]
        summary.append(
            f"accuracy {shown(float(np.mean(found.accuracy)), '%')}, balanced accuracy "
            f"{shown(_mean(found.balanced_accuracy), '%')}, AUC {_mean(found.auc):.3f} over 73 attributes"
        )
    if not (np.isnan(faces.labels.female) & np.isnan(faces.labels.ages_years)).all():
        section = _sex_and_age(faces)
        sections.append(section)
        summary += [f"{figure.label} {figure.shown}" for figure in section.figures[:1]]
    if not sections:
        raise TooFewError(f"evaluate attributes: {len(marked)} faces, {int(marked.sum())} with attributes; 30 needed")
    return Report(title, "; ".join(summary) + ".", tuple(sections), provenance)


def _mean(values: npt.NDArray[np.float64]) -> float:
    """The mean of what is known."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _scores(
    readings: HeadPredictions,
    labels: FaceLabels,
    chosen: npt.NDArray[np.int64],
    fitted: Calibration,
    usual: npt.ArrayLike,
) -> Scores:
    return scores(
        readings.probabilities[chosen],
        labels.attributes[chosen],
        accuracy_threshold=fitted.accuracy_threshold,
        balanced_threshold=fitted.balanced_threshold,
        usual=usual,
    )


def _quick_scores(
    readings: HeadPredictions, labels: FaceLabels, chosen: npt.NDArray[np.int64], fitted: Calibration
) -> tuple[npt.NDArray[np.float64], ...]:
    return quick_scores(
        readings.probabilities[chosen], labels.attributes[chosen],
        accuracy_threshold=fitted.accuracy_threshold, balanced_threshold=fitted.balanced_threshold,
    )  # fmt: skip


def _marks(faces: HeldOutPredictions, fitted: Calibration, usual: npt.NDArray[np.float64]) -> tuple[Section, Scores]:
    rows = np.flatnonzero(faces.labels.marked)
    found = _scores(faces.readings, faces.labels, rows, fitted, usual)
    drawn = []
    for k in range(ROUNDS):
        sample = rows[stream(0, "bootstrap", k).integers(0, len(rows), len(rows))]
        drawn.append([_mean(each) for each in _quick_scores(faces.readings, faces.labels, sample, fitted)])
    low, high = np.percentile(np.array(drawn), [2.5, 97.5], axis=0)

    def figure(metric: str, label: str, value: float, unit: str, better: Better, spread: int | None = None) -> Figure:
        name = metric_name(metric, FEATURES, found.n)
        ends = (None, None) if spread is None else (float(low[spread]), float(high[spread]))
        return Figure(name, label, "heads", value, found.n, ends[0], ends[1], unit, better)

    figures = (
        figure("accuracy-mean-73", "accuracy", float(found.accuracy.mean()), "%", "higher", 0),
        figure("balanced-accuracy-mean-73", "balanced accuracy", _mean(found.balanced_accuracy), "%", "higher", 1),
        figure("auc-mean-73", "area under the curve", _mean(found.auc), "", "higher", 2),
        figure("average-precision-mean-73", "average precision", _mean(found.average_precision), "", "higher"),
        figure("calibration-error-mean-73", "calibration error", _mean(found.calibration_error), "", "lower"),
        figure("majority-mean-73", "accuracy of always saying what is usual", float(found.majority.mean()), "%", ""),
    )
    order = np.argsort(-np.nan_to_num(found.balanced_accuracy))
    weak = [NAMES[k] for k in order if not found.balanced_accuracy[k] >= NEAR_CHANCE]
    below = [NAMES[k] for k in order if found.accuracy[k] < found.majority[k]]
    text = [
        PROTOCOL,
        f"Hardly known (balanced accuracy under {NEAR_CHANCE:.0%}): {', '.join(weak) or 'none'}.",
        f"Less accurate than always saying what is usual: {', '.join(below) or 'none'}.",
    ]
    rows_of_table = tuple(
        (
            NAMES[k],
            *(_cell(values[k], "%") for values in (found.share, found.majority, found.accuracy)),
            _cell(found.balanced_accuracy[k], "%"),
            *(_cell(values[k]) for values in (found.auc, found.average_precision, found.calibration_error)),
        )
        for k in order
    )
    columns = (
        "attribute", "marked", "majority", "accuracy", "balanced", "AUC", "average precision", "calibration err.",
    )  # fmt: skip
    picture = ReportPicture(
        "balanced-accuracy",
        "Balanced accuracy of each attribute; a guess has 50 %.",
        plots.ranked(
            {NAMES[k]: float(np.nan_to_num(found.balanced_accuracy[k])) for k in order}, x="balanced accuracy"
        ),
    )
    heads = _heads(faces, rows)
    return Section(
        "73 attributes", " ".join(text), figures, (ReportTable(columns, rows_of_table), heads), (picture,)
    ), found


def _heads(faces: HeldOutPredictions, rows: npt.NDArray[np.int64]) -> ReportTable:
    """How often each of the 42 softmaxes picks the class that is right, on faces of which one is known."""
    from mien.attributes.targets import group_classes

    labels = faces.labels.of(rows)
    lines: list[tuple[str | int | float | None, ...]] = []
    for place, group in enumerate(GROUPS):
        classes = group_classes(labels, place)
        known = classes >= 0
        if not known.any():
            continue
        said = faces.readings.groups[group.name][rows][known].argmax(1)
        usual = float((np.bincount(classes[known]) / known.sum()).max())
        right = float((said == classes[known]).mean())
        lines.append((group.name, int(known.sum()), len(group.classes), _cell(usual, "%"), _cell(right, "%")))
    caption = "The 42 softmaxes, on the faces whose class is known (README of the labels: a 0 is absent or unsure)."
    return ReportTable(("group", "n", "classes", "most frequent class", "right"), tuple(lines), caption)


def _cell(value: float, unit: str = "") -> str | None:
    return shown(float(value), unit) if np.isfinite(value) else None


def _people(faces: HeldOutPredictions, fitted: Calibration) -> Section:
    """The same figures on parts of the people: means over the attributes that both kinds of faces are there for."""
    labels, readings = faces.labels, faces.readings
    parts: list[tuple[str, npt.NDArray[np.bool_]]] = [
        ("female", labels.female == 1),
        ("male", labels.female == 0),
        ("of unknown sex", np.isnan(labels.female)),
    ]
    for group in ("ethnicity", "age"):
        names = next(each for each in GROUPS if each.name == group).members
        parts += [(f"marked {name}", labels.attributes[:, NAMES.index(name)] == 1) for name in names]
    lines: list[tuple[str | int | float | None, ...]] = []
    for label, part in parts:
        rows = np.flatnonzero(part & labels.marked)
        if len(rows) < FEWEST:
            lines.append((label, len(rows), None, None, None, None))
            continue
        truth = labels.attributes[rows] > 0.5
        both = np.flatnonzero(np.minimum(truth.sum(0), (~truth).sum(0)) >= FEWEST_OF_A_KIND)
        accuracy, balanced, area = _quick_scores(readings, labels, rows, fitted)
        shares = (_cell(_mean(accuracy), "%"), _cell(_mean(balanced[both]), "%"), _cell(_mean(area[both])))
        lines.append((label, len(rows), *shares, len(both)))
    table = ReportTable(("people", "n", "accuracy", "balanced", "AUC", "attributes that count"), tuple(lines))
    return Section(
        "Groups of people",
        f"Groups as the labels have them. Balanced accuracy and AUC over the attributes with at least "
        f"{FEWEST_OF_A_KIND} faces of each kind in the group, so that groups differ in which attributes count; "
        f"nothing is said of fewer than {FEWEST} faces.",
        (),
        (table,),
    )


def _sex_and_age(faces: HeldOutPredictions) -> Section:
    labels, readings = faces.labels, faces.readings
    sexed, aged = ~np.isnan(labels.female), ~np.isnan(labels.ages_years)
    right = (readings.female > 0.5) == (labels.female > 0.5)
    error = readings.age_years - labels.ages_years
    figures: list[Figure] = []

    def share(metric: str, label: str, chosen: npt.NDArray[np.bool_]) -> None:
        if chosen.any():
            n = int(chosen.sum())
            name = metric_name(metric, FEATURES, n)
            found = proportion(int(right[chosen].sum()), n)
            figures.append(Figure.of(found, name=name, label=label, subject="heads", unit="%", better="higher"))

    share(
        "sex-right-adults",
        f"sex right, known age of {ADULT_YEARS} and over",
        sexed & (labels.ages_years >= ADULT_YEARS),
    )
    share("sex-right-attributes", "sex right, faces with attributes", sexed & labels.marked)
    share("sex-right-all", "sex right, all faces of known sex", sexed)
    agreed = sex_of_people(faces.people, labels.female)
    twice = ~np.isnan(agreed)
    if twice.any():
        n, met = int(twice.sum()), int(((readings.female > 0.5) == (agreed > 0.5))[twice].sum())
        label = "sex right, people of two photos and more, as most of theirs are labelled"
        name = metric_name("sex-right-people", FEATURES, n)
        share_met = proportion(met, n)
        figures.append(Figure.of(share_met, name=name, label=label, subject="heads", unit="%", better="higher"))
    if aged.any():
        kinds: tuple[tuple[str, str, npt.NDArray[np.float32], Better], ...] = (
            ("age-error-mean-absolute", "age error, mean absolute", np.abs(error[aged]), "lower"),
            ("age-error-mean-signed", "age error, mean signed (+: read too old)", error[aged], ""),
        )
        for metric, label, values, better in kinds:
            found: Interval = mean_interval(values)
            name = metric_name(metric, FEATURES, found.n)
            figures.append(Figure.of(found, name=name, label=label, subject="heads", unit="years", better=better))
    table = ReportTable(("people", "n", "age error", "signed", "sex right"), tuple(_who_rows(faces, right, error)))
    pictures = []
    if aged.any():
        drawn = plots.scatter(
            labels.ages_years[aged], readings.age_years[aged], x_label="age, years", y_label="age read, years"
        )
        pictures.append(ReportPicture("ages", "Age as known and as read.", drawn))
    text = (
        "Faces of known sex or age that the heads never saw; small children of known sex are among all faces. LFW's "
        "labels come from classifiers that looked at one photo; where a person has several, they outvote a wrong one."
    )
    return Section("Sex and age", text, tuple(figures), (table,), tuple(pictures))


def sex_of_people(people: Sequence[str], female: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The sex (N: 1 female, 0 male) that most labelled faces of a person have, for each of these faces.

    NaN for faces without a label, of nobody known, of people with one such face, and where two sexes are even.
    """
    owners = np.array(people, dtype=object)
    found = np.full(len(owners), np.nan, np.float32)
    for person in sorted(set(people) - {""}):
        theirs = (owners == person) & ~np.isnan(female)
        share = float(female[theirs].mean()) if theirs.sum() > 1 else 0.5
        if share != 0.5:
            found[theirs] = float(share > 0.5)
    return found


def _who_rows(
    faces: HeldOutPredictions, right: npt.NDArray[np.bool_], error: npt.NDArray[np.float32]
) -> list[tuple[str | int | float | None, ...]]:
    labels = faces.labels
    groups: list[tuple[str, npt.NDArray[np.bool_]]] = []
    for low, high in pairwise(AGE_BINS):
        name = f"{low} to {high - 1} years" if high < AGE_BINS[-1] else f"{low} years and over"
        groups.append((name, (labels.ages_years >= low) & (labels.ages_years < high)))
    groups += [("female", labels.female == 1), ("male", labels.female == 0)]
    groups += [(race, _equal(faces.races, race)) for race in sorted({race for race in faces.races if race})]
    groups += [(f"source {source}", _equal(faces.sources, source)) for source in sorted(set(faces.sources))]
    lines: list[tuple[str | int | float | None, ...]] = []
    for name, part in groups:
        aged, sexed = part & ~np.isnan(labels.ages_years), part & ~np.isnan(labels.female)
        if not (aged | sexed).any():
            continue
        absolute = float(np.abs(error[aged]).mean()) if aged.any() else float("nan")
        signed = float(error[aged].mean()) if aged.any() else float("nan")
        hits = float(right[sexed].mean()) if sexed.any() else float("nan")
        lines.append((name, int((aged | sexed).sum()), _cell(absolute), _cell(signed), _cell(hits, "%")))
    return lines


def _equal(values: Sequence[str], wanted: str) -> npt.NDArray[np.bool_]:
    return np.array([value == wanted for value in values], bool)
