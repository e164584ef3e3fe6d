"""Pose: signs, scale, order of the axes, and the mean shape that it is measured against."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mean_shape_fit import fit_mean_shape

from mien.core.errors import PhotoError
from mien.core.photos import read_photo
from mien.core.records import Pose
from mien.faces import pose as P

ANGLES = st.floats(-80, 80)


def mesh_of(head: Pose, *, scale: float = 50.0, noise: float = 0.0) -> np.ndarray:
    """A mesh in photo axes of the mean face in a pose."""
    points = P.mean_shape().points @ P.rotation_of_pose(head).T * scale
    points = points + np.random.default_rng(0).normal(0, noise, points.shape) if noise else points
    return points * P.CAMERA_AXES + [120, 90, 0]


@settings(deadline=None, max_examples=60)
@given(ANGLES, ANGLES, st.floats(-170, 170), st.floats(0.5, 900))
def test_the_pose_of_a_turned_mean_face_is_the_turn(yaw: float, pitch: float, roll: float, scale: float) -> None:
    found = P.pose(mesh_of(Pose(yaw, pitch, roll), scale=scale))
    assert found.yaw_degrees == pytest.approx(yaw, abs=1e-3)
    assert found.pitch_degrees == pytest.approx(pitch, abs=1e-3)
    assert found.roll_degrees == pytest.approx(roll, abs=1e-3)


def test_signs() -> None:
    nose, between_eyes, forehead = 1, 168, 10
    right = mesh_of(Pose(30, 0, 0))
    assert right[nose, 0] > right[between_eyes, 0], "positive yaw looks to the right of the image"
    up = mesh_of(Pose(0, 30, 0))
    level = mesh_of(Pose(0, 0, 0))
    assert up[nose, 1] - up[between_eyes, 1] < level[nose, 1] - level[between_eyes, 1], "positive pitch looks up"
    tilted = mesh_of(Pose(0, 0, 30))
    assert tilted[forehead, 0] < tilted[nose, 0] - 10, "positive roll tilts the head to the left of the image"


@settings(deadline=None, max_examples=40)
@given(st.floats(-50, 50), st.floats(-40, 40), st.floats(-60, 60), st.floats(-60, 60))
def test_turning_the_photo_changes_roll_alone(yaw: float, pitch: float, roll: float, turn: float) -> None:
    mesh = mesh_of(Pose(yaw, pitch, roll), noise=2.0)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    turned = mesh.copy()
    turned[:, :2] = mesh[:, :2] @ np.array([[cos, -sin], [sin, cos]])  # anticlockwise on the screen (y is down)
    before, after = P.pose(mesh), P.pose(turned)
    assert after.yaw_degrees == pytest.approx(before.yaw_degrees, abs=1e-6)
    assert after.pitch_degrees == pytest.approx(before.pitch_degrees, abs=1e-6)
    assert after.roll_degrees - before.roll_degrees == pytest.approx(turn, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.floats(-60, 60), st.floats(-40, 40), st.floats(-60, 60))
def test_mirroring_the_photo_turns_yaw_and_roll_about(yaw: float, pitch: float, roll: float) -> None:
    mesh = mesh_of(Pose(yaw, pitch, roll), noise=2.0)
    mirrored = (mesh * [-1, 1, 1])[P.mean_shape().mirror]
    before, after = P.pose(mesh), P.pose(mirrored)
    assert (after.yaw_degrees, after.roll_degrees) == pytest.approx(
        (-before.yaw_degrees, -before.roll_degrees), abs=1e-5
    )
    assert after.pitch_degrees == pytest.approx(before.pitch_degrees, abs=1e-5)


def test_the_mean_shape_is_symmetric_centred_and_of_unit_size() -> None:
    shape = P.mean_shape()
    assert (shape.mirror[shape.mirror] == np.arange(468)).all()
    assert shape.mirror[33] == 263
    assert shape.mirror[61] == 291
    assert (shape.mirror == np.arange(468)).sum() == 28  # the middle line
    assert np.abs(shape.points - (shape.points * [-1, 1, 1])[shape.mirror]).max() < 1e-5
    share = shape.weights[:, None] / shape.weights.sum()
    assert np.abs((share * shape.points).sum(0)).max() < 1e-4
    assert (share * shape.points**2).sum() == pytest.approx(1, abs=1e-4)
    lips = [0, 17, 61, 291, 13, 14]
    rigid = [168, 6, 133, 362, 117, 346]
    assert shape.weights[lips].max() < shape.weights[rigid].min(), "lips must count less than the nose bridge"


def test_a_mean_shape_is_found_again_from_posed_faces() -> None:
    """Faces made from a known shape: the fit returns it, whatever their poses, sizes and places."""
    rng = np.random.default_rng(4)
    heads = [Pose(*rng.uniform([-40, -20, -20], [40, 20, 20])) for _ in range(60)]
    heads += [Pose(-h.yaw_degrees, -h.pitch_degrees, -h.roll_degrees) for h in heads]
    made = np.array([mesh_of(h, scale=rng.uniform(20, 80)) for h in heads])
    made += rng.normal(0, 0.3, made.shape)
    found = fit_mean_shape(made, rounds=5)
    assert (found.mirror == P.mean_shape().mirror).all()
    angles = [P.pose_of_rotation(P.kabsch(found.points, m * P.CAMERA_AXES, found.weights)[0]) for m in made]
    errors = [
        abs(a.yaw_degrees - h.yaw_degrees) + abs(a.roll_degrees - h.roll_degrees)
        for a, h in zip(angles, heads, strict=True)
    ]
    assert max(errors) < 1.5
    assert abs(np.median([a.pitch_degrees for a in angles])) < 0.5


@pytest.mark.parametrize("points", [np.zeros((468, 3)), np.full((468, 3), np.nan), np.zeros((10, 3))])
def test_points_that_span_no_face_are_refused(points: np.ndarray) -> None:
    with pytest.raises(PhotoError, match="do not span a face"):
        P.pose(points)


@pytest.mark.shared
@pytest.mark.models
def test_real_photos_turned_and_mirrored(shared_data: Path, models_cache: Path) -> None:
    """On photos: turning adds to roll and leaves yaw and pitch, mirroring negates yaw and roll."""
    from mien.faces.find import FaceFinder, central_index

    finder = FaceFinder.load()
    paths = sorted((shared_data / "lfw" / "lfw-deepfunneled").glob("*/*_0001.jpg"))[::150][:30]
    photos = [read_photo(path) for path in paths]
    turn = cv2.getRotationMatrix2D((124.5, 124.5), 20, 1)  # anticlockwise
    turned = [cv2.warpAffine(p, turn, (250, 250), borderMode=cv2.BORDER_REFLECT_101) for p in photos]
    mirrored = [np.ascontiguousarray(p[:, ::-1]) for p in photos]
    angles = []
    for group in (photos, turned, mirrored):
        every = zip(finder.faces(group), group, strict=True)
        found = [P.pose(faces[central_index(faces, photo) or 0].mesh) for faces, photo in every]
        assert len(found) == len(photos)
        angles.append(np.array([[f.yaw_degrees, f.pitch_degrees, f.roll_degrees] for f in found]))
    still, turned_angles, mirrored_angles = angles
    assert still[:, 0].std() > 6, "these photos show no turned heads"
    error = turned_angles - still - [0, 0, 20]
    assert np.abs(error.mean(0)).max() < 1.0
    assert error.std(0).max() < 2.5
    error = mirrored_angles - still * [-1, 1, -1]
    assert np.abs(error.mean(0)).max() < 1.5
    assert error.std(0).max() < 2.5
    assert np.corrcoef(mirrored_angles[:, 0], -still[:, 0])[0, 1] > 0.97
