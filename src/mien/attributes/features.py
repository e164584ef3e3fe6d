"""What the attribute heads see of a face: activations of a frozen encoder, averaged over the regions of the crop.

The last layer of a face encoder was taught to forget what changes between two photos of a person: expression, light,
eyewear, what is worn. Layers below it still hold that, region by region. So a *recipe* lists looks; one look is one
tap of the encoder, averaged over a grid of equal regions. Two *frames* of the crop can be looked at: ``window``, the
square that the encoder was trained on, and ``crop``, the whole crop at the same scale, with the hair and collar that
the window cuts off.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mien.core.errors import WeightsError
from mien.faces.align import encoder_window, window
from mien.faces.encoder import Encoder

Frame = Literal["window", "crop"]
FRAMES: tuple[Frame, ...] = ("window", "crop")
CROP_SHARE = 1.2  # side of the whole crop in sides of the encoder's window, to a multiple of 1/10
_NAME = re.compile(r"(window|crop)-(\w+)-(\d+)x(\d+)")


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """A tap of the encoder on one frame of the crop, averaged over ``grid`` x ``grid`` regions (1: over all)."""

    frame: Frame
    tap: str
    grid: int = 1

    @property
    def name(self) -> str:
        """``crop-block17-4x4``: how caches and weights files call it."""
        return f"{self.frame}-{self.tap}-{self.grid}x{self.grid}"

    @classmethod
    def of(cls, name: str) -> FeatureSpec:
        """The look of that name; ``WeightsError`` for a name that is none."""
        found = _NAME.fullmatch(name)
        if found is None or found[3] != found[4] or int(found[3]) < 1:
            raise WeightsError(f"attributes: '{name}' names no look of an encoder, as crop-block17-4x4 does")
        return cls("crop" if found[1] == "crop" else "window", found[2], int(found[3]))


Recipe = tuple[FeatureSpec, ...]
POOL: Recipe = (FeatureSpec("window", "pool"),)  # the floor: what a plain linear probe reads


def frame_px(encoder: Encoder, frame: Frame) -> int:
    """The side in px at which a frame is shown to the encoder; both frames show a face at the same scale."""
    return encoder.input_size if frame == "window" else round(encoder.input_size * CROP_SHARE)


def framed(crops: Tensor, encoder: Encoder, frame: Frame) -> Tensor:
    """Crops (N 3 S S, tensor convention) -> the frame as the encoder reads it (N 3 P P). Differentiable."""
    side = frame_px(encoder, frame)
    return encoder_window(crops, side) if frame == "window" else window(crops, 0.0, 0.0, 1.0, side)


def regions(activations: Tensor, grid: int) -> Tensor:
    """Activations (N C, or N C H W) -> their averages over grid x grid regions (N C*grid*grid), region by region last.

    A tap without places (N C) has no regions: its grid is 1.
    """
    if activations.ndim == 2:
        if grid != 1:
            raise ValueError(f"activations of shape {tuple(activations.shape)} have no {grid} x {grid} regions")
        return activations
    return F.adaptive_avg_pool2d(activations, grid).flatten(1)


def pooled_features(encoder: Encoder, crops: Tensor, recipe: Sequence[FeatureSpec]) -> dict[str, Tensor]:
    """What ``recipe`` sees on crops (N 3 S S, tensor convention): by name, N D float32 each. Differentiable."""
    found: dict[str, Tensor] = {}
    for frame in FRAMES:
        wanted = [each for each in recipe if each.frame == frame]
        if wanted:
            taps = encoder(framed(crops, encoder, frame), sorted({each.tap for each in wanted}, key=encoder.taps.index))
            found |= {each.name: regions(taps[each.tap].float(), each.grid) for each in wanted}
    return found


def concatenate(seen: dict[str, Tensor], recipe: Sequence[FeatureSpec]) -> Tensor:
    """The looks of ``recipe`` side by side, in its order: N D."""
    return torch.cat([seen[each.name] for each in recipe], 1)


def read_features(encoder: Encoder, crops: Tensor, recipe: Sequence[FeatureSpec], *, mirrored: bool = False) -> Tensor:
    """What ``recipe`` sees on crops (N 3 S S, tensor convention), side by side: N D float32. Differentiable.

    ``mirrored``: the mean of what it sees of the crops and of their mirror images, at twice the time. No label knows
    left from right, so what changes with the side is noise to all of them.
    """
    if not mirrored:
        return concatenate(pooled_features(encoder, crops, recipe), recipe)
    both = concatenate(pooled_features(encoder, torch.cat([crops, crops.flip(3)]), recipe), recipe)  # 2N D
    return both.view(2, len(crops), -1).mean(0)
