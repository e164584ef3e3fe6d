"""What the painter's finisher learns from: painted faces beside the photographs that they were painted over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from mien.core.records import UInt8Image
from mien.core.seeding import stream

PATCH_PX = 160  # of the photograph
CLEAN = 0.15  # share of pairs whose small picture is the photograph's own half
STEP_PX = 4  # patches begin at multiples of it: a network that halves twice sees the same phases


def pair_batches(
    painted: UInt8Image, photographs: UInt8Image, batch_size: int, seed: int, patch_px: int = PATCH_PX
) -> Callable[[int], dict[str, Any]]:
    """``batch_at(step)`` of patches, as ``datasets.patches.patch_batches`` gives them, all with a truth.

    Args:
        painted: M s s 3; may be a memory map.
        photographs: M 2s 2s 3, of which ``painted`` are repainted halves.
        batch_size: pairs of a batch, each mirrored or not.
        seed: of the draws; a batch depends on it and on the step alone.
        patch_px: side of a photograph's patch, at most 2s.
    """
    side = min(patch_px // 2, painted.shape[1])

    def batch_at(step: int) -> dict[str, Any]:
        draws = stream(seed, "pairs", step)
        pairs = [_pair(painted, photographs, side, draws) for _ in range(batch_size)]
        small, large = (np.ascontiguousarray(np.stack(part)) for part in zip(*pairs, strict=True))
        return {"small": small, "large": large, "known": np.ones(batch_size, np.float32), "shared": {}}

    return batch_at


def _pair(
    painted: UInt8Image, photographs: UInt8Image, side: int, draws: np.random.Generator
) -> tuple[UInt8Image, UInt8Image]:
    face = int(draws.integers(len(painted)))
    top, left = (STEP_PX * int(draws.integers(0, (painted.shape[1] - side) // STEP_PX + 1)) for _ in range(2))
    small = np.asarray(painted[face, top : top + side, left : left + side])
    large = np.asarray(photographs[face, 2 * top : 2 * (top + side), 2 * left : 2 * (left + side)])
    if draws.random() < CLEAN:
        small = np.asarray(cv2.resize(large, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return (small[:, ::-1], large[:, ::-1]) if draws.random() < 0.5 else (small, large)
