"""The conditional GAN of D. Sanche, *Generating Faces using Generative Adversarial Networks*, section 3, as printed.

Both networks take sex and age as numbers in [-1, 1]. The discriminator sees them as two constant 64 x 64 channels
beside RGB; the generator sees them beside 100 noise values in [-1, 1].

Where the paper is silent, we decided:

- *Labels*: female -1, male 1; age 10 years -1, 100 years 1, linear between (the paper's data spans 10 to 100).
- *Fully connected layers of the generator* ("two", "the inverse of the discriminator"): 5000, then 8 x 8 x 64.
- *Batch normalisation* ("in the generator"): after every layer of the generator but the last, before ReLU.
- *Up-sampling* comes before each transposed convolution, so that three doublings lead from 8 to 64 px and the last
  convolution draws at 64 px. Padding keeps the size ("patch size of 3, strides of 1").
- *The sigmoid* of the discriminator's output lives in the cost (cross entropy with logits): the networks return logits.
- *ReLU before or after pooling* is the same function (both keep order); after is four times cheaper.
- *The crop*: the paper's photos come as IMDB-WIKI cut them. Ours are aligned, and of a tightly cut photo only the
  middle is photograph, so the square ``FRAME`` of the aligned crop is what the networks see.
- *Initial weights*: torch's own for all layers.
- *Ages in bins* (section 7: "threshold different ages into different bins", "in an extreme case ... three simple
  categories: teenagers, adults, and seniors"): a number for each bin, 1 for its own and -1 for the others, in place of
  the one number of the age. Eight bins are those of the batches; the words are under 20, 20 to 59, and 60 and over.
- *At sampling* the running statistics of batch normalisation are used, so that a face does not depend on its batch.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Literal, NoReturn, Self

import numpy as np
import torch
from torch import Tensor, nn

from mien.core.checkpoints import load_into, load_weights
from mien.core.config import Config
from mien.core.contract import FaceRequest, complete, in_fixed_rows
from mien.core.errors import RequestError
from mien.core.limits import check_size, refuse_look
from mien.core.quantise import unpacked
from mien.core.records import Labels, Sex
from mien.core.seeding import sample_generator

MODEL = "crowd-paper"
SIZE_PX = 64
AGE_YEARS = (10.0, 100.0)
FRAME = (0.15, 0.19, 0.70)  # left, top, side of the drawn square within mien's aligned crop, in shares of the crop

Ages = Literal["years", "words", "bins"]
BIN_EDGES_YEARS: dict[Ages, tuple[int, ...]] = {"words": (20, 60), "bins": (20, 30, 40, 50, 60, 70, 80)}  # inner ones


class SancheConfig(Config):
    """Sizes of both networks; the defaults are the paper's."""

    ages: Ages = "years"  # how ages are told: a number, three words or eight bins
    noise: int = 100
    channels: tuple[int, int, int] = (16, 32, 64)
    hidden: int = 5000
    size_px: int = SIZE_PX

    @property
    def labels(self) -> int:
        """Numbers L that say sex and age."""
        return 2 if self.ages == "years" else len(BIN_EDGES_YEARS[self.ages]) + 2


def encode_labels(sexes: Sequence[Sex], ages_years: Sequence[float], ages: Ages = "years") -> Tensor:
    """Labels -> N L float32 in [-1, 1]: sex (female -1, male 1), then the age: a number (10 to 100 years; others are
    clipped), or 1 for its bin and -1 for each other.
    """
    if len(sexes) != len(ages_years):
        raise RequestError(f"labels: {len(sexes)} sexes but {len(ages_years)} ages")
    low, high = AGE_YEARS
    sex = torch.tensor([1.0 if sex == "male" else -1.0 for sex in sexes])
    years = torch.tensor([float(age) for age in ages_years])
    if ages == "years":
        return torch.stack([sex, (years.clamp(low, high) - low) / (high - low) * 2 - 1], 1)  # N 2
    edges = torch.tensor(BIN_EDGES_YEARS[ages], dtype=torch.float32)
    own = nn.functional.one_hot(torch.bucketize(years, edges, right=True), len(edges) + 1)
    return torch.cat([sex[:, None], own * 2.0 - 1], 1)  # N L


def draw_noise(count: int, width: int, generator: torch.Generator) -> Tensor:
    """N ``width`` values, uniform in [-1, 1]."""
    return torch.rand(count, width, generator=generator, device=generator.device) * 2 - 1


class SancheDiscriminator(nn.Module):
    """Image (N 3 H W in [-1, 1]) and labels (N L in [-1, 1]) -> logit (N) that the image is a photo."""

    def __init__(self, config: SancheConfig) -> None:
        super().__init__()
        self.size_px, self.labels = config.size_px, config.labels
        widths = (3 + config.labels, *config.channels)
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in itertools.pairwise(widths))
        self.hidden = nn.Linear(config.channels[-1] * (config.size_px // 8) ** 2, config.hidden)
        self.output = nn.Linear(config.hidden, 1)

    def forward(self, image: Tensor, labels: Tensor) -> Tensor:
        if image.shape[1:] != (3, self.size_px, self.size_px) or labels.shape != (len(image), self.labels):
            given = f"image {tuple(image.shape)}, labels {tuple(labels.shape)}"
            raise ValueError(f"{given}: want N 3 H W and N {self.labels}")
        planes = labels[:, :, None, None].expand(-1, -1, self.size_px, self.size_px).to(image.dtype)
        x = torch.cat([image, planes], 1)  # N (3 + L) 64 64
        for convolution in self.convolutions:
            x = torch.relu(nn.functional.max_pool2d(convolution(x), 2))  # N 16 32 32, N 32 16 16, N 64 8 8
        x = torch.relu(self.hidden(x.flatten(1)))  # N 5000
        logit: Tensor = self.output(x)[:, 0]  # N
        return logit


class SancheGenerator(nn.Module):
    """Noise (N 100 in [-1, 1]) and labels (N L in [-1, 1]) -> image (N 3 64 64 in [-1, 1])."""

    def __init__(self, config: SancheConfig) -> None:
        super().__init__()
        self.config = config
        first, second, third = config.channels
        self.start = (third, config.size_px // 8, config.size_px // 8)
        flat = third * (config.size_px // 8) ** 2
        self.hidden = nn.ModuleList(
            [nn.Linear(config.noise + config.labels, config.hidden), nn.Linear(config.hidden, flat)]
        )
        self.hidden_norms = nn.ModuleList([nn.BatchNorm1d(config.hidden), nn.BatchNorm1d(flat)])
        widths = (third, second, first, 3)
        self.deconvolutions = nn.ModuleList(
            nn.ConvTranspose2d(i, o, 3, padding=1) for i, o in itertools.pairwise(widths)
        )
        self.norms = nn.ModuleList([nn.BatchNorm2d(second), nn.BatchNorm2d(first)])

    def forward(self, noise: Tensor, labels: Tensor) -> Tensor:
        if labels.shape != (len(noise), self.config.labels):
            given = f"noise {tuple(noise.shape)}, labels {tuple(labels.shape)}"
            raise ValueError(f"{given}: want N {self.config.noise} and N {self.config.labels}")
        x = torch.cat([noise, labels.to(noise.dtype)], 1)  # N (100 + L)
        for layer, norm in zip(self.hidden, self.hidden_norms, strict=True):
            x = torch.relu(norm(layer(x)))  # N 5000, N 4096
        x = x.reshape(-1, *self.start)  # N 64 8 8
        for number, deconvolution in enumerate(self.deconvolutions):
            x = deconvolution(nn.functional.interpolate(x, scale_factor=2.0, mode="nearest"))
            if number < len(self.norms):
                x = torch.relu(self.norms[number](x))  # N 32 16 16, N 16 32 32
        return torch.tanh(x.float())  # N 3 64 64


class PaperCrowd:
    """The trained generator behind the contract of generators."""

    name = MODEL
    frame = FRAME
    rows = 16  # of a batch
    drawn_ages_years = (15.0, 75.0)  # where a request names no age
    ages_years = (float(AGE_YEARS[0]), float(AGE_YEARS[1]))  # that it can be told; a request beyond them is clipped

    def __init__(self, generator: SancheGenerator, version: str) -> None:
        self.generator = generator.eval().requires_grad_(False)
        self.version = version

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read weights that ``mien train crowd --preset paper`` exported."""
        tensors, metadata = load_weights(path, model=MODEL)
        generator = SancheGenerator(SancheConfig.make(metadata["config"], where=str(path)))
        load_into(generator, unpacked(tensors), name=str(path))
        return cls(generator, str(metadata["version"]))

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        return self.generator.config.size_px

    def at(self, size_px: int | None) -> Self:
        """There is one size."""
        check_size(size_px, (self.size_px,))
        return self

    def looking(self, look: str) -> NoReturn:
        """``RequestError``: there is one look."""
        refuse_look(look, self.name)

    @torch.inference_mode()
    def draw(self, requests: Sequence[FaceRequest]) -> tuple[Tensor, list[Labels]]:
        """One picture for each request, in order. Raises ``RequestError`` for labels other than sex and age."""
        if any(request.labels.race is not None or request.labels.attributes for request in requests):
            raise RequestError("race, attributes: given; the preset 'paper' knows sex and age only")
        pictures = torch.empty(len(requests), 3, self.size_px, self.size_px)
        made_for = [complete(request, self.drawn_ages_years) for request in requests]
        width = self.generator.config.noise
        for page in in_fixed_rows(requests, self.rows):
            noise = np.zeros((self.rows, width), np.float32)
            wanted = [made_for[slot[0]] if slot else Labels("female", 30.0) for slot in page]
            for row, slot in enumerate(page):
                if slot:
                    noise[row] = sample_generator(slot[1].seed, slot[1].index).uniform(-1, 1, width)
            sexes, ages = [w.sex or "female" for w in wanted], [w.age_years or 0.0 for w in wanted]
            labels = encode_labels(sexes, ages, self.generator.config.ages)
            for slot, picture in zip(page, self.generator(torch.from_numpy(noise), labels), strict=True):
                if slot:
                    pictures[slot[0]] = picture
        return pictures, made_for
