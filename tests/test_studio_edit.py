"""The tab Edit without a browser: what is asked for, what is shown beside the photo, and what is forgotten."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

import gradio as gr

from mien.apps.studio import edit
from mien.apps.studio.state import StudioState
from mien.apps.web.models import ModelSpec, PhotoJob
from mien.apps.web.settings import ServiceSettings
from mien.core.errors import PhotoError
from mien.core.photos import decode_photo
from mien.core.records import UInt8Image
from mien.pipelines.photo_edit import ABOUT
from mien.pipelines.pictures import Picture
from mien.provenance.reading import examine_bytes

ASKED: list[PhotoJob] = []


def row(**more: Any) -> dict[str, Any]:
    return {
        "file": "00000.png", "seed": None, "index": 0, "model": "fake", "model_version": "1", "photo": "photo",
        "read_before": {"age": 30.0, "sex": "female"}, "read_after": {"age": 61.5, "sex": "female"},
        "identity_similarity": 0.61, "warnings": ["<b>"], **more,
    }  # fmt: skip


def fake_make(_: Any, jobs: Sequence[PhotoJob]) -> list[Any]:
    """A brighter photo; nobody is on a small one."""
    ASKED.extend(jobs)
    return [
        PhotoError("no_face", "photo: no face found") if job.photo.shape[0] < 40
        else [Picture(np.asarray(job.photo + 50, np.uint8), row(), ABOUT)]
        for job in jobs
    ]  # fmt: skip


@pytest.fixture(name="tab")
def _tab() -> Iterator[edit.EditTab]:
    ASKED.clear()
    state = StudioState(ServiceSettings(), [ModelSpec("edit", "photo", "fake", lambda: None, fake_make)])
    state.start()
    with gr.Blocks():
        yield edit.EditTab(state)
    state.stop()


def photo(height: int, width: int) -> UInt8Image:
    return np.full((height, width, 3), 90, np.uint8)


def last(tab: edit.EditTab, *asked: str) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for update in tab.change(*asked):
        found |= update
    return found


def test_a_photo_is_changed_and_shown_beside_itself(tab: edit.EditTab) -> None:
    token = tab.state.take_in("me & you.jpg", photo(100, 200))
    found = last(tab, token, " 60 ", "female", "smiling")
    (job,) = ASKED
    assert job.options == {"age": "60", "sex": "female", "words": "smiling"}
    card = found[tab.card]
    assert "me &amp; you.jpg" in card
    assert "aspect-ratio: 200 / 100" in card
    assert "age 30.0 to 61.5; similarity 0.61" in card
    assert "&lt;b&gt;" in card
    (data,) = re.findall(r'class="under" src="data:image/png;base64,([^"]+)"', card)
    png = base64.b64decode(data)
    assert abs(int(decode_photo(png).mean()) - 140) < 3
    seen = examine_bytes(png)
    assert seen.credentials is not None
    assert seen.credentials.intact
    assert "Changed." in found[tab.status]


def test_large_photos_are_changed_at_the_size_of_the_page(tab: edit.EditTab) -> None:
    last(tab, tab.state.take_in("large.jpg", photo(800, 3200)), "60", "as it is", "")
    assert ASKED[0].photo.shape == (400, 1600, 3)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("", "as it is", ""), "nothing to change given"),
        (("old", "as it is", ""), "age: &#x27;old&#x27; given"),
        (("", "male", "a woman"), "sex: male given, but words says woman"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(tab: edit.EditTab, asked: Any, message: str) -> None:
    found = last(tab, tab.state.take_in("one.jpg", photo(99, 99)), *asked)
    assert message.lower() in found[tab.status].lower()
    assert not ASKED


def test_a_photo_without_a_face_and_one_that_is_forgotten(tab: edit.EditTab) -> None:
    token = tab.state.take_in("small.jpg", photo(30, 30))
    assert "no face found" in last(tab, token, "60", "as it is", "")[tab.status]
    tab.forgotten(token)
    assert "drop one" in last(tab, token, "60", "as it is", "")[tab.status]
    assert tab.state.photo(token) is None
