"""Content hashes, and how two crops are found to be the same picture.

A 64-bit perceptual hash finds the candidates fast; aligned faces are all alike, so among half a billion pairs many have
near hashes by chance, and a correlation of thumbnails has the last word (docs/data.md has the measurement).
"""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import numpy.typing as npt

from mien import images
from mien.records import UInt8Image

UInt64Array = npt.NDArray[np.uint64]
UInt8Array = npt.NDArray[np.uint8]
PairArray = npt.NDArray[np.int64]  # M 2

HASH_BITS = 64
THUMBNAIL_PX = 16
_GRID = 32  # px: the side to which a crop is reduced before the cosine transform


def content_hash(data: bytes) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _zigzag(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of the ``count`` lowest frequencies after the constant one, lowest sum first."""
    order = sorted(((r + c, r, c) for r in range(_GRID) for c in range(_GRID)), key=lambda cell: cell)[1 : count + 1]
    return np.array([cell[1] for cell in order]), np.array([cell[2] for cell in order])


_ROWS, _COLUMNS = _zigzag(HASH_BITS)


def perceptual_hash(photo: UInt8Image) -> int:
    """The 64-bit DCT hash of a photo (H W 3 uint8): an unsigned integer; nearby pictures differ in few bits.

    The luma is area-averaged to 32 x 32, transformed (DCT-II), and bit k says whether the k-th lowest frequency
    (the constant one left out, so brightness does not matter) is above the median of the 64, so contrast does not
    matter either. Bit 0 is the lowest frequency.
    """
    small = images.resize(photo, _GRID, _GRID)
    frequencies = cv2.dct(images.grey(small).astype(np.float32))[_ROWS, _COLUMNS]  # 64
    bits = frequencies > np.median(frequencies)
    return int(np.packbits(bits, bitorder="little").view("<u8")[0])


def thumbnail(photo: UInt8Image) -> bytes:
    """The luma of a photo (H W 3 uint8) averaged to 16 x 16: 256 bytes, row by row."""
    return images.grey(images.resize(photo, THUMBNAIL_PX, THUMBNAIL_PX)).tobytes()


def alike(thumbnails: UInt8Array, pairs: PairArray) -> npt.NDArray[np.float32]:
    """Correlation (-1 to 1) of the inner faces of pairs (M 2) of thumbnails (N 256); no gain, no offset counts. M.

    Only the middle is compared: what lies around a face is mirrored where its photo ends.
    """
    inner = thumbnails.reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX)[:, 2:15, 3:13].reshape(len(thumbnails), -1)
    values = inner.astype(np.float32)
    values -= values.mean(1, keepdims=True)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    parts = [np.zeros(0, np.float32)]
    for start in range(0, len(pairs), 1 << 17):
        first, second = pairs[start : start + (1 << 17)].T
        parts.append((values[first] * values[second]).sum(1))
    return np.concatenate(parts)


def to_hex(value: int) -> str:
    """A 64-bit hash as 16 hexadecimal digits."""
    return f"{value:016x}"


def from_hex(values: list[str]) -> UInt64Array:
    """Hexadecimal hashes as an array of uint64."""
    return np.array([int(value, 16) for value in values], dtype=np.uint64)


def distance(first: UInt64Array, second: UInt64Array) -> npt.NDArray[np.int64]:
    """Hamming distance in bits, elementwise."""
    return np.asarray(np.bitwise_count(first ^ second), np.int64)


def near_pairs(hashes: UInt64Array, bits: int) -> PairArray:
    """All pairs (i, j), i < j, whose hashes differ in at most ``bits`` bits, sorted; M 2.

    Multi-index search: the 64 bits are dealt out over ``bits + 1`` keys, so two hashes within ``bits`` agree wholly in
    at least one key; only hashes that share a key are compared. Neighbouring frequencies go to different keys, because
    they are alike among faces and would make crowded buckets.
    """
    keys = bits + 1
    count = len(hashes)
    found = [np.zeros((0, 2), np.int64)]
    for key in range(keys):
        mask = np.uint64(sum(1 << bit for bit in range(key, HASH_BITS, keys)))
        part = hashes & mask
        order = np.argsort(part, kind="stable")
        sorted_part, sorted_hashes = part[order], hashes[order]
        start = np.arange(count - 1, dtype=np.int64)  # candidates (start, start + step) still in the same bucket
        step = 1
        while len(start):
            start = start[start + step < count]
            start = start[sorted_part[start] == sorted_part[start + step]]
            near = start[np.bitwise_count(sorted_hashes[start] ^ sorted_hashes[start + step]) <= bits]
            found.append(np.stack([order[near], order[near + step]], 1))
            step += 1
    pairs = np.sort(np.concatenate(found), axis=1)
    return np.unique(pairs, axis=0)
