"""Faces without photographs of people: the mean shape drawn into patterns, and readers that say what they are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from mien.attributes.describe.records import FaceDescription
from mien.attributes.reader import HeadPredictions
from mien.attributes.vocabulary import GROUPS, NAMES
from mien.core.records import Box, Detection, Face, Pose, UInt8Image
from mien.faces.pose import CAMERA_AXES, mean_shape, rotation_of_pose
from mien.faces.quality import Quality, mesh_box

GOOD = Quality(200.0, 0.5, 0.7, 0.5, 0.0, 0.0, 0.0, False, 0.95, 1.0)
STRAIGHT = Pose(0.0, 0.0, 0.0)


def face_at(
    x: float, y: float, size_px: float, pose: Pose = STRAIGHT, score: float = 0.95, presence: float = 1.0
) -> Face:
    """The mean shape around (x, y) px; upright and straight, its mesh is about ``size_px`` high."""
    points = mean_shape().points @ rotation_of_pose(pose).T * CAMERA_AXES
    straight = mean_shape().points
    mesh = points * (size_px / np.ptp(straight[:, 1])) + [x, y, 0]
    low, high = mesh[:, :2].min(0), mesh[:, :2].max(0)
    keypoints = mesh[[33, 263, 1, 13, 234, 454], :2]
    box = Box(*map(float, (*low, *high)))
    return Face(Detection(box, keypoints.astype(np.float32), score), mesh.astype(np.float32), presence)


def textured(height: int, width: int, seed: int = 1, low: int = 60, high: int = 190) -> UInt8Image:
    """A colourful pattern with detail at every scale, as skin in good light has: H W 3 uint8."""
    rng = np.random.default_rng(seed)
    layers = np.zeros((height, width, 3), np.float32)
    for sigma in (0.7, 2.0, 6.0, 18.0):
        noise = rng.normal(size=(height, width, 3)).astype(np.float32)
        layer = cv2.GaussianBlur(noise, (0, 0), sigma)
        layers += layer / layer.std()
    ranks = np.clip((layers - layers.mean()) / layers.std() / 4 + 0.5, 0, 1)
    return (ranks * (high - low) + low).astype(np.uint8)


class FakeFinder:
    """Finds the faces that it was given, the same on every photo."""

    def __init__(self, *faces: Face) -> None:
        self.found, self.asked = list(faces), 0

    def faces(self, photos: Sequence[UInt8Image], thorough: bool = False) -> list[list[Face]]:
        assert thorough
        self.asked += 1
        return [list(self.found) for _ in photos]


@dataclass
class FakeReader:
    """Face k of all that it reads is ``30 + k`` years old; the rest is drawn once and for all."""

    female: float = 0.97
    metadata: Mapping[str, Any] = field(default_factory=lambda: {"version": "fake-1"})
    sizes: list[tuple[int, ...]] = field(default_factory=list)
    read_before: int = 0

    def read(self, crops: UInt8Image) -> HeadPredictions:
        self.sizes.append(crops.shape)
        n = len(crops)
        rng = np.random.default_rng(5)
        probabilities = np.tile(rng.uniform(size=len(NAMES)), (n, 1)).astype(np.float32)
        groups = {g.name: np.tile(rng.dirichlet(np.ones(len(g.classes))), (n, 1)).astype(np.float32) for g in GROUPS}
        groups["sex"] = np.tile([1 - self.female, self.female], (n, 1)).astype(np.float32)
        ages = 30 + self.read_before + np.arange(n, dtype=np.float32)
        self.read_before += n
        return HeadPredictions(probabilities, probabilities > 0.5, groups, groups["sex"][:, 1], ages)


def described_face(
    *,
    female: float = 0.97,
    age: float = 34.0,
    likely: Sequence[str] = (),
    pose: Pose = STRAIGHT,
    quality: Quality = GOOD,
) -> FaceDescription:
    """A description in which each class of ``likely`` has 0.9 of its group, and others share the rest evenly.

    Of a group of which nothing is named, none of them has 0.9 where that is a class; else it is undecided.
    """
    groups: dict[str, dict[str, float]] = {}
    for group in GROUPS:
        usual = "No Beard" if group.name == "beard" else group.none
        wanted = next((name for name in group.classes if name in likely), usual)
        count = len(group.classes)
        others = 0.1 / (count - 1) if wanted else 1 / count
        groups[group.name] = {name: 0.9 if name == wanted else others for name in group.classes}
    groups["sex"] = {"Male": 1 - female, "female": female}
    attributes = {name: groups[group.name][name] for group in GROUPS for name in group.members}
    face = face_at(100, 100, quality.size_px, pose)
    ordered = {name: attributes[name] for name in NAMES}
    present = frozenset(name for name in NAMES if ordered[name] > 0.5)
    return FaceDescription(face, mesh_box(face), female, age, ordered, present, groups, pose, quality)
