"""From the code of a face to the code of its portrait: looking ahead, mouth shut, no hat, even light, light behind it.

Not of a paper. Encoder features say how a head is turned and lit as well as whose it is: linear probes read yaw with a
correlation of 0.96 on people that they never saw. A portrait is the nearest code whose probes read the wanted values:

    x' = x + (t - P^T x - o) K,    K = (M^T P)^-1 M^T,    M = C P,

"nearest" in the metric of ``C``, the covariance of codes *within* a person: the code moves the way photos of one person
differ, and keeps what they share. (With the covariance of all faces a light background turned women bald: in news
photographs the two go together.) Probes of sex, age, race, hair, beard and glasses take part in ``P`` and are to read
what they read before.

Before that, the features are replaced by what they say of the *person*: y = m + ((x - m) A) B, their posterior mean
where a photo is a person and something of its own (``training/portrait_person.py``). Two photos of one person so give
nearly one portrait; a photo's blur, light and mood that no probe reads go, too.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mien.core.config import Config
from mien.core.errors import RequestError

# What the probes read: degrees / 10, degrees / 10, scores in [-1, 1], and of the photo's pixels the difference of light
# between the halves of the face, the light of the background, and how rough it is (training/portrait_neutral).
READINGS = (
    *("yaw", "pitch", "Smiling", "Mouth Closed", "sidelight", "background light", "background roughness"),
    "Wearing Hat",
)


class NeutralConfig(Config):
    """Sizes."""

    features: int = 1792
    style: int = 48
    readings: tuple[str, ...] = READINGS
    person: int = 0  # directions in which people are told apart; 0: features stay as they were read


class Neutraliser(nn.Module):
    """Standardised features (N F) -> the code (N F + S) of their portrait, as ``Decoder.decode`` reads it."""

    probes: Tensor
    offset: Tensor
    targets: Tensor
    moves: Tensor
    style: Tensor
    common: Tensor
    inward: Tensor
    outward: Tensor

    def __init__(self, config: NeutralConfig) -> None:
        super().__init__()
        self.config = config
        count, size = len(config.readings), config.features + config.style
        self.register_buffer("probes", torch.zeros(size, count))  # P
        self.register_buffer("offset", torch.zeros(count))  # o
        self.register_buffer("targets", torch.zeros(count))  # t
        self.register_buffer("moves", torch.zeros(count, size))  # K
        self.register_buffer("style", torch.zeros(config.style))  # the mean style of neutral faces
        if config.person:
            self.register_buffer("common", torch.zeros(config.features))  # m
            self.register_buffer("inward", torch.zeros(config.features, config.person))  # A
            self.register_buffer("outward", torch.zeros(config.person, config.features))  # B

    def person(self, known: Tensor) -> Tensor:
        """What standardised features (N F) of one photo each say of the person: N F."""
        if not self.config.person:
            return known
        return self.common + ((known - self.common) @ self.inward) @ self.outward

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
