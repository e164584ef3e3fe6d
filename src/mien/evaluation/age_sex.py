"""The judge of sex and age examined itself: its errors on held-out real faces, by age, sex, race and source."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mien.attributes.age_sex import AgeSexPredictions
from mien.core.errors import TooFewError
from mien.evaluation import plots
from mien.evaluation.crowd_judged import ADULT_YEARS
from mien.evaluation.faces import Faces
from mien.evaluation.metrics import mean_absolute_error, metric_name
from mien.evaluation.report import Better, Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section, shown
from mien.evaluation.statistics import mean_interval, proportion

AGE_BINS = (0, 5, 10, 20, 35, 50, 65, 80, 120)  # years, lower edges


def examine(faces: Faces, estimates: AgeSexPredictions, *, title: str, provenance: ReportProvenance) -> Report:
    """What an examination of held-out faces says of the judge; needs one face of known age or sex."""
    aged, sexed = ~np.isnan(faces.ages_years), ~np.isnan(faces.female)
    if not (aged | sexed).any():
        raise TooFewError("evaluate judge: no face with a known sex or age")
    figures: list[Figure] = []
    if aged.any():
        error = estimates.ages_years[aged] - faces.ages_years[aged]
        kinds: tuple[tuple[str, str, npt.NDArray[np.float32], Better], ...] = (
            ("age-error-mean-absolute", "age error, mean absolute", np.abs(error), "lower"),
            ("age-error-mean-signed", "age error, mean signed (+: judged too old)", error, ""),
        )
        for metric, label, values, better in kinds:
            name, found = metric_name(metric, "judge-age-sex", len(error)), mean_interval(values)
            figures.append(Figure.of(found, name=name, label=label, subject="real", unit="years", better=better))
    adults = faces.ages_years >= ADULT_YEARS
    for label, metric, chosen in (
        ("sex right, every face of known sex", "sex-right-all", sexed),
        (f"sex right, adults ({ADULT_YEARS} and over)", "sex-right-adults", sexed & adults),
        ("sex right, faces of unknown age", "sex-right-unaged", sexed & ~aged),
    ):
        n = int(chosen.sum())
        if n:
            hits = int(_right(faces, estimates)[chosen].sum())
            name = metric_name(metric, "judge-age-sex", n)
            right = proportion(hits, n)
            figures.append(Figure.of(right, name=name, label=label, subject="real", unit="%", better="higher"))
    section = Section(
        "On faces that it never saw",
        "Held-out real faces; each is read twice, once mirrored, and the answers are averaged.",
        tuple(figures),
        (ReportTable(("group", "n", "age error", "signed", "sex right"), tuple(_rows(faces, estimates))),),
        _pictures(faces, estimates),
    )
    worst = f"age error {figures[0].shown}" if aged.any() else "age unknown"
    return Report(title, f"{worst}, {len(faces):,} held-out faces.", (section,), provenance)


def _right(faces: Faces, estimates: AgeSexPredictions) -> npt.NDArray[np.bool_]:
    right: npt.NDArray[np.bool_] = estimates.is_female == (faces.female > 0.5)
    return right


def _rows(faces: Faces, estimates: AgeSexPredictions) -> list[tuple[str | int | float | None, ...]]:
    groups: list[tuple[str, npt.NDArray[np.bool_]]] = []
    for low, high in pairwise(AGE_BINS):
        name = f"{low} to {high - 1} years" if high < AGE_BINS[-1] else f"{low} years and over"
        groups.append((name, (faces.ages_years >= low) & (faces.ages_years < high)))
    groups += [("female", faces.female == 1), ("male", faces.female == 0)]
    for race in sorted({entry for entry in faces.races if entry}):
        groups.append((race, np.array([entry == race for entry in faces.races], bool)))
    rows: list[tuple[str | int | float | None, ...]] = []
    for name, chosen in groups:
        aged, sexed = chosen & ~np.isnan(faces.ages_years), chosen & ~np.isnan(faces.female)
        error = estimates.ages_years[aged] - faces.ages_years[aged]
        absolute = mean_absolute_error(estimates.ages_years[aged], faces.ages_years[aged]) if aged.any() else None
        rows.append(
            (
                name,
                int(chosen.sum()),
                None if absolute is None else shown(absolute, "years"),
                shown(float(error.mean()), "years") if len(error) else None,
                shown(float(_right(faces, estimates)[sexed].mean()), "%") if sexed.any() else None,
            )
        )
    return rows


def _pictures(faces: Faces, estimates: AgeSexPredictions) -> tuple[ReportPicture, ...]:
    aged = ~np.isnan(faces.ages_years)
    if not aged.any():
        return ()
    plot = plots.scatter(
        faces.ages_years[aged], estimates.ages_years[aged], x_label="true age, years", y_label="age judged, years"
    )
    return (ReportPicture("ages", "Judged age against true age", plot),)
