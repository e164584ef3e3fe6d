"""A chunk of photos -> one finished piece on disk: the work of one process of ``mien data prepare``.

A chunk is a run of photos in source order whose limits do not depend on how many processes work, so its bytes do not
either. Nothing about a single photo is fatal: it becomes a row with the reason.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from mien.core import images
from mien.core.errors import MienError, PhotoError
from mien.core.photos import decode_photo, file_bytes, photo_is_grey
from mien.core.records import Detection, Face, Pose, SourcePhoto, UInt8Image
from mien.datasets import catalog, filters, hashes
from mien.datasets.catalog import CatalogRow

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCH_PHOTOS = 16  # photos that the detector sees together
SYSTEMATIC_FAULTS = 8  # this many photos of a chunk, and more than half, failing means that the fault is mien's
BATCH_PIXELS = 24_000_000  # ... unless they are large: decoded photos held at once stay below about 72 MB + one photo


class FaceNetworks(Protocol):
    """What is asked of the networks (``Networks``; a stub in tests)."""

    def detect(self, photos: Sequence[UInt8Image]) -> Sequence[Sequence[Detection]]:
        """The faces of each photo."""

    def locate(self, photos: Sequence[UInt8Image], chosen: Sequence[Detection]) -> Sequence[Face]:
        """The mesh of one detection in each photo."""

    def pose(self, face: Face) -> Pose:
        """Where the face looks."""


class Networks:
    """The detector and the face mesh of ``mien.faces``: only the face that is chosen gets a mesh."""

    def __init__(self) -> None:
        from mien.faces.find import FaceFinder

        self._finder = FaceFinder.load()

    def detect(self, photos: Sequence[UInt8Image]) -> Sequence[Sequence[Detection]]:
        from mien.faces import detector

        return detector.detect(self._finder.blazeface, photos)

    def locate(self, photos: Sequence[UInt8Image], chosen: Sequence[Detection]) -> Sequence[Face]:
        from mien.faces import landmarks

        return [faces[0] for faces in landmarks.locate(self._finder.mesh, photos, [[face] for face in chosen])]

    def pose(self, face: Face) -> Pose:
        from mien.faces import pose

        return pose.pose(face.mesh)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Photos ``index * n ...`` of a source, where their piece goes, and how they are treated."""

    index: int
    path: Path
    source: str
    licence: str
    photos: tuple[SourcePhoto, ...]
    rules: filters.Rules
    false_is_absent: bool
    size_px: int


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """What a finished chunk says of itself."""

    index: int
    photos: int
    reasons: Counter[str]  # "" counts the kept
    seconds: dict[str, float] = field(default_factory=dict)  # of each step


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class _Opened:
    place: int
    row: CatalogRow
    photo: UInt8Image
    source: SourcePhoto


_Result = tuple[CatalogRow, bytes | None]


def run_chunk(chunk: Chunk, finder: FaceNetworks) -> ChunkReport:
    """Do every photo of the chunk and write its piece; returns the counts and the seconds of each step.

    One photo that fails in a way that nobody foresaw is dropped as ``failed``; when most do, the fault is not theirs:
    the first error ends the run, and nothing of this chunk is written.
    """
    clock = _Clock()
    faults: list[Exception] = []
    rows: list[CatalogRow | None] = [None] * len(chunk.photos)
    crops: list[bytes | None] = [None] * len(chunk.photos)

    def flush(batch: list[_Opened]) -> None:
        for opened, (row, crop) in zip(batch, _crop_batch(batch, chunk, finder, clock, faults), strict=True):
            rows[opened.place], crops[opened.place] = row, crop
        batch.clear()

    waiting: list[_Opened] = []
    for place, source_photo in enumerate(chunk.photos):
        row, photo = _open_photo(source_photo, chunk, clock)
        if photo is None:
            rows[place] = row
            continue
        waiting.append(_Opened(place, row, photo, source_photo))
        pixels = sum(opened.photo.size // 3 for opened in waiting)
        if len(waiting) == BATCH_PHOTOS or pixels > BATCH_PIXELS:
            flush(waiting)
    if waiting:
        flush(waiting)
    done = [row for row in rows if row is not None]
    if len(faults) >= SYSTEMATIC_FAULTS and 2 * len(faults) > len(done):
        raise MienError(
            f"{chunk.source}: {len(faults)} of {len(done)} photos failed, the first with "
            f"{type(faults[0]).__name__}: {faults[0]}"
        ) from faults[0]
    with clock.step("write"):
        catalog.write_piece(chunk.path, done, crops)
    return ChunkReport(chunk.index, len(done), Counter(row.drop_reason or "" for row in done), clock.seconds)


def _open_photo(photo: SourcePhoto, chunk: Chunk, clock: _Clock) -> tuple[CatalogRow, UInt8Image | None]:
    """The row of a photo so far, and its pixels; no pixels when it is already dropped."""
    labels = photo.labels
    box = photo.box
    row = CatalogRow(
        id=f"{chunk.source}:{photo.key}",
        source=chunk.source,
        key=photo.key,
        licence=chunk.licence,
        person=labels.person,
        sex=labels.sex,
        age_years=labels.age_years,
        race=labels.race,
        attributes_present=tuple(sorted(name for name, value in labels.attributes.items() if value)),
        attributes_absent=tuple(sorted(name for name, value in labels.attributes.items() if not value)),
        absent_is_sure=chunk.false_is_absent,
        box=None if box is None else (box.x0, box.y0, box.x1, box.y1),
        drop_reason=photo.drop_reason,
        official_split=photo.split,
    )
    if photo.drop_reason is not None:
        return row, None
    try:
        with clock.step("read"):
            data = file_bytes(photo.path)
            row = replace(row, sha256=hashes.content_hash(data))
        with clock.step("decode"):
            pixels = decode_photo(data, name=photo.path)
            height, width = pixels.shape[:2]
            row = replace(row, photo_width=width, photo_height=height)
            reason = filters.refuse_size(chunk.rules, width, height)
            if reason is None and chunk.rules.colour and photo_is_grey(data):
                reason = "grey"
    except PhotoError as error:
        return replace(row, drop_reason=error.reason), None
    except Exception:  # a decoder may fail in ways that nobody foresaw; one photo must not end a run
        return replace(row, drop_reason="not_an_image"), None
    return replace(row, drop_reason=reason), pixels if reason is None else None


def _crop_batch(
    batch: list[_Opened], chunk: Chunk, finder: FaceNetworks, clock: _Clock, faults: list[Exception]
) -> list[_Result]:
    """Rows and crops of opened photos, in their order; photos on which the networks choke are found one by one."""
    try:
        return _crop_all(batch, chunk, finder, clock)
    except Exception as error:  # nothing about one photo may end a run
        if len(batch) > 1:
            return [result for opened in batch for result in _crop_batch([opened], chunk, finder, clock, faults)]
        if isinstance(error, PhotoError):
            return [(replace(batch[0].row, drop_reason=error.reason), None)]
        faults.append(error)
        return [(replace(batch[0].row, drop_reason="failed"), None)]


def _crop_all(batch: list[_Opened], chunk: Chunk, finder: FaceNetworks, clock: _Clock) -> list[_Result]:
    results: list[_Result] = []
    chosen: list[tuple[int, Detection]] = []  # place in the batch, face
    with clock.step("detect"):
        found = finder.detect([opened.photo for opened in batch])
    for place, (opened, detections) in enumerate(zip(batch, found, strict=True)):
        row = replace(opened.row, n_faces=len(detections))
        one, reason = filters.choose_face(detections, chunk.rules.choose, opened.photo, opened.source.box)
        results.append((replace(row, drop_reason=reason), None))
        if one is not None:
            chosen.append((place, one))
    with clock.step("mesh"):
        faces = finder.locate([batch[place].photo for place, _ in chosen], [one for _, one in chosen])
    for (place, _), face in zip(chosen, faces, strict=True):
        results[place] = _crop(batch[place].photo, face, results[place][0], chunk.size_px, finder, clock)
    return results


def _crop(
    photo: UInt8Image, face: Face, row: CatalogRow, size_px: int, finder: FaceNetworks, clock: _Clock
) -> tuple[CatalogRow, bytes | None]:
    from mien.faces import align

    row = replace(row, score=face.detection.score, presence=face.presence)
    if not face.presence >= filters.MIN_PRESENCE or not np.isfinite(face.mesh).all():
        return replace(row, drop_reason="no_mesh"), None
    with clock.step("warp"):
        transform = align.crop_transform(face.mesh, size_px)  # 2 3
        crop = align.warp(photo, transform, size_px)
    with clock.step("encode"):
        jpeg = images.encode_jpeg(crop)
    with clock.step("pose"):
        angles = finder.pose(face)
    with clock.step("hash"):
        inner = hashes.inner(crop)
        row = replace(
            row,
            yaw_degrees=angles.yaw_degrees,
            pitch_degrees=angles.pitch_degrees,
            roll_degrees=angles.roll_degrees,
            eye_distance_px=float(np.linalg.norm(face.mesh[263, :2] - face.mesh[33, :2])),
            sharpness=float(cv2.Laplacian(images.grey(crop), cv2.CV_32F).var()),
            transform=tuple(float(value) for value in np.asarray(transform, np.float32).reshape(6)),
            phash=hashes.to_hex(hashes.perceptual_hash(inner)),
            thumbnail=hashes.thumbnail(inner),
        )
    return row, jpeg


def chunk_worker(load_finder: Callable[[], FaceNetworks]) -> Callable[[Chunk], ChunkReport]:
    """``run_chunk`` with networks that are loaded here."""
    return partial(run_chunk, finder=load_finder())


_finder: FaceNetworks | None = None


def start_worker(load_finder: Callable[[], FaceNetworks]) -> None:
    """Make a worker process ready: one torch thread, the networks loaded, and an end with its parent's."""
    import multiprocessing
    import os
    import signal
    import threading

    import torch

    global _finder
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which lets running chunks finish
    parent = multiprocessing.parent_process()

    def follow_parent() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _finder = load_finder()


def run_in_worker(chunk: Chunk) -> ChunkReport:
    """``run_chunk`` with the finder that ``start_worker`` loaded."""
    if _finder is None:
        raise RuntimeError("start_worker was not called")
    return run_chunk(chunk, _finder)
