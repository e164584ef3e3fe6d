"""Review and study behind a reverse proxy that offers them under a path (service and studio: test_service_proxy.py)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import review_tiny
from proxy_live import proxied
from study_tiny import make_study

from mien.apps.review.app import create_app as create_review
from mien.apps.study.app import create_study
from mien.apps.web.keys import add_key
from mien.apps.web.settings import ServiceSettings
from mien.core.database import open_store
from mien.datasets.batches import FaceDataset
from mien.datasets.corrections import settle_place
from mien.pipelines.review import Review
from mien.pipelines.review_queue import ReviewQueue
from mien.pipelines.study_answers import SCHEMA, AnswerStore

HOSTS = pytest.mark.parametrize("keep_host", [True, False], ids=["as Caddy", "as nginx"])


@contextmanager
def reviewed(folder: Path, *, keep_host: bool, keys: Path | None = None) -> Iterator[str]:
    review_tiny.drawn(folder, 3)
    data = FaceDataset.open(folder, corrected=False)
    place, store = settle_place(folder)
    found = review_tiny.doubts(data.faces)
    queue = ReviewQueue(store, place.dataset, [data.faces[int(row)].id for row in found.order()])

    def make(address: str) -> Any:
        return create_review(Review(data, found, queue, "faces"), ServiceSettings(address=address, keys=keys))

    with proxied(make, keep_host=keep_host, path="/mien/review") as address:
        yield address
    store.close()


@contextmanager
def studied(folder: Path, *, keep_host: bool, keys: Path | None = None) -> Iterator[str]:
    design = make_study(folder)
    answers = AnswerStore(open_store(folder / "answers.sqlite", SCHEMA), design)

    def make(address: str) -> Any:
        return create_study(folder / "out", answers, ServiceSettings(address=address, keys=keys))

    with proxied(make, keep_host=keep_host, path="/mien/study") as address:
        yield address


def links(page: httpx.Response) -> list[str]:
    """The addresses that a page names, as a browser takes them."""
    named = re.findall(r'(?:href|src|action)="(?!data:)([^"]+)"', page.text)
    return [str(page.url.join(one)) for one in named]


@HOSTS
def test_the_review_works_under_a_path(keep_host: bool, tmp_path: Path) -> None:
    with reviewed(tmp_path, keep_host=keep_host) as address, httpx.Client(follow_redirects=True) as client:
        origin = {"Origin": address.removesuffix("/mien/review")}
        asked = client.get(f"{address}/")
        assert str(asked.url) == f"{address}/name"
        page = client.post(f"{address}/name", data={"name": "Ada"}, headers=origin)
        assert str(page.url) == f"{address}/"
        assert [cookie.path for cookie in client.cookies.jar] == ["/mien/review/"] * 2
        assert len(links(page)) > 4
        for link in links(page):
            assert link.startswith(f"{address}/"), link
            assert client.get(link).status_code in (200, 405), link
        face = re.findall(r'name="face" value="([^"]+)"', page.text)[0]
        said = client.post(f"{address}/say", data={"do": "skip", "face": face}, headers=origin)
        assert str(said.url) == f"{address}/?said=skipped"
        strange = client.post(f"{address}/say", data={"do": "skip"}, headers={"Origin": "https://evil.example"})
        assert strange.status_code == 403


@HOSTS
def test_the_study_works_under_a_path(keep_host: bool, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "anna")
    with (
        studied(tmp_path, keep_host=keep_host, keys=tmp_path / "keys") as address,
        httpx.Client(follow_redirects=True) as client,
    ):
        origin = {"Origin": address.removesuffix("/mien/study")}
        page = client.get(f"{address}/?key={key}")
        assert (page.status_code, str(page.url)) == (200, f"{address}/")
        ready = client.post(f"{address}/begin", data={"agree": "yes"}, headers=origin)
        assert str(ready.url) == f"{address}/ready"
        assert {cookie.path for cookie in client.cookies.jar} == {"/mien/study/"}
        trials = client.get(f"{address}/trials")
        for one in (page, ready, trials):
            assert links(one)
            for link in links(one):
                assert link.startswith(f"{address}/"), link
                assert client.get(link).status_code in (200, 405), link
        shown = client.post(f"{address}/api/show", json={"place": 0}, headers=origin).json()
        assert client.get(f"{address}/picture/{shown['picture']}").headers["content-type"] == "image/png"
        script = client.get(f"{address}/static/study.js").text
        assert not re.findall(r"""(?:fetch|post|replace)\(["'`]/""", script)
        assert "src = `/" not in script


def test_the_address_of_a_page_says_whether_its_cookies_go_over_tls() -> None:
    assert ServiceSettings(address="https://faces.example/mien").over_tls("http")
    assert not ServiceSettings(address="http://faces.example").over_tls("https")
    assert ServiceSettings().over_tls("https")
    assert (ServiceSettings().cookie_path, ServiceSettings(address="https://x.example/a/b").cookie_path) == (
        "/",
        "/a/b/",
    )


def until_one_came(page: Any, came: list[str], start: str) -> None:
    """By hand: these pages let nobody evaluate words, as waiting for a condition of JavaScript would."""
    for _ in range(300):
        if any(url.startswith(start) for url in came):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"nothing came from {start}: {came}")


@pytest.mark.browser
@pytest.mark.slow
def test_people_review_and_take_part_under_a_path_in_a_browser(tmp_path: Path) -> None:
    from browsing import Visit, browser

    with (
        reviewed(tmp_path / "faces", keep_host=False) as review,
        studied(tmp_path, keep_host=True) as study,
        browser() as opened,
    ):
        ada, bea = Visit(opened, review), Visit(opened, study)
        came: list[str] = []
        for visit in (ada, bea):
            visit.page.on("response", lambda answer: came.append(answer.url) if answer.ok else None)
        page = ada.open()
        page.fill("#name", "Ada")
        page.click("button")
        page.wait_for_selector("main img")
        until_one_came(page, came, f"{review}/crops/")
        page.click("button.main")
        page.wait_for_selector("text=1 of 3 decided")
        page.click("button[value=undo]")  # by key it would be lost where the page's script is not there yet
        page.wait_for_selector("text=0 of 3 decided")
        page = bea.open()
        page.check("input[name=agree]")
        page.click("text=Begin")
        page.wait_for_url(f"{study}/ready")
        page.click("#go")
        page.wait_for_url(f"{study}/trials")
        until_one_came(page, came, f"{study}/picture/")
        for visit, address in ((ada, review), (bea, study)):
            assert visit.foreign == visit.complaints == []
            assert all(url.startswith(f"{address}/") for url in visit.fetched if "//" in url)
