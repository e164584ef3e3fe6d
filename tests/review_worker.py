"""One person of several processes, in a module of its own: what a spawned process imports should be light."""

from __future__ import annotations

from mien.apps.review.desk import Desk, Seat
from mien.core.database import open_store
from mien.datasets.corrections_store import SCHEMA
from mien.datasets.decisions import Decision

FACES = 24


def review_everything(where: str, seat: str, done: list[str]) -> None:
    """Accept face after face until none is left."""
    store = open_store(where, SCHEMA)
    desk = Desk(store, "d", [f"f{place}" for place in range(FACES)])
    me = Seat(seat * 20, seat)
    while (face := desk.next(me)) is not None:
        desk.decide(me, Decision(face, None, "accepted", {}))
        done.append(face)
    store.close()
