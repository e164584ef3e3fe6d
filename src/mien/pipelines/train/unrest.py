"""Which codes a new painter makes caricatures of (``generators/painter/unrest.py``): the last part of its training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.core.progress import OnStage

CHUNK = 16


def add_unrest(weights: Path, density: Path, count: int, seed: int, on_stage: OnStage) -> float:
    """Paint ``count`` faces by both files, and write into ``weights`` what their codes predict.

    Returns the share of the variance that is predicted of every fourth face by the others.
    """
    import numpy as np

    from mien.core.checkpoints import load_weights, save_weights
    from mien.core.contract import FaceRequest, complete
    from mien.core.limits import DRAWN_AGES_YEARS
    from mien.generators.painter.crowd import PainterCrowd
    from mien.generators.painter.people import painted
    from mien.generators.painter.renderer import MODEL
    from mien.generators.painter.unrest import Unrest

    crowd = PainterCrowd(painted(density, painter=weights))
    crowd.renderer.unrest = None  # that of another painter, perhaps
    bar, codes, changes = on_stage("faces painted"), [], []
    for first in range(0, count, CHUNK):
        requests = [FaceRequest(seed, k) for k in range(first, min(first + CHUNK, count))]
        known, changed = crowd.changes(requests, [complete(one, DRAWN_AGES_YEARS) for one in requests])
        codes.append(known)
        changes.append(changed)
        bar(first + len(requests), count)
    known, changed = np.concatenate(codes), np.concatenate(changes)
    unseen = np.arange(count) % 4 == 0
    off = np.log(changed[unseen]) - Unrest.fit(known[~unseen], changed[~unseen]).of(known[unseen])
    tensors, metadata = load_weights(weights, model=MODEL, dtype=None)
    save_weights(weights, {**tensors, **Unrest.fit(known, changed).tensors()}, metadata)
    return float(1 - off.var() / np.log(changed[unseen]).var())
