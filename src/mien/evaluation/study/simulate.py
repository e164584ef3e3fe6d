"""People made up, of known sensitivity: to test the statistics, and to see beforehand how wide intervals will be.

The model is that of signal detection theory. A face gives the person an impression

    x = mu(source) + picture + noise,   mu(real) = 0,  mu(model) = d',

with N(0, 1) noise, pictures that differ by N(0, pictures_sd), and people whose boundary is N(d'/2 + lean, people_sd).
An impression above the boundary is called generated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mien.core.errors import RequestError
from mien.core.seeding import stream
from mien.evaluation.study.answers import Answer, Session
from mien.evaluation.study.assignment import trials_of
from mien.evaluation.study.design import REAL, Design


@dataclass(frozen=True, slots=True)
class Truth:
    """What simulated people are like. ``sensitivity`` is d' of each model before people and pictures blur it."""

    sensitivity: Mapping[str, float]
    people_sd: float = 0.35
    pictures_sd: float = 0.5
    lean: float = 0.0  # above 0: inclined to "real"
    inattentive: float = 0.0  # share of people who answer without looking

    @property
    def middle(self) -> float:
        """Where the boundary lies for the mean person."""
        return sum(self.sensitivity.values()) / len(self.sensitivity) / 2 + self.lean

    def called_real(self, source: str) -> float:
        """The share of a source's faces that attentive people call real, over all people and pictures."""
        mu = 0.0 if source == REAL else self.sensitivity[source]
        blur = math.sqrt(1 + self.people_sd**2 + self.pictures_sd**2)
        return 0.5 * (1 + math.erf((self.middle - mu) / blur / math.sqrt(2)))

    def d_prime(self, model: str) -> float:
        """d' of all answers together."""
        return self.sensitivity[model] / math.sqrt(1 + self.people_sd**2 + self.pictures_sd**2)


def simulate(design: Design, truth: Truth, people: int, seed: int, *, first: int = 0) -> list[Session]:
    """Sessions of ``people`` who finish, in slots ``first`` up. The pictures' own differences belong to ``seed``."""
    if set(truth.sensitivity) != set(design.models):
        given = ", ".join(sorted(truth.sensitivity)) or "none"
        raise RequestError(f"--sensitivity: given for {given}; wanted for {', '.join(design.models)}")
    pictures = design.of("trial")
    looks = dict(
        zip(
            (one.id for one in pictures),
            stream(seed, "pictures").normal(0, truth.pictures_sd, len(pictures)),
            strict=True,
        )
    )
    sessions = []
    for slot in range(first, first + people):
        random = stream(seed, "person", slot)
        boundary = truth.middle + random.normal(0, truth.people_sd)
        careless = random.random() < truth.inattentive
        answers = []
        for trial in trials_of(design, slot):
            slow = float(random.lognormal(6.6, 0.35))
            if careless:
                said = bool(random.integers(2))
            elif trial.catch:
                said = trial.real if random.random() > 0.01 else not trial.real
            else:
                mu = truth.sensitivity[trial.source] if trial.source != REAL else 0.0
                impression = mu + looks[trial.picture] + random.normal()
                said = bool(impression < boundary)
                slow += 400 * math.exp(-abs(impression - boundary))
            answers.append(Answer(trial, said, reaction_ms=slow, exposed_ms=design.exposure_ms))
        sessions.append(Session(slot, True, tuple(answers)))
    return sessions
