"""Encoder features in two dimensions, coloured by attribute: figure 3 of the paper, figure 2 of its poster.

The paper shows two maps and calls one good clustering (youth) and one poor (soft lighting), by eye. Here every
attribute has a number (``evaluation.clusters``), in the full features and on the map, beside that of shuffled labels.
"""

from __future__ import annotations

import numpy as np

from mien.core.records import Float32Array
from mien.core.seeding import stream, torch_seed
from mien.evaluation import plots
from mien.evaluation.clusters import Gathering, gathering, tsne_map
from mien.evaluation.experiments.panels import maps
from mien.evaluation.labels import AttributeLabels
from mien.evaluation.metrics import rank_correlation
from mien.evaluation.report import Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section
from mien.evaluation.statistics import Float64Array

SHOWN = 6  # best and worst each


def tsne_report(
    features: Float32Array,
    labels: AttributeLabels,
    layer: str,
    provenance: ReportProvenance,
    *,
    seed: int,
    perplexity: float = 30,
    k: int = 10,
) -> Report:
    """The report on features (N D, one face a row) of ``layer`` and the attributes of the same faces.

    Features are taken as the encoder gives them, each column divided by its deviation. ``TooFewError`` for too few.
    """
    scaled = np.asarray(features, np.float64)
    scaled = (scaled - scaled.mean(0)) / np.maximum(scaled.std(0), 1e-12)
    points = tsne_map(scaled, torch_seed(seed, "t-SNE"), perplexity=perplexity)
    full = gathering(scaled, labels.marked, stream(seed, "shuffles", "full"), k=k)
    flat = gathering(points, labels.marked, stream(seed, "shuffles", "map"), k=k)
    order = np.argsort(-np.nan_to_num(full.purity, nan=-1), kind="stable")
    order = order[~np.isnan(full.purity[order])]
    best, worst = labels.names[order[0]], labels.names[order[-1]]
    above = int((full.purity[order] > full.shuffled_high[order]).sum())
    summary = (
        f"{len(labels):,} faces at `{layer}`: {above} of {len(order)} attributes gather more than any of 100 shuffles"
        f" of their labels; best {best} (purity {full.purity[order[0]]:.3f}), worst {worst}"
        f" ({full.purity[order[-1]]:.3f}; shuffled labels: 0.5)."
    )
    return Report(
        title=f"How attributes gather at {layer}",
        summary=summary,
        sections=(_maps(points, labels, full, order), _numbers(labels, layer, full, flat, order)),
        provenance=provenance,
    )


def _maps(points: Float64Array, labels: AttributeLabels, full: Gathering, order: np.ndarray) -> Section:
    pictures = []
    for name, chosen in (("best", order[:SHOWN]), ("worst", order[::-1][:SHOWN])):
        sides = {f"{labels.names[a]} (purity {full.purity[a]:.2f})": labels.marked[:, a] for a in chosen}
        caption = f"The attributes that gather {name}; marked faces in colour, all others in grey."
        pictures.append(ReportPicture(f"tsne-{name}", caption, maps(points, sides)))
    asked = [name for name in ("Soft Lighting", "Youth") if name in labels.names]
    if asked:
        sides = {f"{name} (purity {full.purity[labels.names.index(name)]:.2f})": labels.of(name) for name in asked}
        pictures.append(ReportPicture("tsne-paper", "The two of the paper.", maps(points, sides, columns=len(asked))))
    text = (
        "t-SNE of the first 50 principal components; every panel is the same map. Distances between far groups on such"
        " a map mean nothing, and it may split what belongs together: the numbers below are of the full features."
    )
    return Section("The map", text, pictures=tuple(pictures))


def _numbers(labels: AttributeLabels, layer: str, full: Gathering, flat: Gathering, order: np.ndarray) -> Section:
    n, k = full.n, full.k
    mean = float(full.purity[order].mean())
    figures = (
        Figure(f"purity-mean_{layer}_k{k}_n{n}", "Mean purity", "features", mean, n, better="higher"),
        Figure(f"purity-mean_map_k{k}_n{n}", "Mean purity", "map", float(flat.purity[order].mean()), n),
        Figure(
            f"purity-mean_shuffled_k{k}_n{n}", "Mean purity", "shuffled labels", float(full.shuffled[order].mean()), n
        ),
        Figure(
            f"silhouette-mean_{layer}_n{n}",
            "Mean silhouette",
            "features",
            float(full.silhouette[order].mean()),
            n,
            better="higher",
        ),
        Figure(f"silhouette-mean_map_n{n}", "Mean silhouette", "map", float(flat.silhouette[order].mean()), n),
        Figure(
            f"rank-correlation_n{len(order)}",
            "Rank correlation of purity, map against features",
            "map",
            rank_correlation(flat.purity[order], full.purity[order]),
            len(order),
        ),
    )
    rows = tuple(
        (
            labels.names[a],
            int(full.marked[a]),
            f"{full.purity[a]:.3f}",
            f"{flat.purity[a]:.3f}",
            f"{full.shuffled[a]:.3f}",
            f"{full.shuffled_high[a]:.3f}",
            f"{full.silhouette[a]:.3f}",
            f"{flat.silhouette[a]:.3f}",
        )
        for a in order
    )
    columns = ("attribute", "marked", "purity", "purity, map", "shuffled", "highest of 100 shuffled", "silhouette",
               "silhouette, map")  # fmt: skip
    left_out = [name for a, name in enumerate(labels.names) if a not in set(order.tolist())]
    text = (
        f"Purity: the share of a face's {k} nearest others that are on its side, averaged over the marked faces and"
        " over the others, then over both; 0.5 for labels dealt at random, whatever their share. Silhouette: 0 where"
        " the two sides lie in each other. One face of each person, so that nobody gathers with himself."
    )
    if not labels.absent_is_sure:
        text += " A face that is not marked may be unsure instead of without, which lowers every purity."
    text += f" Left out, with fewer than 10 faces: {', '.join(left_out)}." if left_out else ""
    bars = {labels.names[a]: float(full.purity[a]) for a in order}
    picture = ReportPicture("purity", "Purity by attribute; 50 % is chance.", plots.ranked(bars, x="purity"))
    return Section("How well each attribute gathers", text, figures, (ReportTable(columns, rows),), (picture,))
