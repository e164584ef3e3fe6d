"""What the answers say, as a report: who took part, what was taken for real, how well faces are told apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from mien.core.errors import TooFewError
from mien.core.records import UInt8Image
from mien.evaluation.report import Figure, Report, ReportPicture, ReportProvenance, ReportTable, Section, shown
from mien.evaluation.statistics import Float64Array, Interval, mean_interval, proportion
from mien.evaluation.study import crossed, plots
from mien.evaluation.study.account import Cell, course, deceivers, how, who_took_part
from mien.evaluation.study.answers import JudgedTrials, Session, judged
from mien.evaluation.study.crossed import Resampled
from mien.evaluation.study.design import REAL, Design

PROTOCOL = "people-x-pictures"
AGE_GROUPS = ((0, 18, "under 18"), (18, 35, "18 to 34"), (35, 55, "35 to 54"), (55, 200, "55 and over"))
FEWEST_OF_A_GROUP = 20  # answers


def study_report(
    design: Design,
    sessions: Sequence[Session],
    *,
    withdrawn: int,
    picture: Callable[[str], UInt8Image],
    provenance: ReportProvenance,
    simulated: bool = False,
    seed: int = 0,
    rounds: int = crossed.ROUNDS,
) -> Report:
    """The report of a study. ``picture`` reads one by its id. ``TooFewError`` for fewer than two people that count."""
    data = judged(design, sessions)
    drawn = crossed.resample(data, seed=seed, rounds=rounds)
    sections = [
        who_took_part(data, sessions, withdrawn),
        _taken_for_real(data, drawn),
        _told_apart(data, drawn),
        _pairs(data, drawn),
        _times(data),
        _groups(data, seed, rounds),
        course(data),
        _everybody(design, sessions, drawn, seed, rounds),
        deceivers(data, picture),
        how(design),
    ]
    return Report(
        title=("Simulated: " if simulated else "") + f"{design.title}",
        summary=_summary(data, drawn, simulated),
        sections=tuple(section for section in sections if section is not None),
        provenance=provenance,
    )


def _name(metric: str, n: int) -> str:
    return f"{metric}_{PROTOCOL}_n{n}"


def _summary(data: JudgedTrials, drawn: Resampled, simulated: bool) -> str:
    real = crossed.share(drawn, REAL)
    parts = []
    for model in data.design.models:
        found = crossed.share(drawn, model)
        parts.append(f"{shown(found.value, '%')} of {model}'s faces ({_span(found)})")
    who = "Made-up people, to try the statistics. " if simulated else ""
    return (
        f"{who}{len(data.numbers)} participants judged {len(data):,} faces. Taken for photographs: {', '.join(parts)}, "
        f"and {shown(real.value, '%')} of the real ones ({_span(real)})."
    )


def _span(found: Interval) -> str:
    return f"{100 * found.low:.1f} to {100 * found.high:.1f} %"


_SHARES = (
    "faces of", "judged real", "95 % interval: other people and pictures", "Wilson, answers as if independent",
    "pictures", "points below the real ones",
)  # fmt: skip
_TAKEN_FOR_REAL = (
    "The error rate of the second paper's question: the share of generated faces that people judge to be photographs, "
    "beside the share of photographs that they judge so. Generated faces that nobody can tell from photographs have "
    "the same share, whatever it is. The interval says where the share would lie for other people and other pictures "
    "of the same kind; Wilson's, which takes every answer for independent, is too narrow."
)


def _taken_for_real(data: JudgedTrials, drawn: Resampled) -> Section:
    figures = []
    rows: list[tuple[Cell, ...]] = []
    shares: dict[str, Interval] = {}
    for source in data.design.sources:
        found = crossed.share(drawn, source)
        shares[source] = found
        figures.append(
            Figure.of(
                found,
                name=_name("judged-real", found.n),
                label="judged real",
                subject=source,
                unit="%",
                better="" if source == REAL else "near the real one",
            )
        )
        alone = proportion(int(drawn.hits[drawn.at(source)]), found.n)
        gap = crossed.gap(drawn, REAL, source)[0] if source != REAL else None
        rows.append(
            (
                source,
                f"{int(drawn.hits[drawn.at(source)])} of {found.n}",
                _span(found),
                _span(alone),
                drawn.pictures[drawn.at(source)],
                f"{100 * gap.value:.1f} ({100 * gap.low:.1f} to {100 * gap.high:.1f})" if gap else None,
            )
        )
        if gap is not None:
            figures.append(
                Figure.of(
                    gap,
                    name=_name("judged-real-gap", gap.n),
                    label="real less generated",
                    subject=source,
                    unit="%",
                    better="lower",
                )
            )
    plot = plots.intervals(shares, x="judged real, %", times=100)
    picture = ReportPicture("judged-real", "Share judged real, with 95 % intervals", plot)
    table = ReportTable(_SHARES, tuple(rows))
    return Section("What was taken for real", _TAKEN_FOR_REAL, tuple(figures), (table,), (picture,))


def _told_apart(data: JudgedTrials, drawn: Resampled) -> Section:
    design = data.design
    right = crossed.correct(drawn, design.models, REAL)
    figures = [
        Figure.of(right, name=_name("right", right.n), label="right answers (guessing: 50 %)", subject="all", unit="%")
    ]
    own = _own_sensitivities(data)
    all_d: dict[str, Interval] = {}
    for model in design.models:
        found, _ = crossed.sensitivity(drawn, model, REAL)
        lean = crossed.criterion(drawn, model, REAL)
        all_d[model] = found
        per = mean_interval(own[:, design.models.index(model)])
        correct = crossed.correct(drawn, [model], REAL)
        figures += [
            Figure.of(correct, name=_name("right", correct.n), label="right answers (guessing: 50 %)", subject=model,
                      unit="%", better="lower"),
            Figure.of(found, name=_name("d-prime", found.n), label="d' (0: cannot be told apart)", subject=model,
                      better="lower"),
            Figure.of(per, name=f"d-prime-own_people_n{per.n}", label="d' of each participant, mean", subject=model,
                      better="lower"),
            Figure.of(lean, name=_name("criterion", lean.n), label="criterion c (above 0: leans to 'real')",
                      subject=model),
        ]  # fmt: skip
    shares = np.array([data.right[data.people == person].mean() for person in range(len(data.numbers))])
    return Section(
        "How well they are told apart",
        "d' of signal detection theory counts what people can tell, apart from what they lean to: 0 is guessing, 1 "
        "about 69 % right, 2 about 84 % right without a lean. It is computed from all answers together, with half an "
        "answer added on either side (Hautus 1995); the mean of the participants' own, with an interval that holds "
        "for these pictures only, stands beside it.",
        tuple(figures),
        pictures=(
            ReportPicture("d-prime", "d' of each model, with 95 % intervals", plots.intervals(all_d, x="d'", mark=0.0)),
            ReportPicture("participants", "Right answers of each participant", plots.people(shares)),
        ),
    )


def _own_sensitivities(data: JudgedTrials) -> Float64Array:
    """P M: each participant's d' for each model."""
    count, people = len(data.design.sources), len(data.numbers)
    cell = data.people * count + data.sources
    hits = np.bincount(cell, data.said_real, people * count).reshape(people, count)
    answers = np.bincount(cell, minlength=people * count).reshape(people, count)
    z = ndtri((hits + 0.5) / (answers + 1))
    return np.asarray(z[:, :1] - z[:, 1:], np.float64)


def _pairs(data: JudgedTrials, drawn: Resampled) -> Section:
    pairs = list(itertools.combinations(data.design.sources, 2))
    found = {f"{a} and {b}": crossed.gap(drawn, a, b) for a, b in pairs}
    adjusted = crossed.holm({name: p for name, (_, p) in found.items()})
    rows: list[tuple[Cell, ...]] = []
    figures = []
    for name, (gap, p) in found.items():
        rows.append(
            (
                name,
                _p(p),
                _p(adjusted[name]),
                "yes" if adjusted[name] < 0.05 else "no",
            )
        )
        figures.append(
            Figure.of(gap, name=_name("judged-real-pair", gap.n), label="first less second", subject=name, unit="%")
        )
    table = ReportTable(("pair", "p", "p, Holm", "differ at 5 %"), tuple(rows))
    return Section(
        "Pairs",
        "The shares judged real of each pair of sources compared, for other people and other pictures. The "
        f"{len(pairs)} p-values are corrected together (Holm 1979), so that all of them make a false difference in 5 % "
        'of such studies at most. "no" does not say that two are alike: look at the interval.',
        tuple(figures),
        (table,),
    )


def _p(value: float) -> str:
    return f"{value:.0e}" if value < 0.001 else f"{value:.3f}"


def _times(data: JudgedTrials) -> Section | None:
    clocked = np.isfinite(data.reaction_ms)
    if not clocked.any():
        return None
    figures, curves = [], {}
    for place, source in enumerate(data.design.sources):
        for said, word in ((True, "real"), (False, "generated")):
            chosen = clocked & (data.sources == place) & (data.said_real == said)
            own = [
                float(np.median(data.reaction_ms[chosen & (data.people == person)]))
                for person in range(len(data.numbers))
                if (chosen & (data.people == person)).any()
            ]
            if own:
                found = mean_interval(own)
                figures.append(
                    Figure.of(
                        found,
                        name=f"reaction_median-of-each_n{found.n}",
                        label=f"called {word}: median time",
                        subject=source,
                        unit="ms",
                    )
                )
        curves[source] = data.reaction_ms[clocked & (data.sources == place)]
    exposed = data.design.exposure_ms
    return Section(
        "How long it took",
        "From the first frame with the face to the answer: each participant's median, then the mean of those, with a "
        "bootstrap interval over participants. Answers during which the page was out of sight, or to pictures that "
        f"were shown again, are not timed. Faces were shown {f'for {exposed} ms' if exposed else 'until answered'}.",
        tuple(figures),
        pictures=(ReportPicture("times", "Times of all answers", plots.times(curves)),),
    )


def _groups(data: JudgedTrials, seed: int, rounds: int) -> Section | None:
    """Shares judged real by the sex and the age that the pictures' labels say."""
    known = {one.id: one for one in data.design.of("trial")}
    labels: dict[str, npt.NDArray[np.bool_]] = {}
    for sex in ("female", "male"):
        labels[sex] = np.array([known[name].sex == sex for name in data.ids])
    for low, high, words in AGE_GROUPS:
        ages = [known[name].age_years for name in data.ids]
        labels[words] = np.array([age is not None and low <= age < high for age in ages])
    rows: list[tuple[Cell, ...]] = []
    for words, members in labels.items():
        inside = members[data.pictures]
        cells: list[Cell] = [words]
        for place in range(len(data.design.sources)):
            chosen = inside & (data.sources == place)
            if chosen.sum() < FEWEST_OF_A_GROUP:
                cells.append(None)
                continue
            group = np.where(chosen, 0, 1).astype(np.int64)
            try:
                drawn = crossed.resample(data, groups=group, names=("in", "out"), seed=seed, rounds=min(rounds, 300))
            except TooFewError:  # everything is in it: then it is the figure above
                cells.append(shown(float(data.said_real[chosen].mean()), "%"))
                continue
            found = crossed.share(drawn, "in")
            cells.append(f"{shown(found.value, '%')} ({_span(found)})")
        if any(cell is not None for cell in cells[1:]):
            rows.append(tuple(cells))
    if not rows:
        return None
    return Section(
        "By sex and age",
        "Share judged real among the faces that are labelled so (generated ones: as asked for).",
        tables=(ReportTable(("labelled", *data.design.sources), tuple(rows)),),
    )


def _everybody(design: Design, sessions: Sequence[Session], drawn: Resampled, seed: int, rounds: int) -> Section:
    """The main figures without leaving anything out."""
    free = crossed.resample(judged(design, sessions, everybody=True), seed=seed, rounds=rounds)
    rows: list[tuple[Cell, ...]] = []
    for source in design.sources:
        by, of_all = crossed.share(drawn, source), crossed.share(free, source)
        rows.append((source, f"{shown(by.value, '%')} ({_span(by)})", f"{shown(of_all.value, '%')} ({_span(of_all)})"))
    return Section(
        "If nobody were set aside",
        "The same shares with everybody who answered anything, finished or not, and every answer.",
        tables=(ReportTable(("judged real", "by the rule", "everybody"), tuple(rows)),),
    )
