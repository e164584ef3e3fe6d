"""Sex by cross-validation over people: readers on several networks, each alone and summed, and what they mend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import TooFewError
from mien.core.seeding import stream
from mien.evaluation import plots
from mien.evaluation.attributes import ADULT_YEARS
from mien.evaluation.metrics import metric_name
from mien.evaluation.report import Figure, Picture, Report, Section, Table
from mien.evaluation.statistics import proportion

TOGETHER = "together"
BANDS_YEARS = ((0, 5), (5, 10), (10, 20), (20, 35), (35, 50), (50, 65), (65, 80), (80, 121))  # up to but not with

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sexed:
    """N faces of known sex, in the order of the logits that are given with them."""

    female: npt.NDArray[np.float32]  # N: 1 female, 0 male
    ages_years: npt.NDArray[np.float32]  # N, NaN unknown
    sources: Sequence[str]
    splits: Sequence[str]
    races: Sequence[str]  # "" unknown

    def source(self, name: str) -> Mask:
        """The faces of a source."""
        return np.array([each == name for each in self.sources], np.bool_)

    @property
    def adults(self) -> Mask:
        """The faces of known age who are grown up."""
        return np.asarray(self.ages_years >= ADULT_YEARS)


def folds_of(people: Sequence[str], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """The fold (N, 0 to ``folds`` - 1) of each face by its person (N names): nobody is in two of them."""
    return np.array([int(stream(seed, "sex folds", person).integers(folds)) for person in people], np.int64)


def standardised_sum(
    logits: Mapping[str, npt.NDArray[np.float64]], fold: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Logits (N each, by reader) -> their sum (N), each brought to a deviation of one within each fold (no labels)."""
    total = np.zeros(len(fold))
    for values in logits.values():
        for part in np.unique(fold):
            here = fold == part
            total[here] += values[here] / values[here].std()
    return total


def sex_report(
    faces: Sexed,
    logits: Mapping[str, npt.NDArray[np.float64]],
    fold: npt.NDArray[np.int64],
    provenance: Mapping[str, str | int | float | None],
) -> Report:
    """The report on logits of "female" (N each, by reader): each face read by heads that learnt from other folds.

    ``TooFewError`` for fewer than 30 faces.
    """
    if len(faces.female) < 30:
        raise TooFewError(f"sex: {len(faces.female)} faces of known sex, needed are 30 and more")
    female = faces.female > 0.5
    every = {**logits, TOGETHER: standardised_sum(logits, fold)} if len(logits) > 1 else dict(logits)
    wrong = {name: (values > 0) != female for name, values in every.items()}
    adults, lfw = faces.adults, faces.source("lfw")
    groups = {
        f"known age, {ADULT_YEARS} years and over": ("adults", adults),
        "LFW": ("lfw", lfw),
        "every face": ("all", np.ones(len(female), np.bool_)),
    }
    figures, spans = [], {}
    for label, (slug, chosen) in groups.items():
        n = int(chosen.sum())
        for name in every if n else ():
            found = proportion(n - int(wrong[name][chosen].sum()), n)
            protocol = metric_name(f"sex-right-{slug}", "cross-validated", n)
            figures.append(
                Figure.of(found, name=protocol, label=f"sex right, {label}", subject=name, unit="%", better="higher")
            )
            if slug != "all":
                spans[f"{name}, {label}"] = (100 * found.value, 100 * found.low, 100 * found.high)
    tables = [_changes(every, wrong, groups), _people(faces, every, wrong)]
    pictures = (
        Picture("right", "Sex right, with 95 % intervals.", plots.ranges(spans, x="faces read as labelled, %")),
    )
    last = list(every)[-1]
    told = [
        f"{100 * (1 - wrong[last][chosen].mean()):.2f} % of {int(chosen.sum()):,} ({label})"
        for label, (slug, chosen) in groups.items()
        if chosen.any() and slug != "all"
    ]
    count = len(np.unique(fold))
    text = (
        f"{count} folds, no person in two of them; each face is read by heads that learnt from the other folds, which"
        " are as many faces as the packaged heads learnt from where folds are five. Labels are taken as they are; some"
        " are plainly wrong (model card). The heads are trained as `mien train sex` trains them, so is the reader on"
        " FaceNet's features, which stands for the attribute heads. Logits are summed at equal deviations."
    )
    section = Section("Who is read as labelled", text, tuple(figures), tuple(tables), pictures)
    return Report("Sex, cross-validated", f"{last}: " + "; ".join(told) + ".", (section,), provenance)


def _changes(
    every: Mapping[str, npt.NDArray[np.float64]], wrong: Mapping[str, Mask], groups: Mapping[str, tuple[str, Mask]]
) -> Table:
    """Errors of each reader, and what is mended and broken against the first (exact test of signs)."""
    from scipy.stats import binomtest

    first, rows = next(iter(every)), []
    for label, (_, chosen) in groups.items():
        for name in every:
            mended = int((wrong[first] & ~wrong[name] & chosen).sum())
            broken = int((~wrong[first] & wrong[name] & chosen).sum())
            chance = binomtest(mended, mended + broken).pvalue if mended + broken else 1.0
            against = ("", "", "") if name == first else (mended, broken, f"{chance:.1g}")
            rows.append((label, name, int(chosen.sum()), int((wrong[name] & chosen).sum()), *against))
    columns = ("faces", "reader", "n", "errors", "mended", "broken", "by chance")
    return Table(columns, tuple(rows), f"Errors, and what changes against '{first}'.")


def _people(faces: Sexed, every: Mapping[str, npt.NDArray[np.float64]], wrong: Mapping[str, Mask]) -> Table:
    """Shares read as labelled, by group of people."""
    ages, female = faces.ages_years, faces.female > 0.5
    splits, races = np.array(faces.splits), np.array(faces.races)
    groups: dict[str, Mask] = {
        f"{low} to {high - 1} years" if high < 121 else f"{low} years and over": (ages >= low) & (ages < high)
        for low, high in BANDS_YEARS
    }
    groups |= {"female, adults": faces.adults & female, "male, adults": faces.adults & ~female}
    groups |= {f"{race}, adults": faces.adults & (races == race) for race in sorted(set(faces.races) - {""})}
    groups |= {f"split {split}, adults": faces.adults & (splits == split) for split in sorted(set(faces.splits))}
    groups |= {f"split {split}, LFW": faces.source("lfw") & (splits == split) for split in sorted(set(faces.splits))}
    rows: tuple[tuple[str | int | float | None, ...], ...] = tuple(
        (label, int(chosen.sum()), *(f"{100 * (1 - wrong[name][chosen].mean()):.1f} %" for name in every))
        for label, chosen in groups.items()
        if chosen.any()
    )
    return Table(("people", "n", *every), rows, "Read as labelled.")
