"""The store of rows: both databases keep the same promises, and say in one line what they do not accept."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
import sqlalchemy as sql

from mien.core.database import Schema, address, open_store
from mien.core.errors import RequestError, StoreError

TABLES = sql.MetaData()
COUNTS = sql.Table(
    "trial_counts", TABLES, sql.Column("name", sql.String(20), primary_key=True), sql.Column("n", sql.Integer)
)
TRIAL = Schema("trial", 1, TABLES)


@pytest.fixture
def where(empty_store: str, tmp_path: Path) -> str:
    """An empty store of each kind; the file's folder is not there yet."""
    return empty_store if "://" in empty_store else str(tmp_path / "deep" / "trial.sqlite")


def read(where: str, name: str = "a") -> int | None:
    store = open_store(where, TRIAL, make=False)
    with store.reading() as rows:
        found = rows.scalar(sql.select(COUNTS.c.n).where(COUNTS.c.name == name))
    store.close()
    return found


def test_what_a_block_wrote_stays_and_what_a_failed_block_wrote_does_not(where: str) -> None:
    store = open_store(where, TRIAL)
    with store.writing() as rows:
        rows.execute(sql.insert(COUNTS).values(name="a", n=1))
    with pytest.raises(ZeroDivisionError), store.writing() as rows:
        rows.execute(sql.update(COUNTS).values(n=2 // (rows.execute(sql.delete(COUNTS)).rowcount - 1)))
    assert read(where) == 1
    with pytest.raises(StoreError, match=r"(?i)unique|duplicate") as told, store.writing() as rows:
        rows.execute(sql.insert(COUNTS).values(name="a", n=3))
    assert "\n" not in str(told.value)
    assert read(where) == 1
    store.close()


def add_many(where: str, times: int) -> None:
    store = open_store(where, TRIAL)
    for _ in range(times):
        with store.writing() as rows:
            n = rows.scalar(sql.select(COUNTS.c.n).where(COUNTS.c.name == "a"))
            if n is None:
                rows.execute(sql.insert(COUNTS).values(name="a", n=1))
            else:
                rows.execute(sql.update(COUNTS).values(n=n + 1))
    store.close()


def test_processes_that_open_and_count_at_once_lose_nothing(where: str) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_many, args=(where, 25)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert read(where) == 100


def test_threads_of_one_store_lose_nothing(where: str) -> None:
    open_store(where, TRIAL).close()
    threads = [threading.Thread(target=add_many, args=(where, 20)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert read(where) == 80


def test_a_killed_process_loses_only_what_it_had_not_ended(where: str) -> None:
    script = """
        import os, signal, sys
        sys.path.insert(0, sys.argv[2])
        import sqlalchemy as sql
        from test_ground_store import COUNTS, TRIAL, open_store
        store = open_store(sys.argv[1], TRIAL)
        with store.writing() as rows:
            rows.execute(sql.insert(COUNTS).values(name="a", n=1))
        with store.writing() as rows:
            rows.execute(sql.insert(COUNTS).values(name="b", n=1))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    words = [sys.executable, "-c", textwrap.dedent(script), where, str(Path(__file__).parent)]
    assert subprocess.run(words, check=False).returncode == -9
    assert (read(where, "a"), read(where, "b")) == (1, None)


def test_a_reader_does_not_wait_for_a_writer(where: str) -> None:
    store = open_store(where, TRIAL)
    with store.writing() as rows:
        rows.execute(sql.insert(COUNTS).values(name="a", n=1))
        assert read(where) is None
    assert read(where) == 1
    store.close()


def test_tables_of_another_version_are_refused_and_two_rooms_share_a_store(where: str) -> None:
    open_store(where, TRIAL).close()
    with pytest.raises(StoreError, match="holds version 1 of the tables of 'trial', this mien reads version 2"):
        open_store(where, Schema("trial", 2, TABLES))
    others = sql.MetaData()
    sql.Table("other_rows", others, sql.Column("id", sql.Integer, primary_key=True))
    with pytest.raises(StoreError, match="holds no tables of 'other'"):
        open_store(where, Schema("other", 1, others), make=False)
    open_store(where, Schema("other", 1, others)).close()
    open_store(where, TRIAL, make=False).close()


def test_what_is_no_store_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        open_store(tmp_path / "absent.sqlite", TRIAL, make=False)
    (tmp_path / "text.sqlite").write_text("no database at all" * 100)
    with pytest.raises(StoreError, match="not a database"):
        open_store(tmp_path / "text.sqlite", TRIAL)
    with pytest.raises(StoreError) as told:
        open_store("postgresql://someone:secret@127.0.0.1:9/none", TRIAL)
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "wrong",
    ["mysql://a:secret@b/c", "sqlite://", "sqlite:///:memory:", "postgresql+asyncpg://a/b", "postgresql://a", "://", "x y://"],
)  # fmt: skip
def test_addresses_of_another_form_are_refused(wrong: str) -> None:
    with pytest.raises(
        RequestError, match=r"--store: .*allowed: a file NAME\.sqlite, sqlite:///FILE or postgresql"
    ) as told:
        address(wrong)
    assert "secret" not in str(told.value)


def test_addresses_name_their_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert address("a.sqlite") == address("sqlite:///a.sqlite") == address(tmp_path / "a.sqlite")
    assert address("postgresql://a:b@c/d").render_as_string(hide_password=False) == "postgresql+psycopg://a:b@c/d"


def test_a_store_in_a_folder_that_cannot_be_written_is_read_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_many(str(tmp_path / "a.sqlite"), 3)
    monkeypatch.setattr("mien.core.database.os.access", lambda path, mode: False)  # root may write everywhere
    store = open_store(tmp_path / "a.sqlite", TRIAL, make=False)
    with store.reading() as rows:
        assert rows.scalar(sql.select(COUNTS.c.n)) == 3
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.sqlite"]
    with pytest.raises(StoreError, match="readonly"), store.writing() as rows:
        rows.execute(sql.update(COUNTS).values(n=4))
    store.close()
