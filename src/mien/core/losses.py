"""Losses: small pure functions of tensors. All return a scalar (fp32) to be minimised, a mean unless it says a sum."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# The cross entropy costs of a conditional GAN (Sanche, section 3; Goodfellow et al., 2014).


def sigmoid_cross_entropy(logits: Tensor, target: float) -> Tensor:
    """Cross entropy between sigmoid(``logits``) (any shape) and one target probability in [0, 1]."""
    values = logits.float()
    return functional.binary_cross_entropy_with_logits(values, torch.full_like(values, target))


def cross_entropy_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Photos are to score 1, generated images 0: the mean over both, so that log 2 is a tie, as for the generator."""
    return (sigmoid_cross_entropy(real, 1.0) + sigmoid_cross_entropy(fake, 0.0)) / 2


def cross_entropy_generator(fake: Tensor) -> Tensor:
    """Generated images are to score 1 (the non-saturating cost)."""
    return sigmoid_cross_entropy(fake, 1.0)


# The hinge costs (Lim and Ye, 2017).


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Photos are to score above 1, generated images below -1."""
    return functional.relu(1 - real.float()).mean() + functional.relu(1 + fake.float()).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """The score of generated images is to grow."""
    return -fake.float().mean()


# Others.


def least_squares(scores: Tensor, target: float | Tensor) -> Tensor:
    """Mean squared distance of scores to a target number, or to targets of the same shape (Mao et al., 2017)."""
    return (scores.float() - target).square().mean()


def l1_pyramid(made: Tensor, real: Tensor, *, levels: int, mask: Tensor | None = None) -> Tensor:
    """L1 distance of images (N C H W) at ``levels`` sizes, each half the last, averaged over the levels.

    ``mask`` (N 1 H W, weights >= 0) says which pixels count: pixels of weight 0 have no influence at any level. A mask
    that is zero everywhere gives 0.
    """
    if made.shape != real.shape:
        raise ValueError(f"l1_pyramid: shapes {tuple(made.shape)} and {tuple(real.shape)} differ")
    if min(made.shape[2:]) < 2 ** (levels - 1):
        raise ValueError(f"l1_pyramid: {levels} levels do not fit into {tuple(made.shape[2:])} px")
    difference = made.float() - real.float()  # N C H W
    if mask is not None:
        difference = difference * mask.float()
    total = difference.new_zeros(())
    for level in range(levels):
        if level:
            difference = functional.avg_pool2d(difference, 2)
        if mask is None:
            total = total + difference.abs().mean()
        else:
            cells = mask.float().mean() * difference.numel()  # the sum of weights over N C and this level's cells
            total = total + difference.abs().sum() / cells.clamp_min(1e-8)
    return total / levels
