"""The losses of A. Wang's thesis (2019), section 3.5, each a small pure function with its equation number.

All return a scalar (float32) to be minimised, the mean over the batch. Landmarks are N 68 3: x and y in px of a 320 px
square (the thesis's output, whatever size is trained, so that weights keep their meaning), z the same unit.

Where the text contradicts itself, we decided:

- *3.3* prints the cosine similarity of the distance matrices; minimised, it would push the geometry apart. The text
  calls it the cosine distance: 1 minus what is printed.
- *3.4* prints the signed mean of (l + r - m) / 2. Signed errors cancel and have no lower bound, and l + r - m is zero
  where a pair is centred on m / 2. The text wants pairs centred on the middle m: the mean of |(l + r) / 2 - m|.
- *3.1* is a sum over pixels where every other loss is a mean; the text finds it one or two orders of magnitude above
  the others. The function is the sum as printed; its weight is in ``PortraitPaperConfig``.
- *3.9* reads pixels right of and below the last: there the difference counts as 0.
- *Identity* has no equation: "comparing the FaceNet embeddings of both the input and output images", in a space where
  "the squared L2 norm ... is a measure of similarity": the squared distance of the two unit vectors.
- *3.10, 3.11* print the square outside of the expectation's brackets: the expectation of the squares, as in Mao et al.
  (2017), on whom least squares rest.
- *The embedding* has 128 values in chapter 1 (the published FaceNet) and 512 in the model that the thesis runs
  (Sandberg's, trained on VGGFace2): 512.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mien.core.config import Config
from mien.core.losses import least_squares
from mien.faces.landmarks68 import INNER_LIPS, PAIRS

FRAME_PX = 320.0


class LandmarkWeights(Config):
    """The weights of equation 3.7, as printed."""

    geometry: float = 160.0
    symmetry: float = 1.0
    tilt: float = 1.0
    expression: float = 1.0


def texture(mask: Tensor, wanted: Tensor, made: Tensor) -> Tensor:
    """3.1: sum over pixels (and colours) of mask |wanted - made|. Mask N 1 H W; images N 3 H W, warped alike."""
    return (mask.float() * (wanted.float() - made.float()).abs()).sum((1, 2, 3)).mean()


def distance_matrix(points: Tensor) -> Tensor:
    """3.2: L1 distances of all pairs of landmarks (N K 3): N K K."""
    distances: Tensor = (points[:, :, None] - points[:, None, :]).abs().sum(-1)
    return distances


def geometry(wanted: Tensor, made: Tensor) -> Tensor:
    """3.3: cosine distance of the two distance matrices (landmarks N K 3): 0 for one shape at any size and place."""
    ours, theirs = distance_matrix(made).flatten(1), distance_matrix(wanted).flatten(1)  # N K*K
    lengths: Tensor = torch.linalg.vector_norm(ours, dim=1) * torch.linalg.vector_norm(theirs, dim=1)
    return (1 - (ours * theirs).sum(1) / lengths.clamp_min(1e-8)).mean()


def symmetry(made: Tensor, middle: float = (FRAME_PX - 1) / 2) -> Tensor:
    """3.4: how far the middle of each left-right pair lies from the vertical line x = ``middle``; px."""
    left, right = _pairs(made)
    return ((left[..., 0] + right[..., 0]) / 2 - middle).abs().mean()


def tilt(made: Tensor) -> Tensor:
    """3.5: the difference in height of each left-right pair; px."""
    left, right = _pairs(made)
    return (left[..., 1] - right[..., 1]).abs().mean()


def expression(made: Tensor) -> Tensor:
    """3.6: how far the inner lips are open: the sum over their three pairs; px."""
    upper, lower = zip(*INNER_LIPS, strict=True)
    return (made[:, list(upper), 1] - made[:, list(lower), 1]).abs().sum(1).mean()


def landmark(wanted: Tensor, made: Tensor, weights: LandmarkWeights | None = None) -> dict[str, Tensor]:
    """3.7: the four landmark terms, weighted; the loss is their sum."""
    by = weights or LandmarkWeights()
    return {
        "geometry": by.geometry * geometry(wanted, made),
        "symmetry": by.symmetry * symmetry(made),
        "tilt": by.tilt * tilt(made),
        "expression": by.expression * expression(made),
    }


def identity(wanted: Tensor, made: Tensor) -> Tensor:
    """Squared distance of the encoder's embeddings (N D, unit length): 2 (1 - cosine)."""
    return (wanted.float() - made.float()).square().sum(1).mean()


def mask_size(mask: Tensor, exponent: float = 1.0) -> Tensor:
    """3.8: the mean of the mask (N 1 H W in [0, 1]) to the power p; the thesis uses p = 1."""
    return mask.float().pow(exponent).mean()


def mask_variation(mask: Tensor) -> Tensor:
    """3.9: the mean over pixels of the squared differences to the neighbours below and to the right."""
    values = mask.float()
    below, right = values[..., 1:, :] - values[..., :-1, :], values[..., 1:] - values[..., :-1]
    return (below.square().sum() + right.square().sum()) / values.numel()


def mask_loss(mask: Tensor, exponent: float = 1.0) -> Tensor:
    """The sum of 3.8 and 3.9."""
    return mask_size(mask, exponent) + mask_variation(mask)


def adversarial_generator(fake: Tensor) -> Tensor:
    """3.10: made images are to score 1 (Mao et al., 2017). ``fake``: scores of patches, any shape."""
    return least_squares(fake, 1.0)


def adversarial_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """3.11: photos are to score 1, made images -1."""
    return least_squares(real, 1.0) + least_squares(fake, -1.0)


def _pairs(points: Tensor) -> tuple[Tensor, Tensor]:
    left, right = zip(*PAIRS, strict=True)
    return points[:, list(left)], points[:, list(right)]
