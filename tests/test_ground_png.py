"""PNG bytes of our own: every reader finds the same pixels in them, and no more bytes than others would write."""

from __future__ import annotations

import io
import zlib

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mien import png
from mien.records import UInt8Image
from mien.seeding import stream


def picture(height: int, width: int, channels: int | None, flat: bool) -> UInt8Image:
    """Noise, or (``flat``) noise in one corner of white."""
    shape = (height, width) if channels is None else (height, width, channels)
    noise = stream(height * 1000 + width, "png").integers(0, 256, shape).astype(np.uint8)
    if flat:
        noise[height // 3 :] = 255
    return noise


def by_pillow(data: bytes) -> UInt8Image:
    with PIL.Image.open(io.BytesIO(data)) as image:
        image.verify()  # checksums of all chunks
    with PIL.Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


@given(st.integers(1, 150), st.integers(1, 40), st.sampled_from([None, 1, 2, 3, 4]), st.booleans())
@example(png.BAND_ROWS, 5, 3, False)
@example(png.BAND_ROWS + 1, 5, 3, False)
@example(1, 1, None, False)
def test_two_readers_find_the_same_pixels(height: int, width: int, channels: int | None, flat: bool) -> None:
    photo = picture(height, width, channels, flat)
    data = png.encode(photo)
    assert np.array_equal(by_pillow(data), photo.squeeze(2) if channels == 1 else photo)
    if channels == 3:
        seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(seen[..., ::-1], photo)
    assert png.encode(photo) == data


def test_extremes_and_views() -> None:
    checks = np.zeros((70, 8, 3), np.uint8)
    checks[::2, ::2] = checks[1::2, 1::2] = 255
    for photo in (checks, checks[::-1], checks[:, ::2], np.asfortranarray(checks)):
        assert np.array_equal(by_pillow(png.encode(photo)), photo)


def soft(side: int) -> UInt8Image:
    """Smooth shapes with the grain of a photograph."""
    draws = stream(side, "soft")
    shapes = cv2.GaussianBlur(draws.uniform(0, 255, (side, side, 3)).astype(np.float32), (0, 0), 9)
    shapes = (shapes - shapes.min()) / np.ptp(shapes) * 220
    return np.asarray(shapes + draws.normal(0, 2, shapes.shape), np.float32).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("flat", [False, True], ids=["photograph", "on white"])
def test_no_larger_than_pillows(flat: bool) -> None:
    photo = soft(160)
    if flat:
        photo = np.pad(photo, ((60, 60), (60, 60), (0, 0)), constant_values=255)
    buffer = io.BytesIO()
    PIL.Image.fromarray(photo).save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    assert len(png.encode(photo)) < 1.03 * len(buffer.getvalue())


def test_chunks_stand_before_the_pixels() -> None:
    data = png.encode(picture(4, 5, 3, False), [(b"tEXt", b"Comment\0hello")])
    assert data.index(b"tEXt") < data.index(b"IDAT")
    with PIL.Image.open(io.BytesIO(data)) as image:
        assert image.info["Comment"] == "hello"


@pytest.mark.parametrize(
    "photo", [np.zeros((4, 4, 5), np.uint8), np.zeros((4, 4), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_photo_is_refused(photo: UInt8Image) -> None:
    with pytest.raises(ValueError, match="wanted: uint8, H W or H W C"):
        png.encode(photo)
