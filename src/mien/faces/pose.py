"""Which way a head looks: mesh points -> yaw, pitch and roll in degrees.

The rotation is the weighted Kabsch fit of a mean shape to the points (Kabsch 1976; Umeyama 1991 for the scale). Axes:
x to the right of the image, y up, z to the camera, and ``R = Rz(roll) Ry(yaw) Rx(-pitch)``; other orders give false yaw
when the head is tilted. Positive yaw looks to the right of the image, positive pitch up, positive roll tilts the top
of the head to the left of the image (anticlockwise). 0, 0, 0 looks into the camera, upright.

The mean shape travels with the package. It is the mirror-symmetric Procrustes mean of 2,000 meshes of LFW (how it was
made: ``tests/mean_shape_fit``); a vertex counts by the inverse of its variance there, so lips and jaw count least. What
pitch 0 is cannot be had from symmetry: it is the median of those photos, most of which look at the photographer. The
line from the top of the forehead (vertex 10) to the chin (152) then leans by 5.6 degrees, the chin towards the back.
Near profile (over 60 degrees) the mesh itself is a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

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
YAW_UNIT_DEGREES, PITCH_UNIT_DEGREES = 30.0, 20.0  # of the conditions that tell a generator how a head is turned


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
