"""Nobody is shut out: axe-core finds no serious fault on any page, by day and by night, and colours are far apart."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

import review_tiny
from browsing import PHONE, Visit, faults, served
from crowd_tiny import write_tiny_weights
from studio_live import fakes, ready, studio
from study_tiny import make_study

from mien.apps.review.app import create_app
from mien.apps.studio.theme import PALETTE
from mien.apps.study.app import create_study
from mien.apps.web.settings import ServiceSettings
from mien.core.database import open_store
from mien.core.images import encode_png
from mien.datasets.batches import FaceDataset
from mien.datasets.corrections import settle_place
from mien.pipelines.review import Review, ReviewQueue
from mien.pipelines.study_answers import SCHEMA, AnswerStore

LOOKS: dict[str, dict[str, Any]] = {"day": {}, "night": {"color_scheme": "dark"}, "phone": PHONE}
READ_ON = ("paper", "card", "sheet", "wash")


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("night", [False, True])
def test_what_is_read_or_pressed_stands_out_by_day_and_by_night(night: bool) -> None:
    colours = {name: pair[night] for name, pair in PALETTE.items()}
    for ground, name in itertools.product(READ_ON, ("ink", "soft", "mark")):
        assert contrast(colours[ground], colours[name]) >= 4.5, (ground, name)
    for ground in ("paper", "card", "sheet"):
        assert contrast(colours[ground], colours["edge"]) >= 3, ground
    assert contrast(colours["paper"], colours["mark"]) >= 4.5, "the number on a red spot"
    assert contrast(colours["mark-wash"], colours["mark"]) >= 4.5
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A studio that needs no weights."""
    with studio(*fakes(write_tiny_weights(tmp_path_factory.mktemp("tiny") / "crowd.safetensors"))) as found:
        yield found


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_the_studio(tiny: str, visit: Callable[..., Visit], look: str) -> None:
    anna = visit(tiny, **LOOKS[look])
    page = anna.open("?count=4&seed=3")
    anna.until("document.querySelectorAll('#crowd-sheet .face img').length === 4")
    page.locator('#crowd-sheet [data-what="lock"][data-place="2"]').click()
    page.locator('#crowd-sheet .face[data-place="1"]').click()
    page.locator('#crowd-person [data-what="vary"]').click()
    anna.until("document.querySelectorAll('.variant img').length === 16")
    assert faults(page) == []
    page = ready(anna, "imagine")
    page.locator("#imagine-words textarea").fill("smiling woman, robot, ")
    page.locator("#imagine-go").click()
    page.locator("#imagine-sheet button.tile").nth(3).click()
    page.wait_for_selector("#imagine-large img")
    page.locator("#imagine-near").click()
    page.wait_for_selector('.step.now:has-text("more like no. 4")')
    page.locator("#imagine-undo").click()
    page.wait_for_selector(".step.undone")
    page.locator("#imagine-more button, #imagine-beside button").first.click()
    page.wait_for_timeout(500)
    assert faults(page) == []
    page = ready(anna, "portrait")
    photo = {"name": "two.png", "mimeType": "image/png", "buffer": encode_png(np.full((90, 180, 3), 90, np.uint8))}
    broken = {"name": "broken.png", "mimeType": "image/png", "buffer": b"no photo"}
    page.locator("#portrait-drop input").set_input_files([photo, broken])
    anna.until("document.querySelectorAll('.likeness').length === 2")
    page.wait_for_selector("#portrait-save a")
    assert faults(page) == []
    page = anna.open("?tab=describe")  # on a phone the last tabs are in Gradio's menu
    page.wait_for_selector("#describe-drop .drop")
    assert faults(page) == []


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_the_review(visit: Callable[..., Visit], tmp_path: Path, look: str) -> None:
    review_tiny.drawn(tmp_path / "faces", 3)
    data = FaceDataset.open(tmp_path / "faces", corrected=False)
    place, store = settle_place(tmp_path / "faces")
    found = review_tiny.doubts(data.faces)
    queue = ReviewQueue(store, place.dataset, [data.faces[int(row)].id for row in found.order()])
    with served(create_app(Review(data, found, queue, "faces"), ServiceSettings())) as address:
        ada = visit(address, **LOOKS[look])
        page = ada.open()
        assert faults(page) == []
        page.fill("#name", "Ada")
        page.click("button")
        page.wait_for_selector("fieldset.contradicts")
        assert faults(page) == []
        page.fill("#age", "300")
        page.click("button.main")
        page.wait_for_selector("#error")
        assert faults(page) == []
        page.fill("#age", "30")
        page.click("button.main")
        for done in (1, 2, 3):
            page.wait_for_selector(f"text={done} of 3 decided")
            assert faults(page) == []
            if done < 3:
                page.click("button.main")
        page.goto(f"{address}/nowhere")
        assert faults(page) == []
    store.close()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("look", LOOKS)
def test_the_study(visit: Callable[..., Visit], tmp_path: Path, look: str) -> None:
    design = make_study(tmp_path, contact="Ada, ada@example.org", consent="More words.")
    book = AnswerStore(open_store(tmp_path / "answers.sqlite", SCHEMA), design)
    with served(create_study(tmp_path / "out", book, ServiceSettings())) as address:
        ada = visit(address, **LOOKS[look])
        page = ada.open()
        assert faults(page) == []
        page.check("input[name=agree]")
        page.click("text=Begin")
        page.wait_for_url("**/ready")
        assert faults(page) == []
        page.click("#go")
        said = []
        while not page.url.endswith("/done"):
            page.wait_for_selector("#left:not([disabled]), #over-go:visible, main .score")
            if page.url.endswith("/done"):
                break
            if len(said) < 3 or page.locator("#over-go").is_visible():
                said += faults(page)
            if page.locator("#over-go").is_visible():
                page.click("#over-go")
            else:
                page.keyboard.press("f")
                page.wait_for_selector("#left[disabled], main .score")
        assert said == []
        assert faults(page) == []
        page.goto(f"{address}/withdraw")
        assert faults(page) == []
