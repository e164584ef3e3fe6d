"""The sparse image warp: an image moved so that given points come to lie on given others; differentiable in both.

Cole et al., *Synthesizing Normalized Faces from Facial Identity Features* (2017), section 4.1, as the thesis of A. Wang
(2019), section 3.5.1, uses it: a polyharmonic spline with ``phi(r) = r``, which overshoots less than the thin plate
``r^2 log r``. The displacement of the points is interpolated over the image as

    s(x) = sum_k w_k phi(|x - c_k|) + v_1 x + v_2 y + v_0,    sum_k w_k = 0,  sum_k w_k c_k = 0,

with the control points ``c_k`` where the points are to *arrive*: the warped image looks up, at every pixel, where it
came from. So s is linear in the displacements: where the targets are fixed, as canonical landmarks are, the whole
spline is one matrix that depends on them alone (``spline_matrix``), and gradients to the sources pass a product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.core.errors import RequestError


def spline_matrix(control: Tensor, query: Tensor) -> Tensor:
    """The matrix (Q K) that takes values at ``control`` (K 2, K >= 3) to the spline's values at ``query`` (Q 2).

    Solved in float64, given in the dtype of ``control``. Raises ``RequestError`` for control points that coincide or
    lie on one line: no spline goes through them.
    """
    if control.ndim != 2 or control.shape[1] != 2 or query.ndim != 2 or query.shape[1] != 2 or len(control) < 3:
        raise RequestError(
            f"spline: control points {tuple(control.shape)}, queries {tuple(query.shape)}; wanted K 2 with K >= 3, Q 2"
        )
    centre, spread = control.detach().double().mean(0), control.detach().double().std().clamp_min(1e-12)
    own, asked = (control.double() - centre) / spread, (query.double() - centre) / spread
    kernel = _distances(own, own)  # K K
    plane = _with_one(own)  # K 3
    system = torch.cat([torch.cat([kernel, plane], 1), torch.cat([plane.T, plane.new_zeros(3, 3)], 1)])  # K+3 K+3
    rows = torch.cat([_distances(asked, own), _with_one(asked)], 1)  # Q K+3
    try:
        solved = torch.linalg.solve(system, rows.T)  # K+3 Q; the system is symmetric
    except RuntimeError as error:  # torch.linalg.LinAlgError
        raise RequestError("spline: control points that coincide or lie on one line") from error
    if not bool(torch.isfinite(solved).all()) or float(solved.detach().abs().max()) > 1e9:
        raise RequestError("spline: control points that coincide or lie on one line")
    matrix: Tensor = solved[: len(control)].T.to(control.dtype)
    return matrix


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """phi(r) = r of all pairs: A B. (The norm's gradient at 0 is 0, as it must be where a point meets itself.)"""
    distances: Tensor = torch.linalg.vector_norm(a[:, None] - b[None], dim=-1)
    return distances


def _with_one(points: Tensor) -> Tensor:
    return torch.cat([points, torch.ones_like(points[:, :1])], 1)


def pixel_centres(height: int, width: int) -> Tensor:
    """(H W, 2) float32: x, y of every pixel, row by row; (0, 0) the centre of the top left one."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], -1).reshape(-1, 2).float()


def look_up(image: Tensor, places: Tensor) -> Tensor:
    """``image`` (N C H W) at ``places`` (N H' W' 2, px): N C H' W', bilinear, the edge repeated beyond it."""
    height, width = image.shape[-2:]
    scale = places.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)])
    return functional.grid_sample(image, places * scale - 1, padding_mode="border", align_corners=True)


class Warp(nn.Module):
    """Warps images of one size so that given points come to lie on ``target`` (K 2, px).

    No point of the border is held, as TensorFlow's ``sparse_image_warp`` does unless asked.
    """

    matrix: Tensor
    target: Tensor
    grid: Tensor

    def __init__(self, target: Tensor, height: int, width: int) -> None:
        super().__init__()
        grid = pixel_centres(height, width).to(target)
        self.register_buffer("matrix", spline_matrix(target, grid), persistent=False)  # H W, K
        self.register_buffer("target", target, persistent=False)
        self.register_buffer("grid", grid, persistent=False)
        self.size = (height, width)

    def forward(self, image: Tensor, source: Tensor) -> Tensor:
        """``image`` (N C H W) with what lies at ``source`` (N K 2, px) moved to the target. float32, differentiable."""
        if tuple(image.shape[-2:]) != self.size or source.shape[1:] != self.target.shape:
            raise RequestError(
                f"warp: image {tuple(image.shape)}, points {tuple(source.shape)};"
                f" wanted N C {self.size[0]} {self.size[1]} and N {len(self.target)} 2"
            )
        with torch.autocast(image.device.type, enabled=False):
            moved = source.float() - self.target  # N K 2
            places = self.grid + self.matrix @ moved  # N HW 2
            return look_up(image.float(), places.reshape(len(places), *self.size, 2))
