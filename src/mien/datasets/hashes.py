"""Content hashes, and how two crops are found to be the same picture.

A 64-bit perceptual hash finds the candidates fast; aligned faces are all alike, so among half a billion pairs many have
near hashes by chance, and a correlation of thumbnails has the last word (docs/data.md has the measurement).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import numpy.typing as npt

from mien.core import images
from mien.core.records import UInt8Image

UInt64Array = npt.NDArray[np.uint64]
UInt8Array = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
PairArray = IntArray  # M 2

HASH_BITS = 64
INNER = (0.24, 0.28, 0.52)  # left, top and side of the middle of a crop, of its side
THUMBNAIL_PX = 16
LARGE_BUCKET = 64  # hashes that share a key; from there on, comparing all in blocks is faster
LOT, ALIKE_LOT = 1 << 18, 1 << 16  # pairs that are looked at together
_GRID = 32  # px: the side to which a crop is reduced before the cosine transform


def content_hash(data: bytes) -> str:
    """SHA-256 of a file's bytes as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _zigzag(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of the ``count`` lowest frequencies after the constant one, lowest sum first."""
    order = sorted(((r + c, r, c) for r in range(_GRID) for c in range(_GRID)), key=lambda cell: cell)[1 : count + 1]
    return np.array([cell[1] for cell in order]), np.array([cell[2] for cell in order])


_ROWS, _COLUMNS = _zigzag(HASH_BITS)


def inner(crop: UInt8Image) -> UInt8Image:
    """The middle of a crop (S S 3), from the brows to the lower lip: what even the tightest photo of a face shows.

    What lies around it is mirrored where the photo ends, so it changes wholly when the same picture is cut otherwise.
    """
    x, y, side = (round(share * crop.shape[0]) for share in INNER)
    return np.ascontiguousarray(crop[y : y + side, x : x + side])


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
    """Correlation (-1 to 1) of pairs (M 2) of thumbnails (N 256); no gain, no offset counts. M.

    Only the thumbnails of a lot of pairs are held as floats: those of all faces would be a gigabyte a million.
    """
    parts = [np.zeros(0, np.float32)]
    for start in range(0, len(pairs), ALIKE_LOT):
        first, second = (_standard(thumbnails[side]) for side in pairs[start : start + ALIKE_LOT].T)
        parts.append((first * second).sum(1))
    return np.concatenate(parts)


def _standard(thumbnails: UInt8Array) -> npt.NDArray[np.float32]:
    """Thumbnails (N 256) of mean 0 and length 1."""
    values = thumbnails.astype(np.float32)
    values -= values.mean(1, keepdims=True)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    return values


def to_hex(value: int) -> str:
    """A 64-bit hash as 16 hexadecimal digits."""
    return f"{value:016x}"


def from_hex(values: list[str]) -> UInt64Array:
    """Hexadecimal hashes as an array of uint64."""
    return np.array([int(value, 16) for value in values], dtype=np.uint64)


def distance(first: UInt64Array, second: UInt64Array) -> npt.NDArray[np.int64]:
    """Hamming distance in bits, elementwise."""
    return np.asarray(np.bitwise_count(first ^ second), np.int64)


def near_pairs(hashes: UInt64Array, bits: int, keep: Callable[[PairArray], BoolArray] | None = None) -> PairArray:
    """All pairs (i, j), i < j, whose hashes differ in at most ``bits`` bits, sorted; M 2.

    Multi-index search: the 64 bits are dealt out over ``bits + 1`` keys, so two hashes within ``bits`` agree wholly in
    at least one key; only hashes that share a key are compared. Neighbouring frequencies go to different keys, because
    they are alike among faces and would make crowded buckets.

    ``keep`` says of each of a lot of pairs (M 2) whether it stays. Among aligned faces one pair in 2,500 is near by
    chance: of half a million faces 50 million, which are not to be held at once.
    """
    keys = [np.uint64(sum(1 << bit for bit in range(key, HASH_BITS, bits + 1))) for key in range(bits + 1)]
    found = [np.zeros((0, 2), np.int64)]
    for place, key in enumerate(keys):
        for pairs in _lots(_sharing(hashes, key, bits)):
            apart = hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]]
            seen = np.zeros(len(pairs), bool)  # they agree in an earlier key, too, and were found there
            for earlier in keys[:place]:
                seen |= (apart & earlier) == 0
            fresh = np.sort(pairs[~seen], axis=1)
            found.append(fresh if keep is None else fresh[keep(fresh)])
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _lots(parts: Iterator[PairArray]) -> Iterator[PairArray]:
    """The same pairs in fewer, larger parts."""
    waiting: list[PairArray] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part)
        if count >= LOT:
            yield np.concatenate(waiting)
            waiting, count = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _sharing(hashes: UInt64Array, key: np.uint64, bits: int) -> Iterator[PairArray]:
    """Pairs whose hashes agree in the bits of ``key`` and differ in at most ``bits`` of all."""
    part = hashes & key
    order = np.argsort(part, kind="stable")
    edges = np.flatnonzero(np.diff(part[order])) + 1
    starts, ends = np.concatenate([[0], edges]), np.concatenate([edges, [len(part)]])
    large = ends - starts >= LARGE_BUCKET
    yield _near_in_small(hashes[order], order, part[order], np.repeat(~large, ends - starts), bits)
    for start, end in zip(starts[large].tolist(), ends[large].tolist(), strict=True):
        yield from _near_in_large(hashes[order[start:end]], order[start:end], bits)


def _near_in_small(values: UInt64Array, names: IntArray, part: UInt64Array, wanted: BoolArray, bits: int) -> PairArray:
    """Near pairs within runs of equal ``part``, all runs at once: each value with the next, the one after, ..."""
    first = np.flatnonzero(wanted)
    found = [np.zeros((0, 2), np.int64)]
    step = 1
    while len(first):
        first = first[first + step < len(values)]
        first = first[part[first] == part[first + step]]
        near = first[np.bitwise_count(values[first] ^ values[first + step]) <= bits]
        found.append(np.stack([names[near], names[near + step]], 1))
        step += 1
    return np.concatenate(found)


def _near_in_large(values: UInt64Array, names: IntArray, bits: int) -> Iterator[PairArray]:
    """Near pairs of one long run, block by block: nothing but xor and count over memory in order."""
    for start in range(0, len(values), LARGE_BUCKET):
        block = values[start : start + LARGE_BUCKET]
        rows, columns = np.nonzero(np.bitwise_count(block[:, None] ^ values[None, start:]) <= bits)
        later = columns > rows
        yield np.stack([names[start + rows[later]], names[start + columns[later]]], 1)
