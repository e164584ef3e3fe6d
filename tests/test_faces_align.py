"""The crop convention: where eyes land, what does not change it, and that pixels are resampled honestly."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from crop_picture import draw_convention
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core.errors import PhotoError
from mien.faces import align
from mien.faces.pose import CAMERA_AXES, mean_shape


def face_at(x: float, y: float, size: float, degrees: float) -> np.ndarray:
    """The mean face in photo pixels: centred at x, y, ``size`` pixels per unit, turned clockwise by ``degrees``."""
    points = (mean_shape().points * CAMERA_AXES)[:, :2] * size
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[cos, sin], [-sin, cos]]) + [x, y]


def test_the_mean_face_takes_as_much_of_the_crop_as_the_docs_say_beside_the_thesiss_loose_crop() -> None:
    points = face_at(150, 120, 40, 25)
    wide, high = np.ptp(align.apply(align.crop_transform(points, 1000), points), axis=0) / 1000
    said = f"a mean face {wide:.2f} of its side wide and {high:.2f} high"
    assert said in (Path(__file__).parents[1] / "docs" / "papers.md").read_text().replace("\n", " ")


def test_eyes_and_mouth_land_where_the_convention_says() -> None:
    points = face_at(150, 120, 40, 25)
    placed = align.apply(align.crop_transform(points, 256), points)
    left, right = placed[align.EYE_LEFT_OUTER], placed[align.EYE_RIGHT_OUTER]
    mouth = (placed[align.MOUTH_LEFT] + placed[align.MOUTH_RIGHT]) / 2
    assert (left + right) / 2 == pytest.approx([0.50 * 256 - 0.5, 0.42 * 256 - 0.5])
    assert left[1] == pytest.approx(right[1])
    assert left[0] < right[0], "the crop is reflected"
    # The mean of the two scales is 1 by definition of the face unit.
    by_eyes = (right[0] - left[0]) / (0.36 * 256)
    by_mouth = np.hypot(*(mouth - (left + right) / 2)) / (0.36 * 0.72 * 256)
    assert (by_eyes + by_mouth) / 2 == pytest.approx(1)
    assert by_eyes == pytest.approx(1, abs=0.03)


@settings(deadline=None, max_examples=60)
@given(
    st.floats(-180, 180),
    st.floats(0.02, 30),
    st.floats(-900, 900),
    st.floats(-900, 900),
    st.sampled_from([64, 128, 251]),
)
def test_the_same_face_gives_the_same_crop_wherever_it_lies(
    degrees: float, scale: float, dx: float, dy: float, size: int
) -> None:
    points = face_at(100, 100, 30, 0) + np.random.default_rng(0).normal(0, 2, (468, 2))
    cos, sin = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    moved = points @ np.array([[cos, sin], [-sin, cos]]) + [dx, dy]
    still = align.apply(align.crop_transform(points, size), points)
    again = align.apply(align.crop_transform(moved, size), moved)
    assert again == pytest.approx(still, abs=1e-6 * size)


@settings(deadline=None, max_examples=30)
@given(st.floats(-40, 40), st.integers(1, 4))
def test_sizes_frame_the_same_square(degrees: float, times: int) -> None:
    points = face_at(80, 90, 25, degrees)
    small, large = align.crop_transform(points, 64), align.crop_transform(points, 64 * times)
    place = np.array([[10.0, 20.0], [99.0, 3.0]])
    assert (align.apply(large, place) + 0.5) / times == pytest.approx(align.apply(small, place) + 0.5)


def test_a_mirrored_photo_gives_the_mirrored_crop() -> None:
    points = face_at(70, 80, 22, 13)
    mirrored = points[mean_shape().mirror] * [-1, 1] + [199, 0]
    placed = align.apply(align.crop_transform(points, 128), points)
    other = align.apply(align.crop_transform(mirrored, 128), mirrored)
    assert other[mean_shape().mirror] == pytest.approx(placed * [-1, 1] + [127, 0])


@pytest.mark.parametrize("points", [np.zeros((468, 2)), np.full((468, 3), np.nan)])
def test_points_that_span_no_face_are_refused(points: np.ndarray) -> None:
    with pytest.raises(PhotoError, match="do not span a face") as caught:
        align.crop_transform(points, 128)
    assert caught.value.reason == "bad_landmarks"


def shrink(factor: int, size: int) -> np.ndarray:
    """The transform that shrinks by a whole factor, pixel edges onto pixel edges."""
    return np.array([[1 / factor, 0, 0.5 / factor - 0.5], [0, 1 / factor, 0.5 / factor - 0.5]])


@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_shrinking_is_the_area_average(factor: int) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (20 * factor, 20 * factor, 3), np.uint8)
    crop = align.warp(photo, shrink(factor, 20), 20)
    mean = photo.reshape(20, factor, 20, factor, 3).mean((1, 3))
    assert np.abs(crop.astype(float) - mean).max() <= 1.0


def test_nothing_aliases_when_a_turned_crop_shrinks() -> None:
    """Stripes of one pixel, shrunk by 4.3 and turned: every crop pixel must be about grey."""
    photo = np.zeros((900, 900, 3), np.uint8)
    photo[:, ::2] = 255
    crop = align.warp(photo, align.crop_transform(face_at(450, 400, 80, 8), 64), 64)[8:-8, 8:-8]
    assert align.face_unit(face_at(450, 400, 80, 8)) / 64 > 3
    assert np.abs(crop.astype(float) - 127.5).max() < 20
    plain = cv2.warpAffine(photo, align.crop_transform(face_at(450, 400, 80, 8), 64), (64, 64))[8:-8, 8:-8]
    assert np.abs(plain.astype(float) - 127.5).max() > 60, "the stripes would not have shown aliasing"


def test_growing_keeps_a_ramp_and_pixel_centres() -> None:
    photo = np.repeat(np.arange(0, 250, 5, dtype=np.uint8)[None, :, None], 50, 0).repeat(3, 2)  # value 5 x at pixel x
    grow = np.array([[3.0, 0, 1.0], [0, 3.0, 1.0]])  # centre of pixel 0 -> centre of the first three
    crop = align.warp(photo, grow, 150)
    x = (np.arange(150) - 1.0) / 3
    assert np.abs(crop[75, 3:147, 0] - 5 * x[3:147]).max() < 1


def test_the_border_is_mirrored_without_repeating_the_edge() -> None:
    photo = np.random.default_rng(2).integers(0, 256, (30, 30, 3), np.uint8)
    crop = align.warp(photo, np.array([[1.0, 0, 10], [0, 1.0, 10]]), 50)
    assert (crop == np.pad(photo, ((10, 10), (10, 10), (0, 0)), mode="reflect")).all()


def test_the_valid_mask_is_where_the_photo_reaches() -> None:
    transform = align.crop_transform(face_at(20, 40, 25, 20), 96)
    mask = align.valid_mask(transform, 80, 60, 96)
    white = cv2.warpAffine(np.full((80, 60), 255, np.uint8), transform, (96, 96), flags=cv2.INTER_NEAREST)
    assert mask.shape == (96, 96)
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert np.mean((white > 127) != (mask > 0.5)) < 0.01  # they may differ on the very edge


@pytest.mark.parametrize("border", [cv2.BORDER_REFLECT_101, cv2.BORDER_REPLICATE])
@pytest.mark.parametrize("shape", [(90, 400), (400, 90), (30, 25), (2, 3)])
def test_the_border_is_the_one_that_opencv_would_lay_on(border: int, shape: tuple[int, int]) -> None:
    photo = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
    for x, y, degrees in ((5, 10, 0), (60, 40, 17), (20, 45, -100), (shape[1] + 3, shape[0] + 8, 170), (-8, -3, 45)):
        transform = align.crop_transform(face_at(x, y, 6, degrees), 64)  # grows: one bilinear sample a pixel
        plain = cv2.warpAffine(photo, transform, (64, 64), flags=cv2.INTER_LINEAR, borderMode=border)
        assert np.abs(align.warp(photo, transform, 64, border=border).astype(int) - plain).max() <= 16  # 1/32 px
        assert np.abs(align.warp(photo, transform, 64, border=border).astype(int) - plain).mean() < 1.5


def test_a_photo_longer_than_opencv_counts() -> None:
    photo = np.zeros((60, 40_000, 3), np.uint8)
    photo[:, 35_000:] = 255
    crop = align.warp(photo, align.crop_transform(face_at(35_000, 30, 10, 0), 64), 64)
    assert crop[:, :28].max() == 0
    assert crop[:, 36:].min() == 255


@pytest.mark.parametrize("size", [96, 128, 256])
def test_the_encoder_window_puts_the_eyes_where_the_encoder_expects_them(size: int) -> None:
    grid = np.arange(size)
    for sign in (-1, 1):
        x, y = (0.5 + sign * 0.18) * size - 0.5, 0.42 * size - 0.5
        blob = np.exp(-((grid[None] - x) ** 2 + (grid[:, None] - y) ** 2) / (2 * (0.02 * size) ** 2))
        seen = align.encoder_window(torch.tensor(blob, dtype=torch.float32).expand(1, 3, size, size))[0, 0].numpy()
        assert seen.shape == (160, 160)
        centre = (seen.sum(0) @ np.arange(160) / seen.sum(), seen.sum(1) @ np.arange(160) / seen.sum())
        assert centre == pytest.approx(((0.5 + sign * 0.215) * 160 - 0.5, 0.40 * 160 - 0.5), abs=0.05)


def test_a_window_asked_for_without_gradients_first_gives_them_later() -> None:
    with torch.inference_mode():
        align.window(torch.zeros(1, 3, 50, 50), 0.123, 0.0, 0.5, 31)
    crops = torch.rand(1, 3, 50, 50, requires_grad=True)
    (slope,) = torch.autograd.grad(align.window(crops, 0.123, 0.0, 0.5, 31).sum(), crops)
    assert float(slope.sum()) > 0


def test_the_encoder_window_keeps_flat_areas_and_gives_gradients_everywhere_inside() -> None:
    crops = torch.full((2, 3, 128, 128), 0.3, requires_grad=True)
    seen = align.encoder_window(crops)
    assert torch.allclose(seen, torch.full_like(seen, 0.3), atol=1e-6)
    (gradient,) = torch.autograd.grad(seen.sum(), crops)
    inside = gradient[0, 0, 12:117, 12:116]
    assert (inside > 0).all()
    assert inside.std() / inside.mean() < 0.25, "some pixels of the crop count far more than others"
    assert gradient[0, 0, :8].abs().max() == 0


def test_the_picture_of_the_documentation_is_the_one_that_is_drawn(checkout: object) -> None:
    from pathlib import Path

    from mien.core.photos import read_photo

    saved = read_photo(Path(str(checkout)) / "docs" / "pictures" / "crop-convention.png")
    drawn = draw_convention()
    assert saved.shape == drawn.shape == (640, 640, 3)
    assert np.mean(np.abs(saved.astype(int) - drawn) > 64) < 0.002  # anti-aliasing may differ between builds of OpenCV
