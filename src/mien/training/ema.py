"""Running averages of weights: the networks that are shown, judged and exported."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mien.core.config import Config


class EmaConfig(Config):
    """Which networks are averaged, and over how many images.

    The half-life grows with the images seen (``ramp`` of them, as in StyleGAN 2), so that early noise is forgotten.
    """

    names: tuple[str, ...] = ()
    half_life_kimg: float = 10.0
    ramp: float = 0.05
    every: int = 1  # steps between two updates of the average

    def decay(self, images: int, images_between: int) -> float:
        """The weight of the old average in [0, 1) after ``images`` images, ``images_between`` since the last update."""
        half_life = min(self.half_life_kimg * 1000, images * self.ramp)
        return float(0.5 ** (images_between / max(half_life, 1e-8)))


class Ema:
    """Averaged copies of some networks; buffers (batch statistics) are copied as they are."""

    def __init__(self, networks: Mapping[str, nn.Module], config: EmaConfig) -> None:
        self.config = config
        self.networks = {name: copy.deepcopy(networks[name]).eval().requires_grad_(False) for name in config.names}
        self._pairs: list[tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]] = []
        for name, average in self.networks.items():
            live = networks[name]
            self._pairs.append(
                (list(average.parameters()), list(live.parameters()), list(average.buffers()), list(live.buffers()))
            )

    @torch.no_grad()
    def update(self, step: int, images: int, images_per_step: int) -> None:
        """Move the averages toward the networks after ``step`` steps and ``images`` images (both since the start)."""
        if not self._pairs or step % self.config.every:
            return
        weight = 1.0 - self.config.decay(images, images_per_step * self.config.every)
        for averages, values, average_buffers, buffers in self._pairs:
            torch._foreach_lerp_(averages, values, weight)
            for old, new in zip(average_buffers, buffers, strict=True):
                old.copy_(new)
