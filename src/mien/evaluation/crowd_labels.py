"""Sections of a crowd's report that compare what was asked for with what the judges see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mien.evaluation import metrics, plots
from mien.evaluation.crowd_judged import (
    ADULT_YEARS,
    NEAR_YEARS,
    JudgedFaces,
    Sweep,
    adults,
    anyone,
    face_found,
    mean_of,
    right_sex,
    slug_of,
)
from mien.evaluation.faces import Faces
from mien.evaluation.report import Figure, ReportPicture, ReportTable, Section, shown
from mien.evaluation.statistics import Moments, mean_interval, proportion

AGE_BINS = (0, 10, 20, 35, 50, 65, 120)  # years, lower edges


def labels(judged: Mapping[str, JudgedFaces]) -> Section:
    """(b) Sex and age as a judge sees them, beside the judge's own errors on real faces."""
    figures: list[Figure] = []
    pictured: list[ReportPicture] = []
    for name, one in judged.items():
        figures.append(face_found("labels", name, one.detected))
        for who, chosen in (("all ages", anyone(one)), (f"adults ({ADULT_YEARS} and over)", adults(one))):
            sexed = chosen & ~np.isnan(one.faces.female)
            right = right_sex(one)[sexed]
            tag = "adults" if "adults" in who else "all"
            if len(right):
                figures.append(
                    Figure.of(
                        proportion(int(right.sum()), len(right)),
                        name=metrics.metric_name(f"sex-agreement-{tag}", "judge-age-sex", len(right)),
                        label=f"sex as asked, {who}",
                        subject=name,
                        unit="%",
                        better="near the real one",
                    )
                )
        aged = ~np.isnan(one.faces.ages_years)
        if aged.any():
            figures += _age_figures(name, one, aged)
            plot = plots.scatter(
                one.faces.ages_years[aged],
                one.estimates.ages_years[aged],
                x_label="age asked for, years" if name != "real" else "true age, years",
                y_label="age judged, years",
            )
            pictured.append(ReportPicture(f"ages-{slug_of(name)}", f"{name}: judged age against the label", plot))
    return Section(
        "Are sex and age as asked?",
        "Judged by a network that shares neither weights nor features with any generator. Its errors on real held-out "
        "faces stand in the column 'real'; the generated faces were asked for with exactly those labels, of ages that "
        "every generator can be told. A generated picture in which no cascade finds a face is of no sex and no age: it "
        "fails in the shares, and is left out of the means.",
        figures=tuple(figures),
        pictures=tuple(pictured),
    )


def _age_figures(name: str, one: JudgedFaces, aged: npt.NDArray[np.bool_]) -> list[Figure]:
    """How far the judged ages of the faces ``aged`` (N) lie from their labels."""
    error = (one.estimates.ages_years - one.faces.ages_years).astype(np.float64)
    near = (np.abs(error) <= NEAR_YEARS)[aged] & one.face[aged]
    full = metrics.metric_name(f"age-within-{NEAR_YEARS}", "judge-age-sex", len(near))
    known, judge = error[aged & one.face], "judge-age-sex"
    label, signed = "age error, mean absolute", "age error, mean signed (+: looks older)"
    return [
        Figure.of(
            proportion(int(near.sum()), len(near)), name=full,
            label=f"age judged within {NEAR_YEARS} years of the label", subject=name, unit="%",
            better="near the real one",
        ),
        mean_of(np.abs(known), "age-error-mean-absolute", judge, label, name, "years", "near the real one"),
        mean_of(known, "age-error-mean-signed", judge, signed, name, "years", ""),
    ]  # fmt: skip


def _sweep_figures(name: str, sweep: Sweep, people: int) -> list[Figure]:
    ages = f"ages{sweep.asked_years[0]:g}-{sweep.asked_years[-1]:g}"
    gap = np.abs(sweep.mean_years - np.asarray(sweep.asked_years))
    gap = gap[np.isfinite(gap)]
    kept = ((sweep.female == sweep.asked_female[None]) & sweep.face).ravel()

    def full(metric: str, n: int) -> str:
        return metrics.metric_name(f"age-sweep-{metric}-{ages}", "judge-age-sex", n)

    rises, far = "steps in which the mean judged age rises", "mean distance of the curve from the diagonal"
    alike = "rank correlation of asked and judged age, one face's noise"
    return [
        face_found("sweep", name, sweep.face),
        Figure(full("monotone", people), rises, name, sweep.monotone, people, unit="%", better="higher"),
        Figure.of(
            mean_interval(sweep.correlations), name=full("rank-correlation", people), label=alike, subject=name,
            better="higher",
        ),
        Figure(
            full("gap", people), far, name, float(gap.mean()) if len(gap) else float("nan"), people, unit="years",
            better="lower",
        ),
        Figure.of(
            proportion(int(kept.sum()), len(kept)), name=full("sex-kept", len(kept)),
            label="sex as asked along the sweep", subject=name, unit="%", better="higher",
        ),
    ]  # fmt: skip


def age_sweep(sweeps: Mapping[str, Sweep]) -> Section:
    """The age control (the paper's figure 10): does the judged age rise with the age asked for?"""
    figures: list[Figure] = []
    pictured: list[ReportPicture] = []
    rows: list[tuple[str | int | float | None, ...]] = []
    for name, sweep in sweeps.items():
        people = sweep.judged_years.shape[1]
        figures += _sweep_figures(name, sweep, people)
        rows += [
            (name, age, float(mean) if np.isfinite(mean) else None)
            for age, mean in zip(sweep.asked_years, sweep.mean_years, strict=True)
        ]
        plot = plots.bands(
            sweep.asked_years,
            {name: sweep.judged_years},
            x_label="age asked for, years",
            y_label="age judged, years",
            diagonal=True,
        )
        caption = f"{name}: median judged age of {people} noises, with the band from the 10th to the 90th percentile"
        pictured.append(ReportPicture(f"sweep-{slug_of(name)}", caption, plot))
    return Section(
        "Does age rise when asked to?",
        "The same noise asked for at every age. The paper calls its own age control unsuccessful. A picture without a "
        "face has no age and no sex: an age at which no face is found is no rise, and a correlation is taken times the "
        "share of its ages at which there is one.",
        figures=tuple(figures),
        tables=(ReportTable(("crowd", "age asked", "mean age judged"), tuple(rows)),),
        pictures=tuple(pictured),
    )


def groups(judged: Mapping[str, JudgedFaces], raced: Mapping[str, JudgedFaces], *, k: int) -> Section:
    """(e) The same figures for each sex and age bin, and for each race that is labelled.

    ``raced``: faces asked for with a race, by crowd; they stand in the rows of the races.
    """
    rows: list[tuple[str | int | float | None, ...]] = []
    races = {entry for entry in judged["real"].faces.races if entry}
    for title, chooser in _group_choosers(judged["real"].faces):
        for name, one in (dict(judged) | (dict(raced) if title in races else {})).items():
            chosen = chooser(one.faces)
            if not chosen.any():
                continue
            sexed = chosen & ~np.isnan(one.faces.female)
            aged = chosen & ~np.isnan(one.faces.ages_years)
            right = right_sex(one)[sexed]
            aged &= one.face
            error = np.abs(one.estimates.ages_years[aged] - one.faces.ages_years[aged])
            rows.append(
                (
                    title,
                    name,
                    int(chosen.sum()),
                    shown(float(one.detected[chosen].mean()), "%"),
                    shown(float(right.mean()), "%") if len(right) else None,
                    shown(float(error.mean()), "years") if len(error) else None,
                    *_group_likeness(judged["real"], one, chooser, k),
                )
            )
    columns = (
        "group",
        "crowd",
        "n",
        "detected",
        "sex as asked",
        "age error",
        f"precision k{k}",
        f"recall k{k}",
        "Fréchet",
    )
    return Section(
        "Group by group",
        "The same figures for each sex and age bin, and for each race where the label is known (UTKFace's own five "
        "words), there of faces asked for with that race. Distances within a group are in identity features and "
        "compare the generated with the real faces of that group; Fréchet distances only where both have more than "
        "128 faces.",
        tables=(ReportTable(columns, tuple(rows)),),
    )


Chooser = Callable[[Faces], npt.NDArray[np.bool_]]


def _group_choosers(real: Faces) -> list[tuple[str, Chooser]]:
    def by(female: bool, low: int, high: int) -> Chooser:
        return lambda faces: (faces.female == float(female)) & (faces.ages_years >= low) & (faces.ages_years < high)

    def race(name: str) -> Chooser:
        return lambda faces: np.array([entry == name for entry in faces.races], bool)

    found = []
    for low, high in pairwise(AGE_BINS):
        ages = f"{low} to {high - 1}" if high < AGE_BINS[-1] else f"{low} and over"
        found += [(f"{'female' if female else 'male'}, {ages}", by(female, low, high)) for female in (True, False)]
    found += [(name, race(name)) for name in sorted({entry for entry in real.races if entry})]
    return found


def _group_likeness(
    real: JudgedFaces, one: JudgedFaces, chooser: Chooser, k: int
) -> tuple[str | None, str | None, str | None]:
    if one.name == real.name:
        return None, None, None
    a = real.identity[chooser(real.faces)[: len(real.identity)]]
    chosen = chooser(one.faces)[: len(one.identity)]
    b, face = one.identity[chosen], one.face[: len(one.identity)][chosen]
    if min(len(a), len(b)) < max(20, k + 1):
        return None, None, None
    found = metrics.manifold(a, b, k=k, counted=face)
    n = min(len(a), len(b))
    frechet = None
    if n > a.shape[1]:
        frechet = shown(metrics.frechet_distance(Moments.of(a[:n]), Moments.of(b[:n])))
    return shown(found.precision, "%"), shown(found.recall, "%"), frechet
