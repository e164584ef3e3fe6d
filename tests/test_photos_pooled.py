"""What the heads see of a dataset is computed once, look by look and row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from attributes_tiny import RECIPE, TinyEncoder, tiny_crops

from mien.attributes.features import FeatureSpec, pooled_features
from mien.core.images import to_tensor
from mien.datasets import pooled as module
from mien.datasets.pooled import concatenate, pooled, widths


class Data:
    """As much of a ``FaceDataset`` as features need."""

    crops_fingerprint = "0" * 16

    def __init__(self, dest: Path) -> None:
        self.dest, self.pixels = dest, tiny_crops(600, size=24)

    def decoded(self, rows: np.ndarray, size: int | None = None) -> np.ndarray:
        return self.pixels[rows]


SPATIAL = (FeatureSpec("window", "third"), FeatureSpec("crop", "second", 2))


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path)


def test_rows_come_in_their_order_and_are_computed_once(data: Data) -> None:
    encoder = TinyEncoder()
    rows = np.array([300, 5, 2, 301, 40])
    first = pooled(data, encoder, rows, SPATIAL)  # type: ignore[arg-type]
    calls = encoder.calls
    again = pooled(data, encoder, rows[::-1].copy(), SPATIAL)  # type: ignore[arg-type]
    assert encoder.calls == calls
    for name, values in first.items():
        assert np.array_equal(values[::-1], again[name])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = pooled_features(encoder, to_tensor(data.pixels[rows]), SPATIAL)
    for name, values in expected.items():
        assert np.allclose(values.float().numpy(), first[name], atol=0.02)
    assert concatenate(first, SPATIAL).shape == (5, sum(widths(data, encoder, SPATIAL)))  # type: ignore[arg-type]


def test_new_rows_and_new_looks_join_what_is_there(data: Data) -> None:
    encoder = TinyEncoder()
    one = pooled(data, encoder, np.array([7, 3]), SPATIAL[:1])  # type: ignore[arg-type]
    both = pooled(data, encoder, np.array([3, 9, 7]), SPATIAL)  # type: ignore[arg-type]
    calls = encoder.calls
    name = SPATIAL[0].name
    assert np.array_equal(both[name][[2, 0]], one[name])
    whole = pooled(data, encoder, np.array([9, 3, 7]), SPATIAL)  # type: ignore[arg-type]
    assert encoder.calls == calls
    fresh = pooled(Data(data.dest / "other"), TinyEncoder(), np.array([9, 3, 7]), SPATIAL)  # type: ignore[arg-type]
    for key in whole:
        assert np.allclose(whole[key], fresh[key], atol=0.02)


def test_mirror_images_are_kept_apart(data: Data) -> None:
    encoder = TinyEncoder()
    plain = pooled(data, encoder, np.array([1]), SPATIAL)  # type: ignore[arg-type]
    mirrored = pooled(data, encoder, np.array([1]), SPATIAL, mirrored=True)  # type: ignore[arg-type]
    assert not np.allclose(plain[SPATIAL[1].name], mirrored[SPATIAL[1].name], atol=1e-4)
    turned = Data(data.dest / "turned")
    turned.pixels = np.ascontiguousarray(data.pixels[:, :, ::-1])
    flipped = pooled(turned, encoder, np.array([1]), SPATIAL)  # type: ignore[arg-type]
    for each in SPATIAL:
        assert np.allclose(flipped[each.name], mirrored[each.name], atol=0.02)


def test_taps_without_places_come_from_the_shared_cache(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def features(*given: object, tap: str) -> np.ndarray:
        asked.append(tap)
        return np.zeros((2, 6), np.float16)

    monkeypatch.setattr(module, "features", features)
    found = pooled(data, TinyEncoder(), np.array([0, 1]), RECIPE)  # type: ignore[arg-type]
    assert asked == ["pool"]
    assert list(concatenate(found, RECIPE).shape) == [2, 30]
