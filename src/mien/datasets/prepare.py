"""Photos of a source -> catalogue and crops: ``mien data prepare``.

The work is cut into chunks of ``CHUNK_PHOTOS`` photos in source order. Each finished chunk is one file under
``DEST/.work``; a run that was killed finds them again and does only the rest. When all are there, the crops are laid
into shards, duplicates are marked, and the splits of everything in DEST are decided anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.errors import DatasetError, MienError
from mien.core.progress import OnProgress
from mien.core.records import SourcePhoto
from mien.datasets import catalog, chunks, filters, hashes, splits
from mien.datasets.catalog import CatalogRow
from mien.datasets.chunks import Chunk, ChunkReport, FaceNetworks
from mien.datasets.layout import SHARDS, check_source_name

CHUNK_PHOTOS = 128
WORK = ".work"
LOCK = ".lock"
CROP_VERSION = 1  # changes when the same photo would give another crop


@dataclass(frozen=True, slots=True)
class SourceJob:
    """One source to prepare: its name in the catalogue, its terms, its rules and its photos in a fixed order."""

    source: str
    format: str
    licence: str
    rules: filters.Rules
    photos: tuple[SourcePhoto, ...]
    false_is_absent: bool = True  # False: an attribute that is False may also be unsure
    size_px: int = 256

    def fingerprint(self) -> str:
        """Changes when a photo, a label, a rule or the crop changes: what is already done is then done again."""
        digest = hashlib.sha256()
        about = [self.source, self.format, self.licence, self.false_is_absent]
        settings = [CROP_VERSION, *about, asdict(self.rules), self.size_px]
        digest.update(json.dumps(settings).encode())
        for photo in self.photos:
            try:
                status = Path(photo.path).stat()
                size, changed = status.st_size, status.st_mtime_ns
            except OSError:
                size, changed = -1, -1
            digest.update(json.dumps([asdict(photo) | {"path": size, "changed": changed}]).encode())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did to one source."""

    source: str
    photos: int
    kept: int
    dropped: dict[str, int]
    resumed: int  # photos that an earlier run had done
    seconds: float
    steps: dict[str, float] = field(default_factory=dict)  # process seconds of each step, this run


def prepare(
    job: SourceJob,
    dest: Path,
    *,
    load_finder: Callable[[], FaceNetworks],
    jobs: int = 1,
    run: Callable[[Sequence[Chunk], Callable[[], Callable[[Chunk], ChunkReport]]], Iterator[ChunkReport]] | None = None,
    on_progress: OnProgress | None = None,
) -> Summary:
    """Prepare ``job`` into ``dest`` and decide the splits of everything there anew.

    ``load_finder`` must be importable by name (it runs in the worker processes); ``jobs`` = 1 works in this process.
    ``run`` (chunks, what loads the function to do one with) does the chunks elsewhere, in place of ``jobs``.
    ``on_progress`` counts photos, after each chunk of them.
    A source of the same name that is already there and unchanged is left as it is; a changed one is replaced.
    """
    began = time.monotonic()
    check_source_name(job.source)
    if not job.photos:
        raise DatasetError(f"{job.source}: the source has no photos")
    dest.mkdir(parents=True, exist_ok=True)
    with _locked(dest):
        manifest = catalog.read_manifest(dest) or {"version": catalog.VERSION, "complete": False, "sources": []}
        size = manifest.get("crop", {}).get("size_px", job.size_px)
        if size != job.size_px:
            raise DatasetError(f"{dest}: holds crops of {size} px; --size {job.size_px} needs another DEST")
        fingerprint = job.fingerprint()
        known = next((entry for entry in manifest["sources"] if entry["name"] == job.source), None)
        if manifest["complete"] and known is not None and known["fingerprint"] == fingerprint:
            return Summary(
                job.source, known["photos"], known["kept"], known["dropped"], known["photos"], time.monotonic() - began
            )
        work = dest / WORK / f"{job.source}-{fingerprint}"
        work.mkdir(parents=True, exist_ok=True)
        todo = _chunks(job, work)
        waiting = [chunk for chunk in todo if not chunk.path.is_file()]
        resumed = len(job.photos) - sum(len(chunk.photos) for chunk in waiting)
        steps: Counter[str] = Counter()  # process seconds of each step over all processes
        done = resumed
        elsewhere = None if run is None else run(waiting, partial(chunks.chunk_worker, load_finder))
        for report in elsewhere or _reports(waiting, load_finder, jobs):
            done += report.photos
            steps.update(report.seconds)
            if on_progress is not None:
                on_progress(done, len(job.photos))
        entry = _finish(job, dest, manifest, fingerprint, todo)
        for old in (dest / WORK).glob(f"{job.source}-{'?' * 16}"):  # also what an older, other run left
            shutil.rmtree(old)
        return Summary(
            job.source, entry["photos"], entry["kept"], entry["dropped"], resumed, time.monotonic() - began, dict(steps)
        )


def _chunks(job: SourceJob, work: Path) -> list[Chunk]:
    starts = range(0, len(job.photos), CHUNK_PHOTOS)
    return [
        Chunk(
            index,
            work / f"{index:06d}.parquet",
            job.source,
            job.licence,
            job.photos[start : start + CHUNK_PHOTOS],
            job.rules,
            job.false_is_absent,
            job.size_px,
        )
        for index, start in enumerate(starts)
    ]


def _reports(waiting: Sequence[Chunk], load_finder: Callable[[], FaceNetworks], jobs: int) -> Iterator[ChunkReport]:
    if not waiting:
        return
    if jobs == 1:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the number of threads may change the last bit of a sum
        try:
            finder = load_finder()
            for chunk in waiting:
                yield chunks.run_chunk(chunk, finder)
        finally:
            torch.set_num_threads(threads)
        return
    pool = ProcessPoolExecutor(
        min(jobs, len(waiting)), get_context("spawn"), initializer=chunks.start_worker, initargs=(load_finder,)
    )
    queue = iter(waiting)
    running: set[Future[ChunkReport]] = set()
    try:
        for chunk in queue:
            running.add(pool.submit(chunks.run_in_worker, chunk))
            if len(running) >= 2 * jobs:  # a short queue: half a million photos are not pickled at once
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool as error:
        message = "a worker process died (out of memory?); run the same command again to go on, with fewer --jobs"
        raise MienError(message) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _finish(
    job: SourceJob, dest: Path, manifest: dict[str, Any], fingerprint: str, todo: Sequence[Chunk]
) -> dict[str, Any]:
    """Lay the crops into shards, write catalogue and dataset.json; returns the source's entry in it."""
    catalog.write_manifest(dest, {**manifest, "complete": False})  # until the last line nobody reads DEST
    others = [row for row in catalog.read_catalog(dest) if row.source != job.source]
    rows, shards = _shard(job.source, dest, todo)
    everything = decide_splits(sorted(others, key=lambda row: row.source) + rows)
    everything.sort(key=lambda row: row.source)  # stable: photos stay in source order
    reasons = Counter(row.drop_reason for row in rows if row.drop_reason is not None)
    entry = {
        "name": job.source,
        "format": job.format,
        "licence": job.licence,
        "fingerprint": fingerprint,
        "photos": len(rows),
        "kept": len(rows) - reasons.total(),
        "dropped": dict(sorted(reasons.items())),
        "rules": asdict(job.rules),
        "false_is_absent": job.false_is_absent,
        "shards": shards,
    }
    sources = [known for known in manifest["sources"] if known["name"] != job.source] + [entry]
    for old in (dest / SHARDS).glob(f"{job.source}-?????.parquet"):
        if old.name not in {shard["file"] for shard in shards}:
            old.unlink()
    catalog.write_catalog(dest, everything)
    catalog.write_manifest(
        dest,
        {
            "version": catalog.VERSION,
            "complete": True,
            "crop": {"version": CROP_VERSION, "size_px": job.size_px, "convention": "docs/data.md"},
            "splits": {
                "near_bits": splits.NEAR_BITS,
                "alike": splits.ALIKE,
                "shares": dict(zip(splits.SPLITS, splits.SHARES, strict=True)),
                "faces": dict(sorted(Counter(row.split for row in everything if row.split).items())),
            },
            "sources": sorted(sources, key=lambda known: str(known["name"])),
        },
    )
    return entry


def _shard(source: str, dest: Path, todo: Sequence[Chunk]) -> tuple[list[CatalogRow], list[dict[str, Any]]]:
    """Pieces -> shards; a face whose file (and rectangle) came before in this source is dropped as ``duplicate``."""
    rows: list[CatalogRow] = []
    shards: list[dict[str, Any]] = []
    ids: list[str] = []
    crops: list[bytes] = []
    seen: set[tuple[str | None, tuple[float, ...] | None]] = set()

    def flush() -> None:
        name = catalog.shard_name(source, len(shards))
        catalog.write_shard(dest, name, ids, crops)
        digest = hashlib.sha256(b"".join(crops)).hexdigest()
        shards.append({"file": name, "rows": len(ids), "sha256_of_crops": digest})
        ids.clear()
        crops.clear()

    for chunk in todo:
        for row, crop in catalog.read_piece(chunk.path):
            if crop is None:
                rows.append(row)
                continue
            face = (row.sha256, row.box)
            if face in seen:
                rows.append(replace(row, drop_reason="duplicate"))
                continue
            seen.add(face)
            rows.append(replace(row, shard=catalog.shard_name(source, len(shards)), row_in_shard=len(ids)))
            ids.append(row.id)
            crops.append(crop)
            if len(ids) == catalog.SHARD_ROWS:
                flush()
    if ids:
        flush()
    return rows, shards


def decide_splits(rows: Sequence[CatalogRow]) -> list[CatalogRow]:
    """The rows with ``group`` and ``split`` decided over all kept ones; dropped rows have neither."""
    kept = [row for row in rows if row.drop_reason is None]
    phashes = hashes.from_hex([row.phash or "0" for row in kept])
    blank = bytes(hashes.THUMBNAIL_PX**2)
    thumbnails = np.frombuffer(b"".join(row.thumbnail or blank for row in kept), np.uint8).reshape(-1, len(blank))
    found = splits.groups([row.person for row in kept], [row.sha256 or "" for row in kept], phashes, thumbnails)
    ways = splits.decided(found, [row.official_split for row in kept], [row.source for row in kept])
    decided = iter([replace(r, group=g, split=s) for r, g, s in zip(kept, found, ways, strict=True)])
    return [next(decided) if row.drop_reason is None else replace(row, group=None, split=None) for row in rows]


@contextlib.contextmanager
def _locked(dest: Path) -> Iterator[None]:
    """One run at a time in DEST (where the system has file locks)."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(dest / LOCK, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DatasetError(f"{dest}: another 'mien data prepare' is at work there") from error
        yield
