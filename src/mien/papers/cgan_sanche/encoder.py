"""The encoder of D. Sanche's section 7: a photo -> the noise vector from which the generator draws it again.

As printed: a network "which takes in an image, and returns a vector encoding", that "could be input to the generator,
rather than the noise vector"; trained by the generator's output against the encoder's input
(``training/encoder_paper``). The paper built none. Where it is silent, we decided:

- *The network* is the discriminator's, as the generator is its inverse: three convolutions with pooling (16, 32, 64
  channels), 5000 neurons, and 100 outputs. It sees the image alone: labels are for the generator.
- *tanh* on the output: noise lies in [-1, 1].
- *Batch normalisation* after every layer but the last, as in the generator: without it all photos got one encoding.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from mien.core.checkpoints import WEIGHTS, load_into, load_weights, under
from mien.core.errors import WeightsError
from mien.core.quantise import unpacked
from mien.core.records import Sex
from mien.papers.cgan_sanche.networks import MODEL as GENERATOR
from mien.papers.cgan_sanche.networks import SancheConfig, SancheGenerator, encode_labels

MODEL = "encoder-paper"
PACKAGED_GENERATOR = WEIGHTS / f"{GENERATOR}.safetensors"


class NoiseEncoder(nn.Module):
    """Image (N 3 64 64 in [-1, 1]) -> noise (N 100 in [-1, 1])."""

    def __init__(self, config: SancheConfig) -> None:
        super().__init__()
        self.size_px = config.size_px
        widths, flat = (3, *config.channels), config.channels[-1] * (config.size_px // 8) ** 2
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in itertools.pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in config.channels)
        self.hidden, self.hidden_norm = nn.Linear(flat, config.hidden), nn.BatchNorm1d(config.hidden)
        self.output = nn.Linear(config.hidden, config.noise)

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[1:] != (3, self.size_px, self.size_px):
            raise ValueError(f"image {tuple(image.shape)}: want N 3 {self.size_px} {self.size_px}")
        x = image
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = torch.relu(norm(nn.functional.max_pool2d(convolution(x), 2)))  # N 16 32 32, N 32 16 16, N 64 8 8
        x = torch.relu(self.hidden_norm(self.hidden(x.flatten(1))))  # N 5000
        return torch.tanh(self.output(x).float())  # N 100


class PaperAutoencoder:
    """Encoder and generator, "together an autoencoder network"; between them sit the labels."""

    name = MODEL

    def __init__(self, encoder: NoiseEncoder, generator: SancheGenerator, version: str) -> None:
        self.encoder = encoder.eval().requires_grad_(False)
        self.generator = generator.eval().requires_grad_(False)
        self.version = version

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read weights of ``mien train encoder --preset paper``: both networks are in them."""
        tensors, metadata = load_weights(path, model=MODEL)
        missing = {"config", "version"} - metadata.keys()
        if missing:
            raise WeightsError(f"{path}: its metadata has no '{min(missing)}'")
        config, tensors = SancheConfig.make(metadata["config"], where=str(path)), unpacked(tensors)
        encoder, generator = NoiseEncoder(config), SancheGenerator(config)
        load_into(encoder, under("encoder.", tensors), name=f"{path}: encoder")
        load_into(generator, under("generator.", tensors), name=f"{path}: generator")
        return cls(encoder, generator, str(metadata["version"]))

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        return self.generator.config.size_px

    @torch.no_grad()
    def redraw(self, image: Tensor, sexes: Sequence[Sex], ages_years: Sequence[float]) -> Tensor:
        """Images (N 3 64 64) drawn again as people of such sexes and ages: N 3 64 64, -1 to 1."""
        labels = encode_labels(sexes, ages_years, self.generator.config.ages)
        drawn: Tensor = self.generator(self.encoder(image), labels)
        return drawn


def packaged_generator(path: Path | None = None) -> tuple[SancheGenerator, str]:
    """The generator of a weights file of ``mien train crowd --preset paper`` (None: the packaged), and its version."""
    path = path or PACKAGED_GENERATOR
    tensors, metadata = load_weights(path, model=GENERATOR)
    generator = SancheGenerator(SancheConfig.make(metadata["config"], where=str(path)))
    load_into(generator, unpacked(tensors), name=str(path))
    return generator, f"{metadata['version']}-{metadata.get('batches', '?')}"
