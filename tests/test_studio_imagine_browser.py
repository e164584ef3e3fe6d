"""Imagine and Portrait as a person uses them, in a real browser: by mouse, by keyboard alone, on a phone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

from browsing import PHONE, Visit
from crowd_tiny import write_tiny_weights
from imagine_tiny import tiny_density
from service_live import fake_crowd
from test_studio_portrait import fake_make

from mien.apps.service.makers import Maker
from mien.apps.service.run import address_of, server_of
from mien.apps.service.settings import ServiceSettings
from mien.apps.studio import imagine_make, portrait_make
from mien.apps.studio.app import create_app
from mien.generators.imagine.mien import DecoderRenderer, Imagine
from mien.images import write_png

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHEET = "document.querySelectorAll('#imagine-sheet button.tile img').length === {count}"


@contextmanager
def studio(weights: Path) -> Iterator[str]:
    """The studio in a thread, with a density of four attributes and grey squares for portraits."""

    def load() -> imagine_make.Sketcher:
        return imagine_make.Sketcher(Imagine(tiny_density(), DecoderRenderer.load(weights), "tiny"))

    makers = (
        fake_crowd(),
        Maker(imagine_make.MAKER, "faces", "Tiny faces", load, imagine_make.make),
        Maker(portrait_make.MAKER, "photo", "Grey squares", lambda: None, fake_make),
    )
    settings = ServiceSettings(port=0, stop_seconds=2)
    server, listening = server_of(create_app(settings, makers=makers), settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield address_of(settings, listening)
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio that needs no weights."""
    weights = write_tiny_weights(tmp_path_factory.mktemp("tiny") / "crowd.safetensors")
    with studio(weights) as found:
        yield found


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Callable[..., Visit]]:
    """``visit(**how)``: a person at a page; at the end none may have met an error or another machine."""
    visits: list[Visit] = []

    def make(**how: Any) -> Visit:
        visits.append(Visit(browser, address, **how))
        return visits[-1]

    yield make
    for one in visits:
        one.close()
    assert [one.complaints for one in visits if one.complaints] == []
    assert [one.foreign for one in visits if one.foreign] == []


def ready(one: Visit, tab: str, mark: str) -> Any:
    """The page at a tab, once its scripts listen and its events are tied: Gradio's own first event was answered."""
    with one.page.expect_response("**/queue/join**"):
        page = one.open(f"?tab={tab}")
    page.wait_for_selector(mark, state="visible")
    last = {"imagine": "imagine-board", "portrait": "portrait-cards"}[tab]
    page.wait_for_selector(f"#{last}[data-ready], #{last} [data-ready]", state="attached")
    page.wait_for_timeout(2000)
    return page


def write(page: Any, text: str) -> None:
    """Type into the box, instead of what stands there."""
    page.locator("#imagine-words textarea").focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.type(text)


def test_words_become_chips_chips_become_words_and_a_face_is_refined(visit: Callable[..., Visit]) -> None:
    anna = visit()
    page = ready(anna, "imagine", "#imagine-board .chip")
    write(page, "slightly smiling woman, wizard, ")
    page.wait_for_selector('.chip.lit[data-label="woman"]')
    assert page.locator('.chip.lit[data-label="smiling"]').get_attribute("data-strength") == "0.5"
    assert "Not understood, and left out: 'wizard'" in page.locator("#imagine-said").inner_text()
    page.locator('.chip[data-label="glasses"]').click()
    anna.until("document.querySelector('#imagine-words textarea').value === 'woman, glasses, smiling:0.5'")
    page.locator('.chip[data-label="glasses"]').click()
    anna.until("document.querySelector('#imagine-words textarea').value === 'woman, not glasses, smiling:0.5'")
    page.locator('.chip[data-label="man"]').click()
    anna.until("document.querySelector('#imagine-words textarea').value.startsWith('man, not glasses')")
    assert page.locator('.chip.lit[data-label="woman"]').count() == 0

    page.locator("#imagine-go").click()
    anna.until(SHEET.format(count=12))
    page.locator("#imagine-sheet button.tile").nth(3).click()
    page.wait_for_selector("#imagine-large img")
    anna.shot("imagine-picked", full_page=True)
    page.locator("#imagine-near").click()
    page.wait_for_selector('.step.now:has-text("more like no. 4")')
    page.locator("#imagine-sheet button.tile").nth(1).click()
    page.wait_for_selector("#imagine-large img")
    page.locator("#imagine-change").click()
    page.wait_for_selector('.step.now:has-text("smiling of no. 2")')
    anna.until(SHEET.format(count=7))
    changed = page.eval_on_selector_all("#imagine-sheet img", "all => all.length")
    page.locator("#imagine-undo").click()
    page.wait_for_selector(".step.undone")
    anna.until(SHEET.format(count=12))
    page.locator("#imagine-redo").click()
    anna.until(SHEET.format(count=changed))
    link = page.locator(".link a").first.get_attribute("href")
    assert parse_qs(urlsplit(link).query)["tab"] == ["imagine"]

    bert = visit()
    other = bert.open(link)
    bert.until(SHEET.format(count=7))
    assert other.locator(".step").count() == 3
    assert other.locator("#imagine-words textarea").input_value() == "man, not glasses, smiling:0.5"
    assert bert_sees_the_same(page, other)


def bert_sees_the_same(page: Any, other: Any) -> bool:
    """Whether two pages show the same faces, pixel for pixel."""
    read = """async () => Promise.all([...document.querySelectorAll('#imagine-sheet img')].map(async image => {
      await image.decode();
      const canvas = document.createElement('canvas');
      canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
      canvas.getContext('2d').drawImage(image, 0, 0);
      return canvas.toDataURL();
    }))"""
    return bool(page.evaluate(read) == other.evaluate(read))


def test_what_cannot_be_is_told_beside_the_box(visit: Callable[..., Visit]) -> None:
    anna = visit()
    page = ready(anna, "imagine", "#imagine-board .chip")
    write(page, "bald man with black hair")
    page.wait_for_selector("#imagine-said .wrong")
    assert "exclude each other" in page.locator("#imagine-said").inner_text()
    write(page, "")
    page.locator("#imagine-go").click()
    page.wait_for_selector('#imagine-said .wrong:has-text("none given")')
    write(page, "grey hair")  # the tiny density does not know it
    page.locator("#imagine-go").click()
    page.wait_for_selector('#imagine-status .wrong:has-text("Gray Hair")')
    assert page.locator("#imagine-sheet button.tile").count() == 0


def test_imagine_by_the_keyboard_alone(visit: Callable[..., Visit]) -> None:
    anna = visit()
    page = ready(anna, "imagine", "#imagine-board .chip")
    page.locator("#imagine-words textarea").focus()
    page.keyboard.type("smiling woman")
    page.keyboard.press("Enter")
    anna.until(SHEET.format(count=12))
    for _ in range(160):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('button.tile')"):
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.number") == "5"
    page.keyboard.press("Enter")
    page.wait_for_selector('#imagine-large :text("no. 6")')
    assert page.evaluate("document.activeElement.dataset.number") == "5", "the focus stays where it was"


def test_imagine_on_a_phone(visit: Callable[..., Visit]) -> None:
    anna = visit(**PHONE)
    page = ready(anna, "imagine", "#imagine-board .chip")
    page.locator('.chip[data-label="woman"]').tap()
    anna.until("document.querySelector('#imagine-words textarea').value === 'woman'")
    page.locator("#imagine-go").tap()
    anna.until(SHEET.format(count=12))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    anna.shot("imagine-phone", full_page=True)


def test_photos_become_cards_and_a_broken_one_stops_no_other(visit: Callable[..., Visit], tmp_path: Path) -> None:
    write_png(tmp_path / "one.png", np.full((90, 90, 3), 90, np.uint8))
    write_png(tmp_path / "nobody.png", np.full((30, 30, 3), 90, np.uint8))
    write_png(tmp_path / "two.png", np.full((90, 180, 3), 90, np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    anna = visit()
    page = ready(anna, "portrait", "#portrait-drop .drop")
    names = ("one.png", "broken.jpg", "nobody.png", "two.png")
    page.locator("#portrait-drop input").set_input_files([tmp_path / name for name in names])
    anna.until("document.querySelectorAll('.likeness').length === 4")
    page.wait_for_selector("#portrait-save a")
    assert page.locator(".likeness.wrong").count() == 1
    assert "roken.jpg" in page.locator("#portrait-drop .notice").inner_text()
    anna.shot("portrait", full_page=True)
    slider = page.locator(".compare input").first
    slider.focus()
    page.keyboard.press("Home")
    assert page.evaluate("document.querySelector('.compare').style.getPropertyValue('--at')") == "0%"
    with page.expect_download() as told:
        page.locator("a.save").first.click()
    assert told.value.suggested_filename == "00000.png"
    page.locator("#portrait-forget").click()
    anna.until("document.querySelectorAll('.likeness').length === 0")
    page.wait_for_selector('.notice:has-text("Forgotten")')
    assert not [url for url in anna.fetched if "/pictures/" in url], "portraits are on the page alone"
