"""What a head of sex sees of a network: which window of a face, which maps, and how finely these are divided."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.core.errors import RequestError

Network = nn.Module  # windows (N 3 S S) and names of taps -> taps by name


@dataclass(frozen=True, slots=True)
class Sight:
    """One network, and what of it a head of sex reads.

    ``looks`` are (tap, places, width): maps averaged over ``places`` x ``places`` regions (0: a vector as it is), which
    makes ``width`` numbers. ``inner`` is what a head brings each look to, and ``starts`` is how many heads that differ
    in their random start are averaged (all chosen by cross-validation, model card).
    """

    network: str  # as `mien models` calls it
    loader: str  # module:class with ``load``
    window: str  # module:function of crops (N 3 S S)
    looks: tuple[tuple[str, int, int], ...]
    inner: tuple[int, ...]
    starts: int = 1

    @property
    def widths(self) -> tuple[int, ...]:
        """Numbers of each look."""
        return tuple(width for _, _, width in self.looks)

    def load(self) -> Network:
        """The network from the cache of fetched models; ``WeightsError`` says how to fetch it."""
        network: Network = _named(self.loader).load().to(memory_format=torch.channels_last)
        return network

    def seen(self, network: Network, crops: Tensor, *, mirrored: bool = True) -> Tensor:
        """Crops (N 3 S S, tensor convention) -> what the head reads (N D float32). Differentiable.

        ``mirrored``: the mean of what is seen of the faces and of their mirror images, as the head was taught.
        """
        windows = _named(self.window)(crops)
        sides = [windows, windows.flip(3)] if mirrored else [windows]
        taps = network(
            torch.cat(sides).contiguous(memory_format=torch.channels_last), [tap for tap, _, _ in self.looks]
        )
        parts = [_divided(taps[tap].float(), places) for tap, places, _ in self.looks]
        return torch.cat(parts, 1).view(len(sides), len(crops), -1).mean(0)


DLIB = Sight(
    network="dlib-resnet",
    loader="mien.faces.dlib_resnet:DlibResNet",
    window="mien.faces.dlib_resnet:dlib_crop",
    looks=(("level1", 4, 4096), ("level0", 2, 1024)),  # 256 maps each: all their places
    inner=(192, 64),
)
FACERES = Sight(
    network="faceres",
    loader="mien.pretrained.faceres:FaceRes",
    window="mien.pretrained.faceres:faceres_crop",
    looks=(("maps", 3, 9216),),  # 1,024 maps of 7 x 7
    inner=(192,),
    starts=3,
)
SIGHTS = (DLIB, FACERES)  # in the order in which readers are summed


def sight_of(network: str) -> Sight:
    """The sight of a network; ``RequestError`` with what is allowed."""
    for sight in SIGHTS:
        if sight.network == network:
            return sight
    raise RequestError(f"network: '{network}' given; allowed: {', '.join(sight.network for sight in SIGHTS)}")


def _divided(values: Tensor, places: int) -> Tensor:
    """Maps (N C H W) -> N C*places*places; vectors (N C) as they are."""
    if places and values.shape[-1] != places:
        values = functional.adaptive_avg_pool2d(values, places)
    return values.flatten(1)


def _named(path: str) -> Any:
    """``module:name``, imported when it is needed."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def networks_of(sights: Sequence[Sight]) -> str:
    """Their names, as a version and a report give them."""
    return "+".join(sight.network for sight in sights)
