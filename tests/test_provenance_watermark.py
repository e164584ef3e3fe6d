"""The invisible mark: what it survives, that it cannot be seen, and that photographs do not carry it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core.images import encode_png, resize
from mien.core.photos import decode_photo, read_photo
from mien.core.records import UInt8Image
from mien.core.seeding import stream
from mien.provenance import watermark
from mien.provenance.watermark import LEAST_PX, THRESHOLD, find, mark


def jpeg(photo: UInt8Image, quality: int = 75) -> UInt8Image:
    buffer = io.BytesIO()
    PIL.Image.fromarray(photo).save(buffer, "JPEG", quality=quality)  # as others write it: 4:2:0
    return decode_photo(buffer.getvalue())


def rescaled(photo: UInt8Image, share: float) -> UInt8Image:
    size = (round(photo.shape[1] * share), round(photo.shape[0] * share))
    return np.asarray(PIL.Image.fromarray(photo).resize(size, PIL.Image.Resampling.LANCZOS))


def cropped(photo: UInt8Image, left: float, right: float, top: float, bottom: float) -> UInt8Image:
    height, width = photo.shape[:2]
    return photo[
        round(height * top) : height - round(height * bottom), round(width * left) : width - round(width * right)
    ].copy()


ATTACKS: dict[str, Callable[[UInt8Image], UInt8Image]] = {
    "nothing": lambda photo: photo,
    "JPEG 75": jpeg,
    "half the size": lambda photo: rescaled(photo, 0.5),
    "a tenth cut from each side": lambda photo: cropped(photo, 0.1, 0.1, 0.1, 0.1),
    "a tenth cut from one side": lambda photo: cropped(photo, 0.1, 0, 0, 0.1),
    "cut, then JPEG 75": lambda photo: jpeg(cropped(photo, 0.07, 0.03, 0.1, 0)),
    "one and a half the size, JPEG 75": lambda photo: jpeg(rescaled(photo, 1.5)),
    "brighter": lambda photo: np.clip(photo * 1.15 + 8, 0, 255).astype(np.uint8),
}


@pytest.fixture(scope="module")
def faces() -> list[UInt8Image]:
    """Six faces of 128 px that mien made."""
    import mien

    return [face.image for face in mien.load("crowd", preset="mien").sample(6, age=(5, 80), seed=3)]


@pytest.fixture(scope="module")
def marked(faces: list[UInt8Image]) -> dict[int, list[UInt8Image]]:
    """The same in three sizes, marked."""
    return {size: [mark(resize(face, size, size)) for face in faces] for size in (64, 128, 256)}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("size", [128, 256])
def test_the_mark_survives(marked: dict[int, list[UInt8Image]], size: int, attack: str) -> None:
    seen = [find(ATTACKS[attack](photo)) for photo in marked[size]]
    assert all(reading.found for reading in seen), [round(reading.score, 1) for reading in seen]


@pytest.mark.parametrize("attack", ["nothing", "JPEG 75", "brighter"])
def test_at_64_px_it_survives_compression(marked: dict[int, list[UInt8Image]], attack: str) -> None:
    assert (
        sum(find(ATTACKS[attack](photo)).found for photo in marked[64]) >= 5
    )  # of 6: docs/provenance.md has the share


def test_the_scale_is_told(marked: dict[int, list[UInt8Image]]) -> None:
    photo = marked[256][0]
    assert find(photo).scale == 1
    assert find(rescaled(photo, 0.5)).scale == pytest.approx(0.5, abs=0.01)


def test_the_mark_cannot_be_seen(faces: list[UInt8Image], marked: dict[int, list[UInt8Image]]) -> None:
    for face, photo in zip(faces, marked[128], strict=True):
        error = np.mean((face.astype(float) - photo) ** 2)
        assert 10 * np.log10(255**2 / error) > 38
        assert np.abs(face.astype(int) - photo).max() <= 20
    flat = np.full((128, 128, 3), 200, np.uint8)
    assert np.abs(mark(flat).astype(int) - flat).max() <= 5


def test_what_is_not_marked_is_not_found(faces: list[UInt8Image]) -> None:
    assert not any(find(face).found for face in faces[:4])


@given(st.integers(0, 10_000), st.sampled_from(["noise", "stripes", "checks", "ramp", "flat"]))
@settings(max_examples=6)
def test_textures_are_no_marks(seed: int, kind: str) -> None:
    draws = stream(seed, "texture")
    across, down = np.meshgrid(np.arange(96), np.arange(96))
    period = float(draws.uniform(3, 30))
    plane = {
        "noise": draws.uniform(0, 255, (96, 96)),
        "stripes": 127 + 100 * np.sin(2 * np.pi * (across + draws.uniform(0, 2) * down) / period),
        "checks": 200.0 * ((across // period + down // period) % 2),
        "ramp": across * 2.0,
        "flat": np.full((96, 96), draws.uniform(0, 255)),
    }[kind]
    reading = find(np.repeat(plane[:, :, None], 3, 2).astype(np.uint8))
    assert not reading.found, reading


def test_the_same_picture_gets_the_same_mark(faces: list[UInt8Image]) -> None:
    assert np.array_equal(mark(faces[0]), mark(faces[0].copy()))


def test_sheets_and_small_pictures(faces: list[UInt8Image]) -> None:
    sheet = np.concatenate(faces, 1)
    assert find(mark(sheet)).found
    small = resize(faces[0], LEAST_PX - 1, LEAST_PX - 1)
    assert mark(small) is small
    assert find(small).score == 0


def test_scores_are_standard_normal_without_a_mark() -> None:
    draws = stream(1, "noise")
    scores = [
        watermark._correlation(watermark._phases(draws.uniform(0, 255, (128, 128)).astype(np.float32)))
        for _ in range(8)
    ]
    assert np.std(scores) == pytest.approx(1, abs=0.1)
    assert np.max(scores) < THRESHOLD - 1


@pytest.mark.shared
def test_photographs_do_not_carry_it(shared_data: Path) -> None:
    files = sorted((shared_data / "lfw" / "lfw-deepfunneled").glob("*/*_0001.jpg"))[::900]
    assert len(files) >= 5
    assert not any(find(read_photo(file)).found for file in files)


def test_a_png_round_trip_changes_nothing(marked: dict[int, list[UInt8Image]]) -> None:
    assert np.array_equal(decode_photo(encode_png(marked[128][0])), marked[128][0])
