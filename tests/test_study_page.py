"""The page, asked as a browser asks: consent first, nothing given away, nothing lost, strangers kept out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from study_tiny import make_study

from mien.apps.study.app import create_study
from mien.apps.web.keys import add_key
from mien.apps.web.settings import ServiceSettings
from mien.core.database import open_store
from mien.core.errors import RequestError
from mien.evaluation.study.assignment import practice_of, trials_of
from mien.evaluation.study.design import Design, picture_path
from mien.pipelines.study_answers import SCHEMA, AnswerStore

Make = Callable[..., tuple[TestClient, AnswerStore]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """A study with a client of its page."""
    stores = []

    def made(settings: ServiceSettings | None = None, **other: object) -> tuple[TestClient, AnswerStore]:
        design = make_study(tmp_path, **other)
        answers = AnswerStore(open_store(tmp_path / "answers.sqlite", SCHEMA), design)
        stores.append(answers.store)
        app = create_study(tmp_path / "out", answers, settings or ServiceSettings())
        return TestClient(app, follow_redirects=False), answers

    yield made
    for store in stores:
        store.close()


def begin(client: TestClient) -> str:
    """Agree; the code of the participant."""
    answer = client.post("/begin", data={"agree": "yes"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ready")
    (code,) = [value for name, value in client.cookies.items() if re.fullmatch("mien_study_[0-9a-f]{8}", name)]
    return code


def reply(client: TestClient, place: int, said: str = "real", **other: object):
    body = {"place": place, "said": said, "reaction_ms": 812.5, "exposed_ms": 812.5, "way": "touch", **other}
    return client.post("/api/answer", json=body)


def test_consent_comes_first(make: Make) -> None:
    client, answers = make(contact="Ada, ada@example.org", consent="First words.\n\nSecond <b>words</b>.")
    page = client.get("/").text
    for said in ("10 pictures", "Ada, ada@example.org", "First words.", "Second &lt;b&gt;words&lt;/b&gt;.", "deleted"):
        assert said in page
    for path in ("/ready", "/trials", "/done"):
        assert client.get(path).headers["location"] == "/"
    assert client.post("/api/show", json={"place": 0}).status_code == 410
    refused = client.post("/begin", data={})
    assert refused.status_code == 422
    assert "Please tick the box" in refused.text
    assert answers.sessions() == []
    assert not client.cookies


def test_a_whole_session(make: Make) -> None:
    client, answers = make()
    code = begin(client)
    assert code in client.get("/ready").text
    assert client.get("/").headers["location"] == "/ready"
    trials = trials_of(answers.design, 0)
    for trial in trials:
        shown = client.post("/api/show", json={"place": trial.place}).json()
        assert (shown["place"], shown["card"], shown["picture"]) == (trial.place, trial.kind == "card", trial.picture)
        done = reply(client, trial.place, "real" if trial.real else "generated").json()
        assert done == {"place": trial.place + 1, "done": trial.place + 1 == len(trials)}
    assert client.get("/trials").headers["location"] == "/"
    assert client.get("/").headers["location"] == "/done"
    page = client.get("/done").text
    assert "100 %" in page
    assert code in page
    (session,) = answers.sessions()
    assert session.finished
    assert all(one.right and one.by == "touch" and one.reaction_ms == 812.5 for one in session.answers)


def test_nothing_gives_the_answer_away(make: Make, tmp_path: Path) -> None:
    client, answers = make(exposure_ms=150)
    begin(client)
    page = client.get("/trials")
    practised = {trial.picture for trial in practice_of(answers.design, 0)}
    about = unescape(re.search(r'data-about="([^"]*)"', page.text)[1])  # type: ignore[index]
    told = set(re.findall(r"[0-9a-f]{16}", about))
    assert told == practised | {one.id for one in answers.design.of("mask")}  # only of practice is the truth told
    kinds = set()
    for trial in trials_of(answers.design, 0):
        shown = client.post("/api/show", json={"place": trial.place}).json()
        assert set(shown) == {"place", "done", "card", "picture", "then"}
        assert "source" not in str(shown)
        if trial.picture:
            picture = client.get(f"/picture/{trial.picture}")
            assert picture.content == picture_path(tmp_path / "out", trial.picture).read_bytes()
            kinds.add(frozenset(picture.headers) - {"content-length"})
        reply(client, trial.place)
    assert len(kinds) == 1


def test_pictures_to_come_are_not_to_be_had(make: Make) -> None:
    client, answers = make()
    trials = [trial for trial in trials_of(answers.design, 0) if trial.picture]
    assert client.get(f"/picture/{trials[0].picture}").status_code == 410
    begin(client)
    assert client.get(f"/picture/{trials[0].picture}").status_code == 200
    assert client.get(f"/picture/{trials[-1].picture}").status_code == 404
    assert client.get("/picture/..%2Fstudy.json").status_code == 404
    assert client.get("/picture/study").status_code == 404


def test_answers_come_once_and_in_order(make: Make) -> None:
    client, answers = make()
    begin(client)
    assert reply(client, 0).status_code == 409
    client.post("/api/show", json={"place": 0})
    assert reply(client, 0, "real").json() == {"place": 1, "done": False}
    assert reply(client, 0, "generated").json() == {"place": 1, "done": False}  # sent again by a bad line
    assert [one.said_real for one in answers.sessions()[0].answers] == [True]
    for body in ({"place": 1, "said": "maybe", "reaction_ms": 1}, {"place": -1, "said": "real", "reaction_ms": 1}):
        assert client.post("/api/answer", json=body).status_code == 422
    assert reply(client, 1, reaction_ms=-5).status_code == 422
    assert (
        client.post("/api/answer", json={"place": 1, "said": "real", "reaction_ms": 1, "name": "x"}).status_code == 422
    )


def test_a_code_goes_on_elsewhere(make: Make) -> None:
    client, answers = make()
    code = begin(client)
    client.post("/api/show", json={"place": 0})
    reply(client, 0)
    other = TestClient(client.app, follow_redirects=False)
    wrong = other.post("/resume", data={"code": "ABCD"})
    assert wrong.status_code == 422
    assert "Nobody takes part under this code" in wrong.text
    assert other.post("/resume", data={"code": code.lower().replace("-", "")}).status_code == 303
    assert "Welcome back" in other.get("/ready").text
    assert other.post("/api/show", json={"place": 1}).json()["place"] == 1
    assert len(answers.sessions()) == 1


def test_withdrawing_deletes_and_forgets(make: Make) -> None:
    client, answers = make()
    code = begin(client)
    client.post("/api/show", json={"place": 0})
    reply(client, 0)
    assert code in client.get("/withdraw").text
    assert client.post("/withdraw", data={"code": "nonsense"}).status_code == 422
    assert len(answers.sessions()) == 1
    gone = client.post("/withdraw", data={"code": code})
    assert "Your answers are deleted" in gone.text
    assert (answers.sessions(), answers.withdrawn()) == ([], 1)
    assert client.post("/api/show", json={"place": 1}).status_code == 410
    assert client.get("/trials").headers["location"] == "/"


def test_headers_and_cookies_are_careful(make: Make) -> None:
    client, _ = make()
    answer = client.post("/begin", data={"agree": "yes"})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    page = client.get("/trials")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in page.headers
    assert not re.findall(
        r"https?://", page.text + client.get("/static/study.js").text + client.get("/static/study.css").text
    )
    assert not re.findall(r"<script(?![^>]*src=)|<style|\son\w+=", page.text)
    for path in ("/docs", "/openapi.json", "/static/../app.py", "/static/consent.html.j2"):
        assert client.get(path).status_code == 404


def test_other_sites_and_other_names_are_kept_out(make: Make) -> None:
    client, answers = make()
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
    assert client.post("/begin", data={"agree": "yes"}, headers={"origin": "https://evil.example"}).status_code == 403
    assert answers.sessions() == []
    assert client.post("/begin", data={"agree": "yes", "pad": "x" * 100_000}).status_code == 413
    assert client.post("/begin", data={"agree": "yes"}, headers={"origin": "http://testserver"}).status_code == 303


def test_elsewhere_only_people_with_a_key_come_in(make: Make, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"--host: 0\.0\.0\.0 can be reached by others, which needs --keys FILE"):
        make(ServiceSettings(host="0.0.0.0"))
    key = add_key(tmp_path / "keys", "anna")
    client, answers = make(ServiceSettings(host="0.0.0.0", keys=tmp_path / "keys"))
    closed = client.get("/")
    assert closed.status_code == 401
    assert "By invitation" in closed.text
    assert client.post("/begin", data={"agree": "yes"}).status_code == 401
    assert client.post("/api/show", json={"place": 0}).status_code == 401
    assert client.get("/?key=mien_wrong").status_code == 401
    assert answers.sessions() == []
    assert client.get(f"http://testserver//elsewhere.example/?key={key}").headers["location"] == "/elsewhere.example/"
    client.cookies.clear()
    let_in = client.get(f"/?key={key}")
    assert (let_in.status_code, let_in.headers["location"]) == (303, "/")
    assert "Before you agree" in client.get("/").text
    begin(client)
    assert client.get("/healthz").status_code == 200


def test_trouble_is_told_on_a_page(make: Make) -> None:
    client, _ = make()
    page = client.get("/nowhere")
    assert page.status_code == 404
    assert "There is no such page." in page.text
    assert client.get("/api/nowhere").json() == {"error": "there is no such page"}


def test_a_design_is_read_back_as_it_was(make: Make, tmp_path: Path) -> None:
    _, answers = make()
    assert Design.load(tmp_path / "out").fingerprint() == answers.study
