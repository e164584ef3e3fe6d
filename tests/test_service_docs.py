"""`/docs` in a browser that reaches nothing but the service: shown, tried out, and no script from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import Visit
from service_live import FAKES, Live, live
from starlette.testclient import TestClient

from mien.apps.service import docs_page
from mien.apps.service.app import create_app
from mien.apps.web.keys import add_key
from mien.apps.web.settings import ServiceSettings


@pytest.fixture(scope="module")
def service() -> Iterator[Live]:
    with live(ServiceSettings(port=0)) as running:
        yield running


@pytest.fixture
def visit(browser: Any, service: Live) -> Iterator[Visit]:
    person = Visit(browser, service.address)
    here = person.address

    def only_here(route: Any) -> None:
        (route.continue_ if route.request.url.startswith(here) else route.abort)()

    person.context.route("**/*", only_here)
    yield person
    person.close()


@pytest.mark.browser
def test_the_page_needs_no_other_server(visit: Visit) -> None:
    page = visit.open("docs")
    page.wait_for_selector("#operations-faces-crowd")
    assert page.locator(".opblock").count() == 10
    visit.shot("service-docs", full_page=True)
    assert visit.foreign == []
    assert visit.complaints == []


@pytest.mark.browser
def test_a_face_is_made_from_the_page(visit: Visit) -> None:
    page = visit.open("docs")
    page.click("#operations-faces-crowd .opblock-summary-control")
    page.click("#operations-faces-crowd .try-out__btn")
    page.fill("#operations-faces-crowd textarea", '{"count": 1, "seed": 5}')
    page.click("#operations-faces-crowd .execute")
    page.wait_for_selector("#operations-faces-crowd .live-responses-table")
    shown = page.inner_text("#operations-faces-crowd .live-responses-table")
    assert "200" in shown
    assert '"seed": 5' in shown
    visit.shot("service-docs-tried", full_page=True)
    assert visit.foreign == []
    assert visit.complaints == []


def test_scripts_come_from_here_alone() -> None:
    client = TestClient(create_app(specs=FAKES))
    answer = client.get("/docs")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    assert "<script>" not in answer.text
    assert "//" not in answer.text.replace("<!doctype", "")
    for path in docs_page.PATHS:
        assert client.get(path).status_code == 200, path
    assert "//" not in client.get("/docs/docs.js").text.partition("SwaggerUIBundle")[2]
    assert client.get("/redoc").status_code == 404


def test_with_keys_the_document_says_so_and_can_be_read(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "anna")
    client = TestClient(create_app(ServiceSettings(keys=tmp_path / "keys"), specs=FAKES))
    document = client.get("/openapi.json").json()
    assert document["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert client.get("/docs").status_code == 200
    for path in ("/metrics", "/docs/..%2fmetrics", "/docs/nothing", "/v1/jobs/x"):
        assert client.get(path).status_code == 401, path
    assert client.get("/metrics", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert "security" not in TestClient(create_app(specs=FAKES)).get("/openapi.json").json()
