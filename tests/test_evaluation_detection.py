"""The seven cascades: all of them load, find real faces, find none in noise, and say so when one is damaged."""

from __future__ import annotations

from importlib.resources import files

import cv2
import numpy as np
import pytest

from mien.core.errors import TooFewError, WeightsError
from mien.core.photos import read_photo
from mien.evaluation import detection


def test_all_seven_cascades_of_the_paper_load():
    cascades = detection.load_cascades()
    assert sorted(cascades) == [
        "haarcascade_eye_tree_eyeglasses",
        "haarcascade_frontalface_alt",
        "haarcascade_frontalface_alt2",
        "haarcascade_frontalface_alt_tree",
        "haarcascade_frontalface_default",
        "haarcascade_smile",
        "lbpcascade_frontalface",
    ]
    assert not any(cascade.empty() for cascade in cascades.values())


def test_a_cascade_that_opencv_would_load_empty_is_refused():
    text = files("mien.evaluation").joinpath("assets", "lbpcascade_frontalface.xml").read_text()
    damaged = text.replace("featureParams", "featuhreParams")
    assert damaged != text
    with pytest.raises(WeightsError, match="lbpcascade_frontalface"):
        detection.read_cascade(damaged, "lbpcascade_frontalface")
    with pytest.raises(WeightsError, match="nothing"):
        detection.read_cascade("", "nothing")


def test_flat_grey_and_noise_hold_no_face_and_the_name_says_the_protocol():
    random = np.random.default_rng(0)
    flat = np.full((6, 64, 64, 3), 127, np.uint8)
    assert not detection.detects(flat, workers=1).any()
    noise = random.integers(0, 256, (40, 128, 128, 3)).astype(np.uint8)
    assert detection.detection_rate(noise, workers=2).value < 0.2
    assert detection.rate_name(600) == "detection_7cascades-any_64px_hit32-64_scale1.1_neighbours3_n600"
    with pytest.raises(TooFewError):
        detection.detection_rate(np.zeros((0, 64, 64, 3), np.uint8))


def test_opencvs_thread_count_is_left_as_it_was():
    before = cv2.getNumThreads()
    detection.detects(np.zeros((2, 64, 64, 3), np.uint8), workers=2)
    assert cv2.getNumThreads() == before


@pytest.mark.shared
def test_real_faces_are_found_at_the_measured_rate(shared_data):
    paths = sorted((shared_data / "lfw" / "lfw-deepfunneled").glob("*/*_0001.jpg"))[::40][:120]
    photos = np.stack([read_photo(path)[65:186, 77:198] for path in paths])
    seen = []
    found = detection.detects(photos, progress=seen.append)
    assert 0.88 < found.mean() <= 1.0  # 94.7 % of 600 such crops
    assert sum(seen) == len(photos)
    np.testing.assert_array_equal(found, detection.detects(photos, workers=1))  # order and threads change nothing
