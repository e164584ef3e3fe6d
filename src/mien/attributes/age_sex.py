"""The judge of sex and age: a small residual network trained from pixels, sharing nothing with any generator of mien.

It reads the inner square of mien's aligned crop (``faces/inner_square``) at 64 px, as much as a crop of 107 px. Age is
a distribution over whole years 0 to 100 and its mean (Gao et al. 2018, "Age estimation using expectation of label
distribution learning"); sex is one logit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.checkpoints import WEIGHTS, load_into, load_weights
from mien.core.images import to_tensor
from mien.core.records import Float32Array, UInt8Image
from mien.faces.inner_square import inner_square

MODEL = "judge-age-sex"
SIDE = 64  # px
AGES = 101  # whole years 0 to 100
WIDTHS = (32, 64, 128, 144)


class AgeSexBlock(nn.Module):
    """3x3, BN, ReLU, 3x3, BN, plus the input (pooled and projected when shape changes), ReLU."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.stride = stride
        self.project = nn.Conv2d(before, after, 1, bias=False) if before != after else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        shortcut = F.avg_pool2d(x, 2) if self.stride == 2 else x
        if self.project is not None:
            shortcut = self.project(shortcut)
        return F.relu(y + shortcut)


class AgeSexNet(nn.Module):
    """Windows (N 3 64 64, tensor convention) -> age logits (N 101) and the logit of "female" (N)."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 5, 2, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        blocks: list[nn.Module] = []
        before = widths[0]
        for level, width in enumerate(widths):
            blocks += [AgeSexBlock(before, width, 1 if level == 0 else 2), AgeSexBlock(width, width, 1)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.age = nn.Linear(before, AGES)
        self.sex = nn.Linear(before, 1)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        x = self.dropout(self.features(windows))
        return self.age(x), self.sex(x)[:, 0]

    def features(self, windows: Tensor) -> Tensor:
        """Windows (N 3 64 64) -> the pooled features (N 144) under both heads."""
        if windows.ndim != 4 or windows.shape[1:] != (3, SIDE, SIDE):
            raise ValueError(f"{MODEL}: windows of shape {tuple(windows.shape)}, wanted N 3 {SIDE} {SIDE}")
        x = F.relu(self.stem_norm(self.stem(windows)))  # N 32 32 32
        x = self.blocks(x)  # N 144 4 4
        pooled: Tensor = x.mean((2, 3))  # N 144
        return pooled


def expected_age(age_logits: Tensor) -> Tensor:
    """The mean (N, years) of the age distribution of logits (N 101)."""
    years = torch.arange(AGES, dtype=torch.float32, device=age_logits.device)
    return age_logits.float().softmax(1) @ years


def judge_window(crops: Tensor) -> Tensor:
    """mien's aligned crops (N 3 S S) -> what the judge reads (N 3 64 64)."""
    return inner_square(crops, SIDE)


@dataclass(frozen=True, slots=True)
class AgeSexPredictions:
    """What the judge says of N faces, in their order."""

    ages_years: Float32Array  # N, 0 to 100
    female: Float32Array  # N, probability in [0, 1]
    features: Float32Array  # N 144: how the face looks to the judge, for distances between sets of faces

    @property
    def is_female(self) -> npt.NDArray[np.bool_]:
        return self.female > 0.5


class AgeSexJudge:
    """The trained network and how to ask it: photos of aligned crops in, ``AgeSexPredictions`` out."""

    def __init__(self, network: AgeSexNet, metadata: Mapping[str, Any]) -> None:
        self.network = network.eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.5 times as fast on a CPU
        self.metadata = dict(metadata)

    @classmethod
    def load(cls, path: str | None = None) -> AgeSexJudge:
        """The judge that travels with the package, or the weights file ``path`` (``WeightsError`` when unusable)."""
        tensors, metadata = load_weights(path or WEIGHTS / f"{MODEL}.safetensors", model=MODEL)
        network = AgeSexNet()
        load_into(network, tensors, name=MODEL)
        return cls(network, metadata)

    @torch.no_grad()
    def estimate(
        self, crops: UInt8Image, *, batch_size: int = 64, progress: Callable[[int], None] | None = None
    ) -> AgeSexPredictions:
        """Judge aligned crops (N S S 3 uint8 RGB); each face and its mirror image are averaged."""
        count = len(crops)
        ages, female = np.zeros(count, np.float32), np.zeros(count, np.float32)
        features = np.zeros((count, self.network.age.in_features), np.float32)
        for start in range(0, count, batch_size):
            part = slice(start, min(start + batch_size, count))
            windows = judge_window(to_tensor(crops[part]))  # n 3 64 64
            both = torch.cat([windows, windows.flip(3)]).contiguous(memory_format=torch.channels_last)
            seen = self.network.features(both)  # 2n 144
            ages[part] = expected_age(self.network.age(seen)).view(2, -1).mean(0).numpy()
            female[part] = self.network.sex(seen)[:, 0].view(2, -1).mean(0).sigmoid().numpy()
            features[part] = seen.view(2, part.stop - part.start, -1).mean(0).numpy()
            if progress is not None:
                progress(part.stop - part.start)
        return AgeSexPredictions(ages, female, features)
