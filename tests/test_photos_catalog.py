"""The catalogue and the shards are read by other tools as they are."""

from __future__ import annotations

import io
from dataclasses import fields
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest

from mien.core import images
from mien.core.errors import DatasetError
from mien.datasets import catalog
from mien.datasets.catalog import CatalogRow
from mien.datasets.layout import CATALOG

ROWS = [
    CatalogRow(id="s:a", source="s", key="a", licence="free", person="Ann", sex="female", age_years=31.5,
               attributes_present=("Smiling",), attributes_absent=("Bald", "Beard"), transform=(1.0, 0, 2, 0, 1, 3),
               split="train", shard="s-00000.parquet", row_in_shard=0, phash="f" * 16, thumbnail=bytes(256)),
    CatalogRow(id="s:b", source="s", key="b", licence="free", drop_reason="no_face", photo_width=20, n_faces=0),
]  # fmt: skip


def crop(seed: int) -> bytes:
    return images.encode_jpeg(np.random.default_rng(seed).integers(0, 256, (32, 32, 3)).astype(np.uint8))


def test_schema_and_record_are_the_same_list() -> None:
    assert [field.name for field in fields(CatalogRow)] == catalog.SCHEMA.names


def test_rows_come_back(tmp_path: Path) -> None:
    catalog.write_catalog(tmp_path, ROWS)
    assert catalog.read_catalog(tmp_path) == ROWS
    assert catalog.read_catalog(tmp_path / "nowhere") == []


def test_polars_and_pandas_read_the_catalogue(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    pandas = pytest.importorskip("pandas")
    catalog.write_catalog(tmp_path, ROWS)
    table = polars.read_parquet(tmp_path / CATALOG)
    assert table.filter(polars.col("attributes_present").list.contains("Smiling"))["person"].to_list() == ["Ann"]
    frame = pandas.read_parquet(tmp_path / CATALOG)
    assert frame.loc[frame.drop_reason.isna(), "age_years"].tolist() == [31.5]
    assert list(frame.attributes_absent[0]) == ["Bald", "Beard"]


def test_duckdb_reads_the_catalogue(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    catalog.write_catalog(tmp_path, ROWS)
    query = f"select person from '{tmp_path / CATALOG}' where list_contains(attributes_absent, 'Bald')"
    assert duckdb.sql(query).fetchall() == [("Ann",)]


def test_hugging_face_datasets_decodes_a_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    catalog.write_shard(tmp_path, "s-00000.parquet", ["s:a", "s:b"], [crop(0), crop(1)])
    where = str(tmp_path / "shards" / "s-00000.parquet")
    loaded = datasets.load_dataset("parquet", data_files=where, split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded[1]["id"] == "s:b"
    assert np.array_equal(np.asarray(loaded[1]["image"]), np.asarray(PIL.Image.open(io.BytesIO(crop(1)))))
    catalog.write_catalog(tmp_path, ROWS)
    where = str(tmp_path / CATALOG)
    table = datasets.load_dataset("parquet", data_files=where, split="train", cache_dir=str(tmp_path / "cache"))
    assert table[0]["attributes_present"] == ["Smiling"]


def test_shard_carries_the_features_of_hugging_face(tmp_path: Path) -> None:
    catalog.write_shard(tmp_path, "s-00000.parquet", ["s:a"], [crop(0)])
    assert b'"_type": "Image"' in pq.read_schema(tmp_path / "shards" / "s-00000.parquet").metadata[b"huggingface"]


def test_crops_are_read_whole_or_by_row(tmp_path: Path) -> None:
    crops = [crop(seed) for seed in range(300)]
    catalog.write_shard(tmp_path, "s-00000.parquet", [f"s:{k}" for k in range(300)], crops)
    assert catalog.read_shard(tmp_path, "s-00000.parquet") == crops
    assert catalog.read_shard(tmp_path, "s-00000.parquet", [299, 0, 128, 0]) == [crops[k] for k in (299, 0, 128, 0)]


def test_same_rows_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        catalog.write_catalog(tmp_path / name, ROWS)
        catalog.write_shard(tmp_path / name, "s-00000.parquet", ["s:a"], [crop(0)])
    for file in ("catalog.parquet", "shards/s-00000.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_damage_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for name in ("catalog.parquet", "shards/s-00000.parquet"):
        (tmp_path / name).write_bytes(b"PAR1 nothing")
    with pytest.raises(DatasetError, match="not a catalogue"):
        catalog.read_catalog(tmp_path)
    for rows in (None, [0]):
        with pytest.raises(DatasetError, match=r"s-00000\.parquet: missing or damaged"):
            catalog.read_shard(tmp_path, "s-00000.parquet", rows)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(DatasetError, match="not a readable JSON"):
        catalog.read_manifest(tmp_path)
    (tmp_path / "dataset.json").write_text('{"version": 99}')
    with pytest.raises(DatasetError, match="version 1"):
        catalog.read_manifest(tmp_path)
