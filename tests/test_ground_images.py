"""Pixels: the conventions of docs/conventions.md, every kind of file that people have, and every way to be damaged."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core import images
from mien.core.errors import PhotoError, RequestError
from mien.core.images import decode_crop, encode_jpeg, to_photos, to_tensor
from mien.core.photos import decode_photo, photo_is_grey, png_texts, read_photo
from mien.core.seeding import stream

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def four_corners() -> np.ndarray:
    """A photo, 40 high and 60 wide: red top left, green top right, blue bottom left, white bottom right."""
    photo = np.zeros((40, 60, 3), np.uint8)
    photo[:20, :30], photo[:20, 30:], photo[20:, :30], photo[20:, 30:] = RED, GREEN, BLUE, (255, 255, 255)
    return photo


def encoded(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height: int, width: int) -> np.ndarray:
    return stream(0, "noise", height, width).integers(0, 256, (height, width, 3), dtype=np.uint8)


# Conventions


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF", "WEBP", "JPEG"])
def test_a_photo_is_rgb_rows_from_the_top(kind: str, tmp_path: Path) -> None:
    options = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    (tmp_path / "photo").write_bytes(encoded(PIL.Image.fromarray(four_corners()), kind, **options))
    photo = read_photo(tmp_path / "photo")
    assert (photo.shape, photo.dtype) == ((40, 60, 3), np.uint8)
    np.testing.assert_allclose(photo.astype(int), four_corners(), atol=12 if kind == "JPEG" else 0)


def test_a_tensor_is_rgb_channels_first_from_minus_one_to_one() -> None:
    tensor = to_tensor(four_corners())
    assert (tensor.shape, tensor.dtype) == ((1, 3, 40, 60), torch.float32)
    assert tensor[0, :, 0, 0].tolist() == [1, -1, -1]  # red, top left
    assert tensor[0, :, 0, -1].tolist() == [-1, 1, -1]  # green, top right
    assert tensor[0, :, -1, 0].tolist() == [-1, -1, 1]  # blue, bottom left


def test_every_value_survives_the_way_there_and_back() -> None:
    photo = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert np.array_equal(to_photos(to_tensor(photo)), photo)
    assert np.array_equal(to_photos(to_tensor(photo).double()), photo)


def test_tensors_are_clipped_and_rounded_to_nearest() -> None:
    values = torch.tensor([-7.0, -1.0, 0.0, 2.49 / 127.5 - 1, 2.51 / 127.5 - 1, 1.0, 9.0])
    photos = to_photos(values[None, None, None].expand(1, 3, 1, 7))
    assert photos[0, 0, :, 0].tolist() == [0, 0, 128, 2, 3, 255, 255]


@given(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31))
def test_a_batch_is_its_photos_one_by_one(count: int, height: int, width: int, seed: int) -> None:
    photos = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    batch = to_tensor(photos)
    assert batch.shape == (count, 3, height, width)
    assert torch.equal(batch, torch.cat([to_tensor(photo) for photo in photos]))
    assert np.array_equal(to_photos(batch), photos)


def test_other_networks_get_their_range_from_the_same_tensor() -> None:
    grey_values = np.array([0, 64, 255], np.uint8)[None, :, None].repeat(3, 2)
    tensor = to_tensor(grey_values)
    np.testing.assert_allclose(images.to_unit(tensor)[0, 0, 0], np.array([0, 64, 255]) / 255, atol=1e-6)
    np.testing.assert_allclose(images.to_facenet(tensor)[0, 0, 0], (np.array([0, 64, 255]) - 127.5) / 128, atol=1e-6)


def test_grey_is_rec_601_luma() -> None:
    photo = np.array([[RED, GREEN, BLUE, (255, 255, 255)]], np.uint8)
    assert images.grey(photo).tolist() == [[76, 150, 29, 255]]


def test_photos_on_a_device_become_tensors_there_with_the_same_values() -> None:
    photos = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    there = to_tensor(torch.from_numpy(photos))
    assert torch.equal(there, to_tensor(photos))
    assert there.is_contiguous(memory_format=torch.channels_last)
    # A meta tensor holds no values: whatever took it to the host would fail.
    assert to_tensor(torch.empty(2, 5, 4, 3, dtype=torch.uint8, device="meta")).device.type == "meta"


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8)]
)
def test_what_is_no_photo_is_refused_at_the_door(wrong: np.ndarray) -> None:
    with pytest.raises(RequestError, match="wanted N H W 3 or H W 3, uint8"):
        to_tensor(wrong)


@pytest.mark.parametrize(
    "wrong", [torch.zeros(3, 4, 4), torch.zeros(1, 4, 4, 3), torch.zeros(1, 3, 4, 4, dtype=torch.uint8)]
)
def test_what_is_no_tensor_of_photos_is_refused_at_the_door(wrong: torch.Tensor) -> None:
    with pytest.raises(RequestError, match="wanted N 3 H W, floating"):
        to_photos(wrong)


def test_what_was_read_can_be_written_to_and_made_a_tensor_in_silence(tmp_path: Path) -> None:
    images.write_png(tmp_path / "a.png", four_corners())
    photo = read_photo(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_tensor(photo)
        frozen = photo.copy()
        frozen.setflags(write=False)
        tensor = to_tensor(frozen)
    tensor += 1
    photo[0, 0] = 7
    assert frozen[0, 0].tolist() == list(RED)


# Every kind of file that people have


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_upright_by_their_exif(orientation: int) -> None:
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # the PIL.Image.Transpose that lays a photo down like that
    upright = PIL.Image.fromarray(four_corners())
    lying = upright if orientation == 1 else upright.transpose(PIL.Image.Transpose(turn[orientation]))
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    photo = decode_photo(encoded(lying, "PNG", exif=exif))
    assert np.array_equal(photo, four_corners())


def test_unreadable_exif_does_not_lose_the_photo() -> None:
    data = encoded(
        PIL.Image.fromarray(four_corners()), "JPEG", quality=95, exif=b"Exif\0\0II*\0\xff\xff\xff\xff nonsense"
    )
    assert decode_photo(data).shape == (40, 60, 3)


def test_transparency_lies_over_white() -> None:
    clear = np.dstack([four_corners(), np.zeros((40, 60), np.uint8)])
    assert (decode_photo(encoded(PIL.Image.fromarray(clear, "RGBA"), "PNG")) == 255).all()
    half = PIL.Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert decode_photo(encoded(half, "PNG"))[0, 0].tolist() == [255, 127, 127]
    grey_alpha = PIL.Image.new("LA", (4, 4), (0, 0))
    assert (decode_photo(encoded(grey_alpha, "PNG")) == 255).all()
    palette = PIL.Image.new("P", (4, 4), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    assert (decode_photo(encoded(palette, "PNG", transparency=0)) == 255).all()
    assert decode_photo(encoded(palette, "GIF"))[0, 0].tolist() == list(RED)


def test_palette_cmyk_and_bilevel_become_rgb() -> None:
    corners = PIL.Image.fromarray(four_corners())
    assert np.array_equal(
        decode_photo(encoded(corners.convert("P", palette=PIL.Image.Palette.ADAPTIVE), "PNG")), four_corners()
    )
    cmyk = decode_photo(encoded(corners.convert("CMYK"), "JPEG", quality=95))
    np.testing.assert_allclose(cmyk.astype(int), four_corners(), atol=16)
    bilevel = decode_photo(encoded(PIL.Image.new("1", (8, 8), 1), "PNG"))
    assert (bilevel.shape, bilevel.min()) == ((8, 8, 3), 255)


@pytest.mark.parametrize("level", [0, 1, 128, 255, 256, 30_000, 65_535])
def test_16_bit_grey_keeps_its_brightness_however_dark(level: int) -> None:
    values = np.full((8, 8), level, np.uint16)
    for kind in ("PNG", "TIFF"):
        photo = decode_photo(encoded(PIL.Image.fromarray(values), kind))
        assert photo.shape == (8, 8, 3)
        assert abs(int(photo[0, 0, 0]) - level / 257) <= 1, kind


def test_16_bit_colour_png() -> None:
    row = b"\0" + struct.pack(">3H", 65535, 32896, 0) * 5
    body = zlib.compress(row * 4)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    assert decode_photo(png)[0, 0].tolist() == [255, 128, 0]


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_float_tiffs_are_scaled_by_their_own_range(top: float) -> None:
    values = np.linspace(0, top, 64, dtype=np.float32).reshape(8, 8)
    values[0, 0] = np.nan
    photo = decode_photo(encoded(PIL.Image.fromarray(values), "TIFF"))
    np.testing.assert_allclose(photo[..., 0].ravel()[1:], np.linspace(0, 255, 64)[1:], atol=1)


def test_grey_photos_are_known_and_colour_is_not_missed() -> None:
    def is_grey(photo: np.ndarray) -> bool:
        return photo_is_grey(encode_jpeg(photo))

    grey_noise = np.repeat(noise(64, 64)[..., :1], 3, 2)
    assert is_grey(grey_noise)
    assert not is_grey(four_corners())
    tinted = grey_noise // 2 + np.array([20, 0, 0], np.uint8)
    assert not is_grey(tinted.astype(np.uint8))
    assert photo_is_grey(encoded(PIL.Image.new("L", (9, 9), 3), "PNG"))
    assert photo_is_grey(encoded(PIL.Image.fromarray(np.full((8, 8), 900, np.uint16)), "PNG"))
    with pytest.raises(PhotoError) as caught:
        photo_is_grey(encode_jpeg(noise(64, 64))[:700])
    assert caught.value.reason == "truncated"


# Every way to be damaged


def broken_files() -> dict[str, tuple[bytes, str]]:
    jpeg, png = encode_jpeg(noise(64, 64)), encoded(PIL.Image.fromarray(noise(64, 64)), "PNG")
    return {
        "0 bytes": (b"", "empty"),
        "text": (b"this is not a photograph\n" * 9, "not_an_image"),
        "html": (b"<!DOCTYPE html><html><body>404", "not_an_image"),
        "one byte": (b"\xff", "not_an_image"),
        "jpeg cut in half": (jpeg[: len(jpeg) // 2], "truncated"),
        "png cut in half": (png[: len(png) // 2], "truncated"),
        "a jpeg header alone": (jpeg[:20], "not_an_image"),
        "postscript": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n",
            "not_an_image",
        ),
    }


@pytest.mark.parametrize("name", broken_files())
def test_a_damaged_file_is_named_with_its_reason(name: str, tmp_path: Path) -> None:
    data, reason = broken_files()[name]
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with pytest.raises(PhotoError, match=r"photo\.jpg") as caught:
        read_photo(path)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_missing(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(PhotoError, match="cannot be read") as caught:
            read_photo(path)
        assert caught.value.reason == "missing"


@pytest.mark.parametrize("side", [11_000, 30_000, 2_000_000])
def test_a_bomb_is_refused_before_it_is_decoded(side: int) -> None:
    bomb = bytearray(encoded(PIL.Image.new("1", (8, 8)), "PNG"))
    bomb[16:24] = struct.pack(">II", side, side)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    with pytest.raises(PhotoError, match="pixels") as caught:
        decode_photo(bytes(bomb))
    assert caught.value.reason == "too_large"


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"]), st.integers(0, 2**32), st.integers(1, 30))
def test_no_damage_gets_through_as_another_error(kind: str, seed: int, changes: int) -> None:
    data = bytearray(encoded(PIL.Image.fromarray(four_corners()), kind))
    dice = np.random.default_rng(seed)
    for place in dice.integers(0, min(len(data), 400), changes):
        data[place] = dice.integers(256)
    cut = bytes(data[: dice.integers(1, len(data) + 1)]) if seed % 2 else bytes(data)
    for read in (decode_photo, photo_is_grey):
        reason = None
        try:
            photo = read(cut)
        except PhotoError as error:
            reason = error.reason
        if reason is None:
            assert isinstance(photo, bool) or (photo.ndim == 3 and photo.shape[2] == 3 and photo.dtype == np.uint8)
        else:
            assert reason in {"not_an_image", "truncated", "too_large"}


# Writing


def test_png_keeps_pixels_and_says_what_made_it(tmp_path: Path) -> None:
    said = {"Software": "mien", "Comment": "AI-generated by mien", "Title": "gesicht \u00fc \u4eba"}
    images.write_png(tmp_path / "deep" / "a.png", noise(9, 7), said)
    assert np.array_equal(read_photo(tmp_path / "deep" / "a.png"), noise(9, 7))
    assert png_texts((tmp_path / "deep" / "a.png").read_bytes()) == said
    images.write_png(tmp_path / "b.png", noise(9, 7), said)
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "deep" / "a.png").read_bytes()


def test_jpeg_is_close_repeatable_and_rgb() -> None:
    assert encode_jpeg(four_corners()) == encode_jpeg(four_corners())
    np.testing.assert_allclose(decode_crop(encode_jpeg(four_corners())).astype(int), four_corners(), atol=12)
    assert decode_crop(encode_jpeg(noise(64, 64)), 32).shape == (32, 32, 3)


@pytest.mark.parametrize("data", [b"", b"nonsense"])
def test_a_damaged_crop_is_a_photo_error(data: bytes) -> None:
    with pytest.raises(PhotoError) as caught:
        decode_crop(data)
    assert caught.value.reason == "truncated"


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 255))
def test_resizing_keeps_a_flat_photo_flat(height: int, width: int, level: int) -> None:
    resized = images.resize(np.full((20, 30, 3), level, np.uint8), height, width)
    assert resized.shape == (height, width, 3)
    assert (resized == level).all()


def test_shrinking_averages_areas() -> None:
    checker = np.indices((64, 64)).sum(0) % 2 * 255
    small = images.resize(np.repeat(checker[..., None], 3, 2).astype(np.uint8), 16, 16)
    assert np.abs(small.astype(int) - 127).max() <= 1


@given(st.integers(1, 13), st.integers(1, 6), st.integers(0, 4))
def test_a_sheet_holds_every_photo_in_reading_order(count: int, columns: int, gap: int) -> None:
    photos = [np.full((5, 4, 3), 10 * index, np.uint8) for index in range(count)]
    page = images.sheet(photos, columns, gap)
    rows = -(-count // columns)
    assert page.shape == (rows * (5 + gap) + gap, columns * (4 + gap) + gap, 3)
    for index in range(count):
        top, left = gap + index // columns * (5 + gap), gap + index % columns * (4 + gap)
        assert (page[top : top + 5, left : left + 4] == 10 * index).all()
    assert (page == 255).sum() == page.size - count * 60


@pytest.mark.parametrize(("photos", "columns"), [([], 3), ([noise(4, 4)], 0), ([noise(4, 4), noise(5, 4)], 2)])
def test_a_sheet_that_cannot_be_is_refused(photos: list[np.ndarray], columns: int) -> None:
    with pytest.raises(RequestError, match="a sheet needs"):
        images.sheet(photos, columns)
