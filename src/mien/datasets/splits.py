"""Who goes to train, validation or test: never one person, never one picture, in two of them.

Faces are joined into groups by person (where known), by file content and by near-equal picture; a group's smallest
key, hashed, decides. So the split of a face depends on the set of faces, not on their order or on the order in which
sources were added.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from mien.datasets import hashes

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
SHARES = (0.8, 0.1, 0.1)
NEAR_BITS = 10  # of 64: candidates for one picture ...
ALIKE = 0.95  # ... which they are when their thumbnails correlate so much; docs/data.md has the measurement


def person_key(name: str) -> str:
    """One spelling for a person across sources: 'Zoë_Saldaña' and 'zoe saldana' are the same."""
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return " ".join(plain.replace("_", " ").casefold().split())


def split_of(group: str) -> Split:
    """The split of a group: uniform in its hash, 80 / 10 / 10."""
    place = int.from_bytes(hashlib.sha256(f"split:{group}".encode()).digest()[:8], "big") / 2**64
    for split, edge in zip(SPLITS, np.cumsum(SHARES), strict=True):
        if place < edge:
            return split
    return SPLITS[-1]


def same_pictures(phashes: hashes.UInt64Array, thumbnails: hashes.UInt8Array) -> hashes.PairArray:
    """Pairs (M 2) of faces that are one picture: recompressed, rescaled, retouched a little or cut otherwise."""
    pairs = hashes.near_pairs(phashes, NEAR_BITS)
    return pairs[hashes.alike(thumbnails, pairs) >= ALIKE]


def groups(
    persons: Sequence[str | None],
    contents: Sequence[str],
    phashes: hashes.UInt64Array,
    thumbnails: hashes.UInt8Array,
) -> list[str]:
    """The group of each face, as 16 hexadecimal digits.

    ``persons`` (None: unknown), ``contents`` (SHA-256 of the files), ``phashes`` (N uint64) and ``thumbnails`` (N 256)
    belong to the same N faces. Two faces are in one group if a chain of equal persons, equal files or near-equal
    pictures joins them.
    """
    count = len(contents)
    if count == 0:
        return []
    own = [f"file:{content}" for content in contents]
    named = [None if person is None else f"person:{person_key(person)}" for person in persons]
    nodes = {key: count + place for place, key in enumerate(sorted({*own, *(name for name in named if name)}))}
    edges = [(row, nodes[key]) for row, key in enumerate(own)]
    edges += [(row, nodes[name]) for row, name in enumerate(named) if name]
    near = same_pictures(phashes, thumbnails)  # M 2
    ends = np.concatenate([np.array(edges, np.int64), near])
    total = count + len(nodes)
    graph = scipy.sparse.coo_matrix((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(total, total))
    _, component = scipy.sparse.csgraph.connected_components(graph, directed=False)
    smallest: dict[int, str] = {}
    for key, node in nodes.items():
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        label = int(component[node])
        smallest[label] = min(digest, smallest.get(label, digest))
    return [smallest[int(component[row])] for row in range(count)]
