"""Rows that people make, by the hand of several at once: SQLite in a file, or PostgreSQL by URL (SQLAlchemy 2).

A room that keeps such rows declares its own tables, under names that begin with its own, and opens a store with them::

    TABLES = MetaData()
    ANSWERS = Table("study_answers", TABLES, Column("id", Integer, primary_key=True), Column("at_seconds", Double))
    SCHEMA = Schema("study", version=1, tables=TABLES)

    store = open_store(folder / "study.sqlite", SCHEMA)  # or "postgresql+psycopg://name@host/database"
    with store.writing() as rows:
        rows.execute(insert(ANSWERS).values(at_seconds=time.time()))
    with store.reading() as rows:
        n = rows.scalar(select(func.count()).select_from(ANSWERS))

``open_store`` makes what tables are not there and writes the schema's version down; a store of another version is
refused. Change of tables: raise ``version`` and say how the old rows get there. What one may rely on, in both kinds:

- a ``writing`` block is a transaction, and those of one schema happen one after another, in whatever process they are:
  what such a block reads stays true until it ends (SQLite: BEGIN IMMEDIATE; PostgreSQL: its row of ``mien_schemas``);
- when it has ended, its rows survive the end of the process and of the machine (SQLite: WAL, synchronous FULL);
- when it raises, none of its rows stay. Whatever the database says becomes a ``StoreError`` of one line.

Keep times as seconds since 1970 (``Double``) and lists as JSON: both databases have those.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.core.errors import RequestError, StoreError

try:
    import sqlalchemy as sql
    from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError
except ImportError as _error:
    raise RequestError(f"store: {_error.name} is not installed; run: pip install 'mien[store]'") from _error

WAIT_SECONDS = 15  # for another writer
POSTGRES = {"connect_timeout": 10, "options": f"-c lock_timeout={WAIT_SECONDS}s"}
FORMS = "a file NAME.sqlite, sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"

_VERSIONS = sql.MetaData()
VERSIONS = sql.Table(
    "mien_schemas",
    _VERSIONS,
    sql.Column("name", sql.String(64), primary_key=True),
    sql.Column("version", sql.Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one room: their names begin with ``name``; ``version`` counts their forms from 1."""

    name: str
    version: int
    tables: sql.MetaData


class Store:
    """An open store. Threads share it; each block below takes a connection of its own."""

    def __init__(self, engine: sql.Engine, schema: Schema) -> None:
        self._engine, self._schema = engine, schema
        self.address = shown(engine.url)  # for messages: without the password

    @contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """A transaction that sees the rows as they are now and waits for no writer."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sql.Connection]:
        """A transaction that no other ``writing`` of this schema overlaps; kept when the block ends well."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            connection.execute(sql.select(VERSIONS).where(VERSIONS.c.name == self._schema.name).with_for_update())
            yield connection

    def close(self) -> None:
        """Give the connections back; the last one to leave an SQLite file folds its log into it."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sql.Connection]:
        with (
            _translated(self.address),
            self._engine.connect() as connection,
            connection.execution_options(mien_begin=begin).begin(),
        ):
            yield connection


def open_store(where: str | os.PathLike[str], schema: Schema, *, make: bool = True, option: str = "--store") -> Store:
    """The store at a path (SQLite) or URL, with the tables of ``schema`` in it.

    ``make`` False opens only what is there, and reads an SQLite file where nothing may be written. ``option`` names
    the asker in messages. ``RequestError``: an address of another form, or a driver that is not installed.
    ``StoreError``: the database does not answer, or holds another version of these tables.
    """
    url = address(where, option=option)
    store = Store(_engine(url, make=make), schema)
    try:
        _ensure_schema(store, schema, make=make)
    except BaseException:
        store.close()
        raise
    return store


def address(where: str | os.PathLike[str], *, option: str = "--store") -> sql.URL:
    """A path or URL as a URL that names its driver. ``RequestError`` for other databases, and for one in memory."""
    text = os.fspath(where)
    if "://" not in text:
        return sql.URL.create("sqlite+pysqlite", database=str(Path(text).expanduser().absolute()))
    try:
        url = sql.make_url(text)
    except (ArgumentError, ValueError) as error:  # the text may hold a password: it is not repeated
        raise RequestError(f"{option}: not an address that can be read; allowed: {FORMS}") from error
    kind = url.get_backend_name()
    if kind == "postgresql" and url.drivername in ("postgresql", "postgresql+psycopg") and url.database:
        return url.set(drivername="postgresql+psycopg")
    if kind == "sqlite" and url.drivername in ("sqlite", "sqlite+pysqlite") and url.database not in (None, ":memory:"):
        return url.set(drivername="sqlite+pysqlite", database=str(Path(str(url.database)).absolute()), query={})
    raise RequestError(f"{option}: '{shown(url)}' given; allowed: {FORMS}")


def without_password(url: sql.URL) -> str:
    """An address that may be written down and opened again (PostgreSQL asks PGPASSWORD or ~/.pgpass)."""
    return sql.URL.create(
        url.drivername, url.username, None, url.host, url.port, url.database, url.query
    ).render_as_string()


def shown(url: sql.URL) -> str:
    """An address for people: a path for SQLite, else the URL with the password taken out."""
    if url.get_backend_name() == "sqlite" and url.database:
        return url.database.removeprefix("file:").partition("?")[0]
    return url.render_as_string(hide_password=True)


def _engine(url: sql.URL, *, make: bool) -> sql.Engine:
    if url.get_backend_name() == "postgresql":
        try:
            return sql.create_engine(url, pool_pre_ping=True, connect_args=POSTGRES)
        except ImportError as error:
            raise RequestError("--store: PostgreSQL needs psycopg; run: pip install 'mien[postgres]'") from error
    path = Path(str(url.database))
    if make:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.is_file():
        raise StoreError(f"{path}: no such store")
    elif not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists():
        # Readers of a WAL file write beside it; where they cannot, nobody else can, and it stands still.
        url = url.set(database=f"file:{path}", query={"immutable": "1", "mode": "ro", "uri": "true"})
    engine = sql.create_engine(url, connect_args={"timeout": WAIT_SECONDS})

    @sql.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself: see `begin`
        if "immutable" not in url.query:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @sql.event.listens_for(engine, "begin")
    def begin(connection: sql.Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("mien_begin", "BEGIN"))

    return engine


def _ensure_schema(store: Store, schema: Schema, *, make: bool) -> None:
    """Make the tables that are absent, and check the version of those that are there."""
    version = _version(store, schema)
    if version is None and not make:
        raise StoreError(f"{store.address}: holds no tables of '{schema.name}'")
    if version is None:
        try:
            with store._transaction("BEGIN IMMEDIATE") as rows:
                _VERSIONS.create_all(rows)
                schema.tables.create_all(rows)
                rows.execute(sql.insert(VERSIONS).values(name=schema.name, version=schema.version))
        except StoreError:
            if _version(store, schema) is None:  # else another process was first
                raise
        version = _version(store, schema)
    if version != schema.version:
        raise StoreError(
            f"{store.address}: holds version {version} of the tables of '{schema.name}', "
            f"this mien reads version {schema.version}"
        )


def _version(store: Store, schema: Schema) -> int | None:
    with store.reading() as rows:
        known = sql.inspect(rows).has_table(VERSIONS.name)
        return rows.scalar(sql.select(VERSIONS.c.version).where(VERSIONS.c.name == schema.name)) if known else None


@contextmanager
def _translated(place: str) -> Iterator[None]:
    """What the database says, in one line."""
    try:
        yield
    except DBAPIError as error:
        raise StoreError(f"{place}: {' '.join(str(error.orig or error).split())}") from error
    except PoolTimeoutError as error:
        raise StoreError(f"{place}: too many at once; try again") from error
    except SQLAlchemyError as error:
        raise StoreError(f"{place}: {' '.join(str(error).split())}") from error
