"""Is a single activation of one attribute's faces normally distributed? Figure 6 of the paper, over every element.

The paper models the faces of an attribute by independent normals, one an element, and justifies it with two histograms:
"any arbitrary distribution of element j of the fc-6 activation for label i seems to be normal (not all graphs are
shown)". Here two tests judge every element, numbers drawn from a normal go through the same tests, and the elements
shown are the best, the worst and some drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mien.core.errors import RequestError, TooFewError
from mien.core.records import Float32Array
from mien.core.seeding import stream
from mien.evaluation import plots
from mien.evaluation.experiments.panels import bells, curves
from mien.evaluation.labels import AttributeLabels, Rows
from mien.evaluation.normality import LEAST, Normality, mean_squared_correlation, normality, rejected
from mien.evaluation.report import Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section, shown

Fetch = Callable[[str, Rows], Float32Array]  # (layer, rows of the dataset) -> N D, flattened
LEVEL = 0.05
NARROW = 4096  # elements: wider layers are judged for the attributes shown only
SIZES = (25, 50, 100, 200, 400, 800, 1600, 3200)
EACH = 4  # best, worst and drawn elements in a picture
CONTROL_ELEMENTS = 2000


@dataclass(frozen=True, slots=True)
class NormalityCounts:
    """One attribute at one layer."""

    attribute: str
    layer: str
    values: Float32Array  # n D
    found: Normality

    def share(self, test: str, *, false_discovery: bool = True) -> float:
        """The share of varying elements that ``test`` ("dagostino", "anderson") calls not normal at 5 %."""
        p = self.found.dagostino_p if test == "dagostino" else self.found.anderson_p
        varying = max(int((~self.found.constant).sum()), 1)
        return float(rejected(p, level=LEVEL, false_discovery=false_discovery).sum()) / varying


def activations_report(
    labels: AttributeLabels,
    fetch: Fetch,
    layers: Sequence[str],
    attributes: Sequence[str],
    provenance: ReportProvenance,
    *,
    count: int,
    seed: int,
) -> Report:
    """The report on ``layers`` for faces (one of each person) of ``marks``.

    ``attributes`` are looked at closely, at every layer; all others at layers of up to 4,096 elements. Each gets up to
    ``count`` faces at random, the same at every layer. ``RequestError`` for an attribute that the labels do not have,
    ``TooFewError`` for one with under 20 faces.
    """
    unknown = [name for name in attributes if name not in labels.names]
    if unknown:
        raise RequestError(f"--attribute: '{unknown[0]}' given; the labels have {', '.join(labels.names)}")
    sets = {name: drawn(labels, name, count, seed) for name in labels.names}
    for name in attributes:
        if len(sets[name]) < LEAST:
            raise TooFewError(f"--attribute: {len(sets[name])} faces with '{name}', needed are {LEAST} or more")
    close = [_judge(labels, fetch, layer, name, sets[name]) for layer in layers for name in attributes]
    control = {name: _control(len(sets[name]), seed) for name in attributes}
    narrow = [one.layer for one in close if one.values.shape[1] <= NARROW and one.attribute == attributes[0]]
    sections = [_close(close, control), *(_elements(close, layer, seed) for layer in layers)]
    sections += [_every(labels, fetch, layer, sets) for layer in narrow]
    if narrow:
        sections.append(_sizes(labels, fetch, narrow, seed))
    sections.append(_independence(close))
    shares = ", ".join(
        f"{100 * one.share('anderson'):.0f} % at `{one.layer}`" for one in close if one.attribute == attributes[0]
    )
    summary = (
        f"Elements that Anderson and Darling's test calls not normal (5 % false discoveries, {len(sets[attributes[0]])}"
        f" faces with {attributes[0]}): {shares}; of numbers drawn from a normal"
        f" {100 * control[attributes[0]].share('anderson'):.0f} %."
    )
    return Report("Are single activations normal?", summary, tuple(sections), provenance)


def drawn(labels: AttributeLabels, name: str, count: int, seed: int) -> Rows:
    """Rows of the dataset: up to ``count`` faces with the attribute, at random."""
    places = np.flatnonzero(labels.of(name))
    found: Rows = labels.rows[np.sort(stream(seed, "set", name).permutation(places)[:count])]
    return found


def _judge(labels: AttributeLabels, fetch: Fetch, layer: str, name: str, rows: Rows) -> NormalityCounts:
    values = fetch(layer, rows)
    return NormalityCounts(name, layer, values, normality(values))


def _control(n: int, seed: int) -> NormalityCounts:
    values = stream(seed, "control", n).standard_normal((n, CONTROL_ELEMENTS)).astype(np.float32)
    return NormalityCounts("normal", "drawn", values, normality(values))


def _close(close: Sequence[NormalityCounts], control: Mapping[str, NormalityCounts]) -> Section:
    figures, rows = [], []
    for one in close:
        n, subject = one.found.n, f"{one.layer}"
        for test, label in (("anderson", "Anderson-Darling"), ("dagostino", "D'Agostino K²")):
            name = f"not-normal_{test}_fdr5_{one.attribute.lower().replace(' ', '-')}_{one.layer}_n{n}"
            label = f"{one.attribute}: elements not normal, {label}"
            figures.append(Figure(name, label, subject, one.share(test), n, unit="%"))
            if one.layer == close[-1].layer:
                drawn_name = name.replace(f"_{one.layer}_", "_control_")
                value = control[one.attribute].share(test)
                figures.append(Figure(drawn_name, label, "drawn from a normal", value, n, unit="%"))
    for one in (
        *close,
        *(NormalityCounts(name, "drawn from a normal", c.values, c.found) for name, c in control.items()),
    ):
        found = one.found
        rows.append(
            (
                one.attribute,
                one.layer,
                found.n,
                len(found.skew),
                f"{100 * float(found.constant.mean()):.1f} %",
                f"{100 * one.share('anderson'):.1f} %",
                f"{100 * one.share('dagostino'):.1f} %",
                f"{100 * one.share('anderson', false_discovery=False):.1f} %",
                f"{100 * float((found.at_least > 0.1).mean()):.1f} %",
                shown(float(np.median(np.abs(found.varying(found.skew))))),
                shown(float(np.median(found.varying(found.kurtosis)))),
            )
        )
    columns = ("attribute", "layer", "faces", "elements", "never vary", "not normal, A²", "not normal, K²",
               "A² under 5 %, uncorrected", "cut off by a ReLU", "median |skew|", "median excess kurtosis")  # fmt: skip
    text = (
        "Of the elements that vary, how many each test calls not normal with at most 5 % of them called so falsely"
        " (Benjamini and Hochberg). An element counts as cut off where more than a tenth of the faces share its lowest"
        " value. Each set holds one photo of each person."
    )
    return Section("Shares of elements that are not normal", text, tuple(figures), (ReportTable(columns, tuple(rows)),))


def _elements(close: Sequence[NormalityCounts], layer: str, seed: int) -> Section:
    """Skewness and kurtosis of all elements of a layer, and single elements: best, worst, and at random."""
    here = [one for one in close if one.layer == layer]
    skews = {one.attribute: np.clip(one.found.varying(one.found.skew), -3, 5) for one in here}
    kurtoses = {one.attribute: np.clip(one.found.varying(one.found.kurtosis), -2, 10) for one in here}
    slug = layer.replace("_", "-")
    pictures = [
        ReportPicture(
            f"skew-{slug}",
            "Skewness of every element (a normal: 0), cut at 5.",
            plots.histograms(skews, x="skewness", bins=60),
        ),
        ReportPicture(
            f"kurtosis-{slug}",
            "Excess kurtosis of every element (a normal: 0), cut at 10.",
            plots.histograms(kurtoses, x="excess kurtosis", bins=60),
        ),
    ]
    for place, one in enumerate(here):
        p = np.where(one.found.constant, np.nan, one.found.anderson_p)
        order = np.argsort(-p, kind="stable")
        order = order[~np.isnan(p[order])]
        # Many p-values are as good as 0: among them the most skewed is the worst.
        worst = order[np.argsort(-np.abs(one.found.skew[order]), kind="stable")]
        worst = worst[one.found.anderson_p[worst] <= np.median(one.found.anderson_p[order])]
        lot = stream(seed, "elements", layer, one.attribute).choice(order, min(EACH, len(order)), replace=False)
        chosen = [("best", order[:EACH]), ("at random", lot), ("worst", worst[:EACH])]
        titles = {
            f"{word}: element {int(e)}, p = {one.found.anderson_p[e]:.2g}": one.values[:, e]
            for word, elements in chosen
            for e in elements
        }
        caption = f"{one.attribute}, {one.found.n} faces, with the normal of the same mean and deviation."
        pictures.append(ReportPicture(f"elements-{slug}-{place}", caption, bells(titles, columns=EACH)))
    text = "Figure 6 of the paper shows one element for each of two attributes, chosen by its authors."
    return Section(f"Elements of {layer}", text, pictures=tuple(pictures))


def _every(labels: AttributeLabels, fetch: Fetch, layer: str, sets: Mapping[str, Rows]) -> Section:
    """All attributes at a layer."""
    found, few = [], []
    for name in labels.names:
        if len(sets[name]) < LEAST:
            few.append(name)
            continue
        found.append(_judge(labels, fetch, layer, name, sets[name]))
    found.sort(key=lambda one: (-one.share("anderson"), one.attribute))
    rows = tuple(
        (
            one.attribute,
            one.found.n,
            f"{100 * one.share('anderson'):.1f} %",
            f"{100 * one.share('dagostino'):.1f} %",
            shown(float(np.median(np.abs(one.found.varying(one.found.skew))))),
            shown(float(np.median(one.found.varying(one.found.kurtosis)))),
        )
        for one in found
    )
    full = [one for one in found if one.found.n == max(each.found.n for each in found)]
    n = full[0].found.n
    mean = float(np.mean([one.share("anderson") for one in full]))
    figures = (
        Figure(f"not-normal_anderson_fdr5_mean-of-{len(full)}-attributes_{layer}_n{n}", f"Mean of the {len(full)}"
               f" attributes with {n} faces, Anderson-Darling", layer, mean, n, unit="%"),
    )  # fmt: skip
    text = "Fewer faces find less: shares of attributes with fewer faces are lower for that reason alone."
    text += f" Under {LEAST} faces, not tested: {', '.join(few)}." if few else ""
    columns = ("attribute", "faces", "not normal, A²", "not normal, K²", "median |skew|", "median excess kurtosis")
    return Section(f"Every attribute at {layer}", text, figures, (ReportTable(columns, rows),))


def _sizes(labels: AttributeLabels, fetch: Fetch, layers: Sequence[str], seed: int) -> Section:
    """The share of elements called not normal against the number of faces: what looks normal with few does not with
    many."""
    name = labels.names[int(labels.marked.sum(0).argmax())]
    rows = drawn(labels, name, max(SIZES), seed)
    rows = rows[stream(seed, "sizes").permutation(len(rows))]
    sizes = [size for size in SIZES if size <= len(rows)]
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for layer in layers:
        values = fetch(layer, np.sort(rows))
        values = values[np.argsort(np.argsort(rows))]  # back in the order drawn
        parts = [NormalityCounts(name, layer, values[:size], normality(values[:size])) for size in sizes]
        lines[layer] = ([float(size) for size in sizes], [100 * one.share("anderson") for one in parts])
    control = [100 * _control(size, seed).share("anderson") for size in sizes]
    lines["drawn from a normal"] = ([float(size) for size in sizes], control)
    picture = ReportPicture(
        "sample-size",
        f"Elements called not normal (Anderson-Darling, 5 % false discoveries), faces with {name}.",
        curves(lines, x="faces", y="elements called not normal, %", dots=True),
    )
    cells = tuple((layer, *(f"{y:.1f} %" for y in heights)) for layer, (_, heights) in lines.items())
    table = ReportTable(("layer", *(f"n = {size}" for size in sizes)), cells)
    text = "A histogram of some tens of faces looks normal to the eye, and to a test; with many faces it does not."
    return Section("How many faces it takes to see it", text, (), (table,), (picture,))


def _independence(close: Sequence[NormalityCounts]) -> Section:
    """The mean squared correlation of two elements, against chance: the other assumption of the paper's mixture."""
    figures = []
    for one in close:
        n = one.found.n
        name = f"squared-correlation_{one.attribute.lower().replace(' ', '-')}_{one.layer}_n{n}"
        label = f"{one.attribute}: mean squared correlation over that of chance"
        ratio = mean_squared_correlation(one.values) * (n - 1)
        figures.append(Figure(name, label, one.layer, ratio, n))
    text = (
        "The paper takes the elements as independent (a diagonal covariance), and calls that perhaps the least"
        " justified assumption. Independent elements would give 1: the mean squared correlation of n faces is then"
        " 1 / (n - 1)."
    )
    return Section("Are elements independent?", text, tuple(figures))
