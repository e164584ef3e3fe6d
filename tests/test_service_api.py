"""The service in the test process: what it makes, what it refuses and in which words, jobs, and what it never does."""

from __future__ import annotations

import base64
import io
import json
import logging
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from service_live import FAKES, fake_describe
from starlette.testclient import TestClient

from mien.apps.service.app import create_app
from mien.apps.web.keys import Keys, add_key
from mien.apps.web.models import MODEL_SPECS, ModelSpec, PhotoJob
from mien.apps.web.settings import ServiceSettings
from mien.core.errors import RequestError, WeightsError
from mien.core.images import encode_jpeg, encode_png
from mien.core.photos import decode_photo
from mien.core.records import UInt8Image
from mien.core.seeding import stream
from mien.provenance.reading import examine_bytes

PHOTO: UInt8Image = stream(1, "photo").integers(0, 255, (40, 50, 3)).astype(np.uint8)
SETTINGS = ServiceSettings(direct_faces=4, most_faces=40, upload_mib=1, json_kib=4, upload_megapixels=1)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(SETTINGS, specs=FAKES)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        yield client


def wait_until(done: Any, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        time.sleep(0.01)


def send(client: TestClient, data: bytes, kind: str = "image/png", path: str = "/v1/describe") -> Any:
    return client.post(path, content=data, headers={"Content-Type": kind})


def test_faces_with_their_labels_and_marks(client: TestClient) -> None:
    answer = client.post("/v1/crowd", json={"count": 3, "sex": "female", "age": "20-35", "seed": 7, "first": 2})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["seed"], told["first"]) == (7, 2)
    assert [face["file"] for face in told["faces"]] == ["00002.png", "00003.png", "00004.png"]
    for face in told["faces"]:
        assert face["sex"] == "female"
        assert 20 <= face["age"] <= 35
        seen = examine_bytes(base64.b64decode(face["png"]))
        assert seen.credentials is not None
        assert seen.credentials.intact
        assert seen.text == {key: value for key, value in face.items() if key != "png"}


def test_the_answer_tells_what_words_were_taken_for(client: TestClient) -> None:
    told = client.post("/v1/crowd", json={"words": "a smiling woman with glasses, a robot"}).json()
    assert told["understood"] == "woman, smiling, eyeglasses"
    assert told["left_out"].startswith("not understood, and left out: 'robot'")
    silent = client.post("/v1/crowd", json={"sex": "female"}).json()
    assert (silent["understood"], silent["left_out"]) == ("", "")
    job = client.post("/v1/crowd", json={"words": "bald man", "count": 20})
    assert (job.status_code, job.json()["understood"]) == (202, "man, bald")
    imagined = client.post("/v1/imagine", json={"words": "old man, not bald"}).json()
    assert imagined["understood"] == "man, senior, not bald"
    nothing = client.post("/v1/imagine", json={"words": "robot"})
    assert (nothing.status_code, nothing.json()["error"][:14]) == (422, "words: not und")


def test_a_face_can_be_had_again_by_what_was_told(client: TestClient) -> None:
    def pixels(face: Any) -> UInt8Image:
        return decode_photo(base64.b64decode(face["png"]))

    first, second = (client.post("/v1/crowd", json={"count": 2}).json() for _ in range(2))
    assert (first["seed"], first["first"]) != (second["seed"], second["first"])
    again = client.post("/v1/crowd", json={"count": 1, "seed": second["seed"], "first": second["first"] + 1}).json()
    assert np.array_equal(pixels(again["faces"][0]), pixels(second["faces"][1]))


def test_a_zip_and_a_png(client: TestClient) -> None:
    answer = client.post("/v1/imagine", json={"words": "smiling", "count": 2, "seed": 1, "format": "zip"})
    assert answer.headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.namelist() == ["00000.png", "00001.png", "manifest.jsonl"]
    rows = [json.loads(line) for line in archive.read("manifest.jsonl").splitlines()]
    assert [row["file"] for row in rows] == ["00000.png", "00001.png"]
    answer = client.post("/v1/crowd", json={"format": "png"})
    assert answer.headers["content-type"] == "image/png"
    assert decode_photo(answer.content).shape == (16, 16, 3)


WRONG = [
    ({"count": 0}, "count: 0 given; allowed are 1 to 40"),
    ({"count": 41}, "count: 41 given; allowed are 1 to 40"),
    ({"sex": "robot"}, "sex: 'robot' given; allowed: female, male, any"),
    ({"age": "200"}, "age: '200' given; allowed: one age (30) or a range (20-35), from 1 to 100"),
    ({"race": "Green"}, "race: 'Green' given; allowed: White, Black, Asian, Indian, Other"),
    ({"words": "smiling, not smiling"}, "words: 'smiling' and 'not smiling' contradict each other"),
    ({"seed": -1}, "seed: -1 given; allowed are 0 to 9223372036854775807"),
    ({"seed": False}, "seed: False given; input should be a valid integer"),
    ({"first": 3}, "first: 3 given without a seed; give both or neither"),
    ({"format": "png", "count": 2}, "format: png given with count 2; allowed: count 1, or json or zip"),
    ({"colour": 1}, "colour: no such field; allowed: count, seed, first, format, sex, age, race, words, look, size"),
]


@pytest.mark.parametrize(("body", "said"), WRONG, ids=[str(body) for body, _ in WRONG])
def test_a_wrong_request_is_one_sentence(client: TestClient, body: dict[str, Any], said: str) -> None:
    answer = client.post("/v1/crowd", json=body)
    assert (answer.status_code, answer.json()) == (422, {"error": said})


def test_the_sentences_are_those_of_the_command_line(client: TestClient, cli_here: Any, tmp_path: Path) -> None:
    for field, option, value in (("age", "--age", "35-20"), ("race", "--race", "Green"), ("words", "--with", "zzz")):
        told = client.post("/v1/crowd", json={field: value}).json()["error"]
        wanted = str(cli_here("crowd", option, value, "--out", tmp_path / "x").exception)
        assert told == wanted.replace(option, field, 1).replace(" --", " ")


def test_a_cast_is_made_row_by_row(client: TestClient) -> None:
    rows = [{"name": "Zo\u00eb", "sex": "f", "age": 30}, {"words": "a man in his fifties", "count": 2, "seed": 5}]
    answer = client.post("/v1/cast", json={"rows": rows, "seed": 3})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["seed"] == 3
    faces = told["faces"]
    assert [face["file"] for face in faces] == ["Zo\u00eb.png", "row-2-1.png", "row-2-2.png"]
    assert [(face["sex"], face["seed"], face["row"]) for face in faces] == [("female", 3, 1), *[("male", 5, 2)] * 2]
    assert (faces[0]["age"], faces[0]["cells"]) == (30, {"name": "Zo\u00eb", "sex": "f", "age": "30"})
    zipped = client.post("/v1/cast", json={"rows": rows[::-1], "seed": 3, "format": "zip"})
    with zipfile.ZipFile(io.BytesIO(zipped.content)) as archive:
        assert archive.namelist() == ["row-1-1.png", "row-1-2.png", "Zo\u00eb.png", "manifest.jsonl"]
        lines = [json.loads(line) for line in archive.read("manifest.jsonl").decode().splitlines()]
    assert lines[2]["index"] == faces[0]["index"], "a row that moved is the same person"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "rows: not given"),
        ({"rows": []}, "rows: "),
        ({"rows": [{}]}, "rows: no row says anything"),
        ({"rows": [{"count": 41}]}, "rows: 41 faces given; allowed at once are 40"),
        ({"rows": [{"sex": "f"}], "colour": 1}, "colour: no such field; allowed: rows, seed, size, format"),
    ],
)
def test_a_cast_that_cannot_be_is_one_sentence(client: TestClient, body: dict[str, Any], said: str) -> None:
    answer = client.post("/v1/cast", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(said)


def test_every_wrong_cell_of_a_cast_is_told(client: TestClient) -> None:
    rows = [{"age": "xyz"}, {"sex": "robot", "hair": "red"}, {"look": "blurred", "seed": -1}, {"name": "fine"}]
    answer = client.post("/v1/cast", json={"rows": rows})
    assert answer.status_code == 422
    told = answer.json()
    assert told["error"].startswith("rows: 5 cells cannot be read: row 1, age: 'xyz' given")
    cells = [(cell["row"], cell["column"]) for cell in told["cells"]]
    assert sorted(cells) == [(1, "age"), (2, "hair"), (2, "sex"), (3, "look"), (3, "seed")]


def test_a_row_has_a_look_of_its_own(client: TestClient) -> None:
    rows = [{"name": "a", "seed": 5}, {"name": "b", "seed": 5, "look": "News"}, {"name": "c", "seed": 5, "look": "any"}]
    faces = client.post("/v1/cast", json={"rows": rows}).json()["faces"]
    assert [(face.get("look"), face["model_version"]) for face in faces] == [
        (None, "1"), ("news", "1-news"), ("any", "1-any")
    ]  # fmt: skip
    plain = decode_photo(base64.b64decode(faces[0]["png"])).astype(int)
    news = decode_photo(base64.b64decode(faces[1]["png"])).astype(int)
    assert np.abs(plain + news - 255).mean() < 8, "the same draw of chance, in negative"
    one = client.post("/v1/crowd", json={"seed": 5, "look": "news"}).json()["faces"][0]
    assert one["model_version"] == "1-news"
    wrong = client.post("/v1/crowd", json={"look": "blurred"})
    assert wrong.json()["error"] == "look: 'blurred' given; allowed: studio, natural, news, any"


def test_a_long_cast_becomes_a_job_of_the_same_faces(client: TestClient) -> None:
    rows: list[dict[str, Any]] = [{"name": f"person {n}", "age": 20 + n, "count": 1 + n % 3} for n in range(12)]
    rows[3]["look"] = "news"
    begun = client.post("/v1/cast", json={"rows": rows, "seed": 9})
    assert begun.status_code == 202, begun.text
    job = begun.json()
    assert (job["kind"], job["count"], job["seed"], begun.headers["location"]) == ("cast", 24, 9, job["status_url"])
    wait_until(lambda: client.get(job["status_url"]).json()["state"] not in ("queued", "running"))
    done = client.get(job["status_url"]).json()
    assert (done["state"], done["made"], done["error"]) == ("done", 24, None)
    with zipfile.ZipFile(io.BytesIO(client.get(done["result_url"]).content)) as archive:
        made = [json.loads(line) for line in archive.read("manifest.jsonl").splitlines()]
        pictures = {name: archive.read(name) for name in archive.namelist() if name.endswith(".png")}
    assert [row["file"] for row in made] == list(pictures)
    assert [row["row"] for row in made] == [number for number in range(1, 13) for _ in range(1 + (number - 1) % 3)]
    for number in (1, 4, 12):  # the same faces as when few are asked for at once
        few = client.post("/v1/cast", json={"rows": [rows[number - 1]], "seed": 9}).json()["faces"]
        for face in few:
            same = decode_photo(base64.b64decode(face["png"]))
            assert np.array_equal(same, decode_photo(pictures[face["file"]]))
    wrong = client.post("/v1/cast", json={"rows": [*rows, {"age": "xyz"}]})
    assert (wrong.status_code, wrong.json()["cells"][0]["row"]) == (422, 13), "told at once, before any job"


def test_a_cast_may_be_larger_than_other_json(client: TestClient) -> None:
    rows = [{"name": "x" * 300} for _ in range(30)]
    assert client.post("/v1/cast", json={"rows": rows}).status_code == 202
    assert client.post("/v1/crowd", json={"words": "smiling" + " " * 5000}).status_code == 413


def test_a_photo_is_read_from_memory(client: TestClient) -> None:
    for data, kind in ((encode_png(PHOTO), "image/png"), (encode_jpeg(PHOTO), "image/jpeg; charset=x")):
        answer = send(client, data, kind)
        assert answer.json() == {"width_px": 50, "height_px": 40, "with_ethnicity": False}
    answer = send(client, encode_png(PHOTO), path="/v1/describe?with_ethnicity=true")
    assert answer.json()["with_ethnicity"] is True


def webp() -> bytes:
    buffer = io.BytesIO()
    PIL.Image.fromarray(PHOTO).save(buffer, "WEBP")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of 30,000 x 30,000 px in a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.txt", "hello")
    return buffer.getvalue()


PNG, JPEG = encode_png(PHOTO), encode_jpeg(PHOTO)
REFUSED = {
    "nothing": (b"", "image/png", 422, "0 bytes"),
    "text": (b"hello", "image/png", 415, "not a picture that can be read; allowed: JPEG, PNG"),
    "text without a type": (b"hello", "", 415, "not a picture that can be read; allowed: JPEG, PNG"),
    "type not taken": (PNG, "image/svg+xml", 415, "allowed: image/jpeg, image/png"),
    "form": (PNG, "multipart/form-data; boundary=x", 415, "allowed: image/jpeg"),
    "cut short": (PNG[: len(PNG) // 2], "image/png", 422, "damaged or cut short"),
    "bomb": (bomb(), "image/png", 413, "more than 1 megapixels; allowed are 1"),
    "too many bytes": (PNG + bytes(2**20), "image/png", 413, "body: too large; allowed are 1 MiB"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_photo_is_refused(client: TestClient, case: str) -> None:
    data, kind, status, said = REFUSED[case]
    answer = send(client, data, kind)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]


TAILS = {
    "gain map": JPEG, "zeros": b"\0" * 40, "film": b"\0\0\0\x18ftypmp42" + bytes(30), "archive": archive(),
    "page": b"<html><script>x</script>", "trailer of a phone": b"\0\0\1\n\x0e\0\0\0Image_UTC_Data1700000000000SEFT",
    "rest of an older picture": PNG[40:],
}  # fmt: skip


@pytest.mark.parametrize("rest", TAILS.values(), ids=list(TAILS))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_lies_behind_a_picture_is_not_looked_at(kind: str, rest: bytes) -> None:
    seen: list[UInt8Image] = []
    data = {"PNG": PNG, "JPEG": JPEG, "WEBP": webp()}[kind]

    def see(order: PhotoJob) -> dict[str, Any]:
        seen.append(order.photo)
        return {}

    app = create_app(SETTINGS, specs=[fake_describe(see)])
    with TestClient(app) as own:
        wait_until(lambda: own.get("/readyz").status_code == 200)
        assert send(own, data + rest, f"image/{kind.lower()}").status_code == 200
    assert np.array_equal(seen[0], decode_photo(data))


@pytest.mark.parametrize(
    "kind",
    ["image/jpg", "image/pjpeg", "image/png", "image/heic", "IMAGE/JPEG; q=1", "", "application/octet-stream",
     "binary/octet-stream", "application/x-www-form-urlencoded"],
)  # fmt: skip
def test_the_bytes_decide_and_not_the_type(client: TestClient, kind: str) -> None:
    answer = send(client, JPEG, kind)
    assert (answer.status_code, answer.json()["width_px"], answer.json()["height_px"]) == (200, 50, 40)


def test_a_page_elsewhere_cannot_post_a_photo_unasked(client: TestClient) -> None:
    away = {"Sec-Fetch-Site": "cross-site"}
    for kind, status in (("", 403), ("application/x-www-form-urlencoded", 403), ("image/png", 200)):
        assert client.post("/v1/describe", content=PNG, headers={"Content-Type": kind, **away}).status_code == status


def test_json_alone_makes_faces(client: TestClient) -> None:
    assert client.post("/v1/crowd", content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post("/v1/crowd", content=b"{", headers={"Content-Type": "application/json"}).status_code == 422
    answer = client.post("/v1/crowd", json={"words": "x" * 5000})
    assert (answer.status_code, answer.json()["error"]) == (413, "body: too large; allowed are 4 KiB")
    assert client.get("/v1/crowd").json() == {"error": "no such method here"}
    assert client.get("/nowhere").json() == {"error": "no such address"}


def test_other_sites_are_kept_out(client: TestClient) -> None:
    answer = client.post("/v1/crowd", json={}, headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.options("/v1/crowd", headers={"Origin": "https://x.example"}).status_code == 405
    answer = client.get("/healthz", headers={"Host": "rebound.example:8000"})
    assert (answer.status_code, answer.json()["error"][:5]) == (421, "host:")
    for host in ("127.0.0.1:8000", "localhost", "localhost:1", "[::1]", "[::1]:8000"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200, host


def test_a_large_request_becomes_a_job(client: TestClient) -> None:
    answer = client.post("/v1/crowd", json={"count": 10, "seed": 3, "sex": "male"})
    job = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (202, job["status_url"])
    assert (job["count"], job["seed"], job["error"]) == (10, 3, None)
    wait_until(lambda: client.get(job["status_url"]).json()["state"] == "done")
    done = client.get(job["status_url"]).json()
    assert done["made"] == 10
    assert done["expires"] > time.time() + 3000
    result = client.get(done["result_url"])
    assert result.headers["content-type"] == "application/zip"
    files = zipfile.ZipFile(io.BytesIO(result.content))
    rows = [json.loads(line) for line in files.read("manifest.jsonl").splitlines()]
    assert [row["index"] for row in rows] == list(range(10))
    assert {row["sex"] for row in rows} == {"male"}
    direct = client.post("/v1/crowd", json={"seed": 3, "first": 9, "sex": "male", "format": "png"})
    assert np.array_equal(decode_photo(files.read("00009.png")), decode_photo(direct.content))
    assert client.delete(job["status_url"]).json()["state"] == "done"
    assert client.get("/v1/jobs/nonsense").status_code == 404
    assert client.get("/v1/jobs/..%2f..%2fetc").status_code == 404


def test_a_wrong_job_is_told_at_once(client: TestClient) -> None:
    assert client.post("/v1/imagine", json={"count": 10}).status_code == 422


def test_metrics_count_and_name_nobody(client: TestClient) -> None:
    client.post("/v1/crowd", json={"words": "smiling"})
    text = client.get("/metrics").text
    assert 'mien_requests_total{method="POST",route="/v1/crowd",status="200"}' in text
    assert "mien_batch_size_count" in text
    assert "smiling" not in text


def test_nothing_of_a_request_is_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        client.post("/v1/crowd", json={"words": "smiling"})
        send(client, PNG)
        client.get("/v1/secret-name")
    lines = [record.getMessage() for record in caplog.records if record.name == "mien.service"]
    assert len(lines) == 3
    for line in lines:
        assert "smiling" not in line
        assert "testclient" not in line
        assert "secret-name" not in line


def test_uploads_never_touch_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[str] = []
    with TestClient(create_app(ServiceSettings(jobs=tmp_path), specs=[fake_describe()])) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        import tempfile

        for name in ("mkstemp", "TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile"):
            monkeypatch.setattr(tempfile, name, lambda *a, **k: seen.append("a temporary file"))
        large = stream(2, "x").integers(0, 255, (1200, 1200, 3)).astype(np.uint8)
        assert send(client, encode_png(large)).status_code == 200
    assert not seen
    assert not list(tmp_path.rglob("*"))


def test_a_model_that_is_missing_says_so_and_stops_no_other() -> None:
    def absent() -> Any:
        raise WeightsError("/somewhere/portrait.safetensors: no such weights file")

    portrait = ModelSpec("portrait", "photo", "x", absent, lambda model, orders: [])
    with TestClient(create_app(SETTINGS, specs=[portrait, *FAKES])) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        answer = send(client, PNG, path="/v1/portrait")
        assert answer.status_code == 503
        assert answer.json() == {"error": "portrait: not available here (portrait.safetensors: no such weights file)"}
        assert "retry-after" in answer.headers
        assert client.get("/readyz").json()["models"]["crowd"] == "ready"
        assert client.post("/v1/crowd", json={}).status_code == 200


def test_an_error_of_one_photo_is_its_own() -> None:
    def broken(order: Any) -> dict[str, Any]:
        raise ZeroDivisionError

    app = create_app(SETTINGS, specs=[fake_describe(broken), FAKES[0]])
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        answer = send(client, PNG)
        assert (answer.status_code, answer.json()) == (500, {"error": "the service failed at this request"})
        assert client.post("/v1/crowd", json={}).status_code == 200


def test_keys_are_hashed_and_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key, other = add_key(file, "anna"), add_key(file, "ben")
    text = file.read_text()
    assert key not in text
    assert file.stat().st_mode & 0o777 == 0o600
    keys = Keys.read(file)
    assert (keys.holder(key), keys.holder(other), keys.holder(""), keys.holder(key + "x")) == (
        "anna",
        "ben",
        None,
        None,
    )
    with pytest.raises(RequestError, match="'anna' has a key"):
        add_key(file, "anna")
    settings = ServiceSettings(host="0.0.0.0", keys=file, direct_faces=1)
    with TestClient(create_app(settings, specs=FAKES)) as client:
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/healthz").status_code == 200
        refused = client.post("/v1/crowd", json={})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/metrics", headers={"X-API-Key": "mien_wrong"}).status_code == 401
        mine, yours = {"Authorization": f"Bearer {key}"}, {"X-API-Key": other}
        assert client.post("/v1/crowd", json={}, headers=yours).status_code == 200
        job = client.post("/v1/crowd", json={"count": 2}, headers=mine).json()
        assert client.get(job["status_url"], headers=mine).status_code == 200
        assert client.get(job["status_url"], headers=yours).status_code == 404


def test_an_address_that_others_reach_needs_keys(tmp_path: Path, cli_here: Any) -> None:
    with pytest.raises(RequestError, match=r"--host: 0\.0\.0\.0 can be reached by others, which needs --keys FILE"):
        create_app(ServiceSettings(host="0.0.0.0"))
    assert ServiceSettings(host="::1").on_loopback
    assert not ServiceSettings(host="::").on_loopback
    (tmp_path / "keys").write_text("anna mien_plain-text\n")
    with pytest.raises(RequestError, match="line 1: wanted NAME sha256:HEX"):
        create_app(ServiceSettings(keys=tmp_path / "keys"))
    printed = cli_here("serve", "--keys", tmp_path / "new", "--new-key", "anna").output.strip()
    assert Keys.read(tmp_path / "new").holder(printed) == "anna"
    assert "only" in str(cli_here("serve", "--only", "nonsense").exception)


def test_pictures_without_marks_say_so() -> None:
    with TestClient(create_app(ServiceSettings(marked=False), specs=FAKES)) as client:
        face = client.post("/v1/crowd", json={}).json()["faces"][0]
    assert face["marks"] == []
    assert not examine_bytes(base64.b64decode(face["png"])).marked


def test_the_table_has_all_ways_in() -> None:
    assert [spec.name for spec in MODEL_SPECS] == ["crowd", "imagine", "describe", "portrait", "edit"]
