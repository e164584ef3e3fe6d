"""The catalogue of a prepared dataset: one row a face, in plain Parquet that any reader of tables opens.

``DEST/catalog.parquet`` holds every photo of every source, kept or dropped; ``DEST/dataset.json`` says what the dataset
is made of; ``DEST/shards/<source>-00000.parquet`` holds the crops (columns ``id`` and ``image``).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mien.core import files
from mien.core.errors import DatasetError
from mien.core.foreign import json_of
from mien.datasets.layout import CATALOG, DATASET, SHARDS

VERSION = 1
SHARD_ROWS = 1024  # crops a shard
ROW_GROUP = 128  # crops that are read together

_TEXTS = pa.list_(pa.string())
_NUMBERS = pa.list_(pa.float32())


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRow:
    """One face (or one photo that gave none). ``None`` means unknown or not measured, never "no"."""

    id: str  # source + ":" + key
    source: str
    key: str
    licence: str
    sha256: str | None = None  # of the file
    drop_reason: str | None = None  # None: kept
    person: str | None = None
    sex: str | None = None  # female, male
    age_years: float | None = None
    race: str | None = None
    attributes_present: tuple[str, ...] = ()  # known to be there
    attributes_absent: tuple[str, ...] = ()  # said not to be there (or unsure, see absent_is_sure); in neither: unknown
    absent_is_sure: bool = True  # False: the source says "absent" of what it is unsure of, too
    photo_width: int | None = None  # px
    photo_height: int | None = None  # px
    n_faces: int | None = None  # found in the photo
    score: float | None = None  # of the detector, 0 to 1
    presence: float | None = None  # of the mesh, 0 to 1
    yaw_degrees: float | None = None
    pitch_degrees: float | None = None
    roll_degrees: float | None = None
    eye_distance_px: float | None = None  # between the outer eye corners, in the photo
    sharpness: float | None = None  # variance of the Laplacian of the crop's luma
    transform: tuple[float, ...] | None = None  # a b c d e f: crop x = a x + b y + c, crop y = d x + e y + f
    phash: str | None = None  # of the middle of the crop, 16 hexadecimal digits
    thumbnail: bytes | None = None  # luma of the middle of the crop, 16 x 16, row by row
    box: tuple[float, ...] | None = None  # the source's own rectangle: x0 y0 x1 y1
    group: str | None = None  # faces joined by person, file or near-equal hash share it
    official_split: str | None = None  # that of the source's own files; None: it says none
    split: str | None = None  # train, validation, test; None when dropped
    shard: str | None = None  # file in shards/
    row_in_shard: int | None = None


SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("key", pa.string()),
        ("licence", pa.string()),
        ("sha256", pa.string()),
        ("drop_reason", pa.string()),
        ("person", pa.string()),
        ("sex", pa.string()),
        ("age_years", pa.float32()),
        ("race", pa.string()),
        ("attributes_present", _TEXTS),
        ("attributes_absent", _TEXTS),
        ("absent_is_sure", pa.bool_()),
        ("photo_width", pa.int32()),
        ("photo_height", pa.int32()),
        ("n_faces", pa.int32()),
        ("score", pa.float32()),
        ("presence", pa.float32()),
        ("yaw_degrees", pa.float32()),
        ("pitch_degrees", pa.float32()),
        ("roll_degrees", pa.float32()),
        ("eye_distance_px", pa.float32()),
        ("sharpness", pa.float32()),
        ("transform", _NUMBERS),
        ("phash", pa.string()),
        ("thumbnail", pa.binary()),
        ("box", _NUMBERS),
        ("group", pa.string()),
        ("official_split", pa.string()),
        ("split", pa.string()),
        ("shard", pa.string()),
        ("row_in_shard", pa.int32()),
    ]
)

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_HUGGING_FACE = {"info": {"features": {"id": {"dtype": "string", "_type": "Value"}, "image": {"_type": "Image"}}}}
SHARD_SCHEMA = pa.schema([("id", pa.string()), ("image", _IMAGE)], metadata={"huggingface": json.dumps(_HUGGING_FACE)})


def _parquet(table: pa.Table, row_group: int, plain: tuple[str, ...] = ()) -> bytes:
    """Parquet bytes, the same for the same table; columns ``plain`` (already compressed) stay as they are."""
    compression: dict[str, str] = {}
    for place in range(len(table.schema.names)):
        kind = table.schema.field(place)
        names = [f"{kind.name}.{part.name}" for part in kind.type] if pa.types.is_struct(kind.type) else [kind.name]
        names = [f"{name}.list.element" if pa.types.is_list(kind.type) else name for name in names]
        compression |= {name: "NONE" if name in plain else "ZSTD" for name in names}
    sink = io.BytesIO()
    pq.write_table(
        table, sink, row_group_size=row_group, compression=compression, use_dictionary=False, write_statistics=False
    )
    return sink.getvalue()


def rows_to_table(rows: Iterable[CatalogRow]) -> pa.Table:
    """Rows as an Arrow table of ``SCHEMA``."""
    return pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)


def table_to_rows(table: pa.Table) -> list[CatalogRow]:
    """The rows of an Arrow table of ``SCHEMA`` (or one with columns more)."""
    if "official_split" not in table.schema.names:  # prepared before splits of sources were kept
        table = table.append_column("official_split", pa.nulls(len(table), pa.string()))
    names = [field.name for field in fields(CatalogRow)]
    tuples = {name for name in names if pa.types.is_list(SCHEMA.field(name).type)}
    found = []
    for values in table.select(names).to_pylist():
        ready: dict[str, Any] = {n: tuple(v) if n in tuples and v is not None else v for n, v in values.items()}
        found.append(CatalogRow(**ready))
    return found


def write_catalog(dest: Path, rows: Iterable[CatalogRow]) -> None:
    """Write ``DEST/catalog.parquet`` atomically."""
    files.write_bytes(dest / CATALOG, _parquet(rows_to_table(rows), 1 << 16))


def read_catalog(dest: Path) -> list[CatalogRow]:
    """Every row of ``DEST/catalog.parquet``; none where there is no catalogue yet."""
    if not (dest / CATALOG).is_file():
        return []
    try:
        return table_to_rows(pq.read_table(dest / CATALOG))
    except (pa.ArrowException, KeyError, OSError) as error:
        raise DatasetError(f"{dest / CATALOG}: not a catalogue that mien can read ({type(error).__name__})") from error


def write_piece(path: Path, rows: Iterable[CatalogRow], crops: Iterable[bytes | None]) -> None:
    """Write the finished part of a run: rows, and the JPEG bytes of those that were kept."""
    table = rows_to_table(rows).append_column("jpeg", pa.array(list(crops), pa.binary()))
    files.write_bytes(path, _parquet(table, 1 << 16, plain=("jpeg",)))


def read_piece(path: Path) -> list[tuple[CatalogRow, bytes | None]]:
    """What ``write_piece`` wrote."""
    table = pq.read_table(path)
    return list(zip(table_to_rows(table), table.column("jpeg").to_pylist(), strict=True))


def shard_name(source: str, index: int) -> str:
    """File name of a shard: ``lfw-00000.parquet``."""
    return f"{source}-{index:05d}.parquet"


def write_shard(dest: Path, name: str, ids: list[str], crops: list[bytes]) -> None:
    """Write one shard of crops; Hugging Face ``datasets`` decodes its ``image`` column as it is."""
    entries = [{"bytes": crop, "path": f"{row:05d}.jpg"} for row, crop in enumerate(crops)]
    table = pa.Table.from_arrays([pa.array(ids, pa.string()), pa.array(entries, _IMAGE)], schema=SHARD_SCHEMA)
    files.write_bytes(dest / SHARDS / name, _parquet(table, ROW_GROUP, plain=("image.bytes",)))


def read_shard(dest: Path, name: str, rows: Sequence[int] | None = None) -> list[bytes]:
    """The JPEG bytes of a shard, in row order; with ``rows``, of those, in their order, reading only near them."""
    try:
        file = pq.ParquetFile(dest / SHARDS / name, memory_map=True)
        if rows is None:
            return [entry["bytes"] for entry in file.read(columns=["image"]).column("image").to_pylist()]
        groups = {row // ROW_GROUP for row in rows}
        read = {
            group: file.read_row_group(group, columns=["image"]).column("image").combine_chunks().field("bytes")
            for group in groups
        }
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{dest / SHARDS / name}: missing or damaged; run 'mien data prepare' again") from error
    return [read[row // ROW_GROUP][row % ROW_GROUP].as_py() for row in rows]


def read_manifest(dest: Path) -> dict[str, Any] | None:
    """``DEST/dataset.json``; None where there is none."""
    path = dest / DATASET
    if not path.is_file():
        return None
    try:
        manifest: dict[str, Any] = json_of(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: not a readable JSON file") from error
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise DatasetError(f"{path}: not a dataset of version {VERSION}; prepare it again into an empty directory")
    return manifest


def write_manifest(dest: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``DEST/dataset.json`` atomically."""
    files.write_json(dest / DATASET, dict(manifest))
