"""Which faces portraits are learned from, what is computed of them once, and the 68 points of the face mesh."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from photos_stub import StubFinder, job, write_photos
from torch import Tensor, nn

from mien.core.errors import DatasetError, RequestError
from mien.datasets import prepare
from mien.datasets.batches import FaceDataset
from mien.datasets.portrait_views import (
    LANDMARK_FRAME_PX,
    PortraitRules,
    Remaining,
    batch_of,
    choose,
    portrait_batches,
    portrait_views,
)
from mien.faces.landmarks68 import NETWORKS, load_landmarks, mean_points

OPEN = PortraitRules(yaw_degrees=None, pitch_from_degrees=None, pitch_to_degrees=None)


class StubEncoder:
    """The mean colour at every tap; counts the pictures that it saw."""

    name = "stub"
    input_size = 16

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: Tensor, taps: Any) -> dict[str, Tensor]:
        assert images.shape[1:] == (3, 16, 16)
        self.seen += len(images)
        return {name: images.float().mean((2, 3)) for name in taps}


class StubLandmarks(nn.Module):
    """All points in the centre of the last pixel of the crop."""

    def forward(self, crops: Tensor) -> Tensor:
        side = crops.shape[-1]
        return torch.tensor([side - 1.0, 0.0, side / 4]).expand(len(crops), 68, 3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> FaceDataset:
    folder = tmp_path_factory.mktemp("portraits")
    prepare.prepare(job(write_photos(folder / "photos", 24), source="lfw"), folder / "dest", load_finder=StubFinder)
    found = FaceDataset.open(folder / "dest")
    yaws = [-20.0, -5.0, -4.0, 0.0, 5.0, 6.0]
    faces = tuple(
        replace(
            face,
            split="train",
            yaw_degrees=yaws[k % 6],
            pitch_degrees=None if k == 3 else float(k - 12),
            sharpness=10.0 * k,
            attributes_present=("Eyeglasses",) if k % 2 else (),
            attributes_absent=("Eyeglasses",) if k % 4 == 0 else (),
        )
        for k, face in enumerate(found.faces)
    )
    return FaceDataset(found.dest, faces)


def test_rules_keep_what_looks_ahead_and_say_how_many_remain(data: FaceDataset) -> None:
    rules = PortraitRules(yaw_degrees=5, pitch_from_degrees=-11, pitch_to_degrees=8)
    rows, steps = choose(data, rules, "train")
    count = len(data)
    ahead = [k for k in range(count) if k % 6 in (1, 2, 3, 4)]  # the edge of 5 degrees is inside
    nod = [k for k in ahead if k == 3 or k - 12 >= -11]  # what is unknown stays
    assert rows.tolist() == [k for k in nod if k == 3 or k - 12 <= 8]
    assert steps == [
        Remaining("split train", count),
        Remaining("|yaw| <= 5 degrees", len(ahead)),
        Remaining("pitch >= -11 degrees", len(nod), 1),
        Remaining("pitch <= 8 degrees", len(rows), 1),
    ]


def test_filters_are_options(data: FaceDataset) -> None:
    everything, steps = choose(data, OPEN, "train")
    assert len(everything) == len(data)
    assert len(steps) == 1
    bare, steps = choose(data, OPEN.model_copy(update={"without": ("Eyeglasses",)}), "train")
    assert bare.tolist() == [k for k in range(len(data)) if k % 2 == 0]
    assert steps[-1].unknown == sum(k % 4 == 2 for k in range(len(data)))
    sharp, _ = choose(data, OPEN.model_copy(update={"sharpness_at_least": 100.0}), "train")
    assert sharp.tolist() == list(range(10, len(data)))
    colourful, _ = choose(data, OPEN.model_copy(update={"colour": True}), "train")
    assert len(colourful) == len(data)  # red faces
    with pytest.raises(DatasetError, match=r"no face is left for portraits \(split train: \d+, sharpness >= 1e\+06: 0"):
        choose(data, OPEN.model_copy(update={"sharpness_at_least": 1e6}), "train")


def test_what_the_networks_see_is_computed_once(data: FaceDataset) -> None:
    encoder: Any = StubEncoder()
    rows = np.array([5, 2, 9], np.int64)
    views = portrait_views(data, encoder, StubLandmarks(), rows, 64)
    assert (views.features.shape, views.embeddings.shape, views.landmarks.shape) == ((3, 3), (3, 3), (3, 68, 3))
    assert encoder.seen == 3
    again = portrait_views(data, encoder, StubLandmarks(), np.array([9, 7, 2], np.int64), 64)
    assert encoder.seen == 4  # only row 7 was new
    assert np.array_equal(again.features[[2, 0]], views.features[[1, 2]])
    # the centre of the crop's last pixel, in px of the 320 px frame
    side = data.stored_size
    expected = (side - 0.5) * LANDMARK_FRAME_PX / side - 0.5
    assert np.allclose(views.landmarks[..., 0], expected, atol=1e-3)
    assert np.allclose(views.landmarks[..., 2], LANDMARK_FRAME_PX / 4, atol=1e-3)


def test_batches_are_a_pure_function_of_seed_and_step(data: FaceDataset) -> None:
    rows = np.arange(8)
    views = portrait_views(data, StubEncoder(), StubLandmarks(), rows, 32)  # type: ignore[arg-type]
    batches = portrait_batches(views, 4, seed=1)
    first, again = batches(0), batches(0)
    assert (first["photo"].shape, first["known"].shape) == ((4, 32, 32, 3), (4, 1, 32, 32))
    for name in ("photo", "known", "features", "embedding", "landmarks"):
        assert np.array_equal(first[name], again[name])
    seen = np.concatenate([batches(k)["features"] for k in range(2)])
    whole = batch_of(views, np.arange(8))["features"]
    assert np.array_equal(np.sort(seen, 0), np.sort(whole, 0))  # an epoch is a permutation
    assert not np.array_equal(portrait_batches(views, 4, seed=2)(0)["features"], first["features"])


def test_an_unknown_landmark_network_is_named() -> None:
    with pytest.raises(RequestError, match=f"'prnet'; allowed: {', '.join(NETWORKS)}"):
        load_landmarks("prnet")


@pytest.mark.models
def test_the_mesh_sees_its_own_points_wherever_the_face_is(models_cache: Path, made_faces: Path) -> None:
    """On made faces that look ahead the 68 points lie near the mean face's, and gradients reach the pixels."""
    from mien.core.images import to_tensor
    from mien.core.photos import read_photo

    network = load_landmarks()
    photos = np.stack([read_photo(made_faces / f"{k:05d}.png") for k in range(15, 20)])
    crops = to_tensor(photos)
    points = network(crops)
    size = crops.shape[-1]
    distance = (points[..., :2] - torch.from_numpy(mean_points(size)[:, :2])).norm(dim=-1).mean() / size
    assert points.shape == (5, 68, 3)
    assert float(distance) < 0.06
    bigger = nn.functional.interpolate(crops, scale_factor=2, mode="bilinear")
    twice = (network(bigger)[..., :2] + 0.5) / 2 - 0.5
    assert float((twice - points[..., :2]).abs().mean()) < 0.01 * size
    one = crops[:1].clone().requires_grad_()
    (slope,) = torch.autograd.grad(network(one).sum(), one)
    assert float(slope.abs().sum()) > 0
