"""Selective attention of DRAW (Gregor et al., 2015, section 3.2): a grid of N x N Gaussian filters laid on an image.

An image is N H (C W) here: height, then the channels' rows beside each other, so that one product filters all
channels. Positions count pixels from 1, as printed: the middle of A pixels is (A + 1) / 2.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

TINY = 1e-8  # a bank that lies outside the image sums to nothing


class Patch(NamedTuple):
    """Where the filters lie: one number an image (N) each, in pixels; ``strength`` is gamma."""

    centre_x: Tensor
    centre_y: Tensor
    variance: Tensor
    stride: Tensor
    strength: Tensor


def patch_of(raw: Tensor, height: int, width: int, grid: int) -> Patch:
    """Equations 21 to 24: what the decoder says, N 5 (two centres, logs of variance, stride and strength) -> patch.

    Zeros are a patch in the middle whose outer filters lie on the edge of the image.
    """
    x, y, variance, stride, strength = raw.float().unbind(1)
    span = (max(height, width) - 1) / max(grid - 1, 1)
    return Patch(
        (width + 1) / 2 * (x + 1), (height + 1) / 2 * (y + 1), variance.exp(), span * stride.exp(), strength.exp()
    )


def filter_bank(centre: Tensor, stride: Tensor, variance: Tensor, grid: int, pixels: int) -> Tensor:
    """Equations 19, 20, 25 and 26: N ``grid`` ``pixels``, each filter a Gaussian that sums to 1."""
    filters = torch.arange(1, grid + 1, device=centre.device, dtype=centre.dtype)
    places = torch.arange(1, pixels + 1, device=centre.device, dtype=centre.dtype)
    means = centre[:, None] + (filters - grid / 2 - 0.5) * stride[:, None]  # N grid
    off = places - means[:, :, None]  # N grid pixels
    values = torch.exp(-(off**2) / (2 * variance[:, None, None]))
    return values / values.sum(2, keepdim=True).clamp_min(TINY)


def banks(patch: Patch, height: int, width: int, grid: int) -> tuple[Tensor, Tensor]:
    """(F_Y: N grid H, F_X: N grid W) of a patch."""
    down = filter_bank(patch.centre_y, patch.stride, patch.variance, grid, height)
    return down, filter_bank(patch.centre_x, patch.stride, patch.variance, grid, width)


def glimpse(image: Tensor, down: Tensor, across: Tensor, channels: int) -> Tensor:
    """F_Y x F_X^T of each channel (equation 27 without gamma): N H (C W) -> N (grid C) grid."""
    count, grid, width = across.shape
    rows = torch.bmm(down, image)  # N grid (C W)
    return torch.bmm(rows.reshape(count, grid * channels, width), across.transpose(1, 2))  # N (grid C) grid


def painted(patch: Tensor, down: Tensor, across: Tensor, channels: int) -> Tensor:
    """F_Y^T w F_X of each channel (equation 29 without 1 / gamma): N (grid C) grid -> N H (C W)."""
    count, grid, width = across.shape
    rows = torch.bmm(patch, across).reshape(count, grid, channels * width)  # N grid (C W)
    return torch.bmm(down.transpose(1, 2), rows)  # N H (C W)
