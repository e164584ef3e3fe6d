"""The trunk of the attribute heads in closed form: 73 axes by ridge regression, and what they say of faces left out.

With 23,000 features and 9,000 faces a layer that is learnt by gradient descent knows its faces by heart long before it
is done. Ridge regression of the marks (+1, -1) on the features has one answer, takes a minute, and tells at no cost
what it would have said of each face had that face not been among them (Allen 1974, the PRESS residuals): y - alpha /
diag(A^-1), with A = K + ridge I over the faces. The heads learn from *those* axes, so that they see in training what
they will see of strangers. (Other photos of the same person remain among the faces; the effect is small, since
calibration and figures come from other people.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.errors import TrainingError
from mien.faces.attributes.heads import AttributeHeads

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Axes:
    """A solved trunk: ``weight`` (R D) and ``bias`` (R) on standard features, and ``left_out`` (N R)."""

    weight: Tensor
    bias: Tensor
    left_out: Tensor


def solve_axes(
    heads: AttributeHeads,
    features: npt.NDArray[np.float16],
    marks: Float32Array,
    *,
    ridge: float,
    shares: Sequence[float] | None = None,
    block: int = 512,
) -> Axes:
    """Axes from features (N D; ``heads`` know their mean and deviation) to marks (N R, 0 or 1).

    Each look has the share ``shares`` (default: equal) of the kernel whatever its width; ``ridge`` is in units of a
    kernel whose looks average to 1 on the diagonal. Memory: N N float32. ``TrainingError`` for fewer than two faces.
    """
    if len(features) < 2 or len(features) != len(marks):
        raise TrainingError(f"attributes: {len(features)} faces with features and {len(marks)} with marks")
    widths = heads.config.widths
    parts = shares or [1 / len(widths)] * len(widths)
    scale = torch.cat([torch.full((width,), (part / width) ** 0.5) for width, part in zip(widths, parts, strict=True)])
    wanted = torch.from_numpy(marks * 2 - 1)  # N R
    bias = wanted.mean(0)

    def rows(start: int) -> Tensor:
        return heads.standard(torch.from_numpy(features[start : start + block].astype(np.float32))) * scale

    # The kernel in bf16, from which the features come: six times as fast, and as exact as they are.
    halves = torch.cat([rows(start).to(torch.bfloat16) for start in range(0, len(features), block)])  # N D
    kernel = (halves @ halves.T).float()  # N N
    kernel.diagonal().add_(ridge)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(kernel))
    del kernel
    alpha = inverse @ (wanted - bias)  # N R
    left_out = wanted - alpha / inverse.diagonal()[:, None]
    weight = torch.zeros(len(bias), halves.shape[1])
    for start in range(0, len(features), block):
        weight += alpha[start : start + block].T @ halves[start : start + block].float()
    return Axes(weight * scale, bias, left_out)


def keep_axes(heads: AttributeHeads, axes: Axes) -> None:
    """Make a solved trunk the heads' own; it learns no more. The marks start as the axes themselves."""
    assert heads.trunk is not None
    with torch.no_grad():
        heads.trunk.weight.copy_(axes.weight)
        heads.trunk.bias.copy_(axes.bias)
        heads.trunk.requires_grad_(False)
        if heads.marks is not None and heads.marks.weight.shape[0] == heads.marks.weight.shape[1]:
            heads.marks.weight.copy_(MARK_GAIN * torch.eye(len(heads.marks.weight)))
            heads.marks.bias.zero_()


MARK_GAIN = 3.0  # axes lie about between -1 and 1, log-odds of the sure about between -3 and 3
