"""No person and no picture in two splits; the order of the faces, and of the sources, decides nothing."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.datasets import catalog, hashes, splits
from mien.datasets.catalog import CatalogRow
from mien.datasets.prepare import decide_splits


def row(number: int, person: str | None, picture: int, flipped_bits: int = 0) -> CatalogRow:
    generator = np.random.default_rng(picture)
    phash = int(generator.integers(0, 2**63)) ^ ((1 << flipped_bits) - 1)
    thumbnail = generator.integers(0, 256, 256).astype(np.uint8).tobytes()
    return CatalogRow(
        id=f"s:{number}",
        source="s",
        key=str(number),
        licence="",
        sha256=hashlib.sha256(f"{number}".encode()).hexdigest(),
        person=person,
        phash=hashes.to_hex(phash),
        thumbnail=thumbnail,
    )


people = st.one_of(st.none(), st.sampled_from(["Ann A", "ann_a", "Bob", "Čapek", "Capek", "D"]))


@settings(max_examples=60, deadline=None)
@given(
    faces=st.lists(st.tuples(people, st.integers(0, 12), st.integers(0, 8)), max_size=40),
    order=st.randoms(use_true_random=False),
)
def test_no_person_and_no_picture_is_in_two_splits(
    faces: list[tuple[str | None, int, int]], order: np.random.Generator
) -> None:
    rows = [row(number, *face) for number, face in enumerate(faces)]
    decided = decide_splits(rows)
    by_key: dict[str, set[str | None]] = defaultdict(set)
    for (person, picture, _), found in zip(faces, decided, strict=True):
        assert found.split in splits.SPLITS
        by_key[f"picture {picture}"].add(found.split)
        by_key[f"group {found.group}"].add(found.split)
        if person is not None:
            by_key[splits.person_key(person)].add(found.split)
    assert all(len(found) == 1 for found in by_key.values())
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert {r.id: (r.group, r.split) for r in decide_splits(shuffled)} == {r.id: (r.group, r.split) for r in decided}


def test_strangers_with_near_hashes_are_not_joined() -> None:
    """Aligned faces have near hashes by chance; only a like thumbnail makes them one picture."""
    first, second = row(0, None, 1), row(1, None, 2)
    second = catalog.CatalogRow(**{**{f: getattr(second, f) for f in second.__slots__}, "phash": first.phash})
    a, b = decide_splits([first, second])
    assert a.group != b.group


def test_shares_are_eighty_ten_ten() -> None:
    counts = Counter(splits.split_of(f"{k:016x}") for k in range(20_000))
    assert counts["train"] == pytest.approx(16_000, rel=0.02)
    assert counts["validation"] == pytest.approx(2_000, rel=0.08)
    assert counts["test"] == pytest.approx(2_000, rel=0.08)


def test_dropped_rows_have_no_split_and_none_is_no_row() -> None:
    assert decide_splits([]) == []
    dropped = CatalogRow(id="s:1", source="s", key="1", licence="", drop_reason="no_face", split="train", group="x")
    assert (decide_splits([dropped])[0].split, decide_splits([dropped])[0].group) == (None, None)


def test_person_key_is_one_spelling() -> None:
    assert splits.person_key("Zoë_Saldaña") == splits.person_key(" zoe  saldana ") == "zoe saldana"
