"""The settings that only one preset reads, typed, with their defaults: what ``--set name=value`` may name."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from mien.attributes.vocabulary import NAMES
from mien.core.config import Config

FEW = 100  # painted faces: of fewer nothing is learned of caricatures
EncoderName = Literal["facenet", "vgg-face"]


class NoSettings(Config):
    """A preset without settings of its own."""


class CrowdSettings(Config):
    """The decoder and the density over its codes."""

    density_steps: int | None = Field(default=None, ge=1, description="batches of 512 codes for the density")
    rate: float | None = Field(default=None, gt=0, description="learning rate of the decoder at its highest (1e-3)")


class CrowdPaperSettings(Config):
    """The paper's conditional GAN."""

    ages: Literal["years", "words", "bins"] = Field(
        default="years", description="how it is told ages: years, words (teenager, adult, senior) or bins (eight)"
    )
    hidden: int = Field(default=5000, ge=1, description="neurons of both widest layers; fewer are faster")


class EncoderSettings(Config):
    """The encoder against the paper's generator."""

    generator: Path | None = Field(
        default=None, description="weights of `mien train crowd --preset paper` (the packaged ones)"
    )


class AttributesSettings(Config):
    """The heads on their encoder."""

    encoder: EncoderName = Field(default="facenet", description="facenet, or vgg-face (the paper's)")
    unfreeze_from: str | None = Field(default=None, description="this layer of the encoder and all after it learn too")
    rate: float | None = Field(default=None, gt=0, le=1, description="learning rate of the heads")
    rate_decay_per_layer: float = Field(
        default=1.0, gt=0, le=1, description="factor on the rate for each layer farther from the heads"
    )
    epochs: int | None = Field(default=None, ge=1, description="times that every face is seen")


class DensitySettings(Config):
    """The density that `mien imagine` draws from."""

    components: int = Field(default=8, ge=1, description="Gaussians")
    drawn: int = Field(default=3072, ge=0, description="faces drawn to learn what the decoder shows; 0: none")
    decoder: Path | None = Field(default=None, description="weights of `mien train crowd` whose decoder will draw")


class MixtureSettings(Config):
    """The paper's custom Gaussian mixture, equations 2 to 4."""

    encoder: EncoderName = Field(default="facenet", description="facenet or vgg-face")
    layer: str | None = Field(
        default=None, description="layer l of the encoder; of FaceNet block17_10, the deepest that inverts to a face"
    )
    set_size: int = Field(default=100, ge=2, description="images in each S_i")
    images: int | None = Field(default=None, ge=2, description="images in D at most; all if not given")


class DrawSettings(Config):
    """The recurrent variational autoencoder (Gregor et al., 2015) that draws what the paper's mixture estimates."""

    size_px: int = Field(default=64, ge=16, le=256, description="height and width of the pictures, px")
    glimpses: int = Field(default=16, ge=1, description="times that it reads and paints (32 for house numbers)")
    patch_px: int = Field(default=12, ge=2, description="filters of a glimpse, across and down")
    hidden: int = Field(default=256, ge=1, description="units of each LSTM (800 for house numbers)")
    code: int = Field(default=50, ge=1, description="numbers of the code of a glimpse (100 for house numbers)")
    condition: int = Field(default=64, ge=1, description="principal coefficients of the activations that it is told")
    rate: float = Field(default=1e-3, gt=0, le=1, description="learning rate of Adam at its highest")


class PortraitSettings(Config):
    """The thesis's decoder, with the filters of its data."""

    size: int = Field(default=320, gt=0, multiple_of=64, description="height and width, px: a multiple of 64")
    yaw: float = Field(default=5.0, gt=0, description="learn from faces turned by at most so many degrees")
    pitch: tuple[float, float] = Field(default=(-15.0, 15.0), description="and nodding from the first to the second")
    without: tuple[str, ...] = Field(default=(), description="without these attributes: Wearing Hat, Eyeglasses")
    sharpness: float | None = Field(default=None, description="at least so sharp (`sharpness` of the catalogue)")
    colour: bool = Field(default=False, description="with colour only")
    inside: float | None = Field(default=None, ge=0, le=1, description="so large a share of the crop is photograph")
    landmarks: str = Field(default="face-mesh", description="the network of the 68 points")
    rate: float = Field(default=2e-4, gt=0, description="learning rate of Adam; the thesis prints none")
    warm: int = Field(default=20_000, ge=0, description="images that teach texture alone, before landmarks count")
    mask_from: int = Field(
        default=0, ge=0, description="images until texture moves the mask; 0 as printed, 200000 keeps a face in it"
    )
    adversarial: bool = Field(default=True, description="the adversarial loss (no: the ablation of section 4.4)")
    mask: bool = Field(default=True, description="the attention mask (no: the ablation of section 4.4)")
    count: bool = Field(default=False, description="only say how many faces each filter leaves, and train nothing")

    @field_validator("pitch")
    @classmethod
    def _rises(cls, pitch: tuple[float, float]) -> tuple[float, float]:
        if pitch[0] >= pitch[1]:
            raise ValueError("the first is to be under the second")
        return pitch

    @field_validator("without")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in NAMES:
                near = ", ".join(get_close_matches(name, NAMES, n=3, cutoff=0.4))
                raise ValueError(f"no such attribute; near: {near}; `mien attributes` lists all")
        return names


class EnlargerSettings(Config):
    """From 128 px to 256 px."""

    faces: int | None = Field(default=None, ge=1, description="photographed faces to learn from")
    drawn: int = Field(default=768, ge=0, description="faces drawn by the crowd, to learn from as well; 0: none")
    crowd: Path | None = Field(default=None, description="weights of `mien train crowd` that draw them")


class FinisherSettings(Config):
    """What makes 256 px of the painter's 128 px, without its brush strokes."""

    faces: int = Field(default=4500, ge=1, description="sharp photographs that are painted over")
    least_px: int = Field(default=200, ge=64, le=256, description="least side of a crop in pixels of its photograph")
    sources: str = Field(default="", description="sources of the photographs, by commas; nothing: all")
    of_each: int = Field(default=900, ge=1, description="photographs of one source, at most")


class PainterSettings(Config):
    """The painter and the density over its codes."""

    code: int = Field(default=320, ge=2, description="principal coefficients that say who somebody is")
    channels: int = Field(default=96, ge=1, le=768, description="numbers a patch of 16 px")
    width: int = Field(default=288, ge=24, description="of the transformer")
    depth: int = Field(default=10, ge=1, description="blocks of the transformer")
    restless: int = Field(default=800, ge=0, description="faces painted to predict which become caricatures; 0: none")
    heads: int = Field(default=6, ge=1, description="heads of a block; a divisor of the width")
    components: int = Field(default=8, ge=1, description="Gaussians of the density")
    critic: float = Field(
        default=0.0, ge=0, description="weight of a critic of what is painted; 0: none (needs --from)"
    )
    pack: float | None = Field(
        default=None, gt=0, description="train nothing, and write RUN/packed: all that training needs, in so many MiB"
    )

    @field_validator("restless")
    @classmethod
    def _enough(cls, value: int) -> int:
        if 0 < value < FEW:
            raise ValueError(f"allowed are 0 (none), and {FEW} faces and more")
        return value
