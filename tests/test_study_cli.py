"""`mien study` as it is typed: made, taken part in over HTTP, killed in the middle, gone on with, reported."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from study_tiny import write_folder
from typer.testing import Result

from mien.core.errors import MienError
from mien.evaluation.study.assignment import trials_of
from mien.evaluation.study.design import Design
from mien.pipelines.study import open_answers

Run = Callable[..., Result]
WAIT_SECONDS = 120  # a busy machine is no failure
SMALL = ("--pictures", 6, "--trials", 8, "--practice", 2, "--catch", 2, "--catch-misses", 0, "--seed", 5)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, ...]:
    """Options that name photographs and the faces of two models."""
    real = write_folder(tmp_path / "photographs", 20, seed=1)
    models = [f"{name}={write_folder(tmp_path / name, 12, seed=seed)}" for name, seed in (("mien", 2), ("peer", 3))]
    return ("--real", str(real), "--model", models[0], "--model", models[1])


@contextmanager
def running(study: Path, *options: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`mien study run` until the block ends; its address."""
    words = [sys.executable, "-m", "mien", "study", "run", str(study), "--port", "0", *map(str, options)]
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
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_SECONDS)


def test_made_run_killed_gone_on_with_and_reported(folders: tuple[str, ...], tmp_path: Path, cli_here: Run) -> None:
    out = tmp_path / "study"
    made = cli_here("study", "make", out, *folders, *SMALL, "--title", "Which are real?")
    assert made.exit_code == 0, made.exception
    assert "peer: 6 pictures" in made.output
    design = Design.load(out)

    def answer(client: httpx.Client, slot: int, places: range) -> None:
        for trial in trials_of(design, slot)[places.start : places.stop]:
            shown = client.post("/api/show", json={"place": trial.place}).raise_for_status().json()
            assert shown["place"] == trial.place
            said = "real" if trial.real or (trial.place % 3 == 0 and not trial.catch) else "generated"
            body = {"place": trial.place, "said": said, "reaction_ms": 700.0 + 10 * trial.place}
            client.post("/api/answer", json=body).raise_for_status()

    cookies: list[httpx.Cookies] = []
    with running(out) as (address, process):
        for slot in range(2):
            with httpx.Client(base_url=address, timeout=WAIT_SECONDS) as client:
                assert "Which are real?" in client.get("/").text
                client.post("/begin", data={"agree": "yes"})
                answer(client, slot, range(4 + slot))
                cookies.append(client.cookies)
        process.kill()
        process.wait(WAIT_SECONDS)
    with running(out) as (address, process):
        for slot in range(2):
            with httpx.Client(base_url=address, cookies=cookies[slot], timeout=WAIT_SECONDS) as client:
                page = client.get("/ready").text
                assert f"{4 + slot} of {design.places} pictures are done" in page
                answer(client, slot, range(4 + slot, design.places))
                assert client.get("/").headers["location"] == "/done"
        with httpx.Client(base_url=address, timeout=WAIT_SECONDS) as client:
            client.post("/begin", data={"agree": "yes"})
            answer(client, 2, range(1))
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_SECONDS) in (0, -signal.SIGTERM)

    told = cli_here("study", "report", out, "--out", tmp_path / "report")
    assert told.exit_code == 0, told.exception
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["title"] == "Which are real?"
    figures = {(figure["label"], figure["subject"]): figure for figure in report["figures"]}
    assert figures["judged real", "real"]["value"] == 1.0
    assert figures["judged real", "real"]["n"] == 8
    trials = [trial for slot in range(2) for trial in trials_of(design, slot)]
    for model in ("mien", "peer"):
        faces = [trial for trial in trials if trial.source == model and not trial.catch]
        expected = sum(trial.place % 3 == 0 for trial in faces) / len(faces)
        assert figures["judged real", model]["value"] == pytest.approx(expected)
        assert figures["judged real", model]["low"] <= expected <= figures["judged real", model]["high"]
    flow = report["sections"][0]["tables"][0]["rows"]
    assert [row[1] for row in flow] == [3, 0, 1, 0, 2]
    page = (tmp_path / "report" / "report.html").read_text()
    for part in report["sections"]:
        for picture in part["pictures"]:
            assert (tmp_path / "report" / picture["file"]).is_file()
            assert picture["file"] in page
    refused = cli_here("study", "make", out, *folders, *SMALL, "--force")
    assert "holds answers of people" in str(refused.exception)


def test_simulated_answers_never_pass_for_real_ones(folders: tuple[str, ...], tmp_path: Path, cli_here: Run) -> None:
    out, store = tmp_path / "study", tmp_path / "made-up.sqlite"
    assert cli_here("study", "make", out, *folders, *SMALL).exit_code == 0
    told = cli_here(
        "study",
        "simulate",
        out,
        "--store",
        store,
        "--people",
        30,
        "--sensitivity",
        "mien=0.2",
        "--sensitivity",
        "peer=3",
    )
    assert told.exit_code == 0, told.exception
    assert re.search(r"peer: d' 2\.\d+, \d+\.\d % judged real", told.output)
    report = cli_here("study", "report", out, "--store", store, "--out", tmp_path / "report")
    assert report.exit_code == 0, report.exception
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    assert found["title"].startswith("Simulated: ")
    figures = {(figure["label"], figure["subject"]): figure["value"] for figure in found["figures"]}
    assert figures["d' (0: cannot be told apart)", "peer"] > 1.2 > figures["d' (0: cannot be told apart)", "mien"]
    assert figures["judged real", "peer"] < figures["judged real", "mien"]
    refused = cli_here("study", "run", out, "--store", store)
    assert "holds simulated participants" in str(refused.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("make", "OUT", "--model", "mien"), "--model: 'mien' given; wanted NAME=DIR"),
        (("make", "OUT", "--trials", 9), "--trials: 9 given; allowed are multiples of 4"),
        (("make", "OUT", "--background", "blue"), "--background: 'blue' given; allowed: whole, oval"),
        (("make", "OUT", "--catch-misses", 8), "--catch-misses: 8 given"),
        (("make", "OUT", "--real", "nowhere"), "nowhere: no such directory"),
        (("make", "OUT", "--source", "lfw"), "is no prepared dataset; only those have sources"),
        (("make", "OUT", "--consent", "nowhere.txt"), "--consent: nowhere.txt is not a text file"),
        (("run", "OUT"), "no study (study.json is not there)"),
        (("run", "OUT", "--new-key", "anna"), "--new-key: --keys not given"),
        (("report", "OUT", "--out", "r"), "no study"),
    ],
)
def test_wrong_requests_are_told_in_a_line(
    words: tuple[object, ...], said: str, folders: tuple[str, ...], tmp_path: Path, cli_here: Run
) -> None:
    given = [str(tmp_path / "study") if word == "OUT" else word for word in words]
    if words[0] == "make":
        given += [word for word in folders if "--real" not in words or word not in folders[:2]]
    result = cli_here("study", *given)
    assert isinstance(result.exception, MienError)
    assert said in str(result.exception)
    assert "\n" not in str(result.exception)
    assert result.exception.exit_status == 2
    assert not (tmp_path / "study" / "study.json").exists()


def test_too_few_answers_and_open_doors_are_refused(folders: tuple[str, ...], tmp_path: Path, cli_here: Run) -> None:
    out = tmp_path / "study"
    assert cli_here("study", "make", out, *folders, *SMALL).exit_code == 0
    again = cli_here("study", "make", out, *folders, *SMALL)
    assert "holds a study already" in str(again.exception)
    assert "no such store" in str(cli_here("study", "report", out, "--out", tmp_path / "r").exception)
    exposed = cli_here("study", "run", out, "--host", "0.0.0.0", "--port", 0)
    assert "--host: 0.0.0.0 can be reached by others, which needs --keys FILE" in str(exposed.exception)
    open_answers(out).store.close()  # as the first start does
    few = cli_here("study", "report", out, "--out", tmp_path / "r")
    assert "0 participants whose answers count (0 began" in str(few.exception)
    assert not (tmp_path / "r").exists()
