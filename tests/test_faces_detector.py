"""The detector: arithmetic of boxes without the network, and real photos with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core import images
from mien.core.images import to_photos
from mien.core.photos import read_photo
from mien.core.records import Box, Detection, Face
from mien.faces import align, detector
from mien.faces.find import FaceFinder, central_index
from mien.pipelines.imagine import crop_of
from mien.pipelines.portrait_model import PortraitPipeline

UTKFACE_WITHOUT_A_FACE = "28_0_1_20170117020012900.jpg.chip.jpg"  # blue cloth


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder.load()


def row(x0: float, y0: float, x1: float, y1: float, score: float, mark: float = 0.0) -> np.ndarray:
    return np.array([x0, y0, x1, y1, *[mark] * 12, score])


def test_anchors_are_the_published_grid() -> None:
    assert detector.ANCHORS.shape == (896, 2)
    assert detector.ANCHORS[0] == pytest.approx([0.5 / 16, 0.5 / 16])
    assert detector.ANCHORS[2] == pytest.approx([1.5 / 16, 0.5 / 16])  # x runs first, two a cell
    assert detector.ANCHORS[512] == pytest.approx([0.5 / 8, 0.5 / 8])
    assert detector.ANCHORS[-1] == pytest.approx([7.5 / 8, 7.5 / 8])


def test_merging_takes_the_mean_by_score_and_keeps_the_best_score() -> None:
    rows = np.stack([row(0, 0, 10, 10, 0.9, 1.0), row(2, 0, 12, 10, 0.6, 4.0), row(50, 50, 60, 60, 0.7, 9.0)])
    merged = detector.merge(rows[[2, 1, 0]])
    assert merged.shape == (2, 17)
    assert merged[0] == pytest.approx(row(0.8, 0, 10.8, 10, 0.9, 2.2))
    assert merged[1] == pytest.approx(rows[2])
    assert detector.merge(np.zeros((0, 17))).shape == (0, 17)


def test_overlap_of_boxes() -> None:
    union, smaller = detector.intersection(row(0, 0, 10, 10, 1), np.stack([row(5, 0, 15, 10, 1), row(2, 2, 4, 4, 1)]))
    assert union == pytest.approx([50 / 150, 4 / 100])
    assert smaller == pytest.approx([0.5, 1.0])


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([0.0, 0.1]))
def test_what_the_network_would_say_lands_where_it_was_seen(height: int, width: int, padding: float) -> None:
    """A square drawn in a photo of any shape is found in the letterbox at the place that decoding turns back."""
    frame = detector._whole(np.zeros((height, width, 3), np.uint8), padding)
    photo = np.full((height, width, 3), 255, np.uint8)
    shown = detector._letterbox(photo, frame)
    assert shown.shape == (128, 128, 3)
    ys, xs = np.nonzero(shown[..., 0])
    # Values that say: the box is exactly what is white in the input, key points at its corner.
    centre = np.array([xs.min() + xs.max() + 1, ys.min() + ys.max() + 1]) / 2
    size = np.array([np.ptp(xs) + 1, np.ptp(ys) + 1])
    anchor = np.array([[0.25, 0.75]])
    corner = np.array([xs.min(), ys.min()])
    values = np.concatenate([centre - anchor[0] * 128, size, *[corner - anchor[0] * 128] * 6])[None]
    decoded = detector._decode(values, np.array([0.8]), anchor, frame)[0]
    one = max(height, width) * (1 + 2 * padding) / 128  # a pixel of the input, in pixels of the photo
    assert decoded[:4] == pytest.approx([-0.5, -0.5, width - 0.5, height - 0.5], abs=1.01 * one)
    assert decoded[4:6] == pytest.approx([-0.5, -0.5], abs=1.01 * one)
    assert decoded[16] == 0.8


@settings(deadline=None, max_examples=80)
@given(st.integers(130, 3000), st.integers(130, 3000), st.floats(0, 1), st.floats(0, 1), st.floats(0.3, 0.99))
def test_tiles_hold_every_face_up_to_a_third_of_them_whole(
    height: int, width: int, x: float, y: float, share: float
) -> None:
    for part in detector.TILE_SIDES:
        tiles = [t for t in detector.tiles(height, width) if abs(t[2] - part * max(height, width)) < 1e-6]
        face = min(share * tiles[0][2] / 3, height, width)
        left, top = x * (width - face), y * (height - face)
        assert any(
            tx <= left + 1e-6 and ty <= top + 1e-6 and left + face <= tx + s + 1e-6 and top + face <= ty + s + 1e-6
            for tx, ty, s in tiles
        )
    assert len(detector.tiles(height, width)) <= 46


def test_the_central_face_is_the_one_meant() -> None:
    photo = np.zeros((250, 250, 3), np.uint8)
    points = np.zeros((6, 2), np.float32)
    middle, corner, tiny = (
        Detection(Box(*box), points, 0.9) for box in ((80, 70, 170, 160), (150, 0, 250, 100), (128, 120, 134, 126))
    )
    assert central_index([corner, middle], photo) == 1
    assert central_index([middle, tiny, corner], photo) == 0
    assert central_index([], photo) is None


@pytest.mark.parametrize("shape", [(3, 3), (1, 1), (1, 500), (500, 1), (40, 3000)])
def test_photos_too_small_or_thin_for_a_face_have_none(finder: FaceFinder, shape: tuple[int, int]) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert finder.faces([photo]) == [[]]
    assert finder.faces([photo], thorough=True) == [[]]


def test_no_photos_and_plain_photos(finder: FaceFinder) -> None:
    assert finder.faces([]) == []
    plain = [np.full((200, 300, 3), value, np.uint8) for value in (0, 128, 255)]
    assert finder.faces(plain, thorough=True) == [[], [], []]


@pytest.mark.shared
@pytest.mark.parametrize("source", ["lfw/lfw-deepfunneled/*/*.jpg", "utkface/UTKFace/*.jpg"])
def test_300_of_300_photos_show_a_face(shared_data: Path, finder: FaceFinder, source: str) -> None:
    paths = sorted(shared_data.glob(source))
    paths = [path for path in paths if path.name != UTKFACE_WITHOUT_A_FACE]
    photos = [read_photo(path) for path in paths[:: len(paths) // 300][:300]]
    found = detector.detect(finder.blazeface, photos)
    assert sum(map(bool, found)) == 300
    for photo, faces in zip(photos, found, strict=True):
        areas = [face.box.width * face.box.height for face in faces]
        assert areas == sorted(areas, reverse=True)
        for face in faces:
            assert face.keypoints.shape == (6, 2)
            assert face.keypoints[0, 0] < face.keypoints[1, 0] or abs(face.keypoints[0, 1] - face.keypoints[1, 1]) > 5
            assert 0.5 <= face.score <= 1
        assert faces[central_index(faces, photo) or 0].box.width > 0.2 * photo.shape[1]


@pytest.mark.shared
def test_a_photo_without_a_face_has_none(shared_data: Path, finder: FaceFinder) -> None:
    cloth = read_photo(shared_data / "utkface" / "UTKFace" / UTKFACE_WITHOUT_A_FACE)
    assert finder.faces([cloth]) == [[]]
    assert finder.faces([cloth], thorough=True) == [[]]


@pytest.mark.shared
def test_the_batch_does_not_change_a_photo(shared_data: Path, finder: FaceFinder) -> None:
    """Bit for bit: a prepared dataset has the same bytes however its photos were dealt out to processes."""
    paths = sorted((shared_data / "lfw" / "lfw-deepfunneled").glob("*/*_0001.jpg"))[::300][:11]
    photos = [read_photo(path) for path in paths]
    photos[3] = photos[3][:200, 20:230]  # another size in between
    for photo, faces in zip(photos, finder.faces(photos), strict=True):
        (alone,) = finder.faces([photo])
        assert len(alone) == len(faces) > 0
        for one, other in zip(alone, faces, strict=True):
            assert np.array_equal(one.mesh, other.mesh)
            assert np.array_equal(one.detection.keypoints, other.detection.keypoints)


@pytest.mark.shared
def test_groups_far_faces_and_grey_photos(shared_data: Path, finder: FaceFinder) -> None:
    """How many people are on each photo, counted by eye; the far ones need the thorough look."""
    people = {"andreea-pop": 4, "jessica-wilson": 4, "toa-heftiba": 2, "panitan-punpuang": 2, "brooke-cagle": 1,
              "isaiah-mcclean": 1, "joel-mott": 1}  # fmt: skip
    photos = [read_photo(next((shared_data / "photos").glob(f"{name}*"))) for name in people]
    found = finder.faces(photos, thorough=True)
    assert [len(faces) for faces in found] == list(people.values())
    assert all(face.presence > 0.9 for faces in found for face in faces)
    quick = finder.faces(photos)
    assert sum(map(len, quick)) < sum(map(len, found)), "these photos do not need the thorough look"
    luma = np.repeat(images.grey(photos[0])[..., None], 3, 2)
    assert len(finder.faces([luma], thorough=True)[0]) == 4


@pytest.mark.shared
@pytest.mark.parametrize("name", ["jessica-wilson", "panitan-punpuang", "brooke-cagle", "isaiah-mcclean", "joel-mott"])
def test_imagine_begins_with_the_face_that_portrait_finds(shared_data: Path, finder: FaceFinder, name: str) -> None:
    """`--like` and `--photo` looked at the whole photo only, and said "no face" where `portrait` found one."""
    path = next((shared_data / "photos").glob(f"{name}*"))
    photo = read_photo(path)
    face = finder.largest(photo)
    maker = PortraitPipeline(cast("Any", None), cast("Any", None), finder)
    assert face is not None
    assert np.array_equal(maker.faces(photo, largest=True)[0].mesh, face.mesh)
    crop = to_photos(crop_of(path))[0]
    assert np.array_equal(crop, align.warp(photo, align.crop_transform(face.mesh, 256), 256))


def test_a_photo_in_whose_whole_no_face_shows_is_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    far = Face(Detection(Box(0, 0, 9, 9), np.zeros((6, 2), np.float32), 0.9), np.zeros((468, 3), np.float32), 0.9)
    asked = []

    def faces(self: FaceFinder, photos: list[np.ndarray], thorough: bool = False) -> list[list[Face]]:
        asked.append(thorough)
        return [[far] if thorough else []]

    monkeypatch.setattr(FaceFinder, "faces", faces)
    found = FaceFinder(cast("Any", None), cast("Any", None)).largest(np.zeros((9, 9, 3), np.uint8))
    assert found is far
    assert asked == [False, True]


@pytest.mark.shared
def test_faces_of_few_pixels_are_found_down_to_a_size_and_then_said_to_be_none(
    shared_data: Path, finder: FaceFinder
) -> None:
    photo = read_photo(next((shared_data / "lfw" / "lfw-deepfunneled").glob("Aaron_Peirsol/*_0001.jpg")))
    for side, faces in ((250, 1), (64, 1), (32, 1), (8, 0), (3, 0)):  # the face is 0.4 of the side
        small = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
        assert len(finder.faces([small])[0]) == faces, side
