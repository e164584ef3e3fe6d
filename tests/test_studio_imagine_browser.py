"""Imagine and Portrait as a person uses them, in a real browser: by mouse, by keyboard alone, on a phone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

from browsing import PATIENCE_MS, PHONE, Visit
from crowd_tiny import write_tiny_weights
from studio_live import fakes, held, ready, studio

from mien.apps.studio import imagine_slow
from mien.core.images import encode_png, write_png
from mien.pipelines.imagine_optimised import OnStep
from mien.pipelines.pictures import Picture

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PASTE = """async bytes => {
  const blob = new Blob([new Uint8Array(bytes)], { type: 'image/png' });
  await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
}"""
SHEET = "document.querySelectorAll('#imagine-sheet button.tile img').length === {count}"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio that needs no weights."""
    with studio(*fakes(write_tiny_weights(tmp_path_factory.mktemp("tiny") / "crowd.safetensors"))) as found:
        yield found


def write(page: Any, text: str) -> None:
    """Type into the box, instead of what stands there."""
    page.locator("#imagine-words textarea").focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    page.keyboard.type(text)


def test_words_become_chips_chips_become_words_and_a_face_is_refined(tiny: str, visit: Callable[..., Visit]) -> None:
    anna = visit(tiny)
    page = ready(anna, "imagine")
    write(page, "slightly smiling woman, robot, ")
    page.wait_for_selector('.chip.lit[data-label="woman"]')
    assert page.locator('.chip.lit[data-label="smiling"]').get_attribute("data-strength") == "0.5"
    assert "Not understood, and left out: 'robot'" in page.locator("#imagine-said").inner_text()
    page.locator('.chip[data-label="glasses"]').click()
    anna.until("document.querySelector('#imagine-words textarea').value === 'woman, slightly smiling, eyeglasses'")
    page.locator('.chip[data-label="glasses"]').click()
    anna.until("document.querySelector('#imagine-words textarea').value === 'woman, slightly smiling, not eyeglasses'")
    page.locator('.chip[data-label="man"]').click()
    anna.until("document.querySelector('#imagine-words textarea').value == 'man, slightly smiling, not eyeglasses'")
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

    bert = visit(tiny)
    other = bert.open(link)
    bert.until(SHEET.format(count=7))
    assert other.locator(".step").count() == 3
    assert other.locator("#imagine-words textarea").input_value() == "man, slightly smiling, not eyeglasses"
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


def test_what_cannot_be_is_told_beside_the_box(tiny: str, visit: Callable[..., Visit]) -> None:
    anna = visit(tiny)
    page = ready(anna, "imagine")
    write(page, "bald man with black hair")
    page.wait_for_selector("#imagine-said .wrong")
    assert "exclude each other" in page.locator("#imagine-said").inner_text()
    write(page, "")
    page.wait_for_selector("#imagine-said .wrong", state="detached")  # deleting is heard as writing is
    page.locator("#imagine-go").click()
    page.wait_for_selector('#imagine-said .wrong:has-text("none given")')
    write(page, "grey hair")  # the tiny density does not know it
    page.locator("#imagine-go").click()
    page.wait_for_selector('#imagine-status .wrong:has-text("Gray Hair")')
    assert page.locator("#imagine-sheet button.tile").count() == 0


def test_imagine_by_the_keyboard_alone(tiny: str, visit: Callable[..., Visit]) -> None:
    anna = visit(tiny)
    page = ready(anna, "imagine")
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


def test_imagine_on_a_phone(tiny: str, visit: Callable[..., Visit]) -> None:
    anna = visit(tiny, **PHONE)
    page = ready(anna, "imagine")
    page.locator('.chip[data-label="woman"]').tap()
    anna.until("document.querySelector('#imagine-words textarea').value === 'woman'")
    page.locator("#imagine-go").tap()
    anna.until(SHEET.format(count=12))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    anna.shot("imagine-phone", full_page=True)


def test_photos_become_cards_and_a_broken_one_stops_no_other(
    tiny: str, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    write_png(tmp_path / "one.png", np.full((90, 90, 3), 90, np.uint8))
    write_png(tmp_path / "nobody.png", np.full((30, 30, 3), 90, np.uint8))
    write_png(tmp_path / "two.png", np.full((90, 180, 3), 90, np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    anna = visit(tiny)
    page = ready(anna, "portrait")
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
    # A browser may fetch the first sheet of the tab Crowd (00000-woman-38.png), though that is not shown.
    kept = [url for url in anna.fetched if "/pictures/" in url and "man-" not in url]
    assert not kept, "portraits are on the page alone"


def test_a_photo_is_pasted_and_a_dark_page_shows_it(tiny: str, visit: Callable[..., Visit]) -> None:
    anna = visit(tiny, color_scheme="dark")
    anna.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = ready(anna, "portrait")
    page.evaluate(PASTE, list(encode_png(np.full((90, 180, 3), 90, np.uint8))))
    page.locator("h1").click()
    page.keyboard.press("Control+v")
    anna.until("document.querySelectorAll('.likeness').length === 2")
    assert page.locator(".likeness h2").all_inner_texts() == ["image.png", "image.png, face 2"]
    paper, ink = page.evaluate(
        "(({ backgroundColor, color }) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    assert (paper, ink) == ("rgb(23, 21, 18)", "rgb(242, 237, 227)")
    anna.shot("portrait-dark", full_page=True)
    page.get_by_role("tab", name="Imagine").click()  # what is pasted belongs to the tab that is shown
    page.keyboard.press("Control+v")
    page.wait_for_timeout(500)
    assert sum(url.endswith("/photos") for url in anna.fetched) == 1


def test_two_people_imagine_and_either_may_leave(tmp_path: Path, visit: Callable[..., Visit]) -> None:
    gate = threading.Event()
    crowd, imagined, likenesses = fakes(write_tiny_weights(tmp_path / "tiny.safetensors"))
    with studio(crowd, held(imagined, gate), likenesses) as address:
        anna, bert = visit(address), visit(address)
        page, other = ready(anna, "imagine"), ready(bert, "imagine")
        write(page, "smiling woman")
        page.locator("#imagine-go").click()
        page.wait_for_selector("#imagine-status .busy")
        page.wait_for_timeout(1000)  # hers are being made
        write(other, "man")
        other.locator("#imagine-go").click()
        other.wait_for_selector('#imagine-status .busy:has-text("In line: 1 request of somebody else")')
        bert.shot("imagine-in-line")
        other.locator("#imagine-cancel").click()
        other.wait_for_selector('#imagine-status :text("Cancelled.")')
        other.wait_for_selector("#imagine-cancel", state="hidden")
        other.wait_for_selector("#imagine-sheet .tile", state="detached")  # nothing pretends to be on its way
        gate.set()
        anna.until(SHEET.format(count=12))
        other.locator("#imagine-go").click()
        bert.until(SHEET.format(count=12))
        assert "12 people who share the words" in other.locator("#imagine-status").inner_text()


def test_a_slow_method_tells_its_steps_and_is_cancelled(
    tiny: str, visit: Callable[..., Visit], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    ended = threading.Event()

    def endless(
        _: object, wanted: object, seed: int, count: int, progress: OnStep
    ) -> list[Picture]:  # stands for minutes of a processor
        try:
            for step in range(1, 10_000):
                steps.append(step)
                progress(step, 0.0)
                time.sleep(0.4)
        finally:
            ended.set()
        raise AssertionError("nobody stopped it")

    monkeypatch.setattr(imagine_slow, "optimised_pictures", endless)
    anna = visit(tiny)
    page = ready(anna, "imagine")
    write(page, "smiling woman")
    page.locator("#imagine-go").click()
    anna.until(SHEET.format(count=12))
    page.get_by_role("button", name="Beside the paper of 2016").click()
    page.locator("#imagine-visualise").click()
    page.wait_for_selector('#imagine-paper-status .busy:has-text("Step")')
    page.locator("#imagine-paper-cancel").click()
    page.wait_for_selector('#imagine-paper-status :text("Cancelled.")')
    page.wait_for_selector("#imagine-paper-cancel", state="hidden")
    assert ended.wait(PATIENCE_MS / 1000), "the work goes on though nobody waits for it"
    assert len(steps) < 9_000
    assert imagine_slow.ONE_AT_A_TIME.acquire(timeout=5)  # the next person has the line to themselves
    imagine_slow.ONE_AT_A_TIME.release()
    assert page.locator("#imagine-sheet button.tile img").count() == 12, "our own sheet stays"


def test_two_people_with_photos_and_a_batch_that_is_cancelled(tmp_path: Path, visit: Callable[..., Visit]) -> None:
    gate, begun = threading.Event(), threading.Event()
    crowd, imagined, likenesses = fakes(write_tiny_weights(tmp_path / "tiny.safetensors"))
    photos = [tmp_path / f"{name}.png" for name in ("one", "two", "three")]
    for path in photos:
        write_png(path, np.full((90, 90, 3), 90, np.uint8))
    with studio(crowd, imagined, held(likenesses, gate, begun)) as address:
        anna, bert = visit(address), visit(address)
        page, other = ready(anna, "portrait"), ready(bert, "portrait")
        page.locator("#portrait-drop input").set_input_files(photos)
        page.wait_for_selector('.notice.busy:has-text("Photo 1 of 3")')
        assert begun.wait(PATIENCE_MS / 1000)  # until then the second request would join the first
        other.locator("#portrait-drop input").set_input_files(photos[:1])
        other.wait_for_selector('.notice.busy:has-text("In line: 1 request of somebody else")')
        page.locator("#portrait-cancel").click()
        page.wait_for_selector('.notice:has-text("Cancelled.")')
        gate.set()
        bert.until("document.querySelectorAll('.likeness').length === 1")
        assert page.locator(".likeness").count() == 0
        page.locator("#portrait-again").click()  # the photos are still there
        anna.until("document.querySelectorAll('.likeness').length === 3")
