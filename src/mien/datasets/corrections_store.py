"""The tables of reviews, and the decisions that stand in them.

``review_decisions`` only grows: undoing marks a row. ``review_claims`` says who looks at what, and until when.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sql

from mien.core.database import Schema, Store, open_store
from mien.datasets.decisions import SQLITE, Decision, ReviewPlace

TABLES = sql.MetaData()
DECISIONS = sql.Table(
    "review_decisions",
    TABLES,
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("dataset", sql.String(32), nullable=False),
    sql.Column("face", sql.Text, nullable=False),
    sql.Column("sha256", sql.String(64)),
    sql.Column("verdict", sql.String(16), nullable=False),  # of corrections.Verdict, or "skipped": no decision at all
    sql.Column("changes", sql.JSON, nullable=False),
    sql.Column("seat", sql.String(64), nullable=False),  # the browser that said it
    sql.Column("name", sql.String(80), nullable=False),  # of the person
    sql.Column("at_seconds", sql.Double, nullable=False),
    sql.Column("undone_seconds", sql.Double),  # None: stands
    sql.Index("review_decisions_face", "dataset", "face"),
    sql.Index("review_decisions_seat", "dataset", "seat"),
    # A second decision on a face can stand only where the first was undone, whatever a program does.
    sql.Index(
        "review_decisions_once", "dataset", "face", unique=True,
        sqlite_where=sql.text("undone_seconds IS NULL AND verdict <> 'skipped'"),
        postgresql_where=sql.text("undone_seconds IS NULL AND verdict <> 'skipped'"),
    ),
)  # fmt: skip
CLAIMS = sql.Table(
    "review_claims",
    TABLES,
    sql.Column("dataset", sql.String(32), primary_key=True),
    sql.Column("face", sql.Text, primary_key=True),
    sql.Column("seat", sql.String(64), nullable=False),
    sql.Column("name", sql.String(80), nullable=False),
    sql.Column("until_seconds", sql.Double, nullable=False),
)
SCHEMA = Schema("review", 1, TABLES)
SKIPPED = "skipped"


def opened(dest: Path, place: ReviewPlace, *, make: bool, asked: str | None = None) -> Store:
    """The store of ``place`` (``asked`` is the same address, perhaps with a password)."""
    where: str | Path = dest / SQLITE if place.store == SQLITE else asked or place.store
    return open_store(where, SCHEMA, make=make)


def standing(store: Store, dataset: str) -> dict[str, Decision]:
    """Face -> the decision that stands."""
    columns = (DECISIONS.c.face, DECISIONS.c.sha256, DECISIONS.c.verdict, DECISIONS.c.changes)
    query = sql.select(*columns).where(
        DECISIONS.c.dataset == dataset, DECISIONS.c.undone_seconds.is_(None), DECISIONS.c.verdict != SKIPPED
    )
    with store.reading() as rows:
        return {row.face: Decision(row.face, row.sha256, row.verdict, row.changes) for row in rows.execute(query)}
