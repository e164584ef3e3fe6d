"""Which way a head looks: mesh points -> yaw, pitch and roll in degrees.

The rotation is the weighted Kabsch fit of a mean shape to the points (Kabsch 1976; Umeyama 1991 for the scale). Axes:
x to the right of the image, y up, z to the camera, and ``R = Rz(roll) Ry(yaw) Rx(-pitch)``; other orders give false yaw
when the head is tilted. Positive yaw looks to the right of the image, positive pitch up, positive roll tilts the top
of the head to the left of the image (anticlockwise). 0, 0, 0 looks into the camera, upright.

The mean shape travels with the package. It is the mirror-symmetric Procrustes mean of 2,000 meshes of LFW
(``fit_mean_shape``); a vertex counts by the inverse of its variance there, so lips and jaw line count least. What pitch
0 is cannot be had from symmetry: it is the median of those photos, whose people mostly look at the photographer. The
line from the top of the forehead (vertex 10) to the chin (152) then leans by 5.6 degrees, the chin towards the back.
Near profile (over 60 degrees) the mesh itself is a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core import checkpoints
from mien.core.errors import PhotoError
from mien.core.records import Pose

Float64Array = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MODEL = "mean-face-shape"
CAMERA_AXES = np.array([1.0, -1.0, -1.0])  # photo: x right, y down, z away -> x right, y up, z to the camera
FOREHEAD, CHIN = 10, 152
# Pairs (image left, image right) far apart, and points of the middle line: where the search for the mirror starts.
MIRROR_SEEDS = (*((33, 263), (133, 362), (61, 291), (234, 454), (70, 300)), *((i, i) for i in (1, 4, 10, 152, 168)))


@dataclass(frozen=True, slots=True)
class MeanShape:
    """The mean face, centred, of weighted root mean square size 1, in camera axes, looking along +z."""

    points: Float64Array  # 468 3
    weights: Float64Array  # 468, sum 1: how rigid each vertex is
    mirror: IntArray  # 468: the vertex on the other side of the face; its own inverse


@lru_cache(maxsize=1)
def mean_shape() -> MeanShape:
    """The mean shape that travels with the package."""
    with resources.as_file(resources.files("mien.faces") / "mean_shape.safetensors") as path:
        tensors, _ = checkpoints.load_weights(path, model=MODEL, dtype=torch.float64)
    return MeanShape(tensors["points"].numpy(), tensors["weights"].numpy(), tensors["mirror"].numpy().astype(np.int64))


def pose(mesh_points: npt.ArrayLike) -> Pose:
    """Yaw, pitch and roll of one face from its mesh (468 3: x right, y down, z away, one unit).

    Raises ``PhotoError`` (reason ``bad_landmarks``) for points that do not span a face.
    """
    return pose_of_rotation(rotation(mesh_points))


def rotation(mesh_points: npt.ArrayLike) -> Float64Array:
    """The 3 x 3 rotation (camera axes) that takes the mean shape to the face."""
    shape = mean_shape()
    points = np.asarray(mesh_points, np.float64) * CAMERA_AXES
    if points.shape != shape.points.shape or not np.isfinite(points).all() or np.ptp(points[:, :2], axis=0).min() <= 0:
        raise PhotoError("bad_landmarks", f"the landmarks, of shape {points.shape}, do not span a face")
    return kabsch(shape.points, points, shape.weights)[0]


def pose_of_rotation(r: Float64Array) -> Pose:
    """Euler angles of ``R = Rz(roll) Ry(yaw) Rx(-pitch)``."""
    yaw = np.arctan2(-r[2, 0], np.hypot(r[0, 0], r[1, 0]))
    pitch = -np.arctan2(r[2, 1], r[2, 2])
    roll = np.arctan2(r[1, 0], r[0, 0])
    return Pose(*(float(np.degrees(angle)) for angle in (yaw, pitch, roll)))


def angles_degrees(mesh_points: Tensor) -> Tensor:
    """Yaw, pitch and roll (N 3) of meshes (N 468 3), as ``pose`` finds them. Differentiable.

    NaN where the points do not span a face. In float32 whatever the points are.
    """
    shape = mean_shape()
    known = (shape.weights[:, None] / shape.weights.sum(), shape.points, CAMERA_AXES)
    share, source, axes = (torch.from_numpy(value).to(mesh_points.device, torch.float32) for value in known)
    target = mesh_points.float() * axes
    p, q = source - (share * source).sum(0), target - (share * target).sum(1, keepdim=True)
    with torch.autocast(mesh_points.device.type, enabled=False):
        u, _, vt = torch.linalg.svd((share * q).transpose(1, 2) @ p)  # N 3 3
        flip = torch.linalg.det(u @ vt).sign()
        signs = torch.stack([torch.ones_like(flip), torch.ones_like(flip), flip], 1)
        r = (u * signs[:, None]) @ vt
    yaw = torch.atan2(-r[:, 2, 0], torch.hypot(r[:, 0, 0], r[:, 1, 0]))
    pitch = -torch.atan2(r[:, 2, 1], r[:, 2, 2])
    roll = torch.atan2(r[:, 1, 0], r[:, 0, 0])
    return torch.rad2deg(torch.stack([yaw, pitch, roll], 1))


def rotation_of_pose(head: Pose) -> Float64Array:
    """The rotation of a pose: the inverse of ``pose_of_rotation`` for yaw within +-90 degrees."""
    yaw, pitch, roll = np.radians([head.yaw_degrees, -head.pitch_degrees, head.roll_degrees])
    rx = [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    ry = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    rz = [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.asarray(np.array(rz) @ np.array(ry) @ np.array(rx), np.float64)


def kabsch(source: Float64Array, target: Float64Array, weights: Float64Array) -> tuple[Float64Array, float]:
    """Rotation R (3 3, no reflection) and scale s: ``target - mean = s R (source - mean)``, weighted least squares."""
    share = (weights / weights.sum())[:, None]
    p, q = source - (share * source).sum(0), target - (share * target).sum(0)
    u, values, vt = np.linalg.svd((share * q).T @ p)
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return (u * signs) @ vt, float((values * signs).sum() / (share * p**2).sum())


def fit_mean_shape(meshes: Float64Array, *, rounds: int = 12) -> MeanShape:
    """The symmetric Procrustes mean of meshes (n 468 3, photo axes) and the rigidity of each vertex.

    Needs some hundred people over both sides of yaw. This made the shape that travels with the package.
    """
    faces = np.asarray(meshes, np.float64) * CAMERA_AXES
    weights = np.ones(faces.shape[1]) / faces.shape[1]
    mean = _unit(faces[0], weights)
    mirror: IntArray | None = None
    for _ in range(rounds):
        aligned = np.array([_aligned(face, mean, weights) for face in faces])
        average = aligned.mean(0)
        mirror = _mirror(average) if mirror is None else mirror
        variance = ((aligned - average) ** 2).sum(-1).mean(0)
        reflected = _aligned((average * [-1, 1, 1])[mirror], average, weights)
        variance = (variance + variance[mirror]) / 2
        weights = 1 / (variance + 0.1 * np.median(variance))
        weights /= weights.sum()
        mean = _unit((average + reflected) / 2, weights)
    assert mirror is not None
    mean = _upright(mean, mirror)
    shape = MeanShape(_unit(mean, weights), weights, mirror)
    pitches = [pose_of_rotation(kabsch(shape.points, face, weights)[0]).pitch_degrees for face in faces]
    tilted = shape.points @ rotation_of_pose(Pose(0.0, float(np.median(pitches)), 0.0)).T
    return MeanShape(tilted, weights, mirror)


def save_mean_shape(path: str, shape: MeanShape, metadata: dict[str, Any]) -> None:
    """Write a mean shape as the package carries it (float32; vertex numbers as int16)."""
    tensors = {
        "points": torch.from_numpy(shape.points).to(torch.float32),
        "weights": torch.from_numpy(shape.weights).to(torch.float32),
        "mirror": torch.from_numpy(shape.mirror).to(torch.int16),
    }
    checkpoints.save_weights(path, tensors, {"model": MODEL, **metadata})


def _unit(points: Float64Array, weights: Float64Array) -> Float64Array:
    share = weights[:, None]
    centred = points - (share * points).sum(0)
    return np.asarray(centred / np.sqrt((share * centred**2).sum()), np.float64)


def _aligned(face: Float64Array, mean: Float64Array, weights: Float64Array) -> Float64Array:
    """A face turned, moved and scaled onto the mean."""
    r, scale = kabsch(face, mean, weights)
    share = weights[:, None]
    return np.asarray(scale * (face - (share * face).sum(0)) @ r.T + (share * mean).sum(0), np.float64)


def _mirror(points: Float64Array) -> IntArray:
    """Which vertex is the mirror image of which: the best one-to-one match of a shape with its reflection."""
    from scipy.optimize import linear_sum_assignment

    pairs = np.array([*MIRROR_SEEDS, *((b, a) for a, b in MIRROR_SEEDS)])
    reflected = points * [-1, 1, 1]
    r, scale = kabsch(reflected[pairs[:, 0]], points[pairs[:, 1]], np.ones(len(pairs)))
    reflected = scale * (reflected - reflected[pairs[:, 0]].mean(0)) @ r.T + points[pairs[:, 1]].mean(0)
    distances = np.linalg.norm(reflected[:, None] - points[None], axis=-1)
    match = np.asarray(linear_sum_assignment(distances)[1], np.int64)
    if not (match[match] == np.arange(len(match))).all():
        raise ValueError("the mirror of the mean shape is not its own inverse: more faces are needed")
    return match


def _upright(points: Float64Array, mirror: IntArray) -> Float64Array:
    """Turn a shape so that its mirror plane is x = 0 and the line from chin to forehead stands upright; symmetrise."""
    across = (points[mirror] - points)[points[:, 0] < points[mirror, 0]].sum(0)
    across /= np.linalg.norm(across)
    up = points[FOREHEAD] - points[CHIN]
    up = up - across * (up @ across)
    up /= np.linalg.norm(up)
    turned = points @ np.array([across, up, np.cross(across, up)]).T
    turned -= turned.mean(0)
    return np.asarray((turned + (turned * [-1, 1, 1])[mirror]) / 2, np.float64)
