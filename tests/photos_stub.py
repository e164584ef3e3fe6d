"""Photos that a test draws, and a face finder that finds in them what was drawn: red rectangles are faces."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mien.core import images
from mien.core.records import Box, Detection, Face, Labels, Pose, SourcePhoto, UInt8Image
from mien.datasets.filters import Rules
from mien.datasets.prepare import SourceJob

SIDE_PX = 96


def draw(seed: int, faces: Sequence[tuple[int, int, int, int]] = ((24, 24, 72, 72),)) -> UInt8Image:
    """A photo with a red face in each rectangle (x0 y0 x1 y1); its green and blue are a smooth pattern of ``seed``."""
    generator = np.random.default_rng(seed)
    photo = np.full((SIDE_PX, SIDE_PX, 3), 90, np.uint8)
    for x0, y0, x1, y1 in faces:
        coarse = generator.integers(0, 180, (6, 6, 2)).astype(np.uint8)
        photo[y0:y1, x0:x1, 0] = 255
        photo[y0:y1, x0:x1, 1:] = cv2.resize(coarse, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    return photo


class StubFinder:
    """Finds red rectangles, largest first; its mesh has eyes and mouth where a face of that box has them."""

    def detect(self, photos: Sequence[UInt8Image]) -> list[list[Detection]]:
        return [self._boxes(photo) for photo in photos]

    def _boxes(self, photo: UInt8Image) -> list[Detection]:
        red = ((photo[..., 0] > 240) & (photo[..., 1] < 200) & (photo[..., 2] < 200)).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(red)
        found = [
            Detection(Box(x, y, x + w, y + h), np.zeros((6, 2), np.float32), 0.9)
            for x, y, w, h, area in stats[1:].tolist()
            if area > 60
        ]
        return sorted(found, key=lambda face: -face.box.width * face.box.height)

    def locate(self, photos: Sequence[UInt8Image], chosen: Sequence[Detection]) -> list[Face]:
        return [Face(face, self._mesh(face.box), 0.99) for face in chosen]

    def _mesh(self, box: Box) -> np.ndarray:
        mesh = np.zeros((468, 3), np.float32)
        for point, x, y in ((33, 0.2, 0.35), (263, 0.8, 0.35), (61, 0.3, 0.78), (291, 0.7, 0.78)):
            mesh[point] = box.x0 + x * box.width, box.y0 + y * box.height, 0
        return mesh

    def pose(self, face: Face) -> Pose:
        return Pose(1.0, 2.0, 3.0)


class SlowFinder(StubFinder):
    """Takes its time, so that a test can kill the run in the middle."""

    def detect(self, photos: Sequence[UInt8Image]) -> list[list[Detection]]:
        time.sleep(0.1)
        return super().detect(photos)


class BrokenFinder(StubFinder):
    """Has a fault that is not the photos'."""

    def pose(self, face: Face) -> Pose:
        raise AttributeError("no such function")


class ChokingFinder(StubFinder):
    """Chokes on photos with a white top left pixel, and on batches with one."""

    def detect(self, photos: Sequence[UInt8Image]) -> list[list[Detection]]:
        if any((photo[0, 0] == 255).all() for photo in photos):
            raise RuntimeError("choked")
        return super().detect(photos)


def write_photos(directory: Path, count: int, *, first_seed: int = 0) -> list[Path]:
    """``count`` PNG photos with one face each, all different."""
    paths = [directory / f"{number:04d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        images.write_png(path, draw(first_seed + number))
    return paths


def job(paths: Sequence[Path], *, source: str = "drawn", rules: Rules | None = None, **labels: object) -> SourceJob:
    """A job over these files, keyed by name; ``labels`` go to each photo, called with its number where callable."""
    photos = []
    for number, path in enumerate(paths):
        values = {name: value(number) if callable(value) else value for name, value in labels.items()}
        photos.append(SourcePhoto(path.name, str(path), Labels(**values)))  # type: ignore[arg-type]
    return SourceJob(source, "folder", "test", rules or Rules(), tuple(photos), size_px=64)
