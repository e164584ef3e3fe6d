"""From the code of a face to the code of its portrait: looking ahead, mouth shut, even light, a light background.

Not of a paper. Encoder features say how a head is turned and lit as well as whose it is: linear probes read yaw with a
correlation of 0.96 on people that they never saw. A portrait is the nearest code whose probes read the wanted values:

    x' = x + (t - P^T x - o) K,    K = (M^T P)^-1 M^T,    M = C P,

"nearest" in the metric of ``C``, the covariance of codes *within* a person: the code moves the way photos of one person
differ, and keeps what they share. (With the covariance of all faces a light background turned women bald: in news
photographs the two go together.) Probes of sex, age, race, hair, beard and glasses take part in ``P`` and are to read
what they read before.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.config import Config
from mien.errors import RequestError

# What the probes read: degrees / 10, degrees / 10, scores in [-1, 1], and of the photo's pixels the difference of light
# between the halves of the face, the light of the background, and how rough it is (training/portrait_neutral).
READINGS = ("yaw", "pitch", "Smiling", "Mouth Closed", "sidelight", "background light", "background roughness")


class NeutralConfig(Config):
    """Sizes."""

    features: int = 1792
    style: int = 48
    readings: tuple[str, ...] = READINGS


class Neutraliser(nn.Module):
    """Standardised features (N F) -> the code (N F + S) of their portrait, as ``Decoder.decode`` reads it."""

    probes: Tensor
    offset: Tensor
    targets: Tensor
    moves: Tensor
    style: Tensor

    def __init__(self, config: NeutralConfig) -> None:
        super().__init__()
        self.config = config
        count, size = len(config.readings), config.features + config.style
        self.register_buffer("probes", torch.zeros(size, count))  # P
        self.register_buffer("offset", torch.zeros(count))  # o
        self.register_buffer("targets", torch.zeros(count))  # t
        self.register_buffer("moves", torch.zeros(count, size))  # K
        self.register_buffer("style", torch.zeros(config.style))  # the mean style of neutral faces

    def code(self, known: Tensor) -> Tensor:
        """Standardised features (N F) with the neutral style: N F + S."""
        if known.ndim != 2 or known.shape[1] != self.config.features:
            raise RequestError(f"features of shape {tuple(known.shape)}; wanted N {self.config.features}")
        return torch.cat([known, self.style.expand(len(known), -1)], 1)

    def readings(self, code: Tensor) -> Tensor:
        """What the probes read of codes (N F + S): N readings."""
        return code @ self.probes + self.offset

    def forward(self, known: Tensor) -> Tensor:
        code = self.code(known)
        moved: Tensor = code + (self.targets - self.readings(code)) @ self.moves
        return moved
