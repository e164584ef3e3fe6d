"""Faces by row: labels, pixels, masks and balanced draws belong to the same face."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photos_stub import StubFinder, draw, job, write_photos

from mien.core import images
from mien.core.errors import DatasetError
from mien.core.seeding import stream
from mien.datasets import prepare
from mien.datasets.batches import AGE_EDGES_YEARS, FaceDataset, age_bin, balanced, sex_age_bins

AGES = (5.0, 12.0, 24.0, 37.0, 41.0, 55.0, 60.0, 73.0, 90.0, None)
COUNT = 60


@pytest.fixture(scope="module")
def dest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batches")
    paths = write_photos(folder / "a", COUNT)
    images.write_png(paths[7], draw(7, []))  # a photo with nobody on it
    work = job(
        paths, source="aa", sex=lambda n: ("female", "male")[n % 2], age_years=lambda n: AGES[n // 2 % len(AGES)]
    )
    prepare.prepare(work, folder / "dest", load_finder=StubFinder)
    prepare.prepare(
        job(write_photos(folder / "b", 5, first_seed=900), source="bb"), folder / "dest", load_finder=StubFinder
    )
    return folder / "dest"


def test_kept_faces_in_catalogue_order(dest: Path) -> None:
    data = FaceDataset.open(dest)
    assert len(data) == COUNT - 1 + 5
    assert [face.key for face in data.faces[:8]] == [f"{n:04d}.png" for n in (0, 1, 2, 3, 4, 5, 6, 8)]
    assert data.female[:3].tolist() == [1, 0, 1]
    assert np.isnan(data.female[-5:]).all()
    assert data.ages_years[:4].tolist() == [5, 5, 12, 12]
    assert data.table.height == len(data)
    assert data.table["id"].to_list() == [face.id for face in data.faces]


def test_rows_of_splits_and_sources_part_the_faces(dest: Path) -> None:
    data = FaceDataset.open(dest)
    parts = [data.rows(split, source) for split in ("train", "validation", "test") for source in ("aa", "bb")]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(data)))
    assert len(data.rows(source="bb")) == 5


def test_pixels_decoded_and_faces_are_of_one_face(dest: Path) -> None:
    data = FaceDataset.open(dest)
    rows = np.array([40, 3, 3, 62])
    assert np.array_equal(data.crops(rows, 32), data.decoded(rows, 32))
    assert data.decoded(rows).shape == (4, 64, 64, 3)
    assert data.decoded(np.zeros(0, np.int64)).shape == (0, 64, 64, 3)
    face = data.faces[40]
    from mien.faces import align

    photo = draw(int(face.key[:4]))
    expected = align.warp(photo, data.transform(40, 64), 64)
    difference = np.abs(data.decoded(rows[:1])[0].astype(int) - expected)
    assert difference.mean() < 2  # the crop is that photo under that transform, but for JPEG


def test_cache_is_built_once_and_read_after(dest: Path) -> None:
    data = FaceDataset.open(dest)
    said: list[tuple[int, int]] = []
    first = data.pixels(24, lambda done, of: said.append((done, of)))
    again = FaceDataset.open(dest).pixels(24, lambda *_: pytest.fail("decoded twice"))
    assert said[-1] == (len(data), len(data))
    assert first.shape == again.shape == (len(data), 24, 24, 3)
    assert not list((dest / "cache").glob("*.tmp"))


def test_masks_are_one_where_the_photo_is(dest: Path) -> None:
    data = FaceDataset.open(dest)
    mask = data.masks(np.array([0, 1]), 64)
    assert mask.shape == (2, 64, 64)
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) <= {0.0, 1.0}
    corner = data.transform(0, 64)[:, 2]  # where photo pixel (0, 0) is in the crop
    x, y = np.ceil(corner).astype(int).clip(0, 63)
    assert mask[0, y:, x:].mean() > 0.9
    assert data.mask(0, 32).mean() == pytest.approx(mask[0].mean(), abs=0.02)


def test_age_bins_are_half_open_and_cover_the_papers_range() -> None:
    assert age_bin([9.9, 10, 19.9, 20, 79, 80, 100, 100.1, np.nan]).tolist() == [-1, 0, 0, 1, 6, 7, 7, -1, -1]
    assert len(AGE_EDGES_YEARS) - 1 == 8


def test_the_sixteen_bins_hold_each_face_once(dest: Path) -> None:
    data = FaceDataset.open(dest)
    bins = sex_age_bins(data, data.rows(source="aa"))
    assert len(bins) == 16
    together = np.concatenate(bins)
    assert len(set(together.tolist())) == len(together)
    for number, members in enumerate(bins):
        assert set(data.female[members]) == {1.0 if number < 8 else 0.0}
        assert set(age_bin(data.ages_years[members])) == {number % 8}


def test_an_empty_bin_is_named(dest: Path) -> None:
    data = FaceDataset.open(dest)
    with pytest.raises(DatasetError, match="no female face of 10 to 20 years"):
        sex_age_bins(data, data.rows(source="bb"))


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=16), share=st.integers(0, 5), seed=st.integers(0, 99))
def test_balanced_draws_equal_shares(sizes: list[int], share: int, seed: int) -> None:
    edges = np.cumsum([0, *sizes])
    bins = [np.arange(low, high) for low, high in itertools.pairwise(edges)]
    rows = balanced(bins, share * len(bins), stream(seed, "batch"))
    counts = Counter(int(np.searchsorted(edges, row, side="right")) for row in rows)
    assert counts == {number + 1: share for number in range(len(bins)) if share}
    assert np.array_equal(rows, balanced(bins, share * len(bins), stream(seed, "batch")))


def test_balanced_refuses_what_cannot_be_shared() -> None:
    with pytest.raises(DatasetError, match="a balanced batch of 7 given; allowed are multiples of 2"):
        balanced([np.arange(2), np.arange(2)], 7, stream(0))


def test_absent_and_empty_datasets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="make one with 'mien data prepare'"):
        FaceDataset.open(tmp_path / "nowhere")
    images.write_png(tmp_path / "nobody.png", draw(0, []))
    prepare.prepare(job([tmp_path / "nobody.png"]), tmp_path / "dest", load_finder=StubFinder)
    with pytest.raises(DatasetError, match="with faces in it"):
        FaceDataset.open(tmp_path / "dest")
