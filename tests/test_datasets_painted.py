"""What the painter is told of photographs, measured on a small dataset in memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mien.datasets.batches import FaceDataset
from mien.datasets.painted import (
    emphasis,
    masks_of_looks,
    photo_conditions,
    source_weights,
    standardised,
    valid_patches,
)  # fmt: skip
from mien.generators.imagine.density import Components, FaceDensity, Frame, Probes
from mien.training.looks import with_looks


def dataset(count: int = 4) -> FaceDataset:
    faces = [
        SimpleNamespace(
            source="one" if k else "other", yaw_degrees=15.0, pitch_degrees=None, sharpness=100.0, eye_distance_px=50.0
        )
        for k in range(count)
    ]

    def mask(row: int, side: int) -> Any:
        found = np.ones((side, side), np.float32)
        found[:, : side // 4] = 0  # mirrored at the left
        return found

    return cast(FaceDataset, SimpleNamespace(faces=faces, mask=mask))


def test_pose_changes_its_side_in_the_mirror_and_the_rest_does_not() -> None:
    rows, crops = np.arange(4), np.full((4, 64, 64, 3), 128, np.uint8)
    plain = photo_conditions(dataset(), rows, crops)
    mirrored = photo_conditions(dataset(), rows, crops, mirrored=True)
    assert plain["yaw"].tolist() == [0.5] * 4
    assert mirrored["yaw"].tolist() == [-0.5] * 4
    assert np.isnan(plain["pitch"]).all()
    assert plain["grey"].tolist() == [1.0] * 4
    assert plain["bg_std"].tolist() == [0.0] * 4


def test_the_background_is_what_lies_in_the_upper_corners() -> None:
    crops = np.zeros((1, 128, 128, 3), np.uint8)
    crops[0, :40, :18] = crops[0, :40, -18:] = (255, 0, 0)
    found = photo_conditions(dataset(1), np.arange(1), crops)
    assert [float(found[name][0]) for name in ("bg_r", "bg_g", "bg_b")] == [1.0, -1.0, -1.0]
    crops[0, :40, :18] = 0
    assert photo_conditions(dataset(1), np.arange(1), crops)["bg_std"][0] > 0.5


def test_validity_is_told_by_patch_and_turns_with_the_picture() -> None:
    plain = valid_patches(dataset(), np.arange(2)).reshape(2, 8, 8)
    assert (plain[:, :, :2] == 0).all()
    assert (plain[:, :, 2:] == 1).all()
    assert np.array_equal(valid_patches(dataset(), np.arange(2), mirrored=True).reshape(2, 8, 8), plain[:, :, ::-1])


def test_unknown_values_stay_unknown_and_far_ones_are_clipped() -> None:
    values = np.append(np.zeros(99, np.float32), np.float32(1000))
    values[3] = np.nan
    found, scale = standardised({"a": values})
    assert np.isnan(found[3, 0])
    assert found[99, 0] == pytest.approx(3)
    assert scale["a"][0] == pytest.approx(1000 / 99)


def test_small_sources_come_more_often_than_their_share() -> None:
    weights = source_weights(dataset(5), np.arange(5))  # one face of "other", four of "one"
    assert weights.sum() == pytest.approx(1)
    assert weights[0] / weights[1] == pytest.approx(2)


def test_a_look_is_a_score_that_tells_its_photographs() -> None:
    codes = np.random.default_rng(0).standard_normal((200, 3))
    studio, none = codes[:, 1] > 0, np.zeros(200, bool)
    frame = Frame(np.zeros(3), np.ones(3), np.eye(3), np.ones(3), 1.0)
    probes = Probes(("Smiling",), np.ones((3, 1)), np.zeros(1), np.ones(1), np.zeros(1))
    density = FaceDensity(frame, Components(np.ones(1), np.zeros((1, 3)), np.eye(3)[None]), probes)
    found = with_looks(density, codes, {"studio": studio, "opera": none}).probes
    assert found.names == ("Smiling", "look studio")
    scores = found.scores(codes)[:, 1]
    assert ((scores > 0) == studio).mean() > 0.9
    assert found.level("look studio", 1.0) > found.level("look studio", 0.0)


def test_a_studio_is_sharp_plain_and_looks_ahead() -> None:
    # sharp and plain, blurred, turned away, before a wall of books, grey, half outside its photograph, red cloth
    columns = {
        "valid": np.array([1, 1, 1, 1, 1, 0.5, 1], np.float32),
        "grey": np.array([0, 0, 0, 0, 1, 0, 0], np.float32),
        "sharpness": np.array([5, 1, 5, 5, 5, 5, 5], np.float32),
        "yaw": np.array([0, 0, 0.9, 0, 0, 0, 0], np.float32),
        "bg_std": np.array([0.1, 0.1, 0.1, 1, 0.1, 0.1, 0.1], np.float32),
        "bg_r": np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.8], np.float32),
        "bg_g": np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, -0.7], np.float32),
        "bg_b": np.array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, -0.7], np.float32),
    }
    columns["sharpness"][1:2] = 1
    spread = {name: np.concatenate([values, values[1:2].repeat(7)]) for name, values in columns.items()}
    looks = {name: np.flatnonzero(has[:7]).tolist() for name, has in masks_of_looks(spread).items()}
    assert looks == {"studio": [0], "natural": [3], "news": [1]}


def test_columns_are_standardised_as_they_were_before() -> None:
    first = {"a": np.array([0.0, 2.0], np.float32), "b": np.array([1.0, np.nan], np.float32)}
    _, scale = standardised(first)
    values, same = standardised({"b": np.array([1.0], np.float32), "a": np.array([3.0], np.float32)}, scale)
    assert same == scale
    assert values[0].tolist() == pytest.approx([2.0, 0.0], abs=1e-4)


def test_plain_backgrounds_children_and_old_people_come_more_often() -> None:
    columns = {
        "bg_std": np.array([0.1, 0.9, 0.1, np.nan], np.float32),
        "age": np.array([0.3, 0.3, 0.08, 0.7], np.float32),
    }
    assert emphasis(columns).tolist() == pytest.approx([2.5, 1.0, 6.25, 2.5])
