"""Portraits drawn again until the encoder sees the person: a few steps of descent in the decoder's code.

Not of a paper; the closest is projection into a generator's latent space (Abdal et al., Image2StyleGAN, 2019). What the
decoder draws is read by the encoder and by the face mesh as a photo would be, and the code moves against

    (1 - cos(e(x), e)) + (1 - cos(p(x), p)) + |turn|^2 + mouth^2 + dark^2 + |tone|^2,

where e is the embedding of the person (who it is), p the standardised pooled features of the neutral code (how it is to
look), turn the three angles of the head, mouth the opening of the lips, dark how far the background is from white, and
tone how far the blurred face drifts from that of the first picture, in their units: the encoder does not mind skin that
turns darker or redder, people do. Only the code moves, so that the picture stays one that the decoder can draw: pixels
would learn to fool the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from mien.core.precision import fast_autocast
from mien.faces import align
from mien.faces.landmarks import IBUG_68, INPUT_PX, mesh_points
from mien.faces.landmarks68 import INNER_LIPS
from mien.faces.pose import angles_degrees
from mien.faces.readers import FaceReaders
from mien.generators.decoder import Decoder
from mien.generators.portrait.settings import RefineConfig

TURN_UNIT_DEGREES = 10.0
MOUTH_UNIT = 0.1  # of the eyes' distance
TONE_PX = 8  # pictures are so small where their tones are compared
TONE_FACE = (slice(2, 7), slice(2, 6))  # rows and columns of them that are face
STRIP, STRIP_LOW = 0.094, 0.39  # where background is looked for: shares of the picture's side


def darkness(images: Tensor) -> Tensor:
    """How far (N, root mean square) the upper strips at both sides of pictures (N 3 S S in [-1, 1]) are from white."""
    side = images.shape[-1]
    strip, low = round(STRIP * side), round(STRIP_LOW * side)
    edges = torch.cat([images[:, :, :low, :strip], images[:, :, :low, -strip:]], 3)
    return (1 - edges).square().mean((1, 2, 3)).clamp_min(1e-6).sqrt()


def mouth_gap(points: Tensor) -> Tensor:
    """Distance of the inner lips (N), mean of three pairs, of the outer eye corners' distance. Differentiable."""
    face = points[:, list(IBUG_68), :2]
    upper, lower = (torch.tensor(side) for side in zip(*INNER_LIPS, strict=True))
    gaps = (face[:, lower] - face[:, upper]).square().sum(2).clamp_min(1e-9).sqrt().mean(1)
    eyes = (points[:, align.EYE_RIGHT_OUTER, :2] - points[:, align.EYE_LEFT_OUTER, :2]).square().sum(1)
    return gaps / eyes.clamp_min(1e-6).sqrt()


def tones(images: Tensor) -> Tensor:
    """The colours (N 3 R C) of the face in pictures (N 3 S S), without its features."""
    return functional.adaptive_avg_pool2d(images, TONE_PX)[:, :, TONE_FACE[0], TONE_FACE[1]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What N pictures are to show."""

    embedding: Tensor  # N 512: who it is
    known: Tensor  # N F: standardised features, how they look
    tones: Tensor  # N 3 R C: as ``tones``


def costs(images: Tensor, readers: FaceReaders, decoder: Decoder, wanted: Wanted, c: RefineConfig) -> Tensor:
    """The cost (N) of pictures (N 3 S S) that are to show what is ``wanted``."""
    seen = readers.encoder(align.encoder_window(images, readers.encoder.input_size), ("pool", "embedding"))
    read = (seen["pool"].float() - decoder.mean) / decoder.deviation
    cost = c.embedding * (1 - functional.cosine_similarity(seen["embedding"].float(), wanted.embedding))
    cost = cost + c.features * (1 - functional.cosine_similarity(read, wanted.known))
    cost = cost + c.tone * (tones(images) - wanted.tones).square().mean((1, 2, 3))
    if c.turn or c.mouth:
        points = mesh_points(readers.mesh, align.whole_window(images.float(), INPUT_PX))
        cost = cost + c.turn * (angles_degrees(points) / TURN_UNIT_DEGREES).square().sum(1)
        cost = cost + c.mouth * (mouth_gap(points) / MOUTH_UNIT).square()
    return cost + c.dark * darkness(images).square()


def refined(
    code: Tensor, planes: list[Tensor], decoder: Decoder, readers: FaceReaders, embedding: Tensor, config: RefineConfig
) -> Tensor:
    """Codes (N F + S) as ``Decoder.decode`` reads them, moved so that their pictures show the people of ``embedding``.

    ``embedding`` (N 512) is the people's. Each row is refined by itself; other rows beside it move it by rounding only.
    ``decoder`` and the encoder may be copies by ``cast_once``.
    """
    moving = code.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([moving], lr=config.rate, betas=(0.8, 0.95))
    wanted: Wanted | None = None
    for _ in range(config.steps):
        with torch.enable_grad(), fast_autocast(code.device):
            images = decoder.decode(moving, planes).float()
            if wanted is None:  # the first picture has the tones that are to stay
                wanted = Wanted(embedding, code[:, : decoder.mean.numel()].clone(), tones(images.detach()))
            cost = costs(images, readers, decoder, wanted, config)
            (moving.grad,) = torch.autograd.grad(cost.float().sum(), [moving])
        optimiser.step()
    return moving.detach()
