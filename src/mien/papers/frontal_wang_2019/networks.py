"""The networks of A. Wang, *High Resolution Neural Frontal Face Synthesis from Face Encodings using Adversarial Loss*
(MIT, 2019): face decoder (section 3.3, table 3.1), attention mask (3.3) and discriminator (3.5.4, table 3.2).

As printed: FaceNet's average pool (1792) -> two fully connected layers of 4800 -> 5 x 5 x 192 -> six stages of two
residual blocks and an upsampling convolution, 192-96-48-24-12-6-3 channels, 320 x 320 x 3, tanh: the noisy face F_N.
The mask W branches from the 80 x 80 x 12 tensor through two more such stages to 320 x 320 x 3, and a last convolution
to 320 x 320 x 1. The output is F_O = W F_N + (1 - W) B with B of ones: white.

Where the text contradicts itself or is silent, we decided:

- *Fully connected layers*: the text speaks of one, figure 3-3 of two, table 3.1 lists "FC1 4800" twice: two.
- *Table 3.2*: C8 is printed with stride 1 but halves its input (40 to 20): stride 2. C7 and C9 keep theirs: stride 1.
- *The discriminator's last layer* is "followed by leaky ReLU" like the others in figure 3-7's caption; a score of -1,
  its target, would then cost five times a score of 1: no activation there.
- *Upsampling convolution*: twice the size by nearest neighbour, then 3 x 3, which leaves no chequerboard.
- *FrontalBlock block*: 3 x 3, batch normalisation, ReLU, 3 x 3, batch normalisation, plus its input, ReLU.
- *Between the fully connected layers* ReLU; *W* through a sigmoid, so that it is a share.
- *The mask's stages* start at the tensor after C4, before the stages that follow it.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.core.checkpoints import load_into, load_weights
from mien.core.config import Config
from mien.core.errors import RequestError
from mien.core.layers import SLOPE
from mien.core.quantise import unpacked
from mien.faces.align import encoder_window, whole_window
from mien.faces.readers import FaceReaders

MODEL = "portrait-paper"
ENCODER_TAP = "pool"
FULL = "full"


def variant_of(*, adversarial: bool, masked: bool) -> str:
    """What a decoder is called in the ablation of section 4.4."""
    missing = [name for name, there in (("mask", masked), ("adversarial loss", adversarial)) if not there]
    return f"without {' and '.join(missing)}" if missing else FULL


class FrontalConfig(Config):
    """Sizes of the networks; the defaults are the thesis's. ``first_px`` 2 and 1 give 128 and 64 px, to try things."""

    features: int = 1792
    first_px: int = 5
    channels: tuple[int, ...] = (192, 96, 48, 24, 12, 6, 3)
    hidden: int | None = None  # of the fully connected layers; None: as many as the first tensor has values (4800)
    mask_stages: int = 2
    discriminator: tuple[int, ...] = (32, 64, 128, 256)

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        return int(self.first_px * 2 ** (len(self.channels) - 1))

    @classmethod
    def of_size(cls, size_px: int) -> Self:
        """The thesis's networks for another size: a multiple of 64 px."""
        stages = 2 ** (len(cls().channels) - 1)
        if size_px < stages or size_px % stages:
            raise RequestError(f"--size: {size_px} given; allowed are multiples of {stages} (the thesis: 320)")
        return cls(first_px=size_px // stages)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the decoder draws: the noisy face F_N (N 3 S S, -1 to 1), the mask W (N 1 S S, 0 to 1) and F_O."""

    noisy: Tensor
    mask: Tensor
    output: Tensor


class FrontalBlock(nn.Module):
    """N C H W -> N C H W."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(x + self.norm2(self.conv2(y)))


class Stage(nn.Module):
    """Two residual blocks and an upsampling convolution: N C H W -> N out 2H 2W."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(FrontalBlock(channels), FrontalBlock(channels))
        self.up = nn.Conv2d(channels, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        grown = functional.interpolate(self.blocks(x), scale_factor=2, mode="nearest")
        made: Tensor = self.up(grown)
        return made


class PortraitDecoder(nn.Module):
    """Encoder features (N 1792) -> ``Drawn``. ``masked=False`` (the ablation of section 4.4): W is 1 everywhere."""

    def __init__(self, config: FrontalConfig, *, masked: bool = True) -> None:
        super().__init__()
        self.config = config
        widths, count = config.channels, len(config.channels) - 1
        flat = config.first_px**2 * widths[0]
        self.fc1 = nn.Linear(config.features, config.hidden or flat)
        self.fc2 = nn.Linear(config.hidden or flat, flat)
        self.stages = nn.ModuleList(Stage(a, b) for a, b in itertools.pairwise(widths))
        self.branch = count - config.mask_stages  # stages before the mask leaves
        last = list(itertools.pairwise(widths[self.branch :]))
        self.mask_stages = nn.ModuleList(Stage(a, b) for a, b in last) if masked else None
        self.mask_out = nn.Conv2d(widths[-1], 1, 3, padding=1) if masked else None

    def forward(self, features: Tensor) -> Drawn:
        if features.ndim != 2 or features.shape[1] != self.config.features:
            raise RequestError(f"features of shape {tuple(features.shape)}; wanted N {self.config.features}")
        x = functional.relu(self.fc2(functional.relu(self.fc1(features))))  # N 4800
        x = x.reshape(len(x), -1, self.config.first_px, self.config.first_px)  # N 192 5 5
        x = x.contiguous(memory_format=torch.channels_last)
        early = x
        for number, stage in enumerate(self.stages, 1):
            x = stage(x)  # N 96 10 10, 48 20 20, 24 40 40, 12 80 80, 6 160 160, 3 320 320
            if number == self.branch:
                early = x
        noisy = torch.tanh(x.float())
        if self.mask_stages is None or self.mask_out is None:
            mask = torch.ones_like(noisy[:, :1])
        else:
            for stage in self.mask_stages:
                early = stage(early)  # N 6 160 160, 3 320 320
            mask = torch.sigmoid(self.mask_out(early).float())  # N 1 320 320
        return Drawn(noisy, mask, composed(noisy, mask))


def composed(noisy: Tensor, mask: Tensor, background: float | Tensor = 1.0) -> Tensor:
    """F_O = W F_N + (1 - W) B; B of ones is white."""
    return mask * noisy + (1 - mask) * background


class FrontalDiscriminator(nn.Module):
    """Images (N 3 S S, -1 to 1) -> scores of patches (N 1 S/16 S/16): table 3.2."""

    def __init__(self, config: FrontalConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in config.discriminator:  # C1 C2, C3 C4, C5 C6, C7 C8
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.LeakyReLU(SLOPE)]
            layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
            before = width
        self.layers = nn.Sequential(*layers)
        self.out = nn.Conv2d(before, 1, 3, padding=1)  # C9

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.out(self.layers(images))
        return scores.float()


class PaperPortrait:
    """The trained decoder: encoder features -> portraits."""

    name = MODEL

    def __init__(
        self,
        decoder: PortraitDecoder,
        version: str,
        *,
        variant: str = FULL,
        trained_images: int | None = None,
        learned_from: tuple[tuple[str, int, int], ...] = (),
    ) -> None:
        self.decoder = decoder.eval().requires_grad_(False)
        self.version, self.variant, self.trained_images = version, variant, trained_images
        self.learned_from = learned_from  # each filter of the faces, how many it left, of how many it knew nothing

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read weights that ``mien train portrait --preset paper`` exported."""
        tensors, metadata = load_weights(path, model=MODEL)
        config = FrontalConfig.make(metadata["config"], where=str(path))
        masked = bool(metadata.get("masked", True))
        decoder = PortraitDecoder(config, masked=masked)
        load_into(decoder, unpacked(tensors), name=str(path))
        training = metadata.get("training", {})
        adversarial = bool(training.get("with_adversarial", True))
        images = metadata.get("images")
        return cls(
            decoder,
            str(metadata["version"]),
            variant=variant_of(adversarial=adversarial, masked=masked),
            trained_images=None if images is None else int(images),
            learned_from=tuple(
                (str(words), int(left), int(unknown)) for words, left, unknown in training.get("faces", ())
            ),
        )

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        return self.decoder.config.size_px

    def version_at(self, size_px: int | None = None, /) -> str:
        """The same network at any size."""
        return self.version

    @torch.inference_mode()
    def encode(self, crop: Tensor, readers: FaceReaders, /) -> tuple[Tensor, Tensor]:
        """Aligned crop (1 3 S S) -> the features of all of it, hair included (1 1792), and its embedding (1 512)."""
        encoder = readers.encoder
        loose, tight = (cut(crop, encoder.input_size) for cut in (whole_window, encoder_window))
        return encoder(loose, [ENCODER_TAP])[ENCODER_TAP], encoder(tight, ["embedding"])["embedding"]

    def render(self, features: Tensor, readers: FaceReaders, size_px: int | None, /) -> tuple[Tensor, Tensor]:
        """Features (N 1792) -> the noisy faces F_N (N 3 S S) and the masks W (N 1 S S)."""
        drawn = self.draw(features)
        return drawn.noisy, drawn.mask

    def as_read(self, crop: Tensor, readers: FaceReaders, /) -> None:
        """``None``: this network draws neutral faces only."""

    @torch.inference_mode()
    def draw(self, features: Tensor) -> Drawn:
        """Features (N 1792) of loose crops at ``ENCODER_TAP`` -> noisy faces, masks and outputs."""
        drawn: Drawn = self.decoder(features.float())
        return drawn
