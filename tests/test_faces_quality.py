"""How well a face can be seen: each figure moves with what it measures and with nothing else."""

from __future__ import annotations

from dataclasses import astuple, replace

import cv2
import numpy as np
import pytest
from describe_fakes import GOOD, STRAIGHT, face_at, textured
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core.errors import PhotoError
from mien.core.records import Face, Pose
from mien.faces.quality import MEANING, PROFILE_YAW_DEGREES, measure, mesh_box, remarks

FACE = face_at(200, 200, 150)
PHOTO = textured(400, 400)


def test_a_face_that_is_seen_well_has_no_remark() -> None:
    found = measure(PHOTO, FACE)
    assert remarks(found, STRAIGHT) == ()
    assert found.size_px == pytest.approx(151, abs=1)  # pixels from edge to edge
    assert (found.score, found.presence, found.outside) == (pytest.approx(0.95), 1.0, 0.0)


def test_sharpness_falls_with_blur_and_not_with_light() -> None:
    blurred = [measure(cv2.GaussianBlur(PHOTO, (0, 0), s), FACE).sharpness for s in (0.8, 1.6, 3.2, 6.4)]
    sharp = measure(PHOTO, FACE).sharpness
    assert [sharp, *blurred] == sorted([sharp, *blurred], reverse=True)
    assert len({round(value, 2) for value in [sharp, *blurred]}) == 5
    assert "blurred" in remarks(measure(cv2.GaussianBlur(PHOTO, (0, 0), 6.4), FACE), STRAIGHT)
    darker = (PHOTO // 2 + 20).astype(np.uint8)
    assert measure(darker, FACE).sharpness == pytest.approx(sharp, abs=0.02)
    assert measure(np.full_like(PHOTO, 90), FACE).sharpness == 0.0


def test_what_lies_around_the_face_does_not_count() -> None:
    box = mesh_box(FACE)
    framed = np.zeros_like(PHOTO)
    cut = slice(int(box.y0) - 9, int(box.y1) + 9), slice(int(box.x0) - 9, int(box.x1) + 9)
    framed[cut] = PHOTO[cut]
    for inside, before in zip(astuple(measure(framed, FACE)), astuple(measure(PHOTO, FACE)), strict=True):
        assert inside == pytest.approx(before, abs=0.01)


@pytest.mark.parametrize(
    ("low", "high", "word"), [(5, 60, "dark"), (120, 145, "flat"), (150, 400, "overexposed"), (60, 190, None)]
)
def test_light(low: int, high: int, word: str | None) -> None:
    photo = np.clip(textured(400, 400, low=0, high=255) / 255.0 * (high - low) + low, 0, 255).astype(np.uint8)
    assert remarks(measure(photo, FACE), STRAIGHT) == ((word,) if word else ())


def test_a_dark_skin_in_good_light_is_not_dark() -> None:
    skin = textured(400, 400, low=20, high=90)
    skin[::7, ::7] = 130  # a twentieth shines
    cv2.circle(skin, (200, 190), 30, (125, 110, 100), -1)
    assert "dark" not in remarks(measure(skin, FACE), STRAIGHT)


def test_grey_is_seen_in_the_face_itself() -> None:
    grey = np.repeat(PHOTO[..., :1], 3, 2)
    assert remarks(measure(grey, FACE), STRAIGHT) == ("grey",)
    assert not measure(PHOTO, FACE).grey


@pytest.mark.parametrize(("x", "share"), [(200, 0.0), (0, 0.5), (400, 0.5), (-20, 0.65)])
def test_how_much_of_the_face_lies_outside(x: float, share: float) -> None:
    found = measure(PHOTO, face_at(x, 200, 150))
    assert found.outside == pytest.approx(share, abs=0.06)
    assert ("cut off" in remarks(found, STRAIGHT)) == (share > 0)


@pytest.mark.parametrize(
    ("changed", "pose", "word"),
    [
        ({"size_px": 30.0}, STRAIGHT, "small"),
        ({"sharpness": 0.2}, STRAIGHT, "blurred"),
        ({"highlights": 0.2}, STRAIGHT, "dark"),
        ({"burnt_out": 0.2}, STRAIGHT, "overexposed"),
        ({"contrast": 0.1}, STRAIGHT, "flat"),
        ({}, Pose(-PROFILE_YAW_DEGREES, 0, 0), "profile"),
        ({}, Pose(0, -31, 0), "tilted"),
        ({"outside": 0.2}, STRAIGHT, "cut off"),
        ({"grey": True}, STRAIGHT, "grey"),
        ({"score": 0.5}, STRAIGHT, "unsure"),
        ({"presence": 0.6}, STRAIGHT, "unsure"),
        ({}, Pose(30, 20, 170), None),  # turned round in the photo: no fault of the picture
    ],
)
def test_each_remark_has_its_own_cause(changed: dict[str, float], pose: Pose, word: str | None) -> None:
    assert remarks(replace(GOOD, **changed), pose) == ((word,) if word else ())
    assert word is None or MEANING[word]


@settings(max_examples=40)
@given(
    seed=st.integers(0, 5), x=st.floats(-60, 260), y=st.floats(-60, 260), size=st.floats(3, 300),
    yaw=st.floats(-60, 60), roll=st.floats(-180, 180),
)  # fmt: skip
def test_every_figure_is_in_its_range(seed: int, x: float, y: float, size: float, yaw: float, roll: float) -> None:
    found = measure(textured(200, 200, seed), face_at(x, y, size, Pose(yaw, 0, roll)))
    values = [value for value in astuple(found) if not isinstance(value, bool)]
    assert np.isfinite(values).all()
    assert all(0 <= value <= 1 for value in values[1:])
    assert values[0] >= size * 0.5
    assert set(remarks(found, STRAIGHT)) <= set(MEANING)


def test_a_collapsed_mesh_is_refused() -> None:
    flat = Face(FACE.detection, np.zeros((468, 3), np.float32), 1.0)
    with pytest.raises(PhotoError, match="do not span a face"):
        measure(PHOTO, flat)
