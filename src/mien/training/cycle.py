"""The cycle of the decoder's training: features of people who never were -> face -> the same features again.

Not of a paper; the cycle is that of Zhu et al. (2017), closed on features alone. A decoder that only ever draws the
people of its data draws others too much like them: of held-out photos the encoder found cosines of 0.67 between the
features given and the features of the face drawn, of training photos 0.80. Features mixed of two people ask for no
photo, so there are as many people as one likes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from mien.faces.align import encoder_window

TAPS = ("pool", "embedding")
SIDE_PX = 160  # what the encoder was trained on: smaller windows read other features


def spaced(count: int, size: int) -> list[int]:
    """``count`` places of a batch of ``size``, evenly apart."""
    return [place * size // count for place in range(count)]


def laid(images: Tensor, source: Tensor) -> Tensor:
    """Images (N C S S) with borders mirrored as a photo's are: each pixel from ``source`` (N S S 2, x and y in pixels).

    A face out of features that were read of a photo with a mirrored border has to have no such border: it has to be
    read alike, and to be taken for a photo, once its border is mirrored too (the measurement is simulated, as in
    AmbientGAN: Bora et al., 2018).
    """
    grid = source.to(images.device, torch.float32) * (2 / (images.shape[-1] - 1)) - 1
    return functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=True)


def mixed(features: Tensor, mean: Tensor, deviation: Tensor, count: int, noise: torch.Generator) -> Tensor:
    """``count`` mixtures (count F) of neighbours in a batch of features (N F), as far from the mean as those are.

    Standardised, a and b become (w a + (1 - w) b) / sqrt(w^2 + (1 - w)^2), w uniform in [0, 1]: strangers' features are
    all but uncorrelated, so that the length is that of a person's.
    """
    known = (features - mean) / deviation
    share = torch.rand(count, 1, generator=noise, device=noise.device)
    places = spaced(count, len(features))
    one, other = known[places], known.roll(1, 0)[places]
    drawn = share * one + (1 - share) * other
    return mean + deviation * drawn / (share.square() + (1 - share).square()).sqrt()


def cycle(encoder: Any, made: Tensor, wanted: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """How far the features of ``made`` (N 3 S S) are from those ``wanted`` (N F): two angles, each 1 - cosine.

    That between the pooled features, standardised, and that between the embeddings, which keep what tells people apart.
    """
    seen = encoder(encoder_window(made, SIDE_PX), TAPS)
    ours, theirs = ((pooled.float() - mean) / deviation for pooled in (seen["pool"], wanted))
    pooled = 1 - functional.cosine_similarity(ours, theirs).mean()
    return pooled + 1 - functional.cosine_similarity(seen["embedding"].float(), encoder.embed(wanted.float())).mean()
