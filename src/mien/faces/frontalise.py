"""A classical frontaliser: the photo's own pixels, moved to where a frontal face has them; nothing is learned.

After Hassner et al., *Effective face frontalization in unconstrained images* (2015): one mean face for everybody, and
where a half of the face is turned away, the pixels of the other half mirrored ("soft symmetry"). Departures: landmarks
are the 468 of the face mesh, so triangles take the place of a fitted camera; what is hidden is told by how much
smaller a piece of the face is in the photo than its mirror image; what lies just around the face (ears, hair) moves
with its outline, and what lies farther out is stretched between that and the edge of the crop, which is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from mien.core.errors import PhotoError
from mien.core.records import UInt8Image
from mien.faces import align
from mien.faces.pose import CAMERA_AXES, mean_shape

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

AROUND = 1.3  # the ring that moves with the outline, from the middle of the face, of the outline's distance
HELD = 4  # points held on each edge of the crop, its corner included
HIDDEN, SEEN = 0.2, 0.4  # share of a piece in the two mirrored ones: below, its mirror image is taken; above, it itself
SOFT = 0.02  # deviation of the blur between the two, of the side of the crop


@dataclass(frozen=True, slots=True)
class FrontalMesh:
    """The mean face in mien's crop, a ring around it and the held edge: K points, and where S S pixels lie in them."""

    points: Float64Array  # K 2: 468 of the face, R of the ring, those of the edge
    outline: IntArray  # R: the point of the face that each of the ring moves with
    mirror: IntArray  # 468: the point on the other side
    triangles: IntArray  # T 3: those of the face alone
    corners: IntArray  # S S 3
    weights: Float64Array  # S S 3: barycentric

    def at_pixels(self, values: Float64Array) -> Float64Array:
        """Values at the points (K ...) -> at the pixels (S S ...), linear in each triangle."""
        weights = self.weights.reshape(*self.weights.shape, *[1] * (values.ndim - 1))
        return np.asarray((values[self.corners] * weights).sum(2))


@lru_cache(maxsize=4)
def frontal_mesh(size: int) -> FrontalMesh:
    """The mean face in a crop of ``size`` px."""
    from scipy.spatial import ConvexHull, Delaunay

    shape = mean_shape()
    face = shape.points * CAMERA_AXES * size  # px, y down; where and how large it is, the crop decides
    points = align.apply(align.crop_transform(face, size), face[:, :2])
    points = (points + mirrored(points, size)[shape.mirror]) / 2  # the crop turns it by a rounding
    count, outline = len(points), np.sort(ConvexHull(points).vertices)
    ring = points.mean(0) + AROUND * (points[outline] - points.mean(0))
    inside = ((ring > 0) & (ring < size - 1)).all(1)
    outline, ring = outline[inside], ring[inside]
    steps = np.arange(HELD) / HELD * (size - 1)
    edge = np.concatenate([np.stack([steps, 0 * steps], 1), np.stack([0 * steps + size - 1, steps], 1)])
    points = np.concatenate([points, ring, edge, size - 1 - edge])
    found = Delaunay(points)
    y, x = np.mgrid[:size, :size]
    pixels = np.stack([x, y], -1).reshape(-1, 2)
    within = found.find_simplex(pixels, tol=1e-6)
    bent = found.transform[within]
    two = np.einsum("pij,pj->pi", bent[:, :2], pixels - bent[:, 2])
    weights = np.concatenate([two, 1 - two.sum(1, keepdims=True)], 1)
    corners = found.simplices[within].astype(np.int64)
    triangles = found.simplices[(found.simplices < count).all(1)].astype(np.int64)
    corners, weights = corners.reshape(size, size, 3), weights.reshape(size, size, 3)
    return FrontalMesh(points, outline.astype(np.int64), shape.mirror, triangles, corners, weights)


def mirrored(points: Float64Array, size: int) -> Float64Array:
    """Places (N 2, px) in the mirror image of a crop."""
    return points * [-1.0, 1.0] + [size - 1, 0]


def frontalised(crop: UInt8Image, mesh_points: npt.ArrayLike) -> UInt8Image:
    """An aligned crop (S S 3) and the mesh in it (468 3 or 468 2, px) -> the crop with the face turned to the front.

    ``PhotoError`` for landmarks that do not span a face.
    """
    size = crop.shape[0]
    known = np.asarray(mesh_points, np.float64)
    if len(known) != len(mean_shape().points) or not np.isfinite(known).all() or np.ptp(known[:, :2], axis=0).min() < 2:
        raise PhotoError("bad_landmarks", f"the landmarks, of shape {known.shape}, do not span a face")
    frontal = frontal_mesh(size)
    points = frontal.points.copy()
    points[: len(known)] = known[:, :2]
    ring = slice(len(known), len(known) + len(frontal.outline))
    points[ring] += points[frontal.outline] - frontal.points[frontal.outline]
    places = frontal.at_pixels(points).astype(np.float32)
    moved = cv2.remap(crop, places[..., 0], places[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    own = cv2.GaussianBlur(frontal.at_pixels(seen(frontal, points)), (0, 0), SOFT * size)[..., None]
    return np.asarray(np.round(moved * own + moved[:, ::-1] * (1 - own)), np.uint8)


def seen(frontal: FrontalMesh, points: Float64Array) -> Float64Array:
    """Where the face shows itself (K): 1, where its mirror image shows it better: 0; for points K 2 in the photo.

    A piece of the face is the triangles around a point: one that is turned away is small, or seen from behind.
    """
    count = len(frontal.mirror)
    area = np.zeros(count)
    before, after = (_areas(places[frontal.triangles]) for places in (frontal.points, points))
    for corner in range(3):
        np.add.at(area, frontal.triangles[:, corner], np.maximum(after * np.sign(before), 0))
    share = area / np.maximum(area + area[frontal.mirror], 1e-9)
    own = np.clip((share - HIDDEN) / (SEEN - HIDDEN), 0, 1)
    ring = own[frontal.outline]
    left = frontal.points[frontal.outline, 0] < frontal.points[:count, 0].mean()
    edge = frontal.points[count + len(ring) :, 0]
    far = np.interp(edge, [edge.min(), edge.max()], [ring[left].mean(), ring[~left].mean()])
    return np.concatenate([own, ring, far])


def _areas(corners: Float64Array) -> Float64Array:
    """Twice the signed areas of triangles T 3 2."""
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])
