"""Landmark networks by name: faces -> the 68 iBUG points in three dimensions, differentiable to the pixels.

PRNet (Feng et al. 2018), which the thesis of A. Wang (2019) uses, cannot be had: its weights are in no registry. The
face mesh gives the same 68 points (``landmarks.IBUG_68``). Another network takes its place with one line in
``_NETWORKS``: a module with the contract of ``MeshLandmarks``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from mien.core.errors import RequestError
from mien.core.records import Float32Array
from mien.faces import align
from mien.faces.landmarks import IBUG_68, INPUT_PX, FaceMesh, load_mesh, mesh_points
from mien.faces.pose import CAMERA_AXES, mean_shape

POINTS = 68

# (left, right in the image) of every point that is not on the middle line.
PAIRS = (
    *((i, 16 - i) for i in range(8)),  # jaw
    *((i, 43 - i) for i in range(17, 22)),  # brows
    *((31, 35), (32, 34)),  # nostrils
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),  # eyes
    *((48, 54), (49, 53), (50, 52), (59, 55), (58, 56)),  # outer lips
    *((60, 64), (61, 63), (67, 65)),  # inner lips
)
# The 14 that the thesis found most reliable: chin, nose, eye corners, four outer and four inner points of the lips.
RELIABLE = (8, 33, 36, 39, 42, 45, 48, 51, 54, 57, 60, 62, 64, 66)
INNER_LIPS = ((61, 67), (62, 66), (63, 65))  # (upper, lower)


class MeshLandmarks(nn.Module):
    """The face mesh, shown the whole of mien's aligned crop: its own square of 1.5 x the face is all but that crop.

    (A mean face, looking ahead, spans 0.56 x 0.66 of the crop around (0.50, 0.54).)
    """

    def __init__(self, mesh: FaceMesh) -> None:
        super().__init__()
        self.mesh = mesh

    def forward(self, crops: Tensor) -> Tensor:
        """Aligned crops (N 3 S S, -1 to 1) -> points (N 68 3): x, y px of the crop, z the same unit, nearer negative.

        Runs in float32 even under autocast.
        """
        size = crops.shape[-1]
        with torch.autocast(crops.device.type, enabled=False):
            shown = align.whole_window(crops.float(), INPUT_PX)
            points = mesh_points(self.mesh, shown)[:, list(IBUG_68)]  # N 68 3
            places = (points[..., :2] + 0.5) * (size / INPUT_PX) - 0.5
            return torch.cat([places, points[..., 2:] * (size / INPUT_PX)], -1)


_NETWORKS: dict[str, Callable[[str | torch.device], nn.Module]] = {
    "face-mesh": lambda device: MeshLandmarks(load_mesh(device)),
}
NETWORKS = tuple(_NETWORKS)


def load_landmarks(name: str = "face-mesh", device: str | torch.device = "cpu") -> nn.Module:
    """The landmark network ``name``, frozen: crops (N 3 S S) -> points (N 68 3) as ``MeshLandmarks``.

    Raises ``RequestError`` for an unknown name and ``WeightsError`` when it was not fetched.
    """
    if name not in _NETWORKS:
        raise RequestError(f"no landmark network is called '{name}'; allowed: {', '.join(NETWORKS)}")
    return _NETWORKS[name](device).eval().requires_grad_(False)


def mean_points(size: int) -> Float32Array:
    """The 68 points (68 2) of the mean face, looking ahead, in an aligned crop of ``size`` px."""
    points = mean_shape().points * CAMERA_AXES
    placed = align.apply(align.crop_transform(points, size), points)
    return np.asarray(placed[list(IBUG_68)], np.float32)
