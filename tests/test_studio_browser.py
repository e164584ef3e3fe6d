"""The studio as a person uses it, in a real browser: by mouse, by keyboard alone, on a phone, beside somebody else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

from browsing import PHONE, Visit
from service_live import fake_crowd
from studio_live import held, studio

from mien.apps.web.keys import add_key
from mien.core.photos import decode_photo
from mien.provenance.reading import examine

pytestmark = [pytest.mark.browser, pytest.mark.slow]
START_SECONDS = 5.0  # of processor time: what a quiet machine takes until the page is there


@pytest.fixture(scope="module")
def discs() -> Iterator[str]:
    """A studio that needs no weights."""
    with studio() as address:
        yield address


@pytest.fixture(scope="module")
def command() -> Iterator[tuple[str, float]]:
    """`mien studio` as its users start it: the address that it says, and the processor seconds until then."""
    words = [sys.executable, "-m", "mien", "studio", "--port", "0", "--no-browser"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[2]
        spent = psutil.Process(process.pid).cpu_times()
        yield address, spent.user + spent.system
    finally:
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGTERM), "the studio did not stop as it was told"


def faces(count: int) -> str:
    """A condition: that many pictures are on the sheet, and nothing is being made."""
    return (
        f"document.querySelectorAll('#crowd-sheet .face img').length === {count}"
        " && !document.querySelector('#crowd-status .busy')"
        " && document.querySelector('#crowd-status .notice')?.innerText.trim()"
    )


def sources(page: Any) -> list[str]:
    """The addresses of the pictures on the sheet, in order."""
    return list(page.eval_on_selector_all("#crowd-sheet .face img", "all => all.map(one => one.getAttribute('src'))"))


def test_the_command_is_there_within_seconds_and_shows_marked_faces(
    command: tuple[str, float], visit: Callable[..., Visit], tmp_path: Path
) -> None:
    address, spent_seconds = command
    assert spent_seconds < START_SECONDS
    anna = visit(address)
    page = anna.open("?tab=crowd&count=4&seed=7")
    anna.until(faces(4))
    anna.until("[...document.querySelectorAll('#crowd-sheet img')].every(one => one.naturalWidth === 256)")
    assert "4 faces: 2 female, 2 male" in page.locator("#crowd-status").inner_text()
    page.locator('#crowd-sheet .face[data-place="1"]').click()
    page.wait_for_selector("#crowd-person .name")
    anna.shot("crowd")
    with page.expect_download() as told:
        page.locator("#crowd-person a[download]").click()
    told.value.save_as(tmp_path / "one.png")
    assert told.value.suggested_filename.startswith("00001-")
    marks = examine(tmp_path / "one.png")
    assert marks.watermark.found
    assert marks.credentials is not None
    assert marks.credentials.intact
    with page.expect_download() as told:
        page.locator('#crowd-handout [data-what="zip"]').click()
    told.value.save_as(tmp_path / "faces.zip")
    anna.until(faces(4))
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        rows = [json.loads(line) for line in archive.read("manifest.jsonl").decode().splitlines()]
        assert [row["file"] for row in rows] == archive.namelist()[:4]
        assert {decode_photo(archive.read(row["file"])).shape for row in rows} == {(256, 256, 3)}
    assert all({"seed", "index", "model", "model_version", "sex", "age"} <= row.keys() for row in rows)


def test_locked_faces_stay_when_the_rest_is_new_and_the_link_brings_them_back(
    discs: str, visit: Callable[..., Visit]
) -> None:
    anna = visit(discs)
    page = anna.open("?count=6&seed=3")
    anna.until(faces(6))
    before = sources(page)
    page.locator('#crowd-sheet [data-what="lock"][data-place="2"]').click()
    page.wait_for_selector(".frame.locked")
    page.locator("#crowd-again").click()
    anna.until(f"{faces(6)} && document.querySelector('#crowd-sheet img').getAttribute('src') !== '{before[0]}'")
    after = sources(page)
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, True, False, False, False]
    page.locator('#crowd-sheet [data-what="roll"][data-place="4"]').click()
    anna.until("location.search.includes('rolls=4-1')")
    anna.until(faces(6))
    rolled = sources(page)
    assert [a == b for a, b in zip(after, rolled, strict=True)] == [True, True, True, True, False, True]
    bert = visit(discs)
    other = bert.open(page.evaluate("location.search"))
    bert.until(faces(6))
    assert sources(other) == rolled
    assert other.locator("#crowd-count input[type=number]").input_value() == "6"
    assert other.locator(".frame.locked").count() == 1
    assert "other people" not in other.locator("#crowd-status").inner_text()
    other = bert.open(page.evaluate("location.search").replace("model=1", "model=0"))
    bert.until(faces(6))
    assert "This link was made with model 0; here is 1" in other.locator("#crowd-status").inner_text()


def test_the_tab_of_the_address_is_shown_though_the_servers_answer_is_late(
    discs: str, visit: Callable[..., Visit]
) -> None:
    anna = visit(discs)
    anna.page.route("**/queue/data**", lambda route: None)  # answers of events never come
    page = anna.open("?tab=portrait")
    page.wait_for_selector("#portrait-drop .drop")
    assert page.locator("#tab-portrait-button").get_attribute("aria-selected") == "true"
    page.locator("#tab-crowd-button").click()  # who chooses another stays there
    page.wait_for_timeout(1500)
    assert page.locator("#tab-crowd-button").get_attribute("aria-selected") == "true"


def test_one_person_at_other_ages_and_of_the_other_sex(discs: str, visit: Callable[..., Visit]) -> None:
    anna = visit(discs)
    page = anna.open("?count=3&seed=3")
    anna.until(faces(3))
    page.locator('#crowd-sheet .face[data-place="1"]').click()
    page.locator('#crowd-person [data-what="vary"]').click()
    anna.until("document.querySelectorAll('.variant img').length === 16")
    wanted = page.locator(".variant img").nth(12).get_attribute("src")
    page.locator(".variant").nth(12).click()
    page.wait_for_selector(".frame.locked")
    anna.until(faces(3))
    assert sources(page)[1] == wanted
    assert "man 40" in page.locator('.frame[data-place="1"]').inner_text()


def test_by_the_keyboard_alone(discs: str, visit: Callable[..., Visit]) -> None:
    anna = visit(discs)
    page = anna.open("?count=6&seed=3")
    anna.until(faces(6))
    page.locator("#crowd-count input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    anna.until(faces(7))
    for _ in range(40):  # from the sliders on by Tab to the first face
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.face')"):
            break
    here = "document.activeElement.dataset.place"
    assert page.evaluate(here) == "0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("l")
    page.wait_for_selector('.frame.locked[data-place="2"]')
    assert page.evaluate(here) == "2", "the focus stays where it was"
    page.keyboard.press("Home")
    old = sources(page)[0]
    page.keyboard.press("r")
    anna.until(f"document.querySelector('#crowd-sheet img')?.getAttribute('src') !== '{old}'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#crowd-person .name")
    assert "Frame 1" in page.locator("#crowd-person").inner_text()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "where one is must be seen"


def test_what_is_wrong_is_said_beside_the_control(discs: str, visit: Callable[..., Visit]) -> None:
    anna = visit(discs)
    page = anna.open("?count=2&seed=3")
    anna.until(faces(2))
    before = sources(page)
    page.locator("#crowd-more button.label-wrap").click()
    box = page.locator("#crowd-words textarea, #crowd-words input").first
    box.fill("purple hair")
    box.press("Enter")
    said = page.locator("#crowd-words-notice .wrong")
    said.wait_for()
    assert "purple hair" in said.inner_text()
    assert said.get_attribute("role") == "alert"
    assert not said.inner_text().startswith("--")
    assert sources(page) == before
    box.fill("smiling")
    box.press("Enter")
    anna.until("!document.querySelector('#crowd-words-notice .wrong')")
    anna.until("location.search.includes('with=smiling')")
    lost = visit(discs)
    page = lost.open("?count=9999")
    lost.until("document.querySelector('#crowd-status .wrong')")
    assert "Count: 9999 given" in page.locator("#crowd-status").inner_text().capitalize()


def test_every_control_has_a_name(discs: str, visit: Callable[..., Visit]) -> None:
    anna = visit(discs)
    page = anna.open("?count=2&seed=3")
    anna.until(faces(2))
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, a[href], input, select, textarea')]
            .filter(one => one.offsetParent && !(one.getAttribute('aria-label') || one.textContent.trim() || one.title
                || (one.labels && [...one.labels].some(label => label.textContent.trim()))))
            .map(one => one.outerHTML.slice(0, 200))"""
    )
    assert nameless == []


def test_with_keys_the_browser_asks_once_and_all_of_it_works(visit: Callable[..., Visit], tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "anna")
    with studio(keys=tmp_path / "keys") as address:
        anna = visit(address, http_credentials={"username": "anna", "password": key})
        anna.open("?count=2&seed=3")
        anna.until(faces(2))
        anna.until("[...document.querySelectorAll('#crowd-sheet img')].every(one => one.naturalWidth > 0)")
        eve = visit(address, http_credentials={"username": "eve", "password": "guess"})
        assert eve.page.goto(address).status == 401


def test_a_second_person_is_told_that_he_waits_and_may_leave(visit: Callable[..., Visit]) -> None:
    gate = threading.Event()
    with studio(held(fake_crowd(), gate)) as address:
        anna, bert = visit(address), visit(address)
        anna.open("?count=20&seed=1")
        anna.until("document.querySelector('#crowd-status .busy')")
        time.sleep(1)  # hers are being made
        page = bert.open("?count=2&seed=2")
        bert.until("document.querySelector('#crowd-status .busy')?.innerText.includes('In line')")
        page.get_by_role("tab", name="Describe").click()  # he is not blocked
        page.wait_for_selector("#describe-drop .drop", state="visible")
        page.get_by_role("tab", name="Crowd").click()
        page.locator("#crowd-status .stop").click()
        bert.until("document.querySelector('#crowd-status').innerText.includes('Stopped')")
        gate.set()
        anna.until(faces(20))
        page.locator("#crowd-again").click()
        bert.until(faces(2))


CAST = "Name;Sex;Age;Phone\nZo\u00eb O'Neil;f;20-35;1\nBen;m;thirties;2\n<b>x</b>;;;3\n"


def test_a_cast_list_is_dropped_and_its_people_have_their_names(
    discs: str, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    anna = visit(discs)
    page = anna.open("?count=3&seed=3")
    anna.until(faces(3))
    page.wait_for_selector("#crowd-cast[data-ready], #crowd-cast [data-ready]", state="attached")
    wrong = "name,age,sex\nann,xyz,f\nben,30,robot\n"
    page.locator("#crowd-cast input").set_input_files(
        {"name": "cast.csv", "mimeType": "text/csv", "buffer": wrong.encode()}
    )
    page.wait_for_selector("#crowd-cast .cells li")
    assert page.locator("#crowd-cast .notice").inner_text() == "cast.csv: 2 cells cannot be read; no face was made."
    cells = page.locator("#crowd-cast .cells li").all_inner_texts()
    assert [cell.partition(" given")[0] for cell in cells] == ["Row 2, age: 'xyz'", "Row 3, sex: 'robot'"]
    assert len(sources(page)) == 3, "the sheet is as it was"
    drop = """([bytes]) => {
        const files = new DataTransfer();
        files.items.add(new File([new Uint8Array(bytes)], 'my cast.csv', { type: 'text/csv' }));
        document.querySelector('#crowd-sheet').dispatchEvent(
            new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(drop, [list(CAST.encode("utf-16"))])  # anywhere on the tab, as Excel's "Unicode text" is
    anna.until("document.querySelector('.sheet.cast') !== null")
    anna.until(faces(3))
    names = page.locator("#crowd-sheet .who b").all_inner_texts()
    assert names == ["Zo\u00eb O'Neil", "Ben", "<b>x</b>"]
    assert "3 faces of my cast.csv, seed 3. Columns that are not read: Phone" in (
        page.locator("#crowd-status").inner_text()
    )
    assert page.locator("#crowd-cast .cells").is_hidden()
    assert page.locator("#crowd-handout .link").is_hidden(), "no link holds a list"
    before = sources(page)
    page.locator('#crowd-sheet .face[data-place="1"]').click()
    page.wait_for_selector("#crowd-person .name")
    assert page.locator("#crowd-person .name").inner_text() == "Ben"
    assert "age: thirties" in page.locator("#crowd-person .about").inner_text()
    anna.shot("crowd-cast")
    page.keyboard.press("r")  # what the sheet of sliders has and a list has not does nothing
    with page.expect_download() as told:
        page.locator("#crowd-person a[download]").click()
    assert told.value.suggested_filename == "Ben.png"
    with page.expect_download() as told:
        page.locator('#crowd-handout [data-what="zip"]').click()
    assert told.value.suggested_filename == "mien-my-cast.zip"
    told.value.save_as(tmp_path / "faces.zip")
    with zipfile.ZipFile(tmp_path / "faces.zip") as archive:
        rows = [json.loads(line) for line in archive.read("manifest.jsonl").decode().splitlines()]
        assert archive.namelist() == ["Zo\u00eb-O-Neil.png", "Ben.png", "b-x-b.png", "manifest.jsonl"]
    assert [(row["file"], row["row"]) for row in rows] == list(zip(archive.namelist(), (2, 3, 4), strict=False))
    assert [row["sex"] for row in rows][:2] == ["female", "male"]
    assert 30 <= rows[1]["age"] <= 39
    with page.expect_download() as told:
        page.locator('#crowd-handout [data-what="sheet"]').click()
    assert told.value.suggested_filename == "mien-my-cast.png"
    anna.until(faces(3))
    assert sources(page) == before
    page.locator("#crowd-again").click()
    anna.until(f"{faces(3)} && document.querySelector('#crowd-sheet img').getAttribute('src') !== '{before[0]}'")
    assert page.locator("#crowd-sheet .who b").all_inner_texts() == names, "other people of the same list"
    page.locator("#crowd-women input[type=number]").fill("100")
    page.locator("#crowd-women input[type=number]").press("Enter")
    anna.until("document.querySelector('.sheet:not(.cast)') !== null")
    anna.until(faces(3))
    assert anna.complaints == []


def test_on_a_phone(discs: str, visit: Callable[..., Visit]) -> None:
    anna = visit(discs, **PHONE)
    page = anna.open("?count=6&seed=3")
    anna.until(faces(6))
    page.locator('#crowd-sheet .face[data-place="4"]').tap()
    page.wait_for_selector("#crowd-person .name")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing to scroll sideways"
    panel = page.locator("#crowd-person .person").bounding_box()
    assert panel["y"] + panel["height"] <= 845, "the panel is on the screen"
    for button in page.locator("#crowd-person button, #crowd-sheet .act").all()[:12]:
        size = button.bounding_box()
        assert size["height"] >= 40, button.evaluate("one => one.outerHTML")
        assert size["width"] >= 40, button.evaluate("one => one.outerHTML")
    anna.shot("crowd-phone")
    page.locator("#crowd-person .close").tap()
    page.wait_for_selector("#crowd-person .nobody", state="attached")


@pytest.mark.models
def test_a_photo_is_dropped_and_read(
    command: tuple[str, float], visit: Callable[..., Visit], models_cache: Path, made_faces: Path
) -> None:
    anna = visit(command[0])
    page = anna.open("?tab=describe")
    page.wait_for_selector("#describe-drop .drop", state="visible")
    page.locator("#describe-drop input").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"hello"})
    page.wait_for_selector("#describe-drop .wrong")
    assert "Photo: not a picture that can be read" in page.locator("#describe-drop .wrong").inner_text()
    with page.expect_file_chooser():
        page.locator("#describe-drop input").focus()
        page.keyboard.press("Enter")
    data = (made_faces / "00021.png").read_bytes()
    drop = """([bytes]) => {
        const files = new DataTransfer();
        files.items.add(new File([new Uint8Array(bytes)], 'anna.png', { type: 'image/png' }));
        document.querySelector('#describe-drop .drop').dispatchEvent(
            new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(drop, [list(data)])
    page.wait_for_selector("#describe-card h2")
    page.wait_for_selector("#describe-picture .box")
    card = page.locator("#describe-card").inner_text()
    assert "about " in card
    for title in ("hair", "eyes", "mouth"):
        assert title in card
    assert page.locator(".chip.there").count() > 5
    assert "White" not in card, "no ethnicity unless it is asked for"
    page.locator("#describe-ethnicity input").check()
    anna.until("document.querySelector('#describe-card')?.innerText.includes('White')")
    anna.shot("describe", full_page=True)
    with page.expect_download() as told:
        page.locator("#describe-card a[download]").click()
    row = json.loads(Path(told.value.path()).read_text())
    assert (row["photo"], len(row["faces"])) == ("anna.png", 1)
