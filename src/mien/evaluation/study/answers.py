"""Answers as people gave them, and those that count by the rule that was fixed beforehand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import TooFewError
from mien.evaluation.statistics import Float64Array
from mien.evaluation.study.assignment import Trial
from mien.evaluation.study.design import Design

FEWEST_PEOPLE = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one trial."""

    trial: Trial
    said_real: bool
    reaction_ms: float  # from the first frame that showed the picture
    exposed_ms: float | None = None  # measured by the page; None: until answered
    shown: int = 1  # how often the picture was put on the screen (a page that was closed shows it again)
    interrupted: bool = False  # the page was out of sight meanwhile
    by: str = "key"  # key, touch, mouse

    @property
    def right(self) -> bool:
        """Whether it was the truth."""
        return self.said_real == self.trial.real


@dataclass(frozen=True, slots=True)
class Session:
    """All answers of one participant, who has a number and no name."""

    number: int
    finished: bool
    answers: tuple[Answer, ...]

    @property
    def catch_misses(self) -> int:
        """Wrong answers to catch trials."""
        return sum(1 for answer in self.answers if answer.trial.catch and not answer.right)


@dataclass(frozen=True, eq=False)
class JudgedTrials:
    """The answers that count, as arrays over one order (N), and what became of the others."""

    design: Design
    people: npt.NDArray[np.int64]  # N: 0 to P - 1
    pictures: npt.NDArray[np.int64]  # N: place in ``ids``
    sources: npt.NDArray[np.int64]  # N: place in design.sources
    said_real: npt.NDArray[np.bool_]  # N
    reaction_ms: Float64Array  # N; NaN where the clock was disturbed
    places: npt.NDArray[np.int64]  # N: when in the session, from 0
    numbers: tuple[int, ...]  # P
    ids: tuple[str, ...]  # I
    flow: Mapping[str, int]  # people: began, unfinished, set aside, analysed
    left_out: Mapping[str, int]  # answers of analysed people, by reason

    def __len__(self) -> int:
        return len(self.people)

    @property
    def real(self) -> npt.NDArray[np.bool_]:
        """N: whether the picture is a photograph."""
        return np.asarray(self.sources == 0)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """N: whether the answer is the truth."""
        return np.asarray(self.said_real == self.real)


def judged(design: Design, sessions: Sequence[Session], *, everybody: bool = False) -> JudgedTrials:
    """What counts: people who finished and missed at most ``rule.catch_misses`` catch trials, and of them every
    answer to a face that was neither too quick nor, where exposure was limited, to a picture shown twice.

    ``everybody`` leaves nobody and nothing out but catch trials. ``TooFewError`` for fewer than two people.
    """
    rule = design.rule
    unfinished = [one for one in sessions if not one.finished]
    aside = [one for one in sessions if one.finished and one.catch_misses > rule.catch_misses]
    kept = [one for one in sessions if one.answers and (everybody or (one not in unfinished and one not in aside))]
    flow = {
        "began": len(sessions),
        "unfinished": len(unfinished),
        "set aside": len(aside),
        "analysed": len(kept),
    }
    if len(kept) < FEWEST_PEOPLE:
        told = f"{len(sessions)} began, {len(unfinished)} have not finished, {len(aside)} set aside by catch trials"
        raise TooFewError(f"study: {len(kept)} participants whose answers count ({told}); needed are {FEWEST_PEOPLE}")
    left_out: Counter[str] = Counter()
    rows: list[tuple[int, Answer]] = []
    for place, session in enumerate(kept):
        for answer in session.answers:
            why = "" if everybody else _why_not(design, answer)
            if answer.trial.catch:
                continue
            if why:
                left_out[why] += 1
            else:
                rows.append((place, answer))
    ids = tuple(one.id for one in design.of("trial"))
    at = {name: place for place, name in enumerate(ids)}
    source_at = {name: place for place, name in enumerate(design.sources)}
    return JudgedTrials(
        design,
        people=np.array([place for place, _ in rows], np.int64),
        pictures=np.array([at[answer.trial.picture] for _, answer in rows], np.int64),
        sources=np.array([source_at[answer.trial.source] for _, answer in rows], np.int64),
        said_real=np.array([answer.said_real for _, answer in rows], np.bool_),
        reaction_ms=np.array([_clocked(answer) for _, answer in rows], np.float64),
        places=np.array([answer.trial.place for _, answer in rows], np.int64),
        numbers=tuple(session.number for session in kept),
        ids=ids,
        flow=flow,
        left_out=dict(left_out),
    )


def _why_not(design: Design, answer: Answer) -> str:
    if answer.reaction_ms < design.rule.fastest_ms:
        return f"quicker than {design.rule.fastest_ms} ms"
    if design.exposure_ms is not None and answer.shown > 1:
        return "shown more than once"
    return ""


def _clocked(answer: Answer) -> float:
    return float("nan") if answer.interrupted or answer.shown > 1 else answer.reaction_ms
