"""Views of drawn photos: features, pictures and masks of one face, and loose photos shown as if cut tightly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from photos_stub import StubFinder, draw, job, write_photos
from torch import Tensor

from mien.core import images
from mien.core.errors import DatasetError
from mien.core.seeding import stream
from mien.datasets import prepare
from mien.datasets.batches import FaceDataset
from mien.datasets.features import Frames, features
from mien.datasets.views import decoder_views, epoch_places, view_batches
from mien.faces import align

SIZE = 32


class StubEncoder:
    """Features of a picture: its mean colour (3) at the tap that was asked for; counts the pictures that it saw."""

    name = "stub"
    input_size = 16

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: Tensor, taps: Any) -> dict[str, Tensor]:
        self.seen += len(images)
        return {name: images.float().mean((2, 3)) for name in taps}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(a dataset of the sources 'lfw' and 'utkface', a dataset of one source 'own'), of drawn photos."""
    folder = tmp_path_factory.mktemp("views")
    tight = [folder / "utkface" / f"{number:04d}.png" for number in range(24)]
    for number, path in enumerate(tight):  # a face that fills its photo, each at another place
        images.write_png(path, draw(100 + number, ((4 + number % 5, 6, 88 + number % 4, 90),)))
    for source, paths in (("lfw", write_photos(folder / "lfw", 24)), ("utkface", tight)):
        prepare.prepare(job(paths, source=source), folder / "both", load_finder=StubFinder)
    own = job(write_photos(folder / "own", 6, first_seed=500), source="own")
    prepare.prepare(own, folder / "alone", load_finder=StubFinder)
    return folder / "both", folder / "alone"


@pytest.fixture(scope="module")
def data(made: tuple[Path, Path]) -> FaceDataset:
    return FaceDataset.open(made[0])


def test_features_are_computed_once_and_in_the_order_asked(data: FaceDataset) -> None:
    encoder: Any = StubEncoder()
    rows = np.array([7, 2, 7, 30], np.int64)
    told: list[tuple[int, int]] = []
    found = features(data, encoder, rows, tap="mean", on_progress=lambda done, of: told.append((done, of)))
    assert (found.shape, found.dtype) == ((4, 3), np.float16)
    assert encoder.seen == 3
    assert told[-1] == (3, 3)
    assert np.array_equal(found[0], found[2])
    again = features(data, encoder, np.array([30, 2, 5], np.int64), tap="mean")
    assert encoder.seen == 4  # only row 5 was new
    assert np.array_equal(again[:2], found[[3, 1]])
    for row, values in zip(rows, found, strict=True):
        crop = torch.from_numpy(data.decoded(np.array([row]))).permute(0, 3, 1, 2).float() / 127.5 - 1
        window = align.encoder_window(crop, 16).mean((2, 3))[0]
        assert np.allclose(values, window.numpy(), atol=0.02)  # bf16


def test_loose_photos_are_seen_twice(data: FaceDataset) -> None:
    encoder: Any = StubEncoder()
    words: list[str] = []

    def told(word: str) -> Any:
        words.append(word)
        return lambda done, of: None

    views = decoder_views(data, encoder, "train", SIZE, on_stage=told)
    plain, loosely = data.rows("train"), data.rows("train", "lfw")
    assert len(views) == len(plain) + len(loosely)
    assert np.array_equal(views.rows, np.concatenate([plain, loosely]))
    assert views.tight.tolist() == [False] * len(plain) + [True] * len(loosely)
    assert views.features.shape == (len(views), 3)
    assert words == ["crops", "features", "features, cut tightly"]
    assert views.face(len(plain)).source == "lfw"


def test_pictures_of_plain_and_tight_views(data: FaceDataset) -> None:
    views = decoder_views(data, StubEncoder(), "train", SIZE)  # type: ignore[arg-type]
    pixels = data.pixels(SIZE)
    place = int(np.flatnonzero(views.tight)[0])
    row = int(views.rows[place])
    twin = int(np.flatnonzero(views.rows[: len(data.rows("train"))] == row)[0])

    shown, wanted, mask = views.pictures(twin, pixels)
    assert np.array_equal(shown, pixels[row])
    assert np.array_equal(wanted, pixels[row])
    assert np.array_equal(mask, data.mask(row, SIZE))

    shown, wanted, mask = views.pictures(place, pixels)
    assert np.array_equal(wanted, pixels[row][:, ::-1])
    assert np.array_equal(mask, data.mask(row, SIZE)[:, ::-1])
    assert not np.array_equal(shown, wanted)
    frame = data.rows("train", "utkface")
    known = {int(k): data.mask(int(k), SIZE) == 1 for k in frame}
    same = np.abs(shown.astype(int) - wanted).max(2) <= 1
    assert any(same[inside].mean() > 0.97 for inside in known.values())  # inside a tight photo's frame, the same face
    assert np.array_equal(views.shown(np.array([twin, place]))[1], shown)


def test_borders_of_views_are_those_of_their_pictures(data: FaceDataset) -> None:
    views = decoder_views(data, StubEncoder(), "train", SIZE)  # type: ignore[arg-type]
    pixels = data.pixels(SIZE)
    for place in (*np.flatnonzero(views.tight)[:3], *np.flatnonzero(~views.tight)[[0, 1, -1]]):
        shown, wanted, _ = views.pictures(int(place), pixels)
        shown_from, wanted_from = views.borders(int(place))
        again = cv2.remap(wanted, shown_from, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        assert np.abs(again.astype(int) - shown).mean() < 2.5  # a mirrored border is its own mirror image
        same = cv2.remap(wanted, wanted_from, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        assert np.abs(same.astype(int) - wanted).mean() < 2.5
        if views.tight[place]:
            assert np.abs(again.astype(int) - wanted).mean() > 2.5


def test_a_batch_is_of_one_view_each(data: FaceDataset) -> None:
    views = decoder_views(data, StubEncoder(), "train", SIZE)  # type: ignore[arg-type]
    batch_at = view_batches(views, 5, seed=3)
    batch = batch_at(2)
    assert batch["shown"].shape == batch["wanted"].shape == (5, SIZE, SIZE, 3)
    assert batch["mask"].shape == (5, 1, SIZE, SIZE)
    assert (batch["features"].shape, batch["features"].dtype) == ((5, 3), np.float32)
    assert batch["shared"] == {}
    again = batch_at(2)
    assert all(np.array_equal(batch[name], again[name]) for name in ("shown", "wanted", "mask", "features"))
    assert batch["shown_from"].shape == batch["wanted_from"].shape == (5, SIZE, SIZE, 2)
    whole = view_batches(views, 15, seed=3)(0)
    assert {picture.tobytes() for picture in batch["wanted"]} <= {picture.tobytes() for picture in whole["wanted"]}
    kinds = [views.order(int(place)) for place in epoch_places(len(views), 0, 15, 3)]
    assert len(set(kinds)) == 3
    pixels = data.pixels(SIZE)
    places = epoch_places(len(views), 0, 15, 3)[np.argsort(kinds, kind="stable")]
    expected = [views.pictures(int(place), pixels)[1] for place in places]  # tight ones first
    assert np.array_equal(whole["wanted"], np.stack(expected))
    again["shared"]["made"] = 1
    assert batch_at(2)["shared"] == {}
    epoch = view_batches(views, len(views), seed=3)(0)
    pictures = sorted(views.pictures(place, pixels)[0].tobytes() for place in range(len(views)))
    assert sorted(picture.tobytes() for picture in epoch["shown"]) == pictures  # every view once
    for shown, values in zip(epoch["shown"], epoch["features"], strict=True):
        places = [k for k in range(len(views)) if np.array_equal(views.pictures(k, pixels)[0], shown)]
        assert any(np.array_equal(views.features[k].astype(np.float32), values) for k in places)


def test_without_tightly_cut_photos_all_views_are_plain(made: tuple[Path, Path]) -> None:
    data = FaceDataset.open(made[1])
    views = decoder_views(data, StubEncoder(), "train", SIZE, loose=("own",))  # type: ignore[arg-type]
    assert len(views) == len(data.rows("train"))
    assert not views.tight.any()
    with pytest.raises(DatasetError, match="no training face of 'utkface'"):
        Frames.of(data)


def test_an_empty_split_is_refused(data: FaceDataset) -> None:
    with pytest.raises(DatasetError, match="no face in the split 'holiday'"):
        decoder_views(data, StubEncoder(), "holiday", SIZE)  # type: ignore[arg-type]


def test_the_frame_of_a_face_is_always_the_same(data: FaceDataset) -> None:
    frames = Frames.of(data)
    crop = np.ascontiguousarray(data.pixels(SIZE)[0])
    assert np.array_equal(frames.cut(crop, "lfw:a"), frames.cut(crop, "lfw:a"))
    cuts = {frames.cut(crop, f"lfw:{k}").tobytes() for k in range(20)}
    assert len(cuts) > 5  # and another face's is another


# faces/align.py: one crop at two sizes, and the crop as if its photo had been cut.

SIMILARITIES = st.tuples(
    st.floats(-30, 30), st.floats(0.4, 1.5), st.floats(-20, 20), st.floats(-20, 20)
)  # degrees, scale, x, y


def similarity(degrees: float, scale: float, x: float, y: float) -> np.ndarray:
    cos, sin = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[cos, sin, x], [-sin, cos, y]])


@given(SIMILARITIES, st.integers(8, 256), st.integers(8, 256))
def test_a_rescaled_transform_keeps_shares_of_the_crop(
    values: tuple[float, float, float, float], size: int, wanted: int
) -> None:
    transform = similarity(*values)
    points = stream(0, "points").uniform(0, 200, (20, 2))
    at, scaled = align.apply(transform, points), align.apply(align.rescaled(transform, size, wanted), points)
    assert np.allclose((at + 0.5) / size, (scaled + 0.5) / wanted, atol=1e-9)
    assert np.allclose(align.rescaled(align.rescaled(transform, size, wanted), wanted, size), transform)
    assert np.array_equal(transform, similarity(*values))  # not changed in place


def test_a_rescaled_crop_is_the_crop_resized() -> None:
    photo = cv2.GaussianBlur(stream(0, "photo").integers(0, 256, (120, 120, 3)).astype(np.uint8), (0, 0), 5)
    transform = similarity(10, 0.8, 5, 20)
    large = align.warp(photo, transform, 64)
    small = align.warp(photo, align.rescaled(transform, 64, 32), 32)
    halved = cv2.resize(large, (32, 32), interpolation=cv2.INTER_AREA)
    assert np.abs(halved.astype(int) - small).mean() < 1.0


@settings(max_examples=30)
@given(SIMILARITIES)
def test_inside_the_frame_nothing_changes(values: tuple[float, float, float, float]) -> None:
    crop = stream(0, "crop").integers(0, 256, (40, 40, 3)).astype(np.uint8)
    transform = similarity(*values)
    cut = align.mirrored_outside(crop, transform, 50, 30)
    corner = align.apply(align.invert(transform), np.stack(np.meshgrid(range(40), range(40)), -1).reshape(-1, 2))
    inside = ((corner >= 0) & (corner <= np.array([29, 49]))).all(1).reshape(40, 40)
    assert np.abs(cut.astype(int) - crop)[inside].max(initial=0) <= 1
    assert np.array_equal(align.mirrored_outside(crop, similarity(0, 1, 0, 0), 40, 40), crop)


def test_a_cut_crop_is_the_crop_of_a_cut_photo() -> None:
    photo = cv2.GaussianBlur(stream(0, "photo").integers(0, 256, (80, 80, 3)).astype(np.uint8), (0, 0), 4)
    photo = cv2.normalize(photo, None, 0, 255, cv2.NORM_MINMAX)
    inner = photo[20:60, 22:58]  # 40 high, 36 wide
    whole = similarity(6, 1.0, -10.0, -4.0)  # photo -> crop
    of_inner = whole.copy()
    of_inner[:, 2] += whole[:, :2] @ np.array([22, 20])  # inner photo -> crop
    found = align.mirrored_outside(align.warp(photo, whole, 64), of_inner, 40, 36)
    expected = align.warp(np.ascontiguousarray(inner), of_inner, 64)
    assert np.abs(align.warp(photo, whole, 64).astype(int) - expected).mean() > 8  # it is not the loose crop
    assert np.abs(found.astype(int) - expected).mean() < 1.5
