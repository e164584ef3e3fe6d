"""The review's pages: forms alone do everything, wrong values are said beside them, strangers stay outside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import review_tiny

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")
from fastapi.testclient import TestClient

from mien.apps.review.app import create_app
from mien.apps.web.keys import add_key
from mien.apps.web.settings import ServiceSettings
from mien.core.errors import RequestError
from mien.core.images import to_photos
from mien.datasets.batches import FaceDataset
from mien.datasets.corrections import settle_place, standing
from mien.pipelines.review import Review, ReviewQueue
from mien.pipelines.train.crowd_paper import paper_batches

Come = Callable[..., TestClient]


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    review_tiny.drawn(tmp_path / "faces")
    return tmp_path / "faces"


@pytest.fixture
def review(dest: Path) -> Iterator[Review]:
    """Twelve faces of which the first three have a suspicious label: sex, age, smile."""
    data = FaceDataset.open(dest, corrected=False)
    place, store = settle_place(dest)
    found = review_tiny.doubts(data.faces)
    queue = ReviewQueue(store, place.dataset, [data.faces[int(row)].id for row in found.order()])
    yield Review(data, found, queue, "faces")
    store.close()


@pytest.fixture
def come(review: Review) -> Come:
    """A new browser before the page, with a name or without."""
    app = create_app(review, ServiceSettings())

    def visit(name: str | None = "Ada") -> TestClient:
        client = TestClient(app)
        if name is not None:
            assert client.post("/name", data={"name": name}).status_code == 200
        return client

    return visit


def fields(page: str) -> dict[str, str]:
    """The form of a page as a browser would send it back untouched."""
    found = {"face": re.findall(r'name="face" value="([^"]*)"', page)[0]}
    found["age"] = re.findall(r'<input id="age"[^>]* value="([^"]*)"', page)[0]
    for name, value in re.findall(r'type="radio" name="([^"]+)" value="([^"]+)" checked', page):
        found[name] = value
    return found


def say(client: TestClient, do: str, **changes: str) -> str:
    """Press a button with these fields changed; the page that comes."""
    page = client.get("/").text
    return str(client.post("/say", data={**fields(page), **changes, "do": do}).text)


def test_the_most_suspicious_face_comes_first_with_words_for_label_and_view(come: Come) -> None:
    client = come()
    page = client.get("/").text
    assert "made: 00000.png" in page
    assert re.search(r"labelled <strong>woman</strong>.*?✗ classifier contradicts</span>\s*man, ", page, re.S)
    assert "20 years" in page
    assert "0 of 12 decided" in page
    image = client.get(re.findall(r'src="(crops/\d+\.jpg)"', page)[0])
    assert (image.headers["content-type"], image.content[:2]) == ("image/jpeg", b"\xff\xd8")
    for key in ("A", "T", "R", "S", "Z", "W", "M", "U"):
        assert f"<kbd>{key}</kbd>" in page
    assert "http" not in re.sub(r"http://testserver", "", page)  # nothing comes from elsewhere


def test_every_button_does_what_it_says(come: Come, dest: Path) -> None:
    client = come()
    assert "Kept as it was." in say(client, "keep")
    assert "Corrected." in say(client, "classifier")  # face 1: 40 years older
    assert "Corrected." in say(client, "keep", **{"is:Smiling": "unknown", "sex": "unknown"})
    assert "Taken out of training." in say(client, "reject")
    assert "Skipped" in say(client, "skip")
    assert "4 of 12 decided" in client.get("/").text
    decisions = standing(dest)
    assert {face: (one.verdict, dict(one.changes)) for face, one in decisions.items()} == {
        "made:00000.png": ("accepted", {}),
        "made:00001.png": ("corrected", {"age": 61.0}),
        "made:00002.png": ("corrected", {"sex": None, "Smiling": None}),
        "made:00003.png": ("rejected", {}),
    }
    assert "Taken back" in say(client, "undo")  # the skip
    assert "Taken back" in say(client, "undo")
    assert fields(client.get("/").text)["face"] == "made:00003.png"
    assert len(standing(dest)) == 3


def test_what_the_page_is_told_is_what_the_next_training_sees(tmp_path: Path) -> None:
    ages = [age for age in (15, 25, 35, 45, 55, 65, 75, 90) for _ in range(4)]  # two women and men of each bin
    crops = [np.full((64, 64, 3), 10 + 7 * place, np.uint8) for place in range(len(ages))]
    labels = [{"sex": ("female", "male")[place % 2], "age_years": float(age)} for place, age in enumerate(ages)]
    rows = review_tiny.write(tmp_path, crops, labels)

    def seen() -> tuple[set[tuple[int, str, int]], str]:
        """(face by its grey, sex, age) of everything that 8 batches of the paper's preset hold; the fingerprint."""
        batch_at, fingerprint = paper_batches(tmp_path, 64, 1)
        found = set()
        for batch in map(batch_at, range(8)):
            greys = to_photos(batch["image"])[:, 32, 32, 0]
            for grey, (sex, age) in zip(greys, batch["labels"].tolist(), strict=True):
                found.add((round((int(grey) - 10) / 7), "male" if sex > 0 else "female", round(10 + 45 * (age + 1))))
        return found, fingerprint

    before = seen()
    assert before[0] == {(place, ("female", "male")[place % 2], age) for place, age in enumerate(ages)}
    place, store = settle_place(tmp_path)
    review = Review(
        FaceDataset.open(tmp_path, corrected=False),
        review_tiny.doubts(rows),
        ReviewQueue(store, place.dataset, [row.id for row in rows]),
        "faces",
    )
    client = TestClient(create_app(review, ServiceSettings(), by="Ada"))
    assert "Corrected." in say(client, "keep", sex="male")  # face 0
    assert "Corrected." in say(client, "classifier")  # face 1: 40 years older
    assert "Kept as it was." in say(client, "keep")
    assert "Taken out of training." in say(client, "reject")  # face 3
    after = seen()
    store.close()
    assert after[0] == {(0, "male", 15), (1, "male", 55)} | {one for one in before[0] if one[0] not in (0, 1, 3)}
    assert after[1] != before[1], "runs and weights say on which labels they were trained"


def test_two_people_and_their_names(come: Come) -> None:
    ada, ben = come(), come("Ben <b>")
    first, second = fields(ada.get("/").text), fields(ben.get("/").text)
    assert first["face"] != second["face"]
    assert "now here: Ben &lt;b&gt;" in ada.get("/").text
    answer = ada.post("/say", data={**second, "do": "keep"})
    assert "somebody else has it now" in answer.text
    ada.post("/leave")
    assert "Goodbye, Ada" in ada.post("/leave").text
    assert fields(ben.get("/").text) == second


def test_a_double_click_answers_one_face(come: Come, dest: Path) -> None:
    client = come()
    form = {**fields(client.get("/").text), "do": "reject"}
    client.post("/say", data=form)
    assert "answered already" in client.post("/say", data=form).text
    assert len(standing(dest)) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"age": "300"}, "Age: &#39;300&#39; given; allowed: 0 to 120 years"),
        ({"age": "nan"}, "Age: &#39;nan&#39; given"),
        ({"age": "<i>"}, "&lt;i&gt;"),
        ({"sex": "Female"}, "sex: &#39;Female&#39; given; allowed: female, male, unknown"),
        ({"do": "delete"}, "do: &#39;delete&#39; given; allowed: keep, classifier, reject, skip, undo"),
        ({"face": "made:99999.png"}, "this dataset has no such face"),
    ],
)
def test_what_cannot_be_said_is_told_and_nothing_is_kept(
    come: Come, dest: Path, changes: dict[str, str], told: str
) -> None:
    client = come()
    form = {**fields(client.get("/").text), "do": "keep", **changes}
    answer = client.post("/say", data=form)
    assert answer.status_code == 422
    assert told in answer.text
    assert standing(dest) == {}
    if "age" in changes and "<" not in changes["age"]:
        assert f'value="{changes["age"]}"' in answer.text  # what was typed stays


def test_without_a_name_one_is_asked_for_once(come: Come) -> None:
    client = come(None)
    assert "Who reviews?" in client.get("/").text
    for wrong in ("", "   ", "x" * 81, "a\x00b"):
        assert client.post("/name", data={"name": wrong}).status_code == 422
    assert "Accept" in client.post("/name", data={"name": "Zoë 李"}).text
    assert "Zoë 李" in client.get("/").text


def test_at_the_end_the_page_says_so_and_undo_still_works(come: Come) -> None:
    client = come()
    for _ in range(12):
        page = say(client, "keep")
    assert "Every face of this review is decided" in page
    page = client.post("/say", data={"do": "undo", "face": ""}).text
    assert "Taken back" in page
    assert "11 of 12 decided" in page


def test_others_pages_and_names_are_refused(come: Come) -> None:
    client = come()
    form = {**fields(client.get("/").text), "do": "keep"}
    assert client.post("/say", data=form, headers={"Origin": "http://elsewhere.example"}).status_code == 403
    assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 421
    assert client.get("/crops/99.jpg").status_code == 422
    assert client.get("/nothing").status_code == 404
    assert client.post("/say", content=b"x=" + b"y" * 70_000).status_code == 413
    headers = client.get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert TestClient(client.app).get("/crops/0.jpg", follow_redirects=False).status_code == 303


def test_an_address_that_others_reach_needs_a_key_whose_name_is_the_reviewers(
    review: Review, tmp_path: Path, dest: Path
) -> None:
    with pytest.raises(RequestError, match=r"--host: 0\.0\.0\.0 can be reached by others, which needs --keys FILE"):
        create_app(review, ServiceSettings(host="0.0.0.0"))
    key = add_key(tmp_path / "keys", "grace")
    app = create_app(review, ServiceSettings(host="0.0.0.0", keys=tmp_path / "keys"))
    client = TestClient(app, base_url="http://photos.example")
    assert "A key is needed" in client.get("/").text
    assert client.get("/crops/0.jpg", follow_redirects=False).status_code == 303
    assert client.post("/key", data={"key": "mien_wrong"}).status_code == 401
    assert "grace" in client.post("/key", data={"key": key}).text
    assert client.post("/name", data={"name": "somebody else"}).status_code == 200
    assert "Kept as it was" in say(client, "keep")
    assert "somebody else" not in client.get("/").text
