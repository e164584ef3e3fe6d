"""How the mean shape that travels with the package was made (``src/mien/faces/pose``), kept with its test."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from mien.core import checkpoints
from mien.core.records import Pose
from mien.faces.pose import (
    CAMERA_AXES,
    MODEL,
    Float64Array,
    IntArray,
    MeanShape,
    kabsch,
    pose_of_rotation,
    rotation_of_pose,
)

FOREHEAD, CHIN = 10, 152
# Pairs (image left, image right) far apart, and points of the middle line: where the search for the mirror starts.
MIRROR_SEEDS = (*((33, 263), (133, 362), (61, 291), (234, 454), (70, 300)), *((i, i) for i in (1, 4, 10, 152, 168)))


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
