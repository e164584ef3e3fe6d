"""How well the encoder tells people apart: LFW's protocol on the faces of a dataset, with similarities as a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mien.core.records import Float32Array
from mien.evaluation import plots
from mien.evaluation.experiments.panels import curves
from mien.evaluation.report import Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section
from mien.evaluation.verification import Pairs, cosine, curve, verify


def verification_report(
    features: Mapping[str, Float32Array],
    people: Sequence[str],
    pairs: Pairs,
    layer: str,
    provenance: ReportProvenance,
) -> Report:
    """The report on features by way of looking (name -> N D, rows as ``people``) and pairs of places among them."""
    figures, rows, lines = [], [], {}
    for name, values in features.items():
        similarity = cosine(values, pairs)
        found = verify(similarity, pairs)
        n, folds = len(pairs), len(found.thresholds)
        protocol = f"lfw-{folds}-folds_{layer}_n{n}"
        figures += [
            Figure.of(found.accuracy, name=f"accuracy_{protocol}", label=f"Accuracy, mean of {folds} folds",
                      subject=name, unit="%", better="higher"),
            Figure(f"auc_{protocol}", "Area under the curve", name, found.auc, n, better="higher"),
            Figure(f"eer_{protocol}", "Equal error rate", name, found.equal_error_rate, n, unit="%", better="lower"),
            *(
                Figure(f"true-accepts-at-{share}_{protocol}", f"Accepted of one person at {100 * share:g} % of two",
                       name, value, n, unit="%", better="higher")
                for share, value in found.true_accepts.items()
            ),
        ]  # fmt: skip
        rows += [
            (name, fold, f"{100 * accuracy:.2f} %", f"{threshold:.3f}")
            for fold, (accuracy, threshold) in enumerate(zip(found.fold_accuracies, found.thresholds, strict=True))
        ]
        rates, accepts = curve(similarity, pairs.same)
        lines[name] = (rates[rates <= 0.1].tolist(), accepts[rates <= 0.1].tolist())
    first = next(iter(features))
    similarity, found = cosine(features[first], pairs), verify(cosine(features[first], pairs), pairs)
    sides = {"one person": similarity[pairs.same], "two people": similarity[~pairs.same]}
    pictures = (
        ReportPicture(
            "similarity",
            f"Cosine of the pairs ({first}).",
            plots.histograms(sides, x="cosine", bins=60, marks={"threshold, mean": float(found.thresholds.mean())}),
        ),
        ReportPicture(
            "curve",
            "Pairs accepted as the threshold falls, up to a tenth of the pairs of two people.",
            curves(lines, x="share of pairs of two people accepted", y="share of pairs of one person accepted"),
        ),
    )
    text = (
        f"{len(found.thresholds)} folds, no person in two of them, each with as many pairs of one person as of two; the"
        " threshold of a fold is the best of the others. Pairs are drawn anew by the seed: LFW's own list names people"
        f" who are not among these {len(set(people)):,} people with {len(people):,} photos. The encoder was trained on"
        " other photos; whether some of these people were among them is not known."
    )
    table = ReportTable(("features", "fold", "accuracy", "threshold"), tuple(rows), "Each fold.")
    best = found.accuracy
    summary = (
        f"{100 * best.value:.2f} % of {best.n:,} pairs right ({100 * best.low:.2f} to {100 * best.high:.2f}),"
        f" {layer}, {first}."
    )
    section = Section("Pairs of photos", text, tuple(figures), (table,), pictures)
    return Report("The encoder tells people apart", summary, (section,), provenance)
