"""The classical frontaliser: a frontal face stays, a turned one comes to the front, the far side is the near one's."""

from __future__ import annotations

import numpy as np
import pytest

from mien.core.errors import PhotoError
from mien.core.records import Pose
from mien.core.seeding import stream
from mien.faces import align
from mien.faces.frontalise import frontal_mesh, frontalised, mirrored, seen
from mien.faces.pose import CAMERA_AXES, mean_shape, rotation_of_pose

SIZE = 96


def head(yaw_degrees: float) -> np.ndarray:
    """The mesh (468 3, px) of the mean face in its crop, turned."""
    turned = mean_shape().points @ rotation_of_pose(Pose(yaw_degrees, 0.0, 0.0)).T * CAMERA_AXES * SIZE
    transform = align.crop_transform(turned, SIZE)
    scale = np.hypot(*transform[:, 0])
    return np.concatenate([align.apply(transform, turned[:, :2]), turned[:, 2:] * scale], 1)


def picture() -> np.ndarray:
    """Soft noise, different left and right."""
    small = stream(0, "picture").integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return np.repeat(np.repeat(small, SIZE // 8, 0), SIZE // 8, 1)


def test_a_face_that_looks_ahead_stays_as_it_is() -> None:
    crop = picture()
    off = np.abs(frontalised(crop, head(0)).astype(int) - crop)
    assert off.mean() < 1.5
    assert (seen(frontal_mesh(SIZE), frontal_mesh(SIZE).points) == 1).all()


def test_what_lies_at_a_point_comes_to_its_place_in_the_mean_face() -> None:
    """Rows and columns as colours: the colour at the place of a point says where it came from."""
    y, x = np.mgrid[:SIZE, :SIZE]
    crop = np.stack([x, y, 0 * x], -1).astype(np.uint8)
    mesh, target = head(-20), frontal_mesh(SIZE)
    made = frontalised(crop, mesh)
    for point in (1, 61, 159, 386):  # the tip of the nose, a corner of the mouth, both upper lids
        column, row = np.round(target.points[point]).astype(int)
        assert np.abs(made[row, column, 1] - mesh[point, 1]) < 2
        if point in (1, 386):  # on the side that is seen
            assert np.abs(made[row, column, 0] - mesh[point, 0]) < 3


def test_the_far_side_is_the_mirrored_near_one() -> None:
    mesh = head(40)  # looks to the right of the image: its right side is hidden
    crop = np.full((SIZE, SIZE, 3), 60, np.uint8)
    middle = round(float(mesh[1, 0]))
    crop[:, middle:] = 220  # the far side in another colour
    made = frontalised(crop, mesh)
    left, right = (made[40:60, columns].mean() for columns in (slice(25, 35), slice(SIZE - 35, SIZE - 25)))
    assert left == pytest.approx(60, abs=8)
    assert right < 120  # 220 in the photo; the two are blended softly
    away = frontalised(crop, head(-40))  # now it is the side that is seen
    assert away[40:60, SIZE - 35 : SIZE - 25].mean() > 150


def test_a_mirrored_photo_gives_the_mirrored_picture() -> None:
    crop, mesh = picture(), head(30)
    flipped = np.concatenate([mirrored(mesh[:, :2], SIZE), mesh[:, 2:]], 1)[mean_shape().mirror]
    other = frontalised(np.ascontiguousarray(crop[:, ::-1]), flipped)[:, ::-1]
    assert np.abs(other.astype(int) - frontalised(crop, mesh)).mean() < 8  # triangles need not be symmetric


def test_points_that_span_no_face_are_refused() -> None:
    with pytest.raises(PhotoError, match="do not span a face"):
        frontalised(picture(), np.zeros((468, 3)))
