"""A report on a prepared dataset: what was kept and why not, who is on it, how they look at the camera.

The age histogram by sex is figure 6 of the conditional GAN's paper; the bars of attributes are figures 3 and 7 of the
first paper.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.core import images
from mien.core.errors import DatasetError
from mien.datasets import catalog, corrections, report
from mien.datasets.batches import FaceDataset
from mien.datasets.catalog import CatalogRow
from mien.datasets.reasons import REASONS
from mien.datasets.report import SourceTally
from mien.datasets.splits import SPLITS
from mien.evaluation import plots
from mien.evaluation.report import Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section

_Cells = tuple[tuple[str | int | float | None, ...], ...]

AGE_STEP_YEARS = 5
SHEET_FACES, SHEET_COLUMNS, SHEET_PX = 40, 10, 96


def dataset_report(dest: Path) -> Report:
    """The report on a dataset (the catalogue is read whole, of the crops a sheet a source).

    A dataset of which everything was dropped is reported on, too; ``DatasetError`` where DEST is none.
    """
    manifest = catalog.read_manifest(dest)
    rows = corrections.corrected(dest, catalog.read_catalog(dest))
    if manifest is None or not rows:
        raise DatasetError(f"{dest}: no prepared dataset (make one with 'mien data prepare')")
    data = FaceDataset.open(dest) if report.kept(rows) else None
    tallies = report.tally_sources(rows)
    photos, kept = sum(one.photos for one in tallies), sum(one.kept for one in tallies)
    sections = [_sources(tallies), _reasons(tallies), _splits(tallies)]
    sections += [part for part in (_ages(rows), _attributes(rows), _poses(rows)) if part is not None]
    if (reviews := _reviews(dest)) is not None:
        sections.insert(3, reviews)
    if data is not None:
        sections.append(_sheets(data, tallies))
    names = " and ".join(one.source for one in tallies)
    return Report(
        title=f"Dataset: {names}",
        summary=f"{kept:,} of {photos:,} photos kept as aligned crops of {manifest['crop']['size_px']} px.",
        sections=tuple(sections),
        provenance=ReportProvenance(
            dataset_fingerprint=data.fingerprint() if data else "",
            n=kept,
            details={"crops": data.crops_fingerprint if data else None},
        ),
    )


def _figure(name: str, label: str, source: str, value: float, n: int, unit: str = "") -> Figure:
    return Figure(name=name, label=label, subject=source, value=value, n=n, unit=unit)


def _sources(tallies: Sequence[SourceTally]) -> Section:
    figures = [
        figure
        for one in tallies
        for figure in (
            _figure("kept", "Photos kept", one.source, one.kept / max(one.photos, 1), one.photos, "%"),
            _figure("sex-known", "Sex known", one.source, 1 - one.sexes["unknown"] / max(one.kept, 1), one.kept, "%"),
            _figure("age-known", "Age known", one.source, one.with_age / max(one.kept, 1), one.kept, "%"),
        )
    ]
    columns = (
        "source",
        "terms",
        "photos",
        "kept",
        "dropped",
        "people named",
        "groups",
        "female",
        "male",
        "sex unknown",
    )
    table = ReportTable(
        columns,
        tuple(
            (
                one.source,
                one.licence,
                one.photos,
                one.kept,
                one.photos - one.kept,
                one.people,
                one.groups,
                *one.sexes.values(),
            )
            for one in tallies
        ),
        "Sources and the terms they come under; faces joined by person, file or picture are one group.",
    )
    several = ", ".join(f"{one.several_faces:,} of {one.source}" for one in tallies)
    text = f"Kept photos on which more than one face was found: {several}."
    return Section("Where the faces come from", text, tuple(figures), (table,))


def _reasons(tallies: Sequence[SourceTally]) -> Section:
    totals: dict[str, int] = {}
    for one in tallies:
        for reason, count in one.dropped.items():
            totals[reason] = totals.get(reason, 0) + count
    meanings: dict[str, str] = {str(word): sentence for word, sentence in REASONS.items()}
    rows: _Cells = tuple(
        (reason, meanings.get(reason, ""), *(one.dropped.get(reason, 0) for one in tallies), total)
        for reason, total in sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    )
    if not rows:
        return Section("What was dropped, and why", "Nothing was dropped.")
    table = ReportTable(
        ("reason", "meaning", *(one.source for one in tallies), "all"), rows, "Photos dropped, by reason."
    )
    return Section("What was dropped, and why", "Every photo has a row in the catalogue, kept or not.", (), (table,))


def _splits(tallies: Sequence[SourceTally]) -> Section:
    rows: _Cells = tuple((one.source, *(one.splits[split] for split in SPLITS)) for one in tallies)
    text = "No person and no picture is in two splits: a group of faces goes to one split as a whole, by its hash."
    return Section("Splits", text, (), (ReportTable(("source", *SPLITS), rows, "Faces of each split."),))


def _reviews(dest: Path) -> Section | None:
    """How many labels people accepted, corrected and rejected; None where nobody reviewed."""
    decisions = corrections.standing(dest).values()
    if not decisions:
        return None
    of = Counter(decision.verdict for decision in decisions)
    text = (
        f"{len(decisions):,} faces were looked at with 'mien data review': {of['accepted']:,} kept as they were, "
        f"{of['corrected']:,} corrected, {of['rejected']:,} taken out. Everything on this page is as corrected; "
        "catalog.parquet is as the sources said it."
    )
    by_label = Counter(label for decision in decisions for label in decision.changes)
    rows: _Cells = tuple((label, count) for label, count in by_label.most_common())
    tables = (ReportTable(("label", "faces on which it was corrected"), rows),) if rows else ()
    return Section("What people said of the labels", text, (), tables)


def _ages(rows: Sequence[CatalogRow]) -> Section | None:
    ages = report.ages_by_sex(rows)
    if not ages:
        return None
    figures = tuple(_figure("mean-age", "Mean age", sex, float(np.mean(v)), len(v), "years") for sex, v in ages.items())
    every = np.concatenate(list(ages.values()))
    bins = max(round(float(np.ptp(every)) / AGE_STEP_YEARS), 1)
    picture = ReportPicture(
        "age-by-sex", "Ages of the kept faces, by sex.", plots.histograms(ages, x="age, years", bins=bins)
    )
    text = "Figure 6 of the conditional GAN's paper (IMDB-WIKI there: mean age 37.35, 57.7 % male)."
    return Section("Age by sex", text, figures, (), (picture,))


def _attributes(rows: Sequence[CatalogRow]) -> Section | None:
    tallies = report.tally_attributes(rows)
    if not tallies:
        return None
    unsure = any(not row.absent_is_sure and row.attributes_absent for row in rows)
    text = "Figures 3 and 7 of the first paper."
    text += " In this data what is not present may also be unsure, so shares are lower limits." if unsure else ""
    bars = plots.ranked({one.name: one.share for one in tallies}, x="share of the faces that the source speaks of")
    cells = tuple((one.name, one.present, one.absent, f"{100 * one.share:.1f} %") for one in tallies)
    table = ReportTable(("attribute", "present", "absent or unsure" if unsure else "absent", "share"), cells)
    return Section(
        "Attributes", text, (), (table,), (ReportPicture("attributes", "Share of faces by attribute.", bars),)
    )


def _poses(rows: Sequence[CatalogRow]) -> Section | None:
    angles = report.poses(rows)
    if not len(angles["yaw"]):
        return None
    figures = tuple(
        _figure(f"{name}-deviation", f"Deviation of the {name}", "all", float(np.std(values)), len(values), "degrees")
        for name, values in angles.items()
    )
    picture = ReportPicture("pose", "Where the kept faces look.", plots.histograms(angles, x="degrees", bins=60))
    text = "Zero looks straight into the camera, upright; the signs are on the page of conventions."
    return Section("Pose", text, figures, (), (picture,))


def _sheets(data: FaceDataset, tallies: Sequence[SourceTally]) -> Section:
    pictures = []
    for number, one in enumerate(tallies):
        places = report.sample(data.faces, one.source, SHEET_FACES)
        if places:
            crops = list(data.decoded(np.array(places, np.int64), SHEET_PX))
            page = images.sheet(crops, min(SHEET_COLUMNS, len(crops)))
            pictures.append(
                ReportPicture(f"sample-{number}", f"{len(crops)} faces of {one.source}, drawn at random.", page)
            )
    text = "Crops as training sees them; what lies beyond the edge of a photo is mirrored."
    return Section("Samples", text, pictures=tuple(pictures))
