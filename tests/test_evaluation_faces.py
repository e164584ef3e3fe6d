"""Real faces for judging: read from a prepared dataset in the order asked for, features kept in a cache."""

from __future__ import annotations

import numpy as np
import pytest

from mien.core.errors import DatasetError
from mien.core.images import encode_jpeg
from mien.datasets import catalog
from mien.datasets.catalog import CatalogRow
from mien.evaluation.faces import Faces, dataset_rows, fingerprint, read_faces, shuffled
from mien.evaluation.features import stored_identity


@pytest.fixture
def dataset(tmp_path):
    """Thirty flat crops of 32 px: face k is grey of value 8 k; every third of test, two shards, one face dropped."""
    rows, jpegs = [], {"a-00000.parquet": [], "b-00000.parquet": []}
    for k in range(30):
        source = "a" if k < 18 else "b"
        shard = f"{source}-00000.parquet"
        rows.append(
            CatalogRow(
                id=f"{source}:{k}",
                source=source,
                key=str(k),
                licence="none",
                sex=None if k == 3 else ("female" if k % 2 else "male"),
                age_years=float(k) if source == "a" else None,
                race="Asian" if k % 5 == 0 else None,
                split="test" if k % 3 == 0 else "train",
                shard=shard,
                row_in_shard=len(jpegs[shard]),
            )
        )
        jpegs[shard].append(encode_jpeg(np.full((32, 32, 3), 8 * k, np.uint8)))
    rows.append(CatalogRow(id="b:x", source="b", key="x", licence="none", drop_reason="no_face"))
    for shard, data in jpegs.items():
        catalog.write_shard(tmp_path, shard, [row.id for row in rows if row.shard == shard], data)
    catalog.write_catalog(tmp_path, rows)
    return tmp_path


def test_rows_of_a_split_by_source_and_label(dataset):
    assert [row.id for row in dataset_rows(dataset, "test", sources=["a"])] == [f"a:{k}" for k in (0, 3, 6, 9, 12, 15)]
    assert [row.id for row in dataset_rows(dataset, "test", labelled=True)] == [f"a:{k}" for k in (0, 6, 9, 12, 15)]
    assert len(dataset_rows(dataset, "train")) == 20
    with pytest.raises(DatasetError, match="no source 'c'; there are a, b"):
        dataset_rows(dataset, "test", sources=["c"])
    with pytest.raises(DatasetError, match="no face of known sex and age in the split 'validation'"):
        dataset_rows(dataset, "validation", labelled=True)
    with pytest.raises(DatasetError, match="mien data prepare"):
        dataset_rows(dataset / "elsewhere", "test")


def test_crops_and_labels_keep_the_order_asked_for(dataset):
    rows = shuffled(dataset_rows(dataset, "test"), seed=3)
    assert rows != dataset_rows(dataset, "test")
    assert rows == shuffled(dataset_rows(dataset, "test"), seed=3)
    seen = []
    faces = read_faces(dataset, rows, 16, progress=seen.append)
    wanted = [int(row.id.split(":")[1]) for row in rows]
    np.testing.assert_allclose(faces.crops[:, 8, 8, 0], [8 * k for k in wanted], atol=2)
    assert faces.crops.shape == (10, 16, 16, 3)
    assert sum(seen) == 10
    for k, female, age, race in zip(wanted, faces.female, faces.ages_years, faces.races, strict=True):
        assert np.isnan(female) if k == 3 else female == k % 2
        assert age == k if k < 18 else np.isnan(age)
        assert race == ("Asian" if k % 5 == 0 else "")
    halved = read_faces(dataset, rows, 16, each=lambda block: block[:, :8, :8])
    np.testing.assert_array_equal(halved.crops, faces.crops[:, :8, :8])


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="different lengths"):
        Faces(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(2, np.float32), np.zeros(1, np.float32), ("", ""))


def test_features_are_computed_once_and_again_when_anything_changes(dataset, tmp_path):
    calls = []

    class Judges:
        version = identity_version = "1"

        def identity(self, crops, on_advance):
            calls.append(len(crops))
            return np.repeat(crops[:, :1, 0, 0].astype(np.float32), 128, 1)

    rows = dataset_rows(dataset, "train")
    cache = tmp_path / "cache"
    first = stored_identity(dataset, rows, 16, Judges(), cache)
    again = stored_identity(dataset, rows, 16, Judges(), cache)
    assert calls == [20]
    np.testing.assert_array_equal(first, again)
    assert fingerprint(rows, 16) != fingerprint(rows[::-1], 16)
    stored_identity(dataset, rows[:5], 16, Judges(), cache)
    stored_identity(dataset, rows, 32, Judges(), cache)
    assert calls == [20, 5, 20]
    for path in (cache / "features").iterdir():
        path.write_bytes(path.read_bytes()[:100])  # a cache that was cut short is computed again
    np.testing.assert_array_equal(stored_identity(dataset, rows, 16, Judges(), cache), first)
    assert calls == [20, 5, 20, 20]
