"""Pairs of painted faces and photographs: what is cut from one is cut from the other."""

from __future__ import annotations

import numpy as np

from mien.datasets.pairs import pair_batches


def pictures(count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Photographs whose pixels say where they are, and halves one lighter than theirs."""
    rows, columns = np.mgrid[0:64, 0:64]
    photographs = np.stack([np.stack([rows, columns, np.full((64, 64), 20 * k)], 2) for k in range(count)])
    painted = photographs[:, ::2, ::2].copy()
    painted[..., 2] += 1
    return painted.astype(np.uint8), photographs.astype(np.uint8)


def test_both_show_the_same_place_of_the_same_face() -> None:
    batch = pair_batches(*pictures(), batch_size=64, seed=1, patch_px=48)(5)
    assert batch["small"].shape == (64, 24, 24, 3)
    assert batch["large"].shape == (64, 48, 48, 3)
    assert (batch["known"] == 1).all()
    near = np.abs(batch["large"][:, ::2, ::2, :2].astype(int) - batch["small"][..., :2])
    assert near.max() <= 1
    lighter = batch["small"][..., 2].astype(int) - batch["large"][:, ::2, ::2, 2]
    clean = (lighter == 0).all((1, 2))
    assert ((lighter == 1).all((1, 2)) | clean).all()
    assert 0 < clean.sum() < 32, "some small pictures are the photograph's own"


def test_batches_depend_on_the_seed_and_the_step_and_are_mirrored_at_times() -> None:
    at = pair_batches(*pictures(), batch_size=16, seed=1, patch_px=48)
    again = pair_batches(*pictures(), batch_size=16, seed=1, patch_px=48)
    assert np.array_equal(at(3)["large"], again(3)["large"])
    assert not np.array_equal(at(3)["large"], at(4)["large"])
    ascending = [bool(patch[0, 0, 1] < patch[0, -1, 1]) for patch in at(0)["large"]]
    assert any(ascending)
    assert not all(ascending)
