"""The studio's doors: who is let in, what comes in and goes out, and what never leaves."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")

from fastapi.testclient import TestClient
from service_live import FAKES

from mien.apps.studio.app import TABS, create_app
from mien.apps.studio.state import StudioState, TTLCache
from mien.apps.web.keys import add_key
from mien.apps.web.models import ModelSpec
from mien.apps.web.settings import ServiceSettings
from mien.core.errors import RequestError, WeightsError
from mien.core.images import encode_jpeg, encode_png
from mien.pipelines.request import FacesRequest, crowd_request

HERE = "http://127.0.0.1"
JPEG = encode_jpeg(np.full((20, 30, 3), 90, np.uint8))


@pytest.fixture
def client() -> Iterator[TestClient]:
    """The studio with models that need no weights."""
    with TestClient(create_app(specs=FAKES), base_url=HERE) as made:
        yield made


def test_the_page_is_whole_and_fetches_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/").text
    assert "mien studio" in page
    for tab in TABS.values():
        assert tab.TITLE in page
    loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=[\"']?(https?:[^\"' >]+)", page)
    assert not loaded
    css = client.get("/theme.css").text
    assert "http" not in css.replace("http://www.w3.org/2000/svg", ""), "a font or picture of somebody else"
    config = client.get("/config").json()
    assert config["analytics_enabled"] is False


def test_no_event_is_a_public_program_interface(client: TestClient) -> None:
    config = client.get("/config").json()
    assert len(config["dependencies"]) > 10
    assert {event["api_visibility"] for event in config["dependencies"]} == {"private"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", ""])
def test_a_page_elsewhere_cannot_name_this_machine(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 421
    assert client.get("/", headers={"host": "localhost:7860"}).status_code == 200


def test_a_page_of_another_site_may_not_post(client: TestClient) -> None:
    away = client.post("/photos", content=JPEG, headers={"origin": "https://evil.example"})
    assert away.status_code == 403
    assert client.post("/photos", content=JPEG, headers={"origin": HERE}).status_code == 200


def test_uploads_never_touch_the_disk(client: TestClient) -> None:
    assert client.post("/gradio_api/upload", files={"files": JPEG}).status_code == 404


def test_a_photo_comes_in_and_is_told_by_its_token(client: TestClient) -> None:
    told = client.post("/photos", content=JPEG, headers={"x-name": "Anna%20B.jpg"}).json()
    assert (told["width"], told["height"], told["name"], told["remark"]) == (30, 20, "Anna B.jpg", "")
    state: StudioState = client.app.state.studio  # type: ignore[attr-defined]
    photo = state.photo(told["token"])
    assert photo is not None
    assert photo.image.shape == (20, 30, 3)
    assert state.photo("another") is None


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"", 415, "0 bytes"),
        (b"hello", 415, "not a picture that can be read; allowed: JPEG, PNG, WebP, HEIC, AVIF"),
        (JPEG[:200], 415, "photo"),
        (encode_png(np.zeros((9000, 9000, 3), np.uint8)), 413, "allowed are 50 megapixels"),
        (b"\xff\xd8\xff" + b"0" * (21 * 2**20), 413, "too large; allowed are 20 MiB"),
    ],
    ids=["empty", "text", "cut", "bomb", "large"],
)
def test_what_is_no_photo_is_refused_in_words(client: TestClient, data: bytes, status: int, words: str) -> None:
    answer = client.post("/photos", content=data)
    assert answer.status_code == status
    assert words in answer.text


def test_what_phones_append_to_a_photo_is_left_out_and_told(client: TestClient) -> None:
    trailer = client.post("/photos", content=JPEG + b"PK\x03\x04 and an archive PK\x05\x06")
    assert (trailer.status_code, trailer.json()["remark"]) == (200, "")
    film = client.post("/photos", content=JPEG + b"\0\0\0\x18ftypmp42MotionPhoto_Data")
    assert film.json()["remark"] == "a motion photo: its film is left out"


@pytest.mark.parametrize(
    "data",
    [
        b"name,age\nZo\xc3\xab,30\n",
        b"\xef\xbb\xbfname;age\r\nZo\xc3\xab;30\r\n",
        b"sep=;\r\nname;age\r\nZo\xeb;30\r\n",
        "name\tage\r\nZo\u00eb\t30\r\n".encode("utf-16"),
        "name\tage\rZo\u00eb\t30\r".encode("utf-16-be"),
        b'"name","age"\n"Zo\xc3\xab","30"\n,\n',
    ],
    ids=["plain", "BOM and semicolons", "sep= and cp1252", "Unicode text", "no BOM, CR", "quotes"],
)
def test_a_cast_list_comes_in_whatever_excel_calls_csv(client: TestClient, data: bytes) -> None:
    told = client.post("/casts", content=data, headers={"x-name": "my%20list.csv"})
    assert (told.status_code, told.json()["name"], told.json()["count"]) == (200, "my list.csv", 1)
    state: StudioState = client.app.state.studio  # type: ignore[attr-defined]
    kept = state.cast(told.json()["token"])
    assert kept is not None
    assert dict(kept[1].rows[0].cells) == {"name": "Zo\u00eb", "age": "30"}


def test_a_cast_list_that_cannot_be_is_told_before_any_face_is_made(client: TestClient) -> None:
    wrong = client.post("/casts", content=b"name,age,seed\nann,xyz,1\nben,30,-1\n")
    assert wrong.status_code == 422
    assert [(cell["row"], cell["column"]) for cell in wrong.json()["cells"]] == [(2, "age"), (3, "seed")]
    for data, status, words in (
        (b"", 422, "the list: empty"),
        (b"PK\x03\x04", 422, "save it as CSV"),
        (b"count\n201\n", 422, "201 faces given; allowed at once are 200"),
        (b"name\n" + b"x" * 5 * 2**20, 413, "the list: too large; allowed are 4096 KiB"),
        (JPEG, 422, "the list: "),
    ):
        answer = client.post("/casts", content=data)
        assert answer.status_code == status, answer.text
        assert words in answer.json()["error"]


def test_pictures_are_had_by_token_alone(client: TestClient) -> None:
    state: StudioState = client.app.state.studio  # type: ignore[attr-defined]
    kept = state.keep(b"bytes", "a b.png")
    answer = client.get(f"/{kept.address}")
    assert (answer.content, answer.headers["content-type"]) == (b"bytes", "image/png")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert client.get("/pictures/guess/a.png").status_code == 404


def test_an_address_that_others_reach_needs_keys(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"--host: 0\.0\.0\.0 can be reached by others, which needs --keys FILE"):
        create_app(ServiceSettings(host="0.0.0.0"), specs=FAKES)
    key = add_key(tmp_path / "keys", "anna")
    app = create_app(ServiceSettings(host="0.0.0.0", keys=tmp_path / "keys"), specs=FAKES)

    def asked(name: str, given: str) -> int:
        words = base64.b64encode(f"{name}:{given}".encode()).decode()
        headers = {"authorization": f"Basic {words}"}
        return int(TestClient(app, base_url="http://mien.example").get("/healthz", headers=headers).status_code)

    assert asked("anna", key) == 200
    assert asked("anna", "wrong") == 401
    assert asked("bert", key) == 401
    bare = TestClient(app, base_url="http://mien.example").get("/")
    assert bare.status_code == 401
    assert bare.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("words", ["", "Basic", "Basic !!!", "Basic /w==", "Bearer x"])
def test_a_broken_authorization_is_no_way_in(tmp_path: Path, words: str) -> None:
    add_key(tmp_path / "keys", "anna")
    app = create_app(ServiceSettings(keys=tmp_path / "keys"), specs=FAKES)
    assert TestClient(app, base_url=HERE).get("/", headers={"authorization": words}).status_code == 401


def order(index: int) -> FacesRequest:
    """One face."""
    return crowd_request(age="20-30", seed=1, first=index).request


def test_asking_answers_every_order_in_turn() -> None:
    state = StudioState(ServiceSettings(), FAKES)
    state.start()
    try:
        steps = list(state.ask("crowd", [order(k) for k in range(5)], together=2))
    finally:
        state.stop()
    answers = [step for step in steps if step.answer is not None]
    assert [step.number for step in answers] == [0, 1, 2, 3, 4]
    assert [step.done for step in answers] == [1, 2, 3, 4, 5]
    assert [step.answer[0].row["index"] for step in answers] == [0, 1, 2, 3, 4]


def test_who_waits_is_told_and_who_leaves_has_nothing_made() -> None:
    """A second visitor hears how many are before him, and is served between the lots of the first."""
    import threading

    gate, made = threading.Event(), []

    def make(model: Any, orders: Sequence[FacesRequest]) -> list[Any]:
        gate.wait(30)
        made.extend(order.first for order in orders)
        return [order.first for order in orders]

    spec = ModelSpec("slow", "faces", "Numbers", lambda: None, make)
    state = StudioState(ServiceSettings(together_faces=1), [spec])
    state.start(warm="")
    try:
        first = state.ask("slow", [order(k) for k in range(3)])
        assert next(first).answer is None
        second = state.ask("slow", [order(100)])
        waiting = [next(second) for _ in range(2)][-1]
        assert waiting.ahead == 1
        assert waiting.words == "In line: 1 request of somebody else is made before yours."
        gate.set()
        assert next(step.answer for step in first if step.answer is not None) == 0
        assert next(step.answer for step in second if step.answer is not None) == 100
        first.close()
    finally:
        state.stop()
    assert made[:2] == [0, 100] or made[:3] == [0, 1, 100]
    assert 2 not in made


def test_a_model_that_is_not_there_is_told_without_paths_and_tried_again() -> None:
    tries = []

    def load() -> Any:
        tries.append(1)
        raise WeightsError("crowd: /secret/place/crowd.safetensors is damaged")

    spec = ModelSpec("crowd", "faces", "None", load, lambda model, orders: [])
    state = StudioState(ServiceSettings(), [spec])
    state.start(warm="")
    try:
        for _ in range(2):
            with pytest.raises(Exception, match=r"crowd: not available here \(crowd\.safetensors is damaged\)"):
                list(state.ask("crowd", [order(0)]))
    finally:
        state.stop()
    assert len(tries) == 2


def test_a_shelf_forgets_the_oldest_when_it_is_full() -> None:
    shelf: TTLCache[bytes] = TTLCache(10, 60, len)
    tokens = [shelf.put(bytes(4)) for _ in range(3)]
    assert [shelf.get(token) is not None for token in tokens] == [False, True, True]
    large = shelf.put(bytes(40))
    assert shelf.get(large) is not None, "one thing alone may be larger"
    assert shelf.get(tokens[2]) is None


def test_a_shelf_forgets_what_is_old() -> None:
    shelf: TTLCache[bytes] = TTLCache(10, -1, len)
    assert shelf.get(shelf.put(b"1")) is None


def test_the_page_is_there_before_torch_is() -> None:
    script = "import sys; from mien.apps.studio.app import create_app; create_app(); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or "importing the studio imports torch: seconds of start-up"


def test_the_command_says_what_is_missing_without_the_extra(tmp_path: Path) -> None:
    script = "import sys; sys.modules['gradio'] = None; from mien.apps.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "studio", "--no-browser"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "mien: studio: gradio is not installed; run: pip install 'mien[studio]'\n"


def test_the_styles_and_scripts_travel_with_the_package() -> None:
    from mien.apps.studio import theme, widgets

    assert "--paper" in theme.css()
    assert "http" not in theme.css().replace("http://www.w3.org", "")
    assert all("http" not in path.read_text() for path in widgets.SCRIPTS.glob("*.js"))


def test_a_socks_proxy_does_not_stop_a_page_of_this_machine() -> None:
    """Gradio makes a client of HTTP when it is imported, which behind SOCKS wants a package that nobody needs here."""
    code = "import mien.apps.studio.app, os; print(os.environ['ALL_PROXY'], os.environ['https_proxy'])"
    socks = "socks5://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True,
        env={**os.environ, "ALL_PROXY": socks, "https_proxy": socks},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, f"{socks} {socks}"), done.stderr
