"""A second reader of sex: a small head on dlib's network, whose logit is averaged with that of the attribute heads.

The heads read sex from FaceNet (``reader``). dlib's network was taught by other people's photos, to another end and on
another window of the face, so the two err on different faces: together they err less than either. The head reads the
maps at the end of dlib's last two levels (4 x 4 and 2 x 2 places), each the mean over a face and its mirror image.

dlib's network is also a judge of what mien generates; no generator is trained with it or with this head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.checkpoints import WEIGHTS, load_into, load_weights
from mien.config import Config
from mien.errors import RequestError, WeightsError
from mien.faces import store
from mien.faces.attributes.calibration import fit_temperature, sigmoid
from mien.faces.attributes.heads import CLIP, FEMALE, MALE
from mien.faces.dlib_resnet import MAPS, DlibResNet, dlib_crop
from mien.faces.dlib_resnet import MODEL as DLIB
from mien.records import Float32Array

MODEL = "sex-dlib"
LOOKS = {tap: channels * rows * columns for tap, (channels, rows, columns) in MAPS.items()}  # 4096, 1024
WIDTH = sum(LOOKS.values())

Network = nn.Module  # chips (N 3 150 150) and names of taps -> taps by name, as ``DlibResNet``


class SexHeadConfig(Config):
    """How the head is built: enough to build it again."""

    widths: tuple[int, ...] = tuple(LOOKS.values())  # numbers of each look
    inner: tuple[int, ...] = (192, 64)  # what each look is brought to
    dropout: float = 0.4  # before every layer


class SexHead(nn.Module):
    """Looks (N D) -> the logit of "female" (N): one linear layer a look, SiLU, one linear layer over all."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: SexHeadConfig) -> None:
        super().__init__()
        self.config = config
        if len(config.widths) != len(config.inner):
            raise RequestError(f"{MODEL}: {len(config.widths)} looks, {len(config.inner)} inner widths given")
        self.register_buffer("mean", torch.zeros(sum(config.widths)))
        self.register_buffer("scale", torch.ones(sum(config.widths)))
        self.looks = nn.ModuleList(
            nn.Linear(width, inner) for width, inner in zip(config.widths, config.inner, strict=True)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.sex = nn.Linear(sum(config.inner), 1)

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Keep the mean and deviation (D each) of the training features inside; dead features stay dead."""
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(deviation > 1e-4, 1 / deviation.clamp(min=1e-4), torch.zeros_like(deviation)))

    def inner(self, looks: Tensor) -> Tensor:
        """Looks (N D) -> what the last layer reads (N sum of ``inner``)."""
        if looks.ndim != 2 or looks.shape[1] != len(self.mean):
            raise ValueError(f"{MODEL}: looks of shape {tuple(looks.shape)}, wanted N {len(self.mean)}")
        x = ((looks - self.mean) * self.scale).clamp(-CLIP, CLIP)  # N D
        parts = torch.split(self.dropout(x), list(self.config.widths), 1)
        found = torch.cat([layer(part) for layer, part in zip(self.looks, parts, strict=True)], 1)
        brought: Tensor = self.dropout(F.silu(found))
        return brought

    def forward(self, looks: Tensor) -> Tensor:
        logits: Tensor = self.sex(self.inner(looks))[:, 0]
        return logits


@dataclass(frozen=True, slots=True)
class Sum:
    """How two logits of "female" become one, fitted on faces that neither reader learnt from.

    The second is brought to the spread of the first and the two are averaged: each has the same say, and the sign is
    that of the two standardised logits together. The temperature makes a probability of it.
    """

    first_deviation: float
    second_deviation: float
    temperature: float = 1.0

    def __post_init__(self) -> None:
        values = (self.first_deviation, self.second_deviation, self.temperature)
        if not all(np.isfinite(value) and value > 0 for value in values):
            raise WeightsError(f"{MODEL}: deviations and temperature {values}; wanted are numbers above 0")

    def logit(self, first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The logits (N each) of the two readers -> their mean (N) at the spread of the first."""
        scaled = np.asarray(second, np.float64) * (self.first_deviation / self.second_deviation)
        return (np.asarray(first, np.float64) + scaled) / 2

    def female(self, first: npt.ArrayLike, second: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The logits (N each) of the two readers -> the probability (N) of "female"."""
        return sigmoid(self.logit(first, second) / self.temperature)


def logit_of(sex: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The two logits of the head of sex (N 2) -> one logit of "female" (N)."""
    logits = np.asarray(sex, np.float64)
    found: npt.NDArray[np.float64] = logits[:, FEMALE] - logits[:, MALE]
    return found


def fit_sum(first: npt.ArrayLike, second: npt.ArrayLike, female: npt.ArrayLike) -> Sum:
    """The sum for logits (N each) of faces of known sex (N: 1 female, 0 male) that neither reader learnt from."""
    deviations = float(np.std(np.asarray(first, np.float64))), float(np.std(np.asarray(second, np.float64)))
    logits = Sum(*deviations).logit(first, second)
    classes = (np.asarray(female) > 0.5).astype(np.int64)
    return Sum(*deviations, fit_temperature(np.stack([-logits / 2, logits / 2], 1), classes))


def second_looks(network: Network, crops: Tensor, *, mirrored: bool = True) -> Tensor:
    """Crops (N 3 S S, tensor convention) -> what the head reads of dlib's network (N D float32). Differentiable.

    ``mirrored``: the mean of what is seen of the chips and of their mirror images, as the head was taught.
    """
    chips = dlib_crop(crops)
    sides = [chips, chips.flip(3)] if mirrored else [chips]
    taps = network(torch.cat(sides).contiguous(memory_format=torch.channels_last), tuple(LOOKS))
    seen = torch.cat([taps[tap].float().flatten(1) for tap in LOOKS], 1)  # 2N D
    return seen.view(len(sides), len(crops), -1).mean(0)


class SecondReader:
    """The trained head on dlib's network, and how its logit is summed with that of the first reader."""

    def __init__(self, network: Network, head: SexHead, total: Sum, metadata: Mapping[str, Any]) -> None:
        self.network, self.head, self.sum = network, head.eval().requires_grad_(False), total
        self.metadata = dict(metadata)

    @classmethod
    def load(cls, path: str | Path | None = None) -> SecondReader:
        """The head that travels with the package, or that of the weights file ``path``, on dlib's network.

        ``WeightsError`` for an unusable file, and says how to fetch dlib's network where it is not on this machine.
        """
        tensors, metadata = load_weights(path or WEIGHTS / f"{MODEL}.safetensors", model=MODEL)
        name = f"{path or 'the packaged second reader of sex'}"
        head = SexHead(SexHeadConfig.make(metadata.get("head", {}), where=name))
        load_into(head, tensors, name=name)
        try:
            total = Sum(**metadata["sum"])
        except (KeyError, TypeError) as error:
            raise WeightsError(f"{name}: it does not say how its logit is summed with another") from error
        network = DlibResNet.load().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, head, total, metadata)

    @classmethod
    def where_fetched(cls, first: str) -> SecondReader | None:
        """The packaged second reader beside heads of the version ``first``; ``None`` where dlib's network was not
        fetched, and for heads that it was not fitted beside. ``WeightsError`` for damaged files."""
        try:
            store.weights_path(DLIB)
        except WeightsError:
            return None
        found = cls.load()
        return found if found.first == first else None

    @property
    def first(self) -> str:
        """The version of the heads that it is summed with."""
        return str(self.metadata.get("first"))

    @property
    def version(self) -> str:
        """``sex-dlib-...``: what the version of a reading is longer by."""
        return f"{MODEL}-{self.metadata.get('version', 'unknown')}"

    @torch.no_grad()
    def logits(self, crops: Tensor, *, mirrored: bool = True) -> Float32Array:
        """The logits of "female" (N) of crops (N 3 S S, tensor convention)."""
        return self.logits_of(second_looks(self.network, crops, mirrored=mirrored))

    @torch.no_grad()
    def logits_of(self, looks: Tensor) -> Float32Array:
        """The logits of "female" (N) of looks (N D), as ``second_looks`` gives them."""
        found: Float32Array = self.head(looks.float()).float().numpy()
        return found
