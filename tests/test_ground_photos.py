"""Pictures of others: every format, odd metadata, what lies behind the end, and everything that Python may be given."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest

from mien.core import formats, photos
from mien.core.errors import PhotoError, RequestError
from mien.core.images import encode_jpeg, encode_png
from mien.core.photo_inputs import photo_of
from mien.core.photos import check_photo, decode_photo, decode_photo_file, photo_size, png_texts, read_photo
from mien.core.records import UInt8Image


def slopes(height: int = 48, width: int = 64) -> UInt8Image:
    """Soft slopes of colour that every codec keeps well; no two corners alike."""
    down, across = np.mgrid[:height, :width]
    channels = (down * 255 // height, across * 255 // width, 255 - (down + across) * 255 // (height + width))
    return np.stack(channels, -1).astype(np.uint8)


def encoded(image: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes, spoilt: int = 0) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) ^ spoilt)


def png_with(*chunks: bytes, image: UInt8Image | None = None) -> bytes:
    """A PNG with chunks behind its head."""
    png = encode_png(slopes() if image is None else image)
    return png[:33] + b"".join(chunks) + png[33:]


SLOPES = PIL.Image.fromarray(slopes())
LOSSLESS: dict[str, dict[str, Any]] = {
    "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "BMP": {}, "DIB": {}, "PPM": {},
    "JPEG2000": {"irreversible": False},
}  # fmt: skip
LOSSY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95}, "MPO": {"quality": 95}, "HEIF": {"quality": 95}, "AVIF": {"quality": 95}, "GIF": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", formats.PILLOW_NAMES)
def test_every_format_of_the_list_is_read_with_its_pixels(kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    options: dict[str, Any] = {**LOSSLESS, **LOSSY}[kind]
    data = encoded(SLOPES, kind, **options)
    read = decode_photo_file(data)
    assert photo_size(data) == (48, 64)
    assert (read.format, read.remark) == ("JPEG" if kind == "MPO" else kind, "")
    most = 0 if kind in LOSSLESS else 40 if kind == "GIF" else 12
    np.testing.assert_allclose(read.photo.astype(int), slopes(), atol=most)


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "IMG_0001.HEIC", "b.jfif", "c.avif", "d.jp2", "e.TIF", "f.hif"])
def test_names_of_photos_are_known(name: str) -> None:
    assert formats.is_photo_name(name)
    assert not formats.is_photo_name(f".{name}")
    assert not formats.is_photo_name(f"{name}.txt")


def test_the_list_names_each_ending_and_type_once() -> None:
    for names in (formats.SUFFIXES, formats.TYPES, formats.PILLOW_NAMES):
        assert len(set(names)) == len(names)
    PIL.Image.init()
    assert set(formats.PILLOW_NAMES) - {"HEIF"} <= {*PIL.Image.OPEN, "MPO"}


def test_heic_without_its_library_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    data = encoded(SLOPES, "HEIF")
    monkeypatch.setattr(photos, "_heif_is_there", lambda: False)
    with pytest.raises(PhotoError, match=r'a\.heic: HEIC needs pillow-heif, .*: pip install "mien\[heic\]"') as caught:
        decode_photo(data, name="a.heic")
    assert caught.value.reason == "needs_heif"
    np.testing.assert_allclose(decode_photo(encoded(SLOPES, "AVIF", quality=95)).astype(int), slopes(), atol=12)


def test_photos_of_phones_stand_upright_in_heic() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # lies on its left side
    lying = SLOPES.transpose(PIL.Image.Transpose.ROTATE_90)
    photo = decode_photo(encoded(lying, "HEIF", exif=exif.tobytes(), quality=95))
    np.testing.assert_allclose(photo.astype(int), slopes(), atol=12)


# What is no pixel


DEEP = b"[" * 100_000
ODD_CHUNKS = {
    "text with a wrong checksum": chunk(b"tEXt", b"Software\0mien", spoilt=1),
    "text of 3 MB": chunk(b"tEXt", b"workflow\0" + b"x" * 3_000_000),
    "text that unpacks to 50 MB": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(bytes(50_000_000), 9)),
    "text that is no zlib": chunk(b"zTXt", b"workflow\0\0nonsense"),
    "text of an unknown packing": chunk(b"zTXt", b"workflow\0\7nonsense"),
    "text without an end of its keyword": chunk(b"iTXt", b"workflow"),
    "empty text": chunk(b"tEXt", b""),
    "sixty texts of 1 MB": chunk(b"zTXt", b"w\0\0" + zlib.compress(bytes(1_000_000), 9)) * 70,
    "a profile with a wrong checksum": chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(500)), spoilt=9),
    "a profile that unpacks to 50 MB": chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(50_000_000), 9)),
    "EXIF that is none": chunk(b"eXIf", b"II*\0\xff\xff\xff\xff nonsense"),
    "EXIF with a wrong checksum": chunk(b"eXIf", b"II*\0", spoilt=5),
    "an animation without frames": chunk(b"acTL", bytes(8)),
    "a chunk that nobody knows": chunk(b"prVW", b"\xff\xd8\xff" * 99, spoilt=3),
    "a resolution of no length": chunk(b"pHYs", b""),
    "deep JSON": chunk(b"tEXt", b"mien\0" + DEEP),
}


@pytest.mark.parametrize("odd", ODD_CHUNKS.values(), ids=list(ODD_CHUNKS))
@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind the pixels"])
def test_what_is_no_pixel_never_decides_over_pixels(odd: bytes, behind: bool) -> None:
    png = encode_png(slopes())
    data = png[:-12] + odd + png[-12:] if behind else png_with(odd)
    assert np.array_equal(decode_photo(data), slopes())
    assert photo_size(data) == (48, 64)


def test_damaged_pixels_of_a_png_are_still_told() -> None:
    png = bytearray(png_with(ODD_CHUNKS["text with a wrong checksum"]))
    png[-60] ^= 255
    with pytest.raises(PhotoError) as caught:
        decode_photo(bytes(png))
    assert caught.value.reason == "truncated"


def test_a_png_whose_text_is_odd_still_stands_upright() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 3
    png = encoded(SLOPES.transpose(PIL.Image.Transpose.ROTATE_180), "PNG", exif=exif)
    assert np.array_equal(decode_photo(png[:33] + ODD_CHUNKS["text with a wrong checksum"] + png[33:]), slopes())


def test_texts_of_a_png_are_read_within_limits() -> None:
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text("plain", "gr\u00fc\u00df")
    info.add_text("packed", "x" * 500, zip=True)
    info.add_itxt("wide", "\u4eba", "de", "weit")
    info.add_itxt("both", "\u4eba" * 500, zip=True)
    png = encoded(SLOPES, "PNG", pnginfo=info)
    said = {"plain": "gr\u00fc\u00df", "packed": "x" * 500, "wide": "\u4eba", "both": "\u4eba" * 500}
    assert png_texts(png) == said
    for odd in ODD_CHUNKS.values():
        found = png_texts(png[:33] + odd + png[33:])
        assert said.items() <= found.items() or len(odd) > 10_000
        assert sum(map(len, found.values())) <= photos.MOST_TEXT_BYTES
    assert png_texts(encode_jpeg(slopes())) == png_texts(b"") == png_texts(png[:30]) == {}


TAILS = {
    "zeros": bytes(4096), "the end of an older file": encode_png(slopes())[50:],
    "a trailer of a phone": b"\0\0\1\n\x0e\0\0\0Image_UTC_Data1700000000000SEFT", "an archive": b"PK\3\4PK\5\6",
    "a page": b"<html><script>x()</script>", "another picture": encode_jpeg(slopes()[::-1].copy()),
}  # fmt: skip


@pytest.mark.parametrize("tail", TAILS.values(), ids=list(TAILS))
@pytest.mark.parametrize("kind", [kind for kind in (*LOSSLESS, *LOSSY) if kind not in ("TIFF", "HEIF", "AVIF")])
def test_what_lies_behind_a_picture_is_ignored(kind: str, tail: bytes) -> None:
    data = encoded(SLOPES, kind, **{**LOSSLESS, **LOSSY}[kind])
    assert np.array_equal(decode_photo(data + tail), decode_photo(data))


# More than one picture in a file


def test_the_first_frame_is_read_and_the_others_are_told_of() -> None:
    other = PIL.Image.fromarray(255 - slopes())
    for kind in ("GIF", "PNG", "WEBP", "AVIF"):
        data = encoded(SLOPES, kind, save_all=True, append_images=[other, other], duration=40, lossless=True)
        read = decode_photo_file(data)
        assert read.remark == "an animation: its first frame is read", kind
        np.testing.assert_allclose(read.photo.astype(int), slopes(), atol=40 if kind in ("GIF", "AVIF") else 0)
    for kind in ("TIFF", "MPO"):
        read = decode_photo_file(encoded(SLOPES, kind, save_all=True, append_images=[other], quality=95))
        assert read.remark == "several pictures in one file: the first is read", kind
        np.testing.assert_allclose(read.photo.astype(int), slopes(), atol=12)


def test_the_main_picture_of_heic_is_read() -> None:
    heif = pytest.importorskip("pillow_heif")
    both = heif.HeifFile()
    both.add_from_pillow(PIL.Image.fromarray(255 - slopes()))
    both.add_from_pillow(SLOPES)
    buffer = io.BytesIO()
    both.save(buffer, quality=95, primary_index=1)
    read = decode_photo_file(buffer.getvalue())
    assert read.remark == "several pictures in one file: the first is read"
    np.testing.assert_allclose(read.photo.astype(int), slopes(), atol=12)


def test_a_film_in_a_photo_is_told_of_and_a_gain_map_is_no_second_photo() -> None:
    jpeg = encode_jpeg(slopes())
    xmp = b'<rdf:Description GCamera:MotionPhoto="1"/>'
    google = encoded(SLOPES, "JPEG", xmp=xmp) + b"\0\0\0\x18ftypmp42" + bytes(99)
    for data in (google, jpeg + b"\0\0\0\x18ftypmp42" + bytes(99) + b"MotionPhoto_Data"):
        assert decode_photo_file(data).remark == "a motion photo: its film is left out"
    ultra = encoded(SLOPES, "MPO", save_all=True, append_images=[SLOPES], xmp=b'<x hdrgm:Version="1.0"/>')
    assert decode_photo_file(ultra).remark == ""


# Silence


def ycbcr_tiff(image: UInt8Image, across: int, down: int) -> bytes:
    """An uncompressed TIFF as scanners write it: units of ``across`` x ``down`` brightnesses and two colours."""
    height, width = image.shape[:2]
    values = np.asarray(PIL.Image.fromarray(image).convert("YCbCr"))
    blocks = values.reshape(height // down, down, width // across, across, 3)
    light = blocks[..., 0].transpose(0, 2, 1, 3).reshape(height // down, width // across, across * down)
    colour = blocks[..., 1:].mean((1, 3)).round().astype(np.uint8)
    data = np.concatenate([light, colour], 2).tobytes()
    tags = {256: width, 257: height, 259: 1, 262: 6, 277: 3, 278: height, 279: len(data), 284: 1}
    place = 8 + 2 + 12 * (len(tags) + 3) + 4
    entries = {tag: (4, 1, value.to_bytes(4, "little")) for tag, value in tags.items()}
    entries[258] = (3, 3, place.to_bytes(4, "little"))  # bits: 8, 8, 8
    entries[273] = (4, 1, (place + 6).to_bytes(4, "little"))
    entries[530] = (3, 2, struct.pack("<2H", across, down))
    listed = b"".join(struct.pack("<HHI", tag, *entries[tag][:2]) + entries[tag][2] for tag in sorted(entries))
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + listed + bytes(4)
    return head + struct.pack("<3H", 8, 8, 8) + data


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (2, 2)])
def test_a_tiff_of_brightness_and_colour_is_read_unless_it_is_cut(
    across: int, down: int, capfd: pytest.CaptureFixture[str]
) -> None:
    image = slopes()
    data = ycbcr_tiff(image, across, down)
    assert np.abs(decode_photo(data).astype(int) - image).mean() < 3
    with pytest.raises(PhotoError, match="damaged or cut short"):
        decode_photo(data[: len(data) // 2])
    assert capfd.readouterr() == ("", "")


def test_a_photo_that_an_option_names_is_looked_at_before_networks_load(tmp_path: Path) -> None:
    page, film = tmp_path / "page.jpg", tmp_path / "film.gif"
    page.write_bytes(b"<!doctype html>no photo")
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(film, save_all=True, append_images=frames[1:])
    assert check_photo(film, "--like") == "an animation: its first frame is read"
    for path, said in (
        (page, f"--like: {page}: not an image that can be read: it is an HTML page"),
        (tmp_path, f"--like: {tmp_path}: cannot be read (Is a directory)"),
        (tmp_path / "none.jpg", f"--like: {tmp_path}/none.jpg given; there is no such file"),
    ):
        with pytest.raises(RequestError) as caught:
            check_photo(path, "--like")
        assert str(caught.value).startswith(said)


def test_damaged_tiffs_say_nothing_on_the_terminal() -> None:
    """libtiff writes to file descriptor 2 by itself: only another process sees it."""
    code = """
import io, sys, numpy as np, PIL.Image
from mien.core.errors import PhotoError
from mien.core.photos import decode_photo
dice = np.random.default_rng(0)
image = PIL.Image.fromarray(dice.integers(0, 255, (32, 32, 3), np.uint8))
refused = 0
for packing in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "group4"):
    buffer = io.BytesIO()
    (image.convert("1") if packing == "group4" else image).save(buffer, "TIFF", compression=packing)
    for _ in range(60):
        data = bytearray(buffer.getvalue())
        data[dice.integers(8, len(data) // 2)] ^= 255
        try:
            decode_photo(bytes(data))
        except PhotoError:
            refused += 1
print(refused)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 20
    assert done.stderr == ""


# What Python may be given


def same_picture() -> dict[str, Any]:
    """One grey picture in every form that is taken."""
    grey = slopes()[..., 0]
    colour = grey[..., None].repeat(3, 2)
    return {
        "H W": grey, "H W 1": grey[..., None], "H W 3": colour,
        "H W 4": np.dstack([colour, np.full(grey.shape, 255, np.uint8)]),
        "uint16": grey.astype(np.uint16) * 257, "uint16 H W 3": colour.astype(np.uint16) * 257,
        "float64 to 1": colour / 255, "float32 to 1": (colour / 255).astype(np.float32),
        "float16 to 1": (colour / 255).astype(np.float16), "float to 255": colour.astype(np.float32),
        "big end first": (grey.astype(np.uint16) * 257).astype(">u2"),
        "upside down view": np.ascontiguousarray(colour[::-1])[::-1], "columns first": np.asfortranarray(colour),
        "PIL L": PIL.Image.fromarray(grey), "PIL RGB": PIL.Image.fromarray(colour),
        "PIL RGBA": PIL.Image.fromarray(colour).convert("RGBA"),
        "PIL 16 bit": PIL.Image.fromarray(grey.astype(np.uint16) * 257),
        "PIL palette": PIL.Image.fromarray(grey).convert("P"),
        "PIL La": PIL.Image.fromarray(grey).convert("LA").convert("La"),
        "bytes": encode_png(colour), "bytearray": bytearray(encode_png(colour)),
        "memoryview": memoryview(encode_png(colour)),
    }  # fmt: skip


@pytest.mark.parametrize("form", same_picture())
def test_one_picture_is_one_photo_in_whatever_form(form: str) -> None:
    photo = photo_of(same_picture()[form]).photo
    assert (photo.shape, photo.dtype.name, photo.flags["C_CONTIGUOUS"]) == ((48, 64, 3), "uint8", True)
    assert np.array_equal(photo, slopes()[..., :1].repeat(3, 2))


def test_paths_are_read_and_opacity_lies_over_white(tmp_path: Path) -> None:
    file = tmp_path / "gr\u00fc\u00df e.png"
    file.write_bytes(encode_png(slopes()))
    for given in (file, str(file), os.fspath(file)):
        assert np.array_equal(photo_of(given).photo, slopes())
    clear = np.dstack([slopes(), np.zeros((48, 64), np.uint8)])
    forms: list[Any] = [clear, clear / 255, PIL.Image.fromarray(clear), encode_png(clear)]
    for form in forms:
        assert (photo_of(form).photo == 255).all()


def test_an_image_of_pillow_stands_upright_once() -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = 3
    image = PIL.Image.open(io.BytesIO(encoded(SLOPES.transpose(PIL.Image.Transpose.ROTATE_180), "PNG", exif=exif)))
    assert np.array_equal(photo_of(image).photo, slopes())
    assert np.array_equal(photo_of(PIL.ImageOps.exif_transpose(image)).photo, slopes())


NO_PHOTOS: dict[str, Any] = {
    "none": None, "a number": 3, "a list": [slopes()], "a list of numbers": slopes().tolist(), "a tuple": (slopes(),),
    "an open file": io.BytesIO(encode_png(slopes())), "int64": slopes().astype(np.int64), "bool": slopes() > 9,
    "signed": slopes().astype(np.int16), "complex": slopes().astype(complex), "text": np.array("a.jpg"),
    "objects": slopes().astype(object), "channels first": slopes().transpose(2, 0, 1),
    "two channels": slopes()[..., :2],
    "a batch": slopes()[None], "one row": slopes()[0, :, 0], "empty": np.zeros((0, 0, 3), np.uint8),
    "no channel": np.zeros((4, 4, 0), np.uint8), "nan": np.full((4, 4, 3), np.nan), "inf": np.full((4, 4), np.inf),
    "a tensor's range": np.full((4, 4, 3), -0.5, np.float32), "too bright": np.full((4, 4, 3), 300.0),
    "8 bits in 16": slopes().astype(np.uint16), "no pixel": PIL.Image.new("RGB", (0, 5)),
}  # fmt: skip


@pytest.mark.parametrize("given", NO_PHOTOS.values(), ids=list(NO_PHOTOS))
def test_what_is_no_photo_is_refused_with_what_is_wanted(given: Any) -> None:
    with pytest.raises(
        RequestError, match=r"^photo: .* given; (wanted: a path, bytes, a PIL image|allowed: 0 to (1|65535))"
    ) as e:
        photo_of(given)
    assert "\n" not in str(e.value)


def test_a_closed_image_and_damaged_bytes_are_photo_errors(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode_png(slopes()))
    image = PIL.Image.open(tmp_path / "a.png")
    image.close()
    for given in (image, b"", b"nonsense", encode_png(slopes())[:99]):
        with pytest.raises(PhotoError):
            photo_of(given)


@pytest.mark.parametrize("path", ["a\0b.jpg", "x" * 5000, ""])
def test_names_that_no_file_can_have_are_missing(path: str) -> None:
    with pytest.raises(PhotoError) as caught:
        read_photo(path)
    assert caught.value.reason == "missing"
