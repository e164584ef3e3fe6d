"""What users of tools like this one stumble on, kind by kind (docs/stumbles.md lists them with the tests here)."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from service_live import FAKES
from starlette.testclient import TestClient

from mien.core.checkpoints import load_weights, read_state_dict
from mien.core.errors import MienError, PhotoError, RequestError, WeightsError
from mien.core.images import encode_jpeg, encode_png
from mien.core.photo_inputs import photo_of
from mien.core.photos import decode_photo, decode_photo_file, read_photo
from mien.core.seeding import stream
from mien.pipelines.request import parse_ages

Cli = Callable[..., subprocess.CompletedProcess[str]]
PIXELS = stream(3, "stumbles").integers(0, 256, (24, 32, 3)).astype(np.uint8)
# Red, green and blue of Display P3 as ICC has them (D50), and the matrix from linear P3 to linear sRGB.
P3_D50 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
P3_TO_SRGB = np.array([[1.2249, -0.2249, 0], [-0.0421, 1.0421, 0], [-0.0196, -0.0786, 1.0983]])


def display_p3() -> bytes:
    """A profile as phones embed it: three primaries and one curve."""

    def fixed(value: float) -> bytes:
        return round(value * 65536).to_bytes(4, "big", signed=True)

    xyz = [b"XYZ \0\0\0\0" + b"".join(map(fixed, one)) for one in (*P3_D50, (0.9642, 1.0, 0.8249))]
    curve = b"para\0\0\0\0\0\3\0\0" + b"".join(map(fixed, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)))
    text = b"desc\0\0\0\0" + (11).to_bytes(4, "big") + b"Display P3\0" + b"\0" * 78
    parts = [(b"desc", text + b"\0" * (-len(text) % 4)), (b"wtpt", xyz[3]),
             *zip((b"rXYZ", b"gXYZ", b"bXYZ"), xyz, strict=False),
             *((name, curve) for name in (b"rTRC", b"gTRC", b"bTRC"))]  # fmt: skip
    table, body, at = len(parts).to_bytes(4, "big"), b"", 128 + 4 + 12 * len(parts)
    for name, data in parts:
        table += name + (at + len(body)).to_bytes(4, "big") + len(data).to_bytes(4, "big")
        body += data
    size = (at + len(body)).to_bytes(4, "big")
    head = size + b"\0\0\0\0\x02\x40\0\0mntrRGB XYZ " + b"\x07\xe8\0\1\0\1\0\0\0\0\0\0" + b"acsp" + b"\0" * 28
    return (head + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))).ljust(128, b"\0") + table + body


def linear(values: Any) -> Any:
    scaled = np.asarray(values, float) / 255
    return np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)


def encoded(values: Any) -> Any:
    kept = np.clip(values, 0, 1)
    return 255 * np.where(kept <= 0.0031308, kept * 12.92, 1.055 * kept ** (1 / 2.4) - 0.055)


def saved(image: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


# Photos


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_of_wide_screens_become_those_of_srgb(mode: str) -> None:
    skin = PIL.Image.new(mode, (8, 8), (200, 140, 110))
    wanted = encoded(P3_TO_SRGB @ linear([200, 140, 110]))
    assert abs(wanted - [200, 140, 110]).max() > 5, "else nothing is proved"
    found = decode_photo(saved(skin, "PNG", icc_profile=display_p3()))
    assert np.abs(found[0, 0] - wanted).max() <= 2, found[0, 0]


def test_a_profile_that_says_srgb_or_nothing_changes_no_pixel() -> None:
    from PIL import ImageCms

    plain = PIL.Image.fromarray(PIXELS)
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (own, b"junk" * 50, display_p3()[:200]):
        assert np.array_equal(decode_photo(saved(plain, "PNG", icc_profile=profile)), PIXELS)


NAMED: list[tuple[bytes, str]] = [
    (b"\n<!DOCTYPE html><html>404</html>", "an HTML page"), (b"\xef\xbb\xbf<html>", "an HTML page"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "git lfs pull"), (b"%PDF-1.7\n", "a PDF"),
    (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "an SVG drawing"), (b"\xff\x0a\0\0", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (b"8BPS\0\1", "a Photoshop file"), (b"\0" * 4096, "nothing but zeros"),
    (b"\0\0\0\x18ftypmp42\0\0\0\0", "a film"), (b"\0\0\0\x14ftypqt  \0\0\0\0", "a film"),
    (b"\0\0\0\x18ftypcrx \0\0\0\x01", "a raw photo"), (b"PK\x03\x04\x14\0", "an archive"),
    (b"\x1f\x8b\x08\0", "an archive"), (b"data:image/png;base64,iVBOR", "a data: address"), (b'{"a": 1}', "JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "words"), NAMED, ids=[words for _, words in NAMED])
def test_what_is_no_photo_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(PhotoError, match=f"photo.jpg: not an image that can be read: it is .*{words}"):
        read_photo(path)


def test_other_bytes_are_called_nothing() -> None:
    with pytest.raises(PhotoError, match=r"not an image that can be read\Z"):
        decode_photo(b"hello")


@pytest.mark.parametrize(
    ("path", "hint"),
    [("https://example.org/a.jpg", "it is an address"), ("-", "/dev/stdin"), ("~/a.jpg", "the shell did not write ~"),
     ("*.jpg", "the shell found no file"),
     ("a.jpg", r"\(No such file or directory\)\Z"), ("C:a.jpg", r"directory\)\Z")],
)  # fmt: skip
def test_a_path_that_is_none_is_told_why(path: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PhotoError, match=hint):
        photo_of(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names there")
def test_a_pipe_is_read_as_a_file_is(tmp_path: Path) -> None:
    import threading

    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(encode_png(PIXELS),))
    writer.start()
    assert np.array_equal(read_photo(tmp_path / "pipe"), PIXELS)
    writer.join()


def test_a_photo_of_several_whose_rest_is_spoilt_is_read() -> None:
    """A phone's MPO: its second picture cut or gone, its index of pictures wrong."""
    shown = PIL.Image.fromarray(np.full((24, 32, 3), (200, 60, 40), np.uint8))
    data = saved(shown, "MPO", save_all=True, append_images=[shown.rotate(90, expand=True)])
    index = data.index(b"MPF\0")
    spoilt = [bytes(data[: index + at]) + b"\xff" * 4 + data[index + at + 4 :] for at in range(0, 60, 4)]
    for one in (data[:-100], data[: data.index(b"\xff\xd9") + 2], *spoilt):
        assert np.abs(decode_photo(one).astype(int) - (200, 60, 40)).max() < 8


@pytest.mark.parametrize("shape", [(1, 1), (1, 9000), (9000, 2)])
def test_slivers_are_photos_too(shape: tuple[int, int]) -> None:
    flat = np.full((*shape, 3), 90, np.uint8)
    assert np.array_equal(decode_photo_file(encode_png(flat)).photo, flat)


@pytest.mark.models
def test_a_sliver_and_a_photo_that_is_given_twice_are_described(cli: Cli, models_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "s.png").write_bytes(encode_png(np.full((1, 9000, 3), 90, np.uint8)))
    done = cli("describe", tmp_path / "s.png", tmp_path / "s.png", "--json", "--out", tmp_path / "out")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["problem"]["reason"] for row in rows] == ["no_face", "no_face"], done.stderr
    assert "Traceback" not in done.stderr
    names = [row["picture"] for row in rows]
    assert len(set(names)) == 2


def test_a_directory_of_photos_is_taken_where_a_photo_is(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("b.jpg", "a.png", "notes.txt", "._a.png"):
        (folder / name).write_bytes(b"")
    done = cli("portrait", folder, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.splitlines()[:2] == [  # and no empty line of a bar that nobody sees
        f"mien: {folder / name}: the file has 0 bytes" for name in ("a.png", "b.jpg")
    ]


# The command line and the machine


def test_a_tilde_that_no_shell_wrote_out_makes_no_directory(cli: Cli, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mien", "crowd", "--count", "1", "--out", "~/faces"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--out: ~/faces: the shell did not write ~ out" in done.stderr
    assert list(tmp_path.iterdir()) == []


HOMELESS = """
import os, pwd, sys
def nobody(*_): raise KeyError("uid not found: 54321")
pwd.getpwuid = nobody
for name in ("HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "MIEN_CACHE", "MIEN_CREDENTIALS"):
    os.environ.pop(name, None)
if sys.argv[1] != "none":
    os.environ["HOME"] = sys.argv[1]
del sys.argv[1]
from mien.apps.cli import main
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="users without an entry are of Unix")
@pytest.mark.parametrize("home", ["none", "/proc", "relative"])
def test_a_user_without_a_home_makes_signed_faces(home: str, tmp_path: Path) -> None:
    from crowd_tiny import write_tiny_weights

    from mien.provenance.reading import examine

    weights = write_tiny_weights(tmp_path / "tiny.safetensors")
    words = [home, "crowd", "--count", "1", "--weights", str(weights), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", HOMELESS, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    marks = examine(tmp_path / "out" / "00000.png")
    assert marks.credentials is not None
    assert marks.credentials.intact
    listed = subprocess.run([sys.executable, "-c", HOMELESS, home, "models", "list"], capture_output=True, text=True)
    assert "Traceback" not in listed.stderr
    if home == "none":
        assert listed.stderr.startswith("mien: networks: there is no home directory to find them in; set HOME, or MIEN")


def test_words_of_options_may_have_capitals_and_ages_any_dash(cli: Cli, tmp_path: Path) -> None:
    from crowd_tiny import write_tiny_weights

    weights = write_tiny_weights(tmp_path / "tiny.safetensors")
    done = cli("crowd", "--count", 1, "--sex", "Female", "--age", "20\u201335", "--weights", weights,
               "--out", tmp_path / "o")  # fmt: skip
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "o" / "manifest.jsonl").read_text())
    assert row["sex"] == "female"
    assert 20 <= row["age"] <= 35
    for dash in "-\u2010\u2011\u2012\u2013\u2014\u2212":
        assert parse_ages(f"20{dash}35") == (20, 35)


def test_an_archive_is_told_to_be_unpacked(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "lfw.tgz").write_bytes(b"\x1f\x8b")
    done = cli("data", "prepare", "lfw", tmp_path / "lfw.tgz", tmp_path / "dest")
    assert "is a file (an archive: unpack it first); looked for a directory" in done.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"), (b"<!DOCTYPE html>", "an HTML page"),
     (b"PK\x03\x04\0\0w/data.pkl", "a pickle of PyTorch")],
)  # fmt: skip
def test_what_is_no_weights_file_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=f"model.safetensors: not a readable safetensors file .*{words}"):
        load_weights(path)
    with pytest.raises(WeightsError, match="neither safetensors nor a state dict"):
        read_state_dict(path)


def test_keys_that_an_editor_of_windows_saved_open_the_door(tmp_path: Path) -> None:
    from mien.apps.web.keys import Keys, add_key

    key = add_key(tmp_path / "keys", "anna")
    data = (tmp_path / "keys").read_bytes()
    (tmp_path / "keys").write_bytes(b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
    assert Keys.read(tmp_path / "keys").holder(key) == "anna"


@pytest.mark.parametrize("given", ["a\nmien: all is well", "\x1b[2Kx", "a\u202eb", "\x0c"])
def test_what_was_given_breaks_no_line_of_an_error_in_python(given: str) -> None:
    for ask in (lambda: parse_ages(given), lambda: read_photo(f"{given}.jpg")):
        with pytest.raises(MienError) as told:
            ask()
        assert len(str(told.value).splitlines()) == 1
        assert str(told.value).isprintable()


@pytest.mark.parametrize(
    ("words", "said"),
    [(["crowd", "--count", "1", "--out", ""], "--out"), (["crowd", "--count", "1", "--out="], "--out"),
     (["crowd", "--cast", "", "--out", "o"], "--cast"),
     (["describe", ""], "PHOTO"), (["portrait", "", "--out", "o"], "PHOTO"),
     (["edit", "", "smiling", "--out", "o"], "PHOTO"), (["verify", ""], "PHOTO")],
)  # fmt: skip
def test_a_variable_of_the_shell_that_is_empty_is_no_directory(words: list[str], said: str, cli: Cli) -> None:
    done = cli(*words)
    assert (done.returncode, done.stderr) == (2, f"mien: {said}: '' given; is a variable of the shell empty?\n")


# HTTP


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    from mien.apps.service.app import create_app
    from mien.apps.web.settings import ServiceSettings

    with TestClient(create_app(ServiceSettings(marked=False), specs=FAKES), follow_redirects=False) as client:
        until = time.monotonic() + 30
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.01)
        yield client


def test_no_slash_at_an_end_sends_anybody_to_a_guessed_address(client: TestClient) -> None:
    for method, path in (("POST", "/v1/crowd/"), ("GET", "/docs/"), ("GET", "/healthz/")):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()) == (404, {"error": "no such address"})
        assert "location" not in answer.headers


def test_json_with_a_mark_before_it_and_of_utf_16_is_read(client: TestClient) -> None:
    for data in (b'\xef\xbb\xbf{"count": 1}', '{"count": 1}'.encode("utf-16")):
        answer = client.post("/v1/crowd", content=data, headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, answer.text


REFUSED: list[tuple[str, bytes, dict[str, str], int, str]] = [
    ("/v1/crowd", gzip.compress(b"{}"), {"Content-Encoding": "gzip"}, 415, "Content-Encoding: 'gzip' given; bodies"),
    ("/v1/crowd", b"[" * 30_000, {}, 400, "body: not JSON that can be read"),
    ("/v1/crowd", b"[]", {}, 422, "body: [] given; a JSON object is wanted"),
    ("/v1/crowd", b"null", {}, 422, "body: None given; a JSON object is wanted"),
    ("/v1/describe", encode_jpeg(PIXELS), {"Content-Type": "multipart/form-data; boundary=x"}, 415,
     "the photo alone is the body"),
    ("/v1/describe", b"data:image/png;base64,iVBO", {"Content-Type": "image/png"}, 415, "a data: address"),
    ("/v1/describe?with_ethnicity=true&with_ethnicity=false", encode_jpeg(PIXELS), {"Content-Type": "image/jpeg"},
     422, "with_ethnicity: given 2 times; once is wanted"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "data", "headers", "status", "said"), REFUSED, ids=[said for *_, said in REFUSED])
def test_what_clients_send_by_habit_is_refused_in_words(
    client: TestClient, path: str, data: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    answer = client.post(path, content=data, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == status
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [("crowd", b'{"age": "20-35", "count": 1, "age": "40"}', "age"),
     ("crowd", '{"count": 1, "count": 1}'.encode("utf-16"), "count"),
     ("cast", b'{"rows": [{"name": "a", "sex": "f", "sex": "m"}]}', "sex")],
)  # fmt: skip
def test_a_field_that_is_given_twice_is_refused(client: TestClient, path: str, body: bytes, name: str) -> None:
    answer = client.post(f"/v1/{path}", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (422, {"error": f"{name}: given 2 times; once is wanted"})


def test_an_event_of_the_studio_that_changes_nothing_empties_nothing() -> None:
    gr = pytest.importorskip("gradio", reason="the studio is an extra: pip install 'mien[studio]'")
    from mien.apps.studio.widgets import acting

    def nothing(*_: Any) -> Iterator[Any]:
        yield from ()

    shown = list(acting(nothing)(None, gr.EventData(None, {"what": "lock", "place": "99"})))
    assert shown == [gr.skip()]


def test_requests_for_ages_that_are_none_are_still_refused() -> None:
    for text in ("20..35", "35-20", "", "\u2013", "20-30-40", "nan"):
        with pytest.raises(RequestError, match="allowed: one age"):
            parse_ages(text)
