"""The tab Edit as a person uses it, in a real browser: a photo, what is to change, the slider, saved and forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

from browsing import PHONE, Visit, faults
from service_live import fake_crowd
from studio_live import ready, studio
from test_studio_edit import ASKED, fake_make

from mien.apps.web.models import ModelSpec
from mien.core.images import write_png
from mien.core.photos import decode_photo
from mien.provenance.reading import examine

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A studio whose edits are brighter photos."""
    ASKED.clear()
    with studio(fake_crowd(), ModelSpec("edit", "photo", "Brighter", lambda: None, fake_make)) as found:
        yield found


def grey(path: Path, height: int = 90, width: int = 120) -> Path:
    write_png(path, np.full((height, width, 3), 90, np.uint8))
    return path


def test_a_photo_is_changed_compared_saved_and_forgotten(
    address: str, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    anna = visit(address)
    page = ready(anna, "edit")
    page.locator("#edit-drop input").set_input_files(grey(tmp_path / "me.png"))
    page.wait_for_selector('.notice:has-text("Say what is to change.")')
    assert page.locator("#edit-card .compare").count() == 0, "the photo alone"
    page.locator("#edit-go").click()
    page.wait_for_selector('.notice.wrong:has-text("othing to change given")')
    page.locator("#edit-age input, #edit-age textarea").first.fill("60")
    page.get_by_label("female", exact=True).check()
    page.locator("#edit-words textarea, #edit-words input").first.fill("smiling")
    page.locator("#edit-go").click()
    page.wait_for_selector("#edit-card .compare")
    assert ASKED[-1].options == {"age": "60", "sex": "female", "words": "smiling"}
    assert "age 30.0 to 61.5; similarity 0.61" in page.locator("#edit-card").inner_text()
    assert faults(page) == []
    anna.shot("edit", full_page=True)

    page.locator("#edit-card .compare input").focus()
    for key, place in (("Home", "0%"), ("End", "100%"), ("ArrowLeft", "99%")):
        page.keyboard.press(key)
        assert page.evaluate("document.querySelector('.compare').style.getPropertyValue('--at')") == place
    with page.expect_download() as told:
        page.locator("#edit-card a.save").click()
    told.value.save_as(tmp_path / "edited.png")
    assert abs(int(decode_photo((tmp_path / "edited.png").read_bytes()).mean()) - 140) < 3
    marks = examine(tmp_path / "edited.png")
    assert marks.credentials is not None
    assert marks.credentials.intact

    page.locator("#edit-forget").click()
    page.wait_for_selector('.notice:has-text("Forgotten")')
    assert page.locator("#edit-card img").count() == 0
    page.locator("#edit-go").click()
    page.wait_for_selector('.notice.wrong:has-text("a photo is wanted")')


def test_nobody_on_the_photo_is_said_and_on_a_phone_all_fits(
    address: str, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    anna = visit(address, **PHONE)
    page = ready(anna, "edit")
    page.locator("#edit-drop input").set_input_files(grey(tmp_path / "nobody.png", 30, 30))
    page.wait_for_selector('.notice:has-text("Say what is to change.")')
    page.locator("#edit-age input, #edit-age textarea").first.fill("60")
    page.locator("#edit-go").tap()
    page.wait_for_selector('.notice.wrong:has-text("no face found")')
    page.locator("#edit-drop input").set_input_files(grey(tmp_path / "me.png"))  # takes the place of the first
    anna.until("document.querySelector('#edit-card h2')?.innerText === 'me.png'")
    page.locator("#edit-go").tap()
    page.wait_for_selector("#edit-card .compare")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    anna.shot("edit-phone", full_page=True)
