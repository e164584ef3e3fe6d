"""The answers of a study: participants, who are a slot and a hashed code, and what they said. Nothing else."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from mien.core.database import Schema, Store
from mien.core.errors import RequestError
from mien.evaluation.study.answers import Answer, Session
from mien.evaluation.study.assignment import Trial, practice_of, real_on_left, trials_of
from mien.evaluation.study.design import Design

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # 32 signs that are not mistaken for one another
CODE_SIGNS, CODE_GROUP = 16, 4  # 80 random bits
HOUR_SECONDS = 3600
STALE_SECONDS = 2 * HOUR_SECONDS  # a slot whose holder has been away so long is given again

TABLES = sql.MetaData()
PEOPLE = sql.Table(
    "study_people",
    TABLES,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("study", sql.String(32), nullable=False),  # fingerprint of the design
    sql.Column("slot", sql.Integer, nullable=False),
    sql.Column("attempt", sql.Integer, nullable=False),
    sql.Column("code_sha256", sql.String(64), nullable=False, unique=True),
    sql.Column("seen_at_seconds", sql.Double, nullable=False),  # to the hour
    sql.Column("finished", sql.Boolean, nullable=False),
    sql.Column("simulated", sql.Boolean, nullable=False),
    sql.UniqueConstraint("study", "slot", "attempt"),
)
ANSWERS = sql.Table(
    "study_answers",
    TABLES,
    sql.Column("person", sql.ForeignKey("study_people.id", ondelete="CASCADE"), primary_key=True),
    sql.Column("place", sql.Integer, primary_key=True),
    sql.Column("shown", sql.Integer, nullable=False),
    sql.Column("said_real", sql.Boolean),  # null: shown, not answered yet
    sql.Column("reaction_ms", sql.Double),
    sql.Column("exposed_ms", sql.Double),
    sql.Column("interrupted", sql.Boolean),
    sql.Column("way", sql.String(8)),
)
TALLIES = sql.Table(
    "study_tallies",
    TABLES,
    sql.Column("study", sql.String(32), primary_key=True),
    sql.Column("withdrawn", sql.Integer, nullable=False),
)
SCHEMA = Schema("study", version=1, tables=TABLES)


@dataclass(frozen=True, slots=True)
class Participant:
    """Where one participant is."""

    id: int
    slot: int
    attempt: int
    finished: bool
    place: int  # of the next trial to answer
    right: int  # answers to faces so far
    faces: int


class AnswerStore:
    """The rows of one study in a store."""

    def __init__(self, store: Store, design: Design, *, clock: Callable[[], float] = time.time) -> None:
        self.store, self.design, self._clock = store, design, clock
        self.study = design.fingerprint()
        self._trials: dict[tuple[int, int], tuple[Trial, ...]] = {}

    def begin(self) -> str:
        """A new participant, who agreed: takes the lowest slot that nobody holds, and gets a code."""
        code = new_code()
        with self.store.writing() as rows:
            slot, attempt = self._free_slot(rows)
            rows.execute(
                sql.insert(PEOPLE).values(
                    study=self.study,
                    slot=slot,
                    attempt=attempt,
                    code_sha256=_hash(code),
                    seen_at_seconds=self._hour(),
                    finished=False,
                    simulated=False,
                )
            )
        return code

    def find(self, code: str) -> Participant | None:
        """The participant with that code, in this study."""
        with self.store.reading() as rows:
            return self._find(rows, code)

    def show(self, code: str, place: int) -> Participant | None:
        """Note that the trial at ``place`` is put on the screen; nothing happens where it is not the next one."""
        with self.store.writing() as rows:
            person = self._find(rows, code)
            if person is None or person.finished or place != person.place:
                return person
            here = (ANSWERS.c.person == person.id) & (ANSWERS.c.place == place)
            changed = rows.execute(sql.update(ANSWERS).where(here).values(shown=ANSWERS.c.shown + 1))
            if not changed.rowcount:
                rows.execute(sql.insert(ANSWERS).values(person=person.id, place=place, shown=1))
            self._touch(rows, person)
        return person

    def answer(
        self,
        code: str,
        place: int,
        *,
        said_real: bool,
        reaction_ms: float,
        exposed_ms: float | None,
        interrupted: bool,
        way: str,
    ) -> Participant | None:
        """Write an answer down, once: a second one to the same trial changes nothing.

        ``RequestError`` for a trial that was not shown yet. The result is the participant afterwards.
        """
        with self.store.writing() as rows:
            person = self._find(rows, code)
            if person is None or place < person.place:
                return person
            open_here = (ANSWERS.c.person == person.id) & (ANSWERS.c.place == place) & ANSWERS.c.said_real.is_(None)
            done = rows.execute(
                sql.update(ANSWERS)
                .where(open_here)
                .values(
                    said_real=said_real,
                    reaction_ms=reaction_ms,
                    exposed_ms=exposed_ms,
                    interrupted=interrupted,
                    way=way,
                )
            )
            if not done.rowcount:
                raise RequestError(f"place: {place} given, which has not been shown; the next is {person.place}")
            if place + 1 == self.design.places:
                rows.execute(sql.update(PEOPLE).where(PEOPLE.c.id == person.id).values(finished=True))
            self._touch(rows, person)
            return self._find(rows, code)

    def withdraw(self, code: str) -> bool:
        """Delete a participant and every answer; only the number of those who withdrew is kept."""
        with self.store.writing() as rows:
            person = self._find(rows, code)
            if person is None:
                return False
            rows.execute(sql.delete(ANSWERS).where(ANSWERS.c.person == person.id))
            rows.execute(sql.delete(PEOPLE).where(PEOPLE.c.id == person.id))
            mine = TALLIES.c.study == self.study
            if not rows.execute(sql.update(TALLIES).where(mine).values(withdrawn=TALLIES.c.withdrawn + 1)).rowcount:
                rows.execute(sql.insert(TALLIES).values(study=self.study, withdrawn=1))
        return True

    def sessions(self) -> list[Session]:
        """Everybody's answers, in the order of the slots."""
        with self.store.reading() as rows:
            people = rows.execute(
                sql.select(PEOPLE).where(PEOPLE.c.study == self.study).order_by(PEOPLE.c.slot, PEOPLE.c.attempt)
            ).all()
            given: dict[int, list[Any]] = {person.id: [] for person in people}
            wanted = sql.select(ANSWERS).where(ANSWERS.c.said_real.is_not(None)).order_by(ANSWERS.c.place)
            for row in rows.execute(wanted):
                if row.person in given:
                    given[row.person].append(row)
        return [
            Session(
                number,
                person.finished,
                tuple(_answer(row, trials) for row in given[person.id]),
            )
            for number, person in enumerate(people)
            for trials in [self.trials(person.slot, person.attempt)]
        ]

    def withdrawn(self) -> int:
        """How many people withdrew."""
        with self.store.reading() as rows:
            return int(rows.scalar(sql.select(TALLIES.c.withdrawn).where(TALLIES.c.study == self.study)) or 0)

    def people(self) -> tuple[int, int]:
        """How many participants there are: made up, and others."""
        with self.store.reading() as rows:
            counted = sql.select(PEOPLE.c.simulated, sql.func.count()).where(PEOPLE.c.study == self.study)
            found = {bool(row[0]): int(row[1]) for row in rows.execute(counted.group_by(PEOPLE.c.simulated))}
        return found.get(True, 0), found.get(False, 0)

    def add_simulated(self, sessions: list[Session]) -> None:
        """Write made-up participants into a store that holds no others of this study (``RequestError``)."""
        if self.people()[1]:
            raise RequestError(f"--store: {self.store.address} holds answers of people; give one of its own")
        for session in sessions:
            with self.store.writing() as rows:
                made = sql.insert(PEOPLE).values(
                    study=self.study,
                    slot=session.number,
                    attempt=0,
                    code_sha256=_hash(new_code()),
                    seen_at_seconds=self._hour(),
                    finished=session.finished,
                    simulated=True,
                )
                key = rows.execute(made).inserted_primary_key
                rows.execute(
                    sql.insert(ANSWERS),
                    [
                        {
                            "person": key[0] if key else None,
                            "place": one.trial.place,
                            "shown": one.shown,
                            "said_real": one.said_real,
                            "reaction_ms": one.reaction_ms,
                            "exposed_ms": one.exposed_ms,
                            "interrupted": one.interrupted,
                            "way": one.by,
                        }
                        for one in session.answers
                    ],
                )

    def trials(self, slot: int, attempt: int) -> tuple[Trial, ...]:
        """All trials of a participant."""
        if (slot, attempt) not in self._trials:
            self._trials[slot, attempt] = trials_of(self.design, slot, attempt)
        return self._trials[slot, attempt]

    def practice(self, person: Participant) -> tuple[Trial, ...]:
        """The trials before the first that counts."""
        return practice_of(self.design, person.slot, person.attempt)

    def real_on_left(self, person: Participant) -> bool:
        """Whether the left key and button mean "real"."""
        return real_on_left(self.design, person.slot)

    def _find(self, rows: sql.Connection, code: str) -> Participant | None:
        wanted = (PEOPLE.c.code_sha256 == _hash(code)) & (PEOPLE.c.study == self.study)
        person = rows.execute(sql.select(PEOPLE).where(wanted)).first()
        if person is None:
            return None
        answered = (ANSWERS.c.person == person.id) & ANSWERS.c.said_real.is_not(None)
        wanted_answers = sql.select(ANSWERS.c.place, ANSWERS.c.said_real).where(answered)
        given = {row.place: bool(row.said_real) for row in rows.execute(wanted_answers)}
        trials = self.trials(person.slot, person.attempt)
        faces = [trial for trial in trials if not trial.catch and trial.place in given]
        right = sum(given[trial.place] == trial.real for trial in faces)
        place = next((trial.place for trial in trials if trial.place not in given), len(trials))
        return Participant(person.id, person.slot, person.attempt, person.finished, place, right, len(faces))

    def _free_slot(self, rows: sql.Connection) -> tuple[int, int]:
        """The lowest slot without somebody who finished or was here lately, and how often it was given before."""
        held: set[int] = set()
        attempts: dict[int, int] = {}
        fresh = self._clock() - STALE_SECONDS - HOUR_SECONDS  # times are kept to the hour
        for person in rows.execute(sql.select(PEOPLE).where(PEOPLE.c.study == self.study)):
            attempts[person.slot] = max(attempts.get(person.slot, -1), person.attempt)
            if person.finished or person.seen_at_seconds > fresh:
                held.add(person.slot)
        slot = next(number for number in range(len(held) + 1) if number not in held)
        return slot, attempts.get(slot, -1) + 1

    def _touch(self, rows: sql.Connection, person: Participant) -> None:
        rows.execute(sql.update(PEOPLE).where(PEOPLE.c.id == person.id).values(seen_at_seconds=self._hour()))

    def _hour(self) -> float:
        """Now, to the hour: enough to know whether somebody left."""
        return float(self._clock() // HOUR_SECONDS * HOUR_SECONDS)


def new_code() -> str:
    """For example K7QM-2XPD-9RTA-W4HC."""
    signs = "".join(secrets.choice(ALPHABET) for _ in range(CODE_SIGNS))
    return "-".join(signs[at : at + CODE_GROUP] for at in range(0, CODE_SIGNS, CODE_GROUP))


def tidy(code: str) -> str:
    """A code as people type it: lower case, blanks, no hyphens."""
    signs = "".join(sign for sign in code.upper() if sign in ALPHABET)[:CODE_SIGNS]
    return "-".join(signs[at : at + CODE_GROUP] for at in range(0, len(signs), CODE_GROUP))


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()


def _answer(row: Any, trials: tuple[Trial, ...]) -> Answer:
    return Answer(
        trials[row.place],
        bool(row.said_real),
        float(row.reaction_ms),
        row.exposed_ms,
        row.shown,
        bool(row.interrupted),
        row.way,
    )
