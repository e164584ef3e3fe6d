"""The two terms of DRAW's loss (Gregor et al., 2015, section 2), in nats an image (N each)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def reconstruction(logits: Tensor, image: Tensor) -> Tensor:
    """L^x (equation 9): cross entropy of ``image`` (N ..., 0 to 1) under sigmoid(``logits``).

    Section 4: for colour, "red, green and blue pixel intensities were represented as numbers between 0 and 1, which
    were then interpreted as independent colour emission probabilities". So it is no cost of compression, and never
    below the entropy of the intensities themselves.
    """
    return functional.binary_cross_entropy_with_logits(logits.float(), image, reduction="none").flatten(1).sum(1)


def latent(mean: Tensor, log_deviation: Tensor) -> Tensor:
    """L^z of one glimpse (equation 11): the divergence of N(mean, deviation^2) (N Z) from N(0, 1)."""
    mean, log_deviation = mean.float(), log_deviation.float()
    return ((mean**2 + (2 * log_deviation).exp() - 1) / 2 - log_deviation).sum(1)
