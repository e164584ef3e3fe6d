"""How often each attribute occurs in the training photos: figure 7 of the paper, figure 3 of its poster."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mien.attributes import GROUPS
from mien.evaluation import plots
from mien.evaluation.labels import AttributeLabels
from mien.evaluation.report import Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section
from mien.evaluation.statistics import proportion

# Section 5.1 prints these of its training photos: "around 76% of the people in the dataset are white, while only 3% are
# black", "around 90% ... have no form of eyewear", "only 60% ... have age information".
PRINTED = {"White": 0.76, "Black": 0.03, "No Eyewear": 0.90}
PRINTED_AGE_KNOWN = 0.60
MARKED_OF_POSITIVE = 2 / 3  # of the positive photos that LFW's binary labels mark: those of the highest scores


def distribution_report(labels: AttributeLabels, provenance: ReportProvenance) -> Report:
    """The report on the labels of a dataset; shares are of its training photos, the others stand in the table."""
    training = labels.pick(np.array([split == "train" for split in labels.splits]))
    n = len(training)
    shares = training.marked.mean(0) if n else np.zeros(len(labels.names))
    order = np.argsort(-shares, kind="stable")
    bars = {labels.names[k]: float(shares[k]) for k in order}
    rare = [labels.names[k] for k in order[::-1] if shares[k] < 0.05]
    summary = (
        f"{n:,} training photos carry {training.marked.sum(1).mean():.1f} of {len(labels.names)} attributes on average,"
        f" from {labels.names[order[0]]} ({100 * shares[order[0]]:.0f} %) to {labels.names[order[-1]]} "
        f"({100 * shares[order[-1]]:.1f} %); {len(rare)} are on fewer than one in twenty."
    )
    return Report(
        title="The distribution of attributes",
        summary=summary,
        sections=(_bars(labels, training, bars), _printed(training), _groups(training)),
        provenance=provenance,
    )


def _note(labels: AttributeLabels) -> str:
    if labels.absent_is_sure:
        return ""
    return (
        " The labels mark a photo only where they are sure (two thirds of the positive photos, those that score"
        " highest), so a share here times 1.5 is the share of positive photos."
    )


def _bars(labels: AttributeLabels, training: AttributeLabels, bars: Mapping[str, float]) -> Section:
    splits = ("train", "validation", "test")
    columns = {split: labels.marked[[each == split for each in labels.splits]].sum(0) for split in splits}
    rows: list[tuple[str | int | float | None, ...]] = []
    for name, share in bars.items():
        place = labels.names.index(name)
        rows.append((name, *(int(columns[split][place]) for split in splits), f"{100 * share:.1f} %"))
    table = ReportTable(
        ("attribute", *(f"{split} photos" for split in splits), "share of train"), tuple(rows), "Photos marked."
    )
    text = "Photos that show each attribute: figure 7 of the paper, figure 3 of its poster." + _note(labels)
    picture = ReportPicture(
        "attributes", "Share of the training photos.", plots.ranked(bars, x="share of training photos")
    )
    return Section("Attributes", text, (), (table,), (picture,))


def _printed(training: AttributeLabels) -> Section:
    """What section 5.1 prints in words, beside ours."""
    n = len(training)
    factor = 1 if training.absent_is_sure else 1 / MARKED_OF_POSITIVE
    figures = []
    known = {name: training.of(name) for name in PRINTED if name in training.names}
    for name, marked in known.items():
        label = f"{name}, positive photos"
        interval = proportion(int(marked.sum()), n)
        figures += [
            Figure(f"share-{_slug(name)}_n{n}", label, "here", min(1.0, interval.value * factor), n, unit="%"),
            Figure(f"share-{_slug(name)}_printed", label, "paper", PRINTED[name], 0, unit="%"),
        ]
    ages = [name for name in _members("age") if name in training.names]
    if ages:
        share = proportion(int(np.stack([training.of(name) for name in ages]).any(0).sum()), n)
        label = "Any word for the age marked"
        figures += [
            Figure.of(share, name=f"age-marked_n{n}", label=label, subject="here", unit="%"),
            Figure("age-marked_printed", label, "paper", PRINTED_AGE_KNOWN, 0, unit="%"),
        ]
    text = "Section 5.1 of the paper prints these of PubFig." + ("" if training.absent_is_sure else " " + _scaled())
    return Section("Beside the paper's own figures", text, tuple(figures))


def _scaled() -> str:
    return "Shares of attributes here are those marked, times 1.5; the last row is as marked."


def _groups(training: AttributeLabels) -> Section:
    """The 42 groups: how many photos have one member marked, none, or several that exclude each other."""
    n = max(len(training), 1)
    rows = []
    for group in GROUPS:
        members = [name for name in group.members if name in training.names]
        if not members:
            continue
        count = np.stack([training.of(name) for name in members]).sum(0)
        rows.append(
            (
                group.name,
                len(members),
                f"{100 * float((count == 1).sum()) / n:.1f} %",
                f"{100 * float((count == 0).sum()) / n:.1f} %",
                f"{100 * float((count > 1).sum()) / n:.1f} %",
                group.none or "(label unknown)",
            )
        )
    text = (
        "A head chooses one member of its group. Where several are marked the labels contradict the group; where none"
        " is, the class is the one of the last column, or the photo teaches that head nothing."
    )
    table = ReportTable(
        ("group", "attributes", "one marked", "none marked", "several marked", "none of them is"), tuple(rows)
    )
    return Section("Groups", text, (), (table,))


def _members(group: str) -> tuple[str, ...]:
    return next(each.members for each in GROUPS if each.name == group)


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")
