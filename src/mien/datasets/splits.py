"""Who goes to train, validation or test: never one person, never one picture, in two of them.

Faces are joined into groups by person (where known), by file content and by near-equal picture; a group's smallest
key, hashed, decides, unless a source has splits of its own: those are kept, and the whole group follows. So the split
of a face depends on the set of faces, not on their order or on the order in which sources were added.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Literal, cast

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


def split_of(group: str, held_out: Sequence[Split] = SPLITS[1:]) -> Split:
    """The split of a group: uniform in its hash, 80 / 10 / 10, or 8 / 1 where only one is ``held_out``."""
    place = int.from_bytes(hashlib.sha256(f"split:{group}".encode()).digest()[:8], "big") / 2**64
    shares = {split: share for split, share in zip(SPLITS, SHARES, strict=True) if split in ("train", *held_out)}
    edges = np.cumsum(list(shares.values()))
    for split, edge in zip(shares, edges / edges[-1] if len(shares) < len(SPLITS) else edges, strict=True):
        if place < edge:
            return split
    return list(shares)[-1]


def decided(group_of: Sequence[str], official: Sequence[str | None], sources: Sequence[str]) -> list[Split]:
    """The split of each of N faces, given the group, the split in its source's own files, and the source of each.

    A group that a source puts into a split goes there as a whole; where sources disagree, to the one that is held out
    most. Of what is in train by a source that has no validation split (VGGFace2) the hash sends a ninth there: the
    test faces of a source stay its own, and nothing else becomes one.
    """
    complete = {source for source, split in zip(sources, official, strict=True) if split == "validation"}
    said: dict[str, int] = {}  # group -> the place in SPLITS of the split that is held out most
    complete_groups: set[str] = set()
    for group, split, source in zip(group_of, official, sources, strict=True):
        if split is not None:
            said[group] = max(SPLITS.index(cast("Split", split)), said.get(group, 0))
            if source in complete:
                complete_groups.add(group)
    found: dict[str, Split] = {}
    for group in set(group_of):
        if group not in said:
            found[group] = split_of(group)
        elif SPLITS[said[group]] == "train" and group not in complete_groups:
            found[group] = split_of(group, held_out=("validation",))
        else:
            found[group] = SPLITS[said[group]]
    return [found[group] for group in group_of]


def same_pictures(phashes: hashes.UInt64Array, thumbnails: hashes.UInt8Array) -> hashes.PairArray:
    """Pairs (M 2) of faces that are one picture: recompressed, rescaled, retouched a little or cut otherwise."""
    return hashes.near_pairs(phashes, NEAR_BITS, lambda pairs: hashes.alike(thumbnails, pairs) >= ALIKE)


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
