"""Service and studio as HTTP has them: heads, names of hosts, unknown parameters, a reverse proxy under a path."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from proxy_live import proxied
from service_live import FAKES
from starlette.testclient import TestClient

from mien.apps.service.app import create_app
from mien.apps.web.keys import add_key
from mien.apps.web.settings import ServiceSettings
from mien.core.errors import RequestError

PUBLIC = "https://faces.example/mien"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(ServiceSettings(direct_faces=2), specs=FAKES)) as client:
        ready(client)
        yield client


def ready(client: Any) -> None:
    until = time.monotonic() + 20
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/docs/docs.js", "/openapi.json"])
def test_a_head_is_a_get_without_its_body(client: TestClient, path: str) -> None:
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/metrics":  # whose length changes
        assert head.headers["content-length"] == str(len(get.content))


def test_a_head_of_a_job_and_of_what_is_not_there(client: TestClient) -> None:
    job = client.post("/v1/crowd", json={"count": 3}).json()
    assert client.head(job["status_url"]).status_code == 200
    assert client.head("/v1/jobs/none").status_code == 404
    assert client.head("/v1/crowd").status_code == 405


@pytest.mark.parametrize(
    ("method", "path", "name", "allowed"),
    [("POST", "/v1/crowd?count=3", "count", "none"),
     ("POST", "/v1/describe?with_etnicity=true", "with_etnicity", "with_ethnicity"),
     ("GET", "/v1/jobs/x?verbose=1", "verbose", "none"), ("DELETE", "/v1/jobs/x?force", "force", "none"),
     ("GET", "/v1/jobs/x/result?a%00=1", "a", "none"), ("GET", "/healthz?verbose", "verbose", "none"),
     ("GET", "/readyz?x=1", "x", "none"), ("GET", "/metrics?name[]=a", "name[]", "none"),
     ("GET", "/docs?v=2", "v", "none"), ("GET", "/docs/docs.js?v=2", "v", "none"),
     ("GET", "/openapi.json?v=3", "v", "none")],
)  # fmt: skip
def test_an_unknown_parameter_is_refused_as_an_unknown_field(
    client: TestClient, method: str, path: str, name: str, allowed: str
) -> None:
    kind = {"Content-Type": "application/json" if "crowd" in path else "image/png"}
    answer = client.request(method, path, content=b"{}" if method == "POST" else b"", headers=kind)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(name)
    assert answer.json()["error"].endswith(f": no such parameter here; allowed: {allowed}")


@pytest.mark.parametrize("host", ["LOCALHOST", "localhost.", "LocalHost.:8000", "127.0.0.1:1"])
def test_a_name_is_the_same_in_capitals_and_with_its_final_dot(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200
    for wrong in ("localhost.evil.example", "evil.example.", "localhost..", ".localhost", "localhost@evil.example"):
        assert client.get("/healthz", headers={"Host": wrong}).status_code == 421, wrong


def test_no_header_makes_a_request_one_of_the_tests() -> None:
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    headers = {"Host": "testserver", "X-Forwarded-For": "testclient"}
    wrap: Any = ProxyHeadersMiddleware
    app = wrap(create_app(specs=FAKES), trusted_hosts="*")  # as uvicorn has it on this machine
    assert TestClient(app, base_url="http://127.0.0.1:8000").get("/healthz", headers=headers).status_code == 421


def test_an_address_is_a_whole_one() -> None:
    for wrong in (
        "faces.example",
        "/mien",
        "ftp://x.example",
        "https://",
        "https://x.example/?a=1",
        "https://x.example/#a",
    ):
        with pytest.raises(
            RequestError, match=r"serve: address: wanted is a whole address, for example https://.*given"
        ):
            ServiceSettings.make({"address": wrong}, where="serve")
    assert ServiceSettings(address="https://faces.example/").public_path == ""
    assert ServiceSettings(address=f"{PUBLIC}/").public_path == "/mien"


@pytest.mark.parametrize("keep_host", [True, False], ids=["as Caddy", "as nginx"])
def test_the_service_works_under_a_path(keep_host: bool, tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "anna")

    def make(address: str) -> Any:
        return create_app(ServiceSettings(address=address, keys=tmp_path / "keys", direct_faces=2), specs=FAKES)

    with (
        proxied(make, keep_host=keep_host) as address,
        httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}) as client,
    ):
        ready(client)
        face = client.post("/v1/crowd", json={"format": "png", "seed": 1})
        assert (face.status_code, face.content[:4]) == (200, b"\x89PNG")
        job = client.post("/v1/crowd", json={"count": 3, "seed": 1})
        assert job.headers["location"] == job.json()["status_url"]
        assert job.json()["status_url"].startswith("/mien/v1/jobs/")
        assert client.get(address.removesuffix("/mien") + job.json()["status_url"]).status_code == 200
        assert client.get("/openapi.json").json()["servers"] == [{"url": address}]
        assert not re.findall(r'(?:src|href)="/', client.get("/docs").text)


@pytest.mark.parametrize("keep_host", [True, False], ids=["as Caddy", "as nginx"])
def test_the_studio_works_under_a_path(keep_host: bool) -> None:
    from mien.apps.studio.app import create_app as create_studio

    def make(address: str) -> Any:
        return create_studio(ServiceSettings(address=address), specs=FAKES)

    with proxied(make, keep_host=keep_host) as address, httpx.Client(base_url=address) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert config_of(page.text)["root"] == address
        origin = {"Origin": address.removesuffix("/mien")}
        assert client.post("/photos", content=b"", headers=origin).status_code == 415
        assert client.post("/photos", content=b"", headers={"Origin": "https://evil.example"}).status_code == 403
        for path in re.findall(r'(?:src|href)="\./([^"]+)"', page.text):
            assert client.get(f"/{path}").status_code == 200, path


@pytest.mark.browser
@pytest.mark.slow
def test_the_studio_makes_faces_under_a_path_in_a_browser() -> None:
    from browsing import Visit, browser

    from mien.apps.studio.app import create_app as create_studio

    def make(address: str) -> Any:
        return create_studio(ServiceSettings(address=address), specs=FAKES)

    with proxied(make, keep_host=False) as address, browser() as opened:
        visit = Visit(opened, address)
        visit.open()
        visit.until("document.querySelectorAll('#crowd-sheet .face img').length > 0")
        visit.until("document.querySelector('#crowd-sheet .face img').naturalWidth > 0")
        assert visit.foreign == visit.complaints == []
        assert all(url.startswith(f"{address}/") for url in visit.fetched if "//" in url)


def config_of(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page.split("window.gradio_config = ", 1)[1].split(";</script>", 1)[0])
    return found


def test_the_studio_follows_no_forwarded_host() -> None:
    from mien.apps.studio.app import create_app as create_studio

    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    with TestClient(create_studio(specs=FAKES), base_url="http://localhost:7860") as client:
        for path in ("/", "/config"):
            answer = client.get(path, headers=forged)
            assert answer.status_code == 200
            assert "evil.example" not in answer.text
        assert config_of(client.get("/", headers=forged).text)["root"] == "http://localhost:7860"
        for path in ("/healthz?x=1", "/pictures/a/b.png?x=1"):
            refused = client.get(path)
            assert (refused.status_code, refused.json()["error"]) == (422, "x: no such parameter here; allowed: none")
        for path in ("/", "/healthz", "/config", "/theme.css"):
            head = client.head(path)
            assert (head.status_code, head.content) == (200, b""), path
