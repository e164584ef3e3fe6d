"""The trunk of the attribute heads, solved: 73 axes by kernel logistic regression, and what they say of faces left out.

With 25,000 features and 9,000 faces a layer that is learnt by gradient descent on features knows its faces by heart
long before it is done. A logistic regression of each mark on the features, with a penalty on its squared weights, has
one answer. It is found over the faces (K = features times features) for all 73 marks at once, by the bound of Böhning
and Lindsay (1988): the curvature of the logistic loss is at most 1/4, so one inverse of K/4 + penalty serves every
mark and every step, and thirty steps of two matrix products are enough.

The same inverse tells what an axis would have said of a face had that face not been among them (the leave-one-out
formula of Gaussian processes, with the bound in place of the curvature): f - alpha x (1 / diag((K + 4 penalty)^-1) -
4 penalty). The heads learn from *those* values, so that they see in training about what they will see of strangers.
(Other photos of the same person remain among the faces; calibration and figures come from other people.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.attributes.heads import AttributeHeads
from mien.core.errors import TrainingError

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
    steps: int = 30,
    block: int = 512,
) -> Axes:
    """Axes, in log-odds, from features (N D; ``heads`` know their mean and deviation) to marks (N R, 0 or 1).

    Each look has the same share of the kernel whatever its width, and the kernel is 1 on the diagonal for an average
    face. ``ridge`` is four times the penalty: least squares with that ridge is about as stiff. Memory: a few N N
    float32. ``TrainingError`` for fewer than two faces.
    """
    if len(features) < 2 or len(features) != len(marks):
        raise TrainingError(f"attributes: {len(features)} faces with features and {len(marks)} with marks")
    widths, penalty = heads.config.widths, ridge / 4
    scale = torch.cat([torch.full((width,), (1 / len(widths) / width) ** 0.5) for width in widths])  # D
    sign = torch.from_numpy(marks * 2 - 1)  # N R

    def rows(start: int) -> Tensor:
        return heads.standard(torch.from_numpy(features[start : start + block].astype(np.float32))) * scale

    # The kernel in bf16, from which the features come: six times as fast, and as exact as they are.
    halves = torch.cat([rows(start).to(torch.bfloat16) for start in range(0, len(features), block)])  # N D
    kernel = (halves @ halves.T).float()  # N N
    curved = kernel / 4
    curved.diagonal().add_(penalty)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(curved))
    del curved
    share = torch.from_numpy(marks).mean(0).clamp(1e-3, 1 - 1e-3)
    bias, alpha = share.logit(), torch.zeros_like(sign)
    for _ in range(steps):
        slope = torch.sigmoid(-sign * (kernel @ alpha + bias)) * sign  # N R: how each face pulls
        alpha = alpha + inverse @ (slope - penalty * alpha)
        bias = bias + 2 * slope.mean(0)
    alone = 4 / inverse.diagonal() - 4 * penalty  # N: what is left of a face's own kernel once the others are known
    left_out = kernel @ alpha + bias - alpha * alone[:, None]
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
            heads.marks.weight.copy_(torch.eye(len(heads.marks.weight)))
            heads.marks.bias.zero_()
