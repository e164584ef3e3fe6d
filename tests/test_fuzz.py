"""Ten thousand spoilt inputs, each made from a good one by a seeded mutator: an answer or one line of refusal, always.

In one process: pictures of every format that is read, label files, cast lists, sentences, manifests, bodies of HTTP.
A failure names its number; ``mutated(good, number)`` makes the same input again.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from service_live import FAKES
from starlette.testclient import TestClient

from mien.core.errors import MienError
from mien.core.foreign import json_of
from mien.core.photos import decode_photo_file, photo_size, png_texts
from mien.core.seeding import stream

PICTURES, LABELS, CASTS, SENTENCES, MANIFESTS, BODIES = 3600, 1600, 1600, 1600, 800, 800
INTERESTING = (
    b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\n", b'"', b"\x1b[2J",
    b"\xed\xa0\x80", b"\xc3", b"\xef\xbb\xbf", b"1e999", b"-1", b"99999999999999999999", b"NaN", b"\\ud800",
    b"{", b"]", b",,,,", b";", b"'", b"%s", b"../", b"0x1", "\u202e\u0661\ufe0f".encode(),
)  # fmt: skip


def mutated(goods: Sequence[bytes], number: int) -> bytes:
    """Input ``number``: a good one after one to six faults, as disks, networks and people make them."""
    draw = random.Random(number)
    data = bytearray(draw.choice(goods))
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        at, length = draw.randrange(len(data) + 1), draw.choice((1, 1, 2, 4, 16, 64))
        what = draw.randrange(7)
        if what == 0 and data:
            data[at % len(data)] ^= 1 << draw.randrange(8)
        elif what == 1:
            data[at : at + length] = draw.randbytes(length)
        elif what == 2:
            data[at : at + length] = draw.choice(INTERESTING)
        elif what == 3:
            del data[at : at + length]
        elif what == 4:
            data[at:at] = data[at : at + length] * draw.choice((1, 2, 40))
        elif what == 5:
            del data[at:]
        else:
            other = draw.choice(goods)
            data[at:] = other[draw.randrange(len(other) + 1) :]
    return bytes(data)


def fuzzed(goods: Sequence[bytes], count: int, use: Callable[[bytes], Any]) -> None:
    """Use ``count`` mutated inputs: whatever is raised but a ``MienError`` of one line is a failure; all are told."""
    wrong = []
    for number in range(count):
        data = mutated(goods, number)
        try:
            use(data)
        except MienError as error:
            if not str(error).strip() or len(str(error).splitlines()) != 1:
                wrong.append(f"{number}: a refusal of other than one line: {str(error)!r:.200}")
        except Exception as error:
            wrong.append(f"{number}: {type(error).__name__}: {error!s:.200} ({data!r:.80})")
    assert not wrong, "\n".join([f"{len(wrong)} of {count}", *wrong[:10]])


def pictures() -> Iterator[bytes]:
    """Small pictures of every format that is read, in the modes and packings that their writers use."""
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    pixels = stream(7, "fuzz").integers(0, 256, (9, 11, 4)).astype(np.uint8)
    rgb = PIL.Image.fromarray(pixels[..., :3])
    exif = PIL.Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a camera"
    ways: list[tuple[str, PIL.Image.Image, dict[str, Any]]] = [
        ("JPEG", rgb, {"exif": exif, "comment": b"by hand"}), ("JPEG", rgb, {"progressive": True}),
        ("JPEG", rgb.convert("CMYK"), {}), ("JPEG", rgb.convert("L"), {}), ("MPO", rgb, {"save_all": True,
         "append_images": [rgb]}), ("PNG", rgb, {"exif": exif}), ("PNG", rgb.convert("P"), {"transparency": 3}),
        ("PNG", PIL.Image.fromarray(pixels), {}), ("PNG", rgb.convert("1"), {}),
        ("PNG", PIL.Image.fromarray(pixels[..., 0].astype(np.uint16) * 257), {}), ("WEBP", rgb, {"lossless": True}),
        ("WEBP", rgb, {"save_all": True, "append_images": [rgb.rotate(90)]}), ("AVIF", rgb, {}), ("HEIF", rgb, {}),
        ("JPEG2000", rgb, {}), ("TIFF", rgb, {}), ("TIFF", rgb, {"compression": "tiff_lzw"}),
        ("TIFF", rgb, {"compression": "jpeg"}), ("TIFF", rgb.convert("1"), {"compression": "group4"}),
        ("TIFF", PIL.Image.fromarray(pixels[..., 0].astype(np.float32)), {}), ("GIF", rgb.convert("P"), {}),
        ("GIF", rgb.convert("P"), {"save_all": True, "append_images": [rgb.rotate(9).convert("P")], "comment": b"x"}),
        ("BMP", rgb, {}), ("BMP", rgb.convert("P"), {}), ("PPM", rgb, {}), ("PPM", rgb.convert("1"), {}),
    ]  # fmt: skip
    for kind, image, options in ways:
        buffer = io.BytesIO()
        with suppress(KeyError):  # a Pillow without that format
            image.save(buffer, kind, **options)
            yield buffer.getvalue()


def test_pictures(capfd: pytest.CaptureFixture[str]) -> None:
    from mien.provenance.reading import examine_bytes

    def use(data: bytes) -> None:
        png_texts(data)
        with suppress(MienError):
            photo_size(data)
        found = decode_photo_file(data, most_pixels=1_000_000)
        assert found.photo.dtype == np.uint8
        assert found.photo.ndim == 3
        if data.startswith(b"\x89PNG") and len(data) % 8 == 0:
            examine_bytes(data)

    goods = list(pictures())
    assert len(goods) > 20
    fuzzed(goods, PICTURES, use)
    assert capfd.readouterr() == ("", ""), "libraries of C write to nobody's terminal"


TABLES = [
    b"file,sex,age,person,Smiling\n0.jpg,female,36,Ada,yes\n1.jpg,male,,Bob,\n",
    b"\xef\xbb\xbffile;age;race\r\n0.JPG;30;White\r\n1.png;NA;Asian\r\n",
    "file\tage\tEyeglasses\n0.jpg\t30\t1\n".encode("utf-16"),
    b",file,age,\n0,0.jpg,30,\n1,1.jpg,nan,\n",
]


def test_label_files(tmp_path: Path) -> None:
    from mien.datasets.sources import folder

    (tmp_path / "photos").mkdir()
    for name in ("0.jpg", "1.jpg"):
        (tmp_path / "photos" / name).write_bytes(b"")
    labels = tmp_path / "labels.csv"

    def use(data: bytes) -> None:
        labels.write_bytes(data)
        list(folder.rows(tmp_path / "photos", labels))
        folder.remarks(tmp_path / "photos", labels)

    fuzzed(TABLES, LABELS, use)


PEOPLE = [
    b"name,sex,age,words,race,look,seed,count\nAda,f,30-40,smiling with glasses,White,news,7,2\nBob,m,thirties,,,,,\n",
    "\ufeffName;Age;Count\r\nZo\u00eb;20;3\r\n;;\r\n".encode(),
    "name\twords\nAnn\ta bald man in his fifties, not smiling\n".encode("utf-16"),
    b'sep=;\nname;words\n"a;b";"smiling; old"\n',
]


def test_cast_lists() -> None:
    from mien.apps.web.cast import pieces_of
    from mien.core.tables import read_table
    from mien.pipelines.cast import cast_of_table

    def use(data: bytes) -> None:
        cast = cast_of_table(read_table(data, "cast.csv"), "cast.csv", "painter")
        if cast.count < 500:
            assert sum(piece.count for piece in pieces_of(cast, 1, None, 64)) == cast.count

    fuzzed(PEOPLE, CASTS, use)


SAID = [
    b"a smiling woman with brown hair and glasses, no beard, in her thirties",
    b"slightly smiling boy, 8 years old; smiling:0.8, not bald, 80 % eyeglasses",
    "vieil homme, barbe grise \u2014 \u4e00\u4f4d\u5fae\u7b11\u7684\u5973\u58eb".encode(),
    b"man or woman, between 20 and 30, without a hat but with freckles",
    b"Male, -Smiling, !Bald, +Eyeglasses, smiling=yes, age 20-35",
]


def test_sentences() -> None:
    from mien.pipelines.request import crowd_request, imagine_request, parse_ages

    def use(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        for read in (crowd_request, imagine_request, parse_ages, lambda said: imagine_request("man", avoid=said)):
            with suppress(MienError):
                read(text)
        crowd_request("", age=text[:20])

    fuzzed(SAID, SENTENCES, use)


ROWS = [
    b'{"file": "00000.png", "seed": 1, "index": 0, "model": "m", "model_version": "1", "sex": "female", "age": 30.5}\n'
    b'{"file": "00001.png", "seed": 1, "index": 1, "model": "m", "model_version": "1", "sex": "male", "age": 3}\n',
    b'{"file": "anna.png", "row": 2, "cells": {"name": "Anna", "age": "30"}, "attributes": {"Smiling": true}}\n',
]


def test_manifests(tmp_path: Path) -> None:
    from mien.evaluation.study.sources import candidates
    from mien.pipelines.crowd_out import earlier_seed
    from mien.pipelines.faces_out import opened

    for name in ("00000.png", "anna.png"):
        (tmp_path / name).write_bytes(b"x")

    def use(data: bytes) -> None:
        with suppress(ValueError):
            json_of(data.splitlines()[0] if data.splitlines() else b"")
        (tmp_path / "manifest.jsonl").write_bytes(data)
        with opened(tmp_path, resume=True) as output:
            earlier_seed(output.earlier())
        candidates(tmp_path, split="test", sources=(), background="whole")

    fuzzed(ROWS, MANIFESTS, use)


ASKED: dict[str, list[bytes]] = {
    "/v1/crowd": [b'{"count": 2, "sex": "female", "age": "20-35", "race": null, "words": "smiling", "seed": 1}',
                  b'{"count": 1, "first": 3, "seed": 9, "size": 128, "format": "zip", "look": "news"}'],
    "/v1/cast": [b'{"rows": [{"name": "Ada", "age": 30, "words": "smiling", "seed": 1, "count": 2}], "seed": 4}'],
    "/v1/imagine": [b'{"words": "old man, not bald", "avoid": "hat", "age": "60", "typical": true, "seed": 1}'],
}  # fmt: skip


def test_bodies_of_http() -> None:
    from mien.apps.service.app import create_app
    from mien.apps.web.settings import ServiceSettings

    with TestClient(create_app(ServiceSettings(marked=False), specs=FAKES)) as client:
        while client.get("/readyz").status_code != 200:
            pass

        def ask(path: str, kind: str) -> Callable[[bytes], None]:
            def use(data: bytes) -> None:
                answer = client.post(path, content=data, headers={"Content-Type": kind})
                assert answer.status_code < 500 or answer.status_code == 503, answer.text
                if answer.status_code >= 400:
                    told = answer.json()["error"]
                    assert told
                    assert len(told.splitlines()) == 1

            return use

        for path, goods in ASKED.items():
            fuzzed(goods, BODIES // 4, ask(path, "application/json"))
        fuzzed(list(pictures()), BODIES // 4, ask("/v1/describe", "image/png"))
        assert client.get("/healthz").json() == {"alive": True}


def test_there_are_ten_thousand_and_no_two_are_alike() -> None:
    assert PICTURES + LABELS + CASTS + SENTENCES + MANIFESTS + BODIES >= 10_000
    made = {mutated(SAID, number) for number in range(500)}
    assert len(made) > 450
    assert mutated(SAID, 3) == mutated(SAID, 3)
