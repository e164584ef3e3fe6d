"""What the further readers of sex see of a dataset (``attributes/sex_sights``), kept in ``DEST/cache``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from mien.attributes.sex_sights import Network, Sight
from mien.core.images import to_tensor
from mien.datasets.batches import FaceDataset, Progress, Rows
from mien.datasets.features import kept


def sex_looks(
    data: FaceDataset, sight: Sight, network: Network, rows: Rows, *, batch: int = 32, progress: Progress | None = None
) -> npt.NDArray[np.float16]:
    """N D float16, each the mean over a face and its mirror image, from bf16 arithmetic."""

    def see(part: Sequence[int]) -> npt.NDArray[np.float16]:
        crops = to_tensor(data.decoded(np.array(part, np.int64)))
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            values: npt.NDArray[np.float16] = sight.seen(network, crops).numpy().astype(np.float16)
        return values

    if not len(rows):
        return np.zeros((0, sum(sight.widths)), np.float16)
    folder = data.dest / "cache" / f"{sight.network}-maps-both-{data.crops_fingerprint}"
    return kept(folder, rows, see, batch=batch, progress=progress)
