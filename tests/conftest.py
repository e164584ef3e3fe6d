"""What every test may ask for: the development data, the fetched networks, faces made here, and the command line.

Nothing here skips silently: a fixture that cannot be had says what is absent and how to bring it.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browsing
import hypothesis
import platformdirs
import processes
import pytest
from filelock import FileLock
from typer.testing import CliRunner, Result

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy and torch load: xdist workers that share cores must not spin

CHECKOUT = Path(__file__).resolve().parent.parent
# The eight age bins of the paper preset, which wants a face of each sex in each of them, after the split.
MADE_AGES = [(10, 19), (20, 29), (30, 39), (40, 49), (50, 59), (60, 69), (70, 79), (80, 90)]
MADE_FACES_A_BIN = 5


RERUNS = 2  # of a test in the browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: no worker is left with one when the others have ended.

    A test in the browser that waited in vain is run again, and the summary says so.
    Gradio (6.31) loses the answer of an event now and then when its stream of answers is just being closed; a page then
    waits for ever. Only such waits are run again: what is wrong on a page fails at once.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in slow)
    for item in items:
        if item.get_closest_marker("browser") is not None:
            item.add_marker(pytest.mark.flaky(reruns=RERUNS, only_rerun="Timeout.*exceeded"))


def pytest_configure(config: pytest.Config) -> None:
    """One torch thread and one OpenCV thread in the test process; the commands it starts inherit the environment."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    # Pictures are signed: with a credential of this run, not with the one of whoever runs it.
    folder = tempfile.mkdtemp(prefix="mien-tests-")
    os.environ["XDG_CONFIG_HOME"] = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    # A busy machine is no failure; CI tries the same examples every time, developers new ones.
    hypothesis.settings.register_profile("mien", deadline=None, derandomize=bool(os.environ.get("CI")))
    hypothesis.settings.load_profile("mien")


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of this checkout."""
    return CHECKOUT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development data: ``$MIEN_SHARED_DATA``, or ``shared/data`` beside the checkout; skips where absent."""
    asked = os.environ.get("MIEN_SHARED_DATA")
    folder = Path(asked) if asked else CHECKOUT.parent / "shared" / "data"
    if not (folder / "README.md").is_file():
        pytest.skip(f"development data absent: {folder} (set MIEN_SHARED_DATA to where it is)")
    return folder


@pytest.fixture(scope="session")
def models_cache() -> Path:
    """The folder of fetched networks (``$MIEN_CACHE`` or the user's cache); skips where nothing was fetched.

    With ``MIEN_REQUIRE_MODELS=1``, as ``make test`` sets it, an absent network is a failure instead.
    """
    asked = os.environ.get("MIEN_CACHE")
    folder = Path(asked) if asked else Path(platformdirs.user_cache_dir("mien"))
    if not any(folder.rglob("*.safetensors")):
        message = f"networks absent: {folder} holds none (bring them with `mien models fetch`)"
        if os.environ.get("MIEN_REQUIRE_MODELS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def made_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 80 PNG faces that mien made itself: five of each sex in each of eight age bins from 10 to 90 years.

    With them lie ``manifest.jsonl`` (``file, sex, age``) and ``labels.csv``, which the source ``folder`` reads. They
    stand in for photographs wherever a test needs a face: no photograph of a person is in the repository.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-faces"  # one for all workers
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            _make_faces(folder.with_name("faces-in-the-making")).rename(folder)
    return folder


def _make_faces(folder: Path) -> Path:
    import mien
    from mien.core.images import write_png
    from mien.core.records import Sex

    folder.mkdir(exist_ok=True)
    crowd = mien.load("crowd", preset="mien")
    rows: list[dict[str, object]] = []
    sexes: tuple[Sex, ...] = ("female", "male")
    for number, (sex, age) in enumerate(itertools.product(sexes, MADE_AGES)):
        for face in crowd.sample(count=MADE_FACES_A_BIN, sex=sex, age=age, seed=20 + number):
            name = f"{len(rows):05d}.png"
            write_png(folder / name, face.image)
            rows.append({"file": name, "sex": face.labels.sex, "age": face.labels.age_years})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"{row['file']},{row['sex']},{row['age']}" for row in rows]
    (folder / "labels.csv").write_text("\n".join(["file,sex,age", *lines]) + "\n")
    return folder


@pytest.fixture(scope="session")
def cli() -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Run the command line in a process of its own: ``cli("crowd", "--count", 4, cwd=..., env={...})``."""
    nursery = processes.Nursery()

    def run(
        *words: object, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **(env or {})}
        return nursery.run([str(word) for word in words], cwd, environment, timeout)

    yield run
    nursery.close()


@pytest.fixture(scope="session")
def command_tree() -> Any:
    """The command line as typer builds it from the functions: 0.07 s, once a session and not once a run."""
    import typer.main

    from mien.apps.cli import app

    return typer.main.get_command(app)


@pytest.fixture
def cli_here(command_tree: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command line inside the test process (fast). A ``MienError`` stands in ``result.exception``."""
    from mien.apps.cli import app

    monkeypatch.setattr("typer.testing._get_command", lambda _: command_tree)

    def run(*words: object) -> Result:
        return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, [str(word) for word in words])

    return run


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of an empty database of a PostgreSQL that runs for this session; skips (fails in CI) where there is none."""
    from postgres_live import binaries, server

    folder = binaries()
    if folder is None:
        message = "PostgreSQL absent: neither on PATH nor in /usr/lib/postgresql (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):  # .ci/run brings it
            pytest.fail(message)
        pytest.skip(message)
    pytest.importorskip("psycopg", reason="psycopg absent: pip install 'mien[postgres]'")
    with server(folder) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store of each kind is: a file's path, then a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "answers.sqlite")
    import sqlalchemy as sql

    where = str(request.getfixturevalue("postgres"))
    engine = sql.create_engine(where)
    with engine.begin() as rows:
        rows.execute(sql.text("DROP SCHEMA public CASCADE"))
        rows.execute(sql.text("CREATE SCHEMA public"))
    engine.dispose()
    return where


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium for the tests of one file (``browsing`` says what happens where there is none)."""
    with browsing.browser() as opened:
        yield opened


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., browsing.Visit]]:
    """``visit(address, **how)``: a person at a page; at the end none may have met an error or another machine."""
    visits: list[browsing.Visit] = []

    def make(address: str, **how: Any) -> browsing.Visit:
        visits.append(browsing.Visit(browser, address, **how))
        return visits[-1]

    yield make
    for one in visits:
        one.close()
    assert [one.complaints for one in visits if one.complaints] == []
    assert [one.foreign for one in visits if one.foreign] == []
