"""Pictures from activations phi(I) by the decoder of DRAW: the place of feature inversion in Cate, Dalvi and Hussain.

The mixture of the paper estimates the activations of a description (equation 2 there); they become the condition y,
and z_1 ... z_T are drawn (``network.py``).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core.checkpoints import load_into, load_weights, under
from mien.core.contract import FaceRequest, in_fixed_rows
from mien.core.errors import WeightsError
from mien.core.images import from_unit
from mien.core.limits import check_size
from mien.core.quantise import unpacked
from mien.core.seeding import stream
from mien.faces.align import ENCODER_WINDOW
from mien.papers.draw_gregor_2015.network import MODEL, Draw, DrawConfig

ROWS = 16  # of a batch
FARTHEST = 3.0  # deviations: a condition beyond them was hardly ever seen in training


@dataclass(frozen=True, slots=True)
class Whitening:
    """Activations F -> the condition Y: principal coefficients, each divided by its deviation."""

    mean: Tensor  # F
    axes: Tensor  # F Y, divided by the deviations

    def codes(self, features: npt.ArrayLike) -> Tensor:
        """Activations N F -> N Y float32, kept within ``FARTHEST``."""
        values = torch.from_numpy(np.asarray(features, np.float32))
        return ((values - self.mean) @ self.axes).clamp(-FARTHEST, FARTHEST)


class DrawRenderer:
    """A trained DRAW: activations -> pictures of the window that the encoder reads (``frame`` of mien's crop)."""

    frame = ENCODER_WINDOW

    def __init__(self, network: Draw, whitening: Whitening, layer: str, version: str) -> None:
        self.network = network.eval().requires_grad_(False)
        self.whitening, self.layer, self.version = whitening, layer, version

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read weights that ``mien train mixture --preset draw`` wrote."""
        tensors, metadata = load_weights(path, model=MODEL)
        tensors = unpacked(tensors)
        try:
            whitening = Whitening(tensors["whitening.mean"], tensors["whitening.axes"])
            config, layer = DrawConfig.make(metadata["config"], where=str(path)), str(metadata["layer"])
        except KeyError as error:
            raise WeightsError(f"{path}: not the weights of DRAW ({error!r})") from error
        network = Draw(config)
        load_into(network, under("network.", tensors), name=str(path))
        return cls(network, whitening, layer, str(metadata["version"]))

    @property
    def size_px(self) -> int:
        """Height and width of the pictures."""
        return self.network.config.size_px

    def draw(
        self, features: Any, requests: Sequence[FaceRequest], styles: Sequence[FaceRequest] | None = None
    ) -> Tensor:
        """Activations N F -> pictures N 3 S S; the codes belong to ``styles``, or else to ``requests``."""
        return self.stages(features, requests, styles)[:, -1]

    def at(self, size_px: int | None) -> Self:
        """There is one size."""
        check_size(size_px, (self.size_px,))
        return self

    @torch.inference_mode()
    def stages(
        self, features: Any, requests: Sequence[FaceRequest], styles: Sequence[FaceRequest] | None = None
    ) -> Tensor:
        """Activations N F -> the canvases c_1 ... c_T of each, as pictures: N T 3 S S."""
        styles, config = requests if styles is None else styles, self.network.config
        known = self.whitening.codes(features)
        found = torch.empty(len(requests), config.glimpses, 3, config.size_px, config.size_px)
        for page in in_fixed_rows(requests, ROWS):
            condition = torch.zeros(ROWS, config.condition)
            codes = np.zeros((config.glimpses, ROWS, config.code), np.float32)
            for row, slot in enumerate(page):
                if slot is not None:
                    style = styles[slot[0]]
                    condition[row] = known[slot[0]]
                    draws = stream(style.seed, "draw", style.index)
                    codes[:, row] = draws.standard_normal((config.glimpses, config.code), np.float32)
            canvases = [shown(logits) for logits in self.network.stages(condition, torch.from_numpy(codes))]
            for row, slot in enumerate(page):
                if slot is not None:
                    found[slot[0]] = torch.stack([one[row] for one in canvases])
        return found


def shown(logits: Tensor) -> Tensor:
    """Canvases N 3 H W -> pictures N 3 H W: the expected intensities, not draws of them."""
    return from_unit(logits.sigmoid())
