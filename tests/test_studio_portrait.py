"""The tab Portrait without a browser: what is made of each photo, what is shown, and what is forgotten."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

import gradio as gr

from mien.apps.studio import portrait, portrait_page
from mien.apps.studio.portrait_make import MODEL, MODEL_SPECS, FindJob, Likeness, PortraitJob, faces, likeness, make
from mien.apps.studio.portrait_page import Finished, cards
from mien.apps.studio.state import StudioState
from mien.apps.web.models import ModelSpec
from mien.apps.web.settings import ServiceSettings
from mien.core.errors import PhotoError
from mien.core.images import encode_jpeg, encode_png
from mien.core.photos import decode_photo
from mien.core.records import UInt8Image
from mien.faces.dlib_resnet import SAME_PERSON
from mien.pipelines.portrait_model import SAME_BY_ENCODER
from mien.provenance.reading import examine_bytes

GREY = np.full((256, 256, 3), 128, np.uint8)


FACE: Any = None  # the fakes look at none


def grey(name: str, number: int = 0, distance: float | None = 0.3) -> Likeness:
    """A portrait of a grey square."""
    row = {"file": "00000.png", "seed": None, "index": 0, "model": "fake", "model_version": "1", "photo": name,
           "face": number}  # fmt: skip
    png = encode_png(GREY)
    warnings = () if distance is None or distance < SAME_PERSON else ("may not look like the person",)
    return Likeness(name, number, encode_jpeg(GREY), png, png, GREY, row, 0.7, distance, warnings)


def fake_make(_: Any, jobs: Sequence[FindJob | PortraitJob]) -> list[Any]:
    """Two faces on wide photos, none on small ones; a black photo is a fault of ours."""
    answers: list[Any] = []
    for job in jobs:
        if isinstance(job, PortraitJob):
            answers.append(grey(job.name, job.number))
        elif not job.photo.any():
            answers.append(ZeroDivisionError("secret"))
        elif job.photo.shape[0] < 40:
            answers.append(PhotoError("no_face", "no face found"))
        else:
            answers.append([FACE] * (1 if job.largest else job.photo.shape[1] // job.photo.shape[0]))
    return answers


@pytest.fixture(name="state")
def _state() -> Iterator[StudioState]:
    state = StudioState(ServiceSettings(), [ModelSpec(MODEL, "photo", "fake", lambda: None, fake_make)])
    state.start()
    yield state
    state.stop()


@pytest.fixture(name="tab")
def _tab(state: StudioState) -> portrait.PortraitTab:
    with gr.Blocks():
        return portrait.PortraitTab(state)


def photo(width: int, height: int, value: int = 90) -> UInt8Image:
    return np.full((height, width, 3), value, np.uint8)


def shown(tab: portrait.PortraitTab, tokens: list[str], largest: bool = False) -> dict[str, Any]:
    """The last of everything that a run shows."""
    last: dict[Any, Any] = {}
    for update in tab.make(tokens, largest, "white", 256):
        last |= update
    return {"status": last[tab.status], "cards": last[tab.cards], "save": last[tab.save]}


def test_a_broken_photo_stops_no_other(state: StudioState, tab: portrait.PortraitTab) -> None:
    pictures = {
        "two.jpg": photo(200, 100),
        "nobody.png": photo(30, 30),
        "fault.jpg": photo(90, 90, 0),
        "one.jpg": photo(99, 99),
    }
    tokens = [state.take_in(name, image) for name, image in pictures.items()]
    found = shown(tab, [*tokens, "forgotten"])
    assert found["cards"].count('class="likeness"') == 3
    assert found["cards"].count("likeness wrong") == 3
    assert "No face found." in found["cards"]
    assert "secret" not in found["cards"]
    assert "This photo is forgotten; drop it again." in found["cards"]
    assert "3 portraits. 3 photos gave none." in found["status"]
    assert found["cards"].index("two.jpg") < found["cards"].index("nobody.png") < found["cards"].index("one.jpg")


def test_a_photo_of_a_crowd_holds_nobody_up(state: StudioState, tab: portrait.PortraitTab) -> None:
    """Each face is an job of its own: cards come one by one, and whoever leaves has no more made."""
    work = tab.make([state.take_in("crowd.jpg", photo(900, 100))], False, "white", 256)
    counts = []
    for update in work:
        counts += [update[tab.cards].count('class="likeness"')] if update.get(tab.cards) else []
        if counts and counts[-1] == 3:
            break
    work.close()
    assert sorted(set(counts)) == [1, 2, 3]
    assert state.worker.waits == 0


def test_only_the_largest_face(state: StudioState, tab: portrait.PortraitTab) -> None:
    found = shown(tab, [state.take_in("two.jpg", photo(200, 100))], largest=True)
    assert found["cards"].count('class="likeness"') == 1
    assert found["save"] == ""


def test_portraits_are_saved_with_marks_and_a_manifest(state: StudioState, tab: portrait.PortraitTab) -> None:
    found = shown(tab, [state.take_in("two.jpg", photo(200, 100))])
    address = re.search(r'href="data:application/zip;base64,([^"]+)"', found["save"])
    assert address
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(address[1]))) as archive:
        rows = [json.loads(line) for line in archive.read("manifest.jsonl").decode().splitlines()]
        assert [row["file"] for row in rows] == ["00000.png", "00001.png"]
        assert [row["face"] for row in rows] == [0, 1]
        pngs = [archive.read(row["file"]) for row in rows]
    for png in pngs:
        assert decode_photo(png).shape == (256, 256, 3)
        assert examine_bytes(png).marked
    single = re.search(r'class="save" href="data:image/png;base64,([^"]+)"', found["cards"])
    assert single
    assert base64.b64decode(single[1]) == pngs[0]


def test_nothing_of_a_photo_can_be_fetched_from_the_server(state: StudioState, tab: portrait.PortraitTab) -> None:
    found = shown(tab, [state.take_in("one.jpg", photo(99, 99))])
    assert "pictures/" not in found["cards"] + found["save"]


def test_forgetting_forgets(state: StudioState, tab: portrait.PortraitTab) -> None:
    tokens = [state.take_in("one.jpg", photo(99, 99)), state.take_in("two.jpg", photo(99, 99))]
    tab.forgotten(tokens)
    assert [state.photo(token) for token in tokens] == [None, None]
    tab.forget_all(tokens)  # again harms nobody


def test_new_photos_take_the_place_of_those_before(state: StudioState, tab: portrait.PortraitTab) -> None:
    old, new = state.take_in("old.jpg", photo(99, 99)), state.take_in("new.jpg", photo(99, 99))
    event = gr.EventData(None, {"tokens": [new]})
    last: dict[Any, Any] = {}
    for update in tab.dropped([old], False, "white", 256, event):
        last |= update
    assert state.photo(old) is None
    assert state.photo(new) is not None
    assert "new.jpg" in last[tab.cards]


def test_too_many_photos_are_told(state: StudioState, tab: portrait.PortraitTab) -> None:
    token = state.take_in("nobody.png", photo(30, 30))
    found = shown(tab, [token] * (portrait.MOST_PHOTOS + 3))
    assert "3 more were left out: 32 at a time." in found["status"]


def test_cards_escape_names_and_say_how_alike() -> None:
    name = '<b onclick="x">.jpg'
    html = cards([Finished(name, grey(name, 1, 0.9), b"png", {"file": "00000.png"}), Finished("<i>", wrong="<u>")])
    assert "<b onclick" not in html
    assert "<i>" not in html
    assert "<u>" not in html
    assert "face 2" in html
    assert "may not look like the person" in html
    assert 'type="range"' in html
    assert "within one person" in cards([Finished("a", grey("a", 0, 0.5), b"png", {"file": "a.png"})])
    assert cards([]) == ""
    assert (portrait_page.SAME_BY_ENCODER, portrait_page.SAME_BY_JUDGE) == (SAME_BY_ENCODER, SAME_PERSON)


@pytest.mark.models
def test_a_made_face_becomes_a_portrait(models_cache: object, made_faces: Any) -> None:
    face = decode_photo((made_faces / "00030.png").read_bytes())
    large = np.asarray(np.kron(face, np.ones((2, 2, 1), np.uint8)))
    pipeline = MODEL_SPECS[0].load()
    found = faces(pipeline, FindJob(large))
    assert len(found) == 1
    portrait = likeness(pipeline, PortraitJob(large, "made.png", found[0], 0))
    assert portrait.image.shape == (256, 256, 3)
    assert portrait.row["photo"] == "made.png"
    assert decode_photo(portrait.crop).shape == decode_photo(portrait.mask).shape == (256, 256, 3)
    clear, nobody = make(
        pipeline, [PortraitJob(large, "made.png", found[0], 0, 512, "transparent"), FindJob(GREY, largest=True)]
    )
    assert clear.image.shape == (512, 512, 4)
    assert isinstance(nobody, PhotoError)
