"""A study as people take part in it: Chromium before `mien study run`, keys alone, then a phone; killed and resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql
from study_tiny import write_folder
from test_study_cli import running
from typer.testing import Result

from mien.core.database import open_store
from mien.evaluation.study.assignment import real_on_left, trials_of
from mien.evaluation.study.design import ANSWERS_FILE, Design
from mien.pipelines.study_answers import ANSWERS, SCHEMA, AnswerStore

WAIT_SECONDS = 120  # a busy machine is no failure
READY = "#left:not([disabled]), #over-go:visible"


@pytest.fixture
def study(tmp_path: Path, cli_here: Callable[..., Result]) -> Path:
    """A frozen study: 4 faces and 2 catch trials, 2 for practice, each face for 150 ms."""
    options = ("--pictures", 4, "--trials", 4, "--practice", 2, "--catch", 2, "--exposure-ms", 150, "--seed", 3)
    real, model = write_folder(tmp_path / "r", 12, seed=1), write_folder(tmp_path / "m", 12, seed=2)
    made = cli_here("study", "make", tmp_path / "out", "--real", real, "--model", f"m={model}", *options)
    assert made.exit_code == 0, made.exception
    return tmp_path / "out"


def page_of(browser: Any, problems: list[str], **options: Any) -> Any:
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(WAIT_SECONDS * 1000)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    return page


def count(page: Any) -> str:
    return str(page.locator("#count").inner_text())


@pytest.mark.browser
@pytest.mark.slow
def test_with_keys_alone_and_a_killed_server(study: Path, browser: Any) -> None:
    design, problems = Design.load(study), list[str]()
    trials, left = trials_of(design, 0), real_on_left(design, 0)

    def key_for(real: bool) -> str:
        return "f" if real == left else "j"

    with running(study) as (address, process):
        page = page_of(browser, problems)
        page.goto(address)
        page.locator("input[name=agree]").focus()
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        page.wait_for_url("**/ready")
        page.wait_for_selector("#go:focus")  # the way on has the focus
        page.keyboard.press("Enter")
        page.wait_for_url("**/trials")
        for _ in range(2):
            page.wait_for_selector("#left:not([disabled])")
            page.keyboard.press("ArrowLeft")
            page.wait_for_selector("#say:not(:empty)")
            page.wait_for_selector("#say:empty", state="attached")
        page.wait_for_selector("#over-go:visible")
        page.keyboard.press("Enter")
        for trial in trials[:3]:
            page.wait_for_selector("#left:not([disabled])")
            assert count(page) == f"{trial.place + 1} of {design.places}"
            page.wait_for_timeout(300)  # longer than the face is shown
            page.keyboard.press(key_for(trial.real))
            page.wait_for_selector("#left[disabled]")
        page.wait_for_selector("#left:not([disabled])")
        assert count(page) == f"4 of {design.places}"
        assert not problems
        process.kill()
        process.wait(WAIT_SECONDS)
    with running(study) as (address, _):
        # Another port, so that the cookie (which knows no ports) is the same participant's.
        page.goto(address)
        page.wait_for_url("**/ready")
        assert f"3 of {design.places} pictures are done" in page.inner_text("main")
        page.wait_for_selector("#go:focus")
        page.keyboard.press("Enter")
        problems.clear()  # what the page said of the server that was killed
        for trial in trials[3:]:
            page.wait_for_selector("#left:not([disabled])")
            assert count(page) == f"{trial.place + 1} of {design.places}"
            page.wait_for_timeout(300)
            page.keyboard.press(key_for(trial.real))
            page.wait_for_selector("#left[disabled]", state="attached") if trial is not trials[-1] else None
        page.wait_for_url("**/done")
        assert "100 %" in page.inner_text("main")
        assert not problems
    store = open_store(study / ANSWERS_FILE, SCHEMA)
    (session,) = AnswerStore(store, design).sessions()
    assert session.finished
    assert all(one.right and one.by == "key" for one in session.answers)
    assert [one.shown for one in session.answers] == [1, 1, 1, 2, 1, 1]  # the fourth was on the screen when it died
    for one in session.answers:
        assert 0 < one.reaction_ms < WAIT_SECONDS * 1000
        if one.trial.kind != "card":  # shown for 150 ms, as exactly as a busy machine can
            assert one.exposed_ms is not None
            assert 120 < one.exposed_ms <= one.reaction_ms
    store.close()


@pytest.mark.browser
@pytest.mark.slow
def test_on_a_phone_and_withdrawn(study: Path, browser: Any) -> None:
    problems: list[str] = []
    with running(study) as (address, _):
        page = page_of(
            browser,
            problems,
            viewport={"width": 390, "height": 664},
            has_touch=True,
            is_mobile=True,
            device_scale_factor=2,
        )
        page.goto(address)
        page.tap("text=Begin")  # without the tick the browser does not let it go
        assert page.url.rstrip("/") == address
        page.tap("input[name=agree]")
        page.tap("text=Begin")
        page.wait_for_url("**/ready")
        page.tap("#go")
        page.wait_for_selector("#left:not([disabled])")
        for name in ("#face", "#left", "#right"):  # all of it on the screen, large enough for thumbs
            box = page.locator(name).bounding_box()
            assert box["x"] >= 0
            assert box["y"] >= 0
            assert box["x"] + box["width"] <= 390
            assert box["y"] + box["height"] <= 664
            assert box["height"] >= 80
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
        for _ in range(2):
            page.wait_for_selector("#left:not([disabled])")
            page.tap("#right")
            page.wait_for_selector("#say:not(:empty)")
            page.wait_for_selector("#say:empty", state="attached")
        page.tap("#over-go")
        page.wait_for_selector("#left:not([disabled])")
        page.tap("#right")
        page.wait_for_selector("text=2 of 6")
        page.tap("#stop")
        page.wait_for_url("**/withdraw")
        page.tap("text=Delete my answers")
        page.wait_for_selector("text=Your answers are deleted")
        page.goto(f"{address}/trials")
        assert "Before you agree" in page.inner_text("main")
        assert not problems
    store = open_store(study / ANSWERS_FILE, SCHEMA)
    book = AnswerStore(store, Design.load(study))
    assert (book.sessions(), book.withdrawn()) == ([], 1)
    with store.reading() as rows:
        assert rows.scalar(sql.select(sql.func.count()).select_from(ANSWERS)) == 0
    store.close()
