"""Which reviewer gets which face, and what is written down: the queue of a review, without any page.

A face is shown to one reviewer at a time: the claim. A claim ends with a decision, with a skip, or by itself after a
while, so that nobody who went home holds a face. Everything is written in transactions that never overlap, in whatever
process they are, so no face is given twice and none decided twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sql

from mien.core.database import Store
from mien.core.errors import MienError
from mien.datasets.corrections_store import CLAIMS, DECISIONS, SKIPPED
from mien.datasets.decisions import Decision, Value

CLAIM_SECONDS = 600
LOOKED_UP = 500  # faces of the queue that are looked up at a time


class TakenError(MienError):
    """Somebody else looks at this face, or has decided on it, since the claim ended."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A browser and the person before it: ``id`` is the browser's (one person may use two), ``name`` the person's."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ReviewProgress:
    """How far the review is."""

    faces: int  # of the queue
    decided: int  # of the queue
    counts: Mapping[str, int]  # verdict -> decisions that stand, all faces of the dataset
    mine: int  # of them by this person
    others: tuple[str, ...]  # people who look at a face now, without this reviewer


class ReviewQueue:
    """The queue of one dataset. ``queue`` are the ids of its faces, the most suspicious first."""

    def __init__(
        self,
        store: Store,
        dataset: str,
        queue: Sequence[str],
        *,
        claim_seconds: float = CLAIM_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._dataset, self._claim_seconds, self._clock = store, dataset, claim_seconds, clock
        self.queue = tuple(queue)
        self._place = {face: place for place, face in enumerate(self.queue)}

    def next(self, reviewer: Reviewer) -> str | None:
        """The face before this reviewer: the one that is held, else the first that is free. None: nothing is left."""
        with self._store.writing() as rows:
            now = self._clock()
            held = rows.execute(
                sql.select(CLAIMS.c.face).where(self._here(CLAIMS), CLAIMS.c.seat == reviewer.id)
            ).scalar_one_or_none()
            face = held if held in self._place and not self._unavailable(rows, [str(held)], reviewer, now) else None
            if face is None:
                face = self._first_free(rows, reviewer, now)
            self._claim(rows, reviewer, face, now)
            return face

    def decide(self, reviewer: Reviewer, decision: Decision) -> None:
        """Write a decision down. ``TakenError`` where the face is somebody else's by now."""
        self._write(reviewer, decision.face, decision.sha256, decision.verdict, decision.changes)

    def skip(self, reviewer: Reviewer, face: str) -> None:
        """Put a face off: this reviewer does not see it again, others do."""
        self._write(reviewer, face, None, SKIPPED, {})

    def undo(self, reviewer: Reviewer) -> str | None:
        """Take back the last thing that this reviewer said and give it that face again; None: there is nothing left."""
        with self._store.writing() as rows:
            now = self._clock()
            last = rows.execute(
                sql.select(DECISIONS.c.id, DECISIONS.c.face)
                .where(self._here(DECISIONS), DECISIONS.c.seat == reviewer.id, DECISIONS.c.undone_seconds.is_(None))
                .order_by(DECISIONS.c.id.desc())
                .limit(1)
            ).first()
            if last is None:
                return None
            rows.execute(sql.update(DECISIONS).where(DECISIONS.c.id == last.id).values(undone_seconds=now))
            if self._unavailable(rows, [last.face], reviewer, now):  # it was a skip, and somebody else has the face
                return str(last.face)
            self._claim(rows, reviewer, last.face, now)
            return str(last.face)

    def retire(self, pictures: Mapping[str, str | None]) -> int:
        """Undo decisions on pictures that are others by now (face -> SHA-256 of its file); how many there were."""
        stands = sql.and_(self._here(DECISIONS), DECISIONS.c.undone_seconds.is_(None), DECISIONS.c.verdict != SKIPPED)
        with self._store.writing() as rows:
            found = rows.execute(sql.select(DECISIONS.c.id, DECISIONS.c.face, DECISIONS.c.sha256).where(stands)).all()
            old = [row.id for row in found if row.face in pictures and pictures[row.face] != row.sha256]
            for start in range(0, len(old), LOOKED_UP):
                part = DECISIONS.c.id.in_(old[start : start + LOOKED_UP])
                rows.execute(sql.update(DECISIONS).where(part).values(undone_seconds=self._clock()))
        return len(old)

    def leave(self, reviewer: Reviewer) -> None:
        """Give back what this reviewer holds."""
        with self._store.writing() as rows:
            rows.execute(sql.delete(CLAIMS).where(self._here(CLAIMS), CLAIMS.c.seat == reviewer.id))

    def progress(self, reviewer: Reviewer) -> ReviewProgress:
        """How far the review is, as this reviewer sees it."""
        stands = sql.and_(self._here(DECISIONS), DECISIONS.c.undone_seconds.is_(None), DECISIONS.c.verdict != SKIPPED)
        live = sql.and_(self._here(CLAIMS), CLAIMS.c.until_seconds > self._clock(), CLAIMS.c.seat != reviewer.id)
        with self._store.reading() as rows:
            found = rows.execute(
                sql.select(DECISIONS.c.face, DECISIONS.c.verdict, DECISIONS.c.name).where(stands)
            ).all()
            others = rows.execute(sql.select(CLAIMS.c.name).where(live)).scalars().all()
        counts: dict[str, int] = {}
        for row in found:
            counts[row.verdict] = counts.get(row.verdict, 0) + 1
        return ReviewProgress(
            len(self.queue),
            sum(row.face in self._place for row in found),
            counts,
            sum(row.name == reviewer.name for row in found),
            tuple(sorted(others)),
        )

    def _here(self, table: sql.Table) -> sql.ColumnElement[bool]:
        return table.c.dataset == self._dataset

    def _first_free(self, rows: sql.Connection, reviewer: Reviewer, now: float) -> str | None:
        for start in range(0, len(self.queue), LOOKED_UP):
            part = self.queue[start : start + LOOKED_UP]
            taken = self._unavailable(rows, part, reviewer, now)
            free = next((face for face in part if face not in taken), None)
            if free is not None:
                return free
        return None

    def _unavailable(
        self, rows: sql.Connection, faces: Sequence[str], reviewer: Reviewer, now: float, *, skips: bool = True
    ) -> set[str]:
        """Which of ``faces`` are decided, held by another reviewer, or (``skips``) were put off by this one."""
        put_off = sql.and_(DECISIONS.c.verdict == SKIPPED, DECISIONS.c.seat == reviewer.id, sql.literal(skips))
        said = sql.select(DECISIONS.c.face).where(
            self._here(DECISIONS),
            DECISIONS.c.face.in_(faces),
            DECISIONS.c.undone_seconds.is_(None),
            sql.or_(DECISIONS.c.verdict != SKIPPED, put_off),
        )
        held = sql.select(CLAIMS.c.face).where(
            self._here(CLAIMS), CLAIMS.c.face.in_(faces), CLAIMS.c.seat != reviewer.id, CLAIMS.c.until_seconds > now
        )
        return {*rows.execute(said).scalars(), *rows.execute(held).scalars()}

    def _claim(self, rows: sql.Connection, reviewer: Reviewer, face: str | None, now: float) -> None:
        """This reviewer holds ``face`` and nothing else."""
        mine = CLAIMS.c.seat == reviewer.id
        rows.execute(sql.delete(CLAIMS).where(self._here(CLAIMS), sql.or_(mine, CLAIMS.c.face == (face or ""))))
        if face is not None:
            rows.execute(
                sql.insert(CLAIMS).values(
                    dataset=self._dataset, face=face, seat=reviewer.id, name=reviewer.name,
                    until_seconds=now + self._claim_seconds,
                )
            )  # fmt: skip

    def _write(
        self, reviewer: Reviewer, face: str, sha256: str | None, verdict: str, changes: Mapping[str, Value]
    ) -> None:
        with self._store.writing() as rows:
            now = self._clock()
            # A claim that ended is still good for a decision, as long as nobody else took the face.
            if self._unavailable(rows, [face], reviewer, now, skips=False):
                raise TakenError(
                    f"{face}: somebody else has this face by now, or it is decided; your answer is not kept"
                )
            rows.execute(
                sql.insert(DECISIONS).values(
                    dataset=self._dataset, face=face, sha256=sha256, verdict=verdict, changes=dict(changes),
                    seat=reviewer.id, name=reviewer.name, at_seconds=now,
                )
            )  # fmt: skip
            rows.execute(sql.delete(CLAIMS).where(self._here(CLAIMS), CLAIMS.c.face == face))
