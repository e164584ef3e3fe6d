"""The perceptual hash bears what happens to pictures, and the search for near pairs finds what comparing all finds."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core import images
from mien.datasets import hashes


def picture(seed: int, side: int = 128) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def bits_between(first: np.ndarray, second: np.ndarray) -> int:
    return (hashes.perceptual_hash(first) ^ hashes.perceptual_hash(second)).bit_count()


def shifted(photo: np.ndarray, px: int) -> np.ndarray:
    return np.roll(np.pad(photo, ((px, px), (px, px), (0, 0)), mode="edge"), (px, px), (0, 1))[px:-px, px:-px]


@pytest.mark.parametrize("seed", range(8))
def test_hash_bears_recompression_brightness_scale_and_small_shifts(seed: int) -> None:
    photo = picture(seed)
    assert bits_between(photo, images.decode_crop(images.encode_jpeg(photo, 50))) <= 4
    assert bits_between(photo, np.clip(photo.astype(int) * 0.7 + 30, 0, 255).astype(np.uint8)) <= 4
    assert bits_between(photo, images.resize(photo, 71, 71)) <= 4
    assert bits_between(photo, shifted(photo, 1)) <= 10


def test_hash_tells_different_pictures_apart() -> None:
    found = [hashes.perceptual_hash(picture(seed)) for seed in range(40)]
    apart = [(a ^ b).bit_count() for k, a in enumerate(found) for b in found[:k]]
    assert min(apart) > hashes.HASH_BITS // 5
    assert 28 < np.mean(apart) < 36


def test_hash_is_fixed_forever() -> None:
    """A catalogue that was written years ago holds these numbers."""
    cells = np.array([(37 * k * k + 11 * k) % 251 for k in range(64)], np.uint8).reshape(8, 8)
    photo = np.repeat(np.kron(cells, np.ones((8, 8), np.uint8))[..., None], 3, 2)
    assert hashes.to_hex(hashes.perceptual_hash(photo)) == "cbb32b783e552704"
    assert hashes.from_hex([hashes.to_hex(2**63 + 5)])[0] == 2**63 + 5


def all_pairs(values: np.ndarray, bits: int) -> np.ndarray:
    first, second = np.triu_indices(len(values), 1)
    near = hashes.distance(values[first], values[second]) <= bits
    return np.stack([first[near], second[near]], 1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(0, 60) | st.integers(200, 400), bits=st.integers(0, 12))
def test_near_pairs_are_those_of_comparing_all(seed: int, count: int, bits: int) -> None:
    generator = np.random.default_rng(seed)
    centres = generator.integers(0, 2**64, 8, dtype=np.uint64)
    flips = np.zeros(count, np.uint64)
    for _ in range(int(generator.integers(0, 14))):
        flips ^= np.uint64(1) << generator.integers(0, 64, count, dtype=np.uint64)
    values = centres[generator.integers(0, 8, count)] ^ flips
    expected = all_pairs(values, bits)
    found = hashes.near_pairs(values, bits)
    assert found.tolist() == sorted(expected.tolist())


def test_near_pairs_of_many_hashes_are_found_in_seconds() -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(0, 2**64, 60_000, dtype=np.uint64)
    values[59_000:] = values[:1000] ^ np.uint64(0b1011)
    start = time.monotonic()
    found = hashes.near_pairs(values, 4)
    assert time.monotonic() - start < 8
    assert [(k, 59_000 + k) for k in range(1000)] == [tuple(pair) for pair in found.tolist()]


def test_thumbnails_correlate_for_one_picture_only() -> None:
    photos = [picture(1), images.decode_crop(images.encode_jpeg(picture(1), 40)), picture(2)]
    photos.append(np.clip(picture(1).astype(int) // 2 + 90, 0, 255).astype(np.uint8))
    thumbnails = np.stack([np.frombuffer(hashes.thumbnail(photo), np.uint8) for photo in photos])
    found = hashes.alike(thumbnails, np.array([[0, 1], [0, 2], [0, 3]]))
    assert found[0] > 0.99
    assert found[1] < 0.7
    assert found[2] > 0.99
    assert hashes.alike(thumbnails, np.zeros((0, 2), np.int64)).shape == (0,)
    flat = np.full((2, 256), 7, np.uint8)
    assert hashes.alike(flat, np.array([[0, 1]]))[0] == 0  # nothing to compare, and no division by zero


def test_inner_is_the_middle_at_every_size() -> None:
    for side in (64, 100, 256):
        part = hashes.inner(picture(3, side))
        assert part.shape[0] == part.shape[1] == pytest.approx(0.52 * side, abs=1)
    crop = np.zeros((100, 100, 3), np.uint8)
    crop[42, 50] = 255  # where the eyes' midpoint is
    assert hashes.inner(crop)[14, 26].tolist() == [255, 255, 255]
