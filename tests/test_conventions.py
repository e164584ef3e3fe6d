"""Conventions of docs/conventions.md that no single room's tests prove."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core import records
from mien.core.images import resize
from mien.core.records import Pose
from mien.faces import align, pose

UNITS = ("px", "degrees", "seconds", "mib", "years")


def frontal_mesh(eye_distance_px: float = 90.0, at: tuple[float, float] = (300.0, 200.0)) -> np.ndarray:
    """The mean face looking into the camera, 468 3 in photo coordinates, eyes' midpoint at ``at``."""
    mesh = pose.mean_shape().points * pose.CAMERA_AXES
    eyes = mesh[[align.EYE_LEFT_OUTER, align.EYE_RIGHT_OUTER]]
    mesh = mesh * (eye_distance_px / np.linalg.norm(eyes[1] - eyes[0]))
    mesh[:, :2] += np.array(at) - mesh[[align.EYE_LEFT_OUTER, align.EYE_RIGHT_OUTER], :2].mean(0)
    return mesh


def turned(mesh: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return mesh[:, :2] @ rotation.T + np.array(shift)


def test_the_centre_of_the_top_left_pixel_is_the_origin() -> None:
    # A bright spot of one pixel at (x, y) is at the same share of the photo after the photo is halved by area.
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[20:22, 40:42] = 255  # centre: x = 40.5, y = 20.5
    half = resize(photo, 32, 32)
    assert half[10, 20].tolist() == [255, 255, 255]
    for place, index in ((40.5, 20), (20.5, 10)):
        assert (place + 0.5) / 64 == (index + 0.5) / 32
    # And the crop's transform says so too: half the size is half of (x + 0.5).
    mesh = frontal_mesh()
    large, small = align.crop_transform(mesh, 256), align.crop_transform(mesh, 128)
    points = np.array([[0.0, 0.0], [17.0, 3.0], [300.0, 200.0]])
    np.testing.assert_allclose((align.apply(large, points) + 0.5) / 2, align.apply(small, points) + 0.5, atol=1e-9)


def test_left_is_left_in_the_image() -> None:
    mesh = frontal_mesh()
    assert mesh[align.EYE_LEFT_OUTER, 0] < mesh[align.EYE_RIGHT_OUTER, 0]
    assert mesh[align.MOUTH_LEFT, 0] < mesh[align.MOUTH_RIGHT, 0]
    assert mesh[align.MOUTH_LEFT, 1] > mesh[align.EYE_LEFT_OUTER, 1]  # y down
    nose, ear = 4, 234
    assert mesh[nose, 2] < mesh[ear, 2]  # nearer is negative


@given(
    st.floats(-180, 180),
    st.floats(0.2, 8),
    st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
    st.sampled_from([64, 128, 256]),
)
def test_the_crop_puts_the_eyes_level_at_their_place(
    degrees: float, scale: float, shift: tuple[float, float], size: int
) -> None:
    mesh = turned(frontal_mesh(), degrees, scale, shift)
    transform = align.crop_transform(mesh, size)
    placed = (align.apply(transform, mesh) + 0.5) / size
    left, right = placed[align.EYE_LEFT_OUTER], placed[align.EYE_RIGHT_OUTER]
    np.testing.assert_allclose((left + right) / 2, [0.50, 0.42], atol=1e-6)
    assert abs(left[1] - right[1]) < 1e-6
    assert left[0] < right[0]
    assert np.linalg.det(transform[:, :2]) > 0  # no reflection
    mouth = placed[[align.MOUTH_LEFT, align.MOUTH_RIGHT]].mean(0)
    by_eyes = (right[0] - left[0]) / 0.36
    by_mouth = np.hypot(*(mouth - [0.50, 0.42])) / (0.36 * 0.72)
    assert (by_eyes + by_mouth) / 2 == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("head", "vertex", "axis", "sign"),
    [
        (Pose(20, 0, 0), "nose", 0, 1),  # the nose goes to the right of the image
        (Pose(0, 20, 0), "nose", 1, -1),  # the nose goes up
        (Pose(0, 0, 20), "forehead", 0, -1),  # the top of the head goes to the left
    ],
    ids=["yaw", "pitch", "roll"],
)
def test_pose_has_the_signs_of_the_page(head: Pose, vertex: str, axis: int, sign: int) -> None:
    shape = pose.mean_shape().points
    index = {"nose": 4, "forehead": 10}[vertex]
    photo = (shape @ pose.rotation_of_pose(head).T) * pose.CAMERA_AXES
    straight = shape * pose.CAMERA_AXES
    assert sign * (photo[index, axis] - straight[index, axis]) > 0.05 * np.ptp(straight[:, 0])
    assert dataclasses.astuple(pose.pose(photo)) == pytest.approx(dataclasses.astuple(head), abs=1e-4)


@given(st.floats(-80, 80), st.floats(-80, 80), st.floats(-170, 170), st.floats(0.1, 500))
def test_pose_comes_back_in_degrees(yaw: float, pitch: float, roll: float, scale: float) -> None:
    rotation = pose.rotation_of_pose(Pose(yaw, pitch, roll))
    mesh = scale * (pose.mean_shape().points @ rotation.T) * pose.CAMERA_AXES + [7.0, -3.0, 1.0]
    assert dataclasses.astuple(pose.pose(mesh)) == pytest.approx((yaw, pitch, roll), abs=1e-3)


def test_measures_of_records_name_their_unit() -> None:
    names = [field.name for record in (records.Pose, records.Labels) for field in dataclasses.fields(record)]
    assert {name for name in names if name.split("_")[0] in ("yaw", "pitch", "roll", "age")} == {
        "yaw_degrees", "pitch_degrees", "roll_degrees", "age_years",
    }  # fmt: skip
    assert all(name.split("_")[-1] in UNITS for name in names if "_" in name)


def test_a_manifest_has_a_line_a_face(
    tmp_path: Path, made_faces: Path, cli: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = cli("crowd", "--count", 3, "--sex", "female", "--age", "30-40", "--seed", 5, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out" / "manifest.jsonl").read_bytes().decode()
    rows = [json.loads(line) for line in text.splitlines()]
    assert text.endswith("}\n")
    assert [row["file"] for row in rows] == ["00000.png", "00001.png", "00002.png"]
    assert {"file", "seed", "model", "model_version", "sex", "age"} <= rows[0].keys()
    assert all(row["seed"] == 5 and row["sex"] == "female" and 30 <= row["age"] <= 40 for row in rows)
    assert all((tmp_path / "out" / row["file"]).is_file() for row in rows)
