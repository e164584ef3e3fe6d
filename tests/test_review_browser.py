"""A review as a person does it: `mien data review` as a process, Chromium before it, keys alone; then a phone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import review_tiny

import mien
from mien.datasets.batches import FaceDataset

WAIT_SECONDS = 300  # a busy machine is no failure


@pytest.fixture(scope="module")
def dest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 faces that mien made, women of about 25 and men of about 60; one is called a man, one 8 years old."""
    folder = tmp_path_factory.mktemp("review") / "made"
    crowd = mien.load("crowd", preset="mien")
    faces = [
        *crowd.sample(count=8, sex="female", age=(22, 28), seed=5),
        *crowd.sample(count=8, sex="male", age=(58, 64), seed=8),
    ]
    labels: list[dict[str, object]] = [
        {"sex": f.labels.sex, "age_years": float(round(f.labels.age_years or 0))} for f in faces
    ]
    labels[2]["sex"] = "male"
    labels[12]["age_years"] = 8.0
    review_tiny.write(folder, [face.image for face in faces], labels)
    return folder


@contextmanager
def reviewing(dest: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command, until the block ends; its address."""
    words = [sys.executable, "-m", "mien", "data", "review", str(dest), "--port", "0", *options]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"}
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"{line}{process.stderr.read() if process.stderr else ''}"
        yield found[0], process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=WAIT_SECONDS)


@pytest.mark.browser
@pytest.mark.slow
def test_a_review_by_keys_survives_a_killed_server_and_fits_a_phone(dest: Path, browser: Any, tmp_path: Path) -> None:
    folder = Path(os.environ.get("MIEN_SCREENSHOTS", tmp_path))

    def page(**options: Any) -> Any:
        opened = browser.new_context(**options).new_page()
        opened.set_default_timeout(WAIT_SECONDS * 1000)
        opened.on("pageerror", lambda error: problems.append(str(error)))
        return opened

    def settled(person: Any, words: str) -> None:
        """Wait until the page that says ``words`` is whole, its script too: keys pressed before would be lost."""
        person.wait_for_selector(f"text={words}")
        person.wait_for_load_state("load")

    problems: list[str] = []
    ada = page(viewport={"width": 1280, "height": 860})
    with reviewing(dest, "--what", "sex", "--what", "age") as (address, process):
        ada.goto(address)
        ada.keyboard.type("Ada")
        ada.keyboard.press("Enter")
        settled(ada, "0 of 16 decided")
        suspects = []
        for done in range(2):  # the two wrong labels come first; the classifier is right about both
            suspects.append(ada.input_value("input[name=face]"))
            assert ada.locator("fieldset.contradicts, fieldset.disagrees").count() >= 1
            ada.screenshot(path=folder / f"review-{done}.png")
            ada.keyboard.press("t")
            settled(ada, f"{done + 1} of 16 decided")
        assert sorted(suspects) == ["made:00002.png", "made:00012.png"]
        data = FaceDataset.open(dest)
        assert data.faces[2].sex == "female"
        assert abs(float(data.faces[12].age_years or 0) - 61) < 12

        third = ada.input_value("input[name=face]")
        ada.keyboard.type("44")
        ada.keyboard.press("u")
        assert "Save the correction" in ada.inner_text("button.main")
        ada.keyboard.press("Escape")
        assert "Accept" in ada.inner_text("button.main")
        ada.keyboard.type("44")
        ada.keyboard.press("Enter")
        settled(ada, "3 of 16 decided")
        assert next(f for f in FaceDataset.open(dest).faces if f.id == third).age_years == 44
        ada.keyboard.press("z")
        settled(ada, "Taken back")
        assert ada.input_value("input[name=face]") == third
        ada.keyboard.press("r")
        settled(ada, "1 taken out")
        process.kill()
        process.wait()

    with reviewing(dest) as (address, _):
        ben = page(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
        ben.goto(address)
        ben.fill("#name", "Ben")
        ben.tap("button")
        settled(ben, "3 of 16 decided")
        assert ben.evaluate("document.documentElement.scrollWidth <= innerWidth")
        ben.fill("#age", "300")
        ben.tap("button.main")
        ben.wait_for_selector("#error")
        assert "allowed: 0 to 120" in ben.inner_text("#error")
        assert ben.get_attribute("#age", "aria-invalid") == "true"
        ben.screenshot(path=folder / "review-phone.png", full_page=True)
        ada.goto(address)
        settled(ada, "now here: Ben")
        assert ada.input_value("input[name=face]") != ben.input_value("input[name=face]")
        ada.keyboard.press("z")  # the killed server's last answer
        settled(ada, "Taken back")
        assert ada.input_value("input[name=face]") == third
    assert not problems


def test_the_command_refuses_in_one_line_what_it_cannot_do(tmp_path: Path, cli: Any) -> None:
    review_tiny.drawn(tmp_path / "d")
    (tmp_path / "text.sqlite").write_text("no database" * 100)
    for words, told in (
        ((tmp_path / "nowhere",), "no prepared dataset"),
        ((tmp_path / "d", "--what", "beauty"), "--what: 'beauty': no label; allowed: sex, age, Smiling, attributes"),
        ((tmp_path / "d", "--what", "Bald"), "--what: 'Bald': no face of this dataset has it"),
        ((tmp_path / "d", "--host", "0.0.0.0"), "--host: 0.0.0.0 can be reached by others, which needs --keys FILE"),
        (
            (tmp_path / "d", "--store", "mysql://a:hush@b/c"),
            "--store: 'mysql://a:***@b/c' given; allowed: a file NAME.sqlite",
        ),
    ):
        done = cli("data", "review", *words, timeout=WAIT_SECONDS)
        assert done.returncode == 2, done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("mien: ")
        assert told in last
        assert "hush" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["catalog.parquet", "dataset.json", "shards"]
