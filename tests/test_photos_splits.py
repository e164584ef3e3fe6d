"""No person and no picture in two splits; the order of the faces, and of the sources, decides nothing."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos_stub import StubFinder, draw

from mien.core.images import write_png
from mien.datasets import catalog, hashes, splits
from mien.datasets.batches import FaceDataset
from mien.datasets.catalog import CatalogRow
from mien.datasets.filters import Rules
from mien.datasets.prepare import SourceJob, decide_splits, prepare
from mien.datasets.sources import find


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


def prepared(dest: Path, name: str, source_dir: Path) -> None:
    """Prepare a tree of photos as the command does, with a finder that sees what was drawn."""
    photos = tuple(find(name).rows(source_dir, None))
    prepare(SourceJob(name, name, "test", Rules(), photos, size_px=64), dest, load_finder=StubFinder)


def test_official_splits_of_two_formats_are_kept_and_nobody_straddles(tmp_path: Path) -> None:
    """They were read and thrown away: VGGFace2's test people and CelebA's partitions landed in train."""
    vgg, celeba, dest = tmp_path / "vggface2", tmp_path / "celeba", tmp_path / "dest"
    for split, people in (("train", range(30)), ("test", range(30, 36))):
        for person in people:
            for photo in (1, 2):
                write_png(vgg / split / f"n{person:06d}" / f"000{photo}_01.png", draw(10 * person + photo))
    names = [f"{number:06d}" for number in range(1, 25)]
    for number, stem in enumerate(names):
        write_png(celeba / "img_align_celeba_png" / f"{stem}.png", draw(1000 + number))
    # One picture in both: VGGFace2 tests with it, CelebA trains with it, and its other photo follows.
    write_png(celeba / "img_align_celeba_png" / f"{names[0]}.png", draw(10 * 31 + 1))
    rows = "\n".join(f"{stem}.jpg {' '.join(['-1'] * 2)}" for stem in names)
    (celeba / "list_attr_celeba.txt").write_text(f"{len(names)}\nMale Smiling\n{rows}\n")
    identities = [f"{stem}.jpg {7 if number < 2 else 100 + number}" for number, stem in enumerate(names)]
    (celeba / "identity_CelebA.txt").write_text("\n".join(identities) + "\n")
    parts = [f"{stem}.jpg {min(number // 8, 2)}" for number, stem in enumerate(names)]
    (celeba / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")

    prepared(dest, "vggface2", vgg)
    prepared(dest, "celeba", celeba)
    found = catalog.read_catalog(dest)
    assert all(row.drop_reason is None for row in found), Counter(row.drop_reason for row in found)
    splits_of: dict[str, set[str | None]] = defaultdict(set)
    for face in found:
        splits_of[face.person or face.id].add(face.split)
        splits_of[f"group {face.group}"].add(face.split)
        if face.source == "vggface2":
            assert face.official_split == face.key.split("/")[0]
            assert (face.split == "test") == (face.official_split == "test")
        elif face.person != "CelebA 7":
            assert face.split == face.official_split, "it has a validation split: none of its train is moved"
    assert all(len(both) == 1 for both in splits_of.values())
    counts = Counter(face.split for face in found if face.source == "vggface2")
    assert counts["test"] == 12
    assert 0 < counts["validation"] < 20, "VGGFace2 has no validation people: a ninth of its train"
    assert {face.split for face in found if face.person == "CelebA 7"} == {"test"}
    assert FaceDataset.open(dest).rows("test").tolist() == [k for k, f in enumerate(found) if f.split == "test"]


def test_a_catalogue_of_before_is_read_and_says_nothing_of_official_splits(tmp_path: Path) -> None:
    catalog.write_catalog(tmp_path, [row(1, "Ann", 1)])
    table = pq.read_table(tmp_path / "catalog.parquet").drop_columns(["official_split"])
    pq.write_table(table, tmp_path / "catalog.parquet")
    [found] = catalog.read_catalog(tmp_path)
    assert (found.person, found.official_split) == ("Ann", None)


@settings(max_examples=60, deadline=None)
@given(
    faces=st.lists(
        st.tuples(people, st.integers(0, 9), st.sampled_from([None, "train", "validation", "test"])), max_size=30
    ),
)
def test_official_splits_never_part_a_group_and_held_out_stays_held_out(
    faces: list[tuple[str | None, int, str | None]],
) -> None:
    rows = [replace(row(k, who, picture), official_split=said) for k, (who, picture, said) in enumerate(faces)]
    decided = decide_splits(rows)
    by_group: dict[str | None, set[str | None]] = defaultdict(set)
    for face in decided:
        by_group[face.group].add(face.split)
        if face.official_split == "test":
            assert face.split == "test"
        if face.official_split == "validation":
            assert face.split != "train"
    assert all(len(found) == 1 for found in by_group.values())
