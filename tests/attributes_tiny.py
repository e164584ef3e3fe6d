"""A tiny encoder and faces with attributes, for the tests of what stands on encoders."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mien.attributes.features import FeatureSpec
from mien.attributes.targets import FaceLabels
from mien.attributes.vocabulary import NAMES

RECIPE = (FeatureSpec("window", "pool"), FeatureSpec("crop", "second", 2))
WIDTHS = (6, 4 * 6)


class TinyEncoder:
    """Three convolutions and a pool behind the contract of ``mien.faces.encoder.Encoder``; 20 px."""

    name = "tiny"
    input_size = 20
    taps = ("first", "second", "third", "pool")

    def __init__(self, seed: int = 1) -> None:
        layers = {"first": nn.Conv2d(3, 4, 3, 2), "second": nn.Conv2d(4, 6, 3, 2), "third": nn.Conv2d(6, 6, 3)}
        generator = torch.Generator().manual_seed(seed)  # its own: a run seeds torch's for its dropout
        for layer in layers.values():
            nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5, generator=generator)
            assert layer.bias is not None
            nn.init.normal_(layer.bias, std=0.1, generator=generator)
        self.network: nn.Module = nn.Sequential(OrderedDict(layers)).requires_grad_(False).eval()
        self.calls = 0

    def __call__(self, tensor: Tensor, taps: Sequence[str]) -> dict[str, Tensor]:
        self.calls += 1
        found, x = {}, tensor
        for name, layer in self.network.named_children():
            x = layer(x).relu()
            found[name] = x
        found["pool"] = x.mean((2, 3))
        return {tap: found[tap] for tap in taps}


def tiny_truths(n: int = 24, seed: int = 2, unmarked: int = 6) -> FaceLabels:
    """Faces with random attributes; the last ``unmarked`` have none, but a sex and an age."""
    random = np.random.default_rng(seed)
    marks = (random.random((n, len(NAMES))) < 0.3).astype(np.float32)
    female = (random.random(n) < 0.5).astype(np.float32)
    ages = np.full(n, np.nan, np.float32)
    marks[n - unmarked :] = np.nan
    ages[n - unmarked :] = random.uniform(1, 90, unmarked).astype(np.float32)
    female[0] = np.nan
    return FaceLabels(marks, female, ages)


def tiny_crops(n: int = 24, seed: int = 3, size: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)
