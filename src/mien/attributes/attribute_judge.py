"""The judge of attributes and race: a small residual network from pixels, sharing nothing with any generator of mien.

It reads mien's whole aligned crop at 80 px: hair, hats and ears lie outside the inner square that the judge of sex and
age reads. Race is the exception. Its labels are UTKFace's, whose crops hold photograph in the inner square only
(``faces/inner_square``); so race is asked of a second look at the crop, with everything outside that square grey.

Each label looks where it wants: the aligned crop puts hats at the top and beards at the bottom, so every label has a
map of weights over the 5 x 5 places of the last layer, learned with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.attributes.age_sex import AgeSexBlock
from mien.attributes.vocabulary import GROUP_OF, NAMES
from mien.core.checkpoints import WEIGHTS, load_into, load_weights
from mien.core.errors import WeightsError
from mien.core.images import resize, to_tensor
from mien.core.records import Float32Array, UInt8Image
from mien.faces.inner_square import grey_outside

MODEL = "judge-attributes"
SIDE = 80  # px
PLACES = 25  # 5 x 5 of the last layer
WIDTH = 144
RACES = ("Asian", "Black", "Indian", "Other", "White")  # UTKFace's five words
LABELS = len(NAMES) + len(RACES)


class AttributeNet(nn.Module):
    """Crops (N 3 80 80, tensor convention) -> logits (N 78): of the 73 ``NAMES``, then of the five ``RACES``.

    Stem and blocks are laid out as the first of ``age_sex.AgeSexNet``, so that training may start from those. No
    gradient reaches the first ``kept`` blocks and the stem (where ``kept`` is 1 or more).
    """

    def __init__(self, dropout: float = 0.2, kept: int = 0) -> None:
        super().__init__()
        self.kept = kept
        self.stem = nn.Conv2d(3, 32, 5, 2, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(32)
        self.blocks = nn.Sequential(
            AgeSexBlock(32, 32, 1), AgeSexBlock(32, 32, 1),  # 40
            AgeSexBlock(32, 64, 2), AgeSexBlock(64, 64, 1),  # 20
            AgeSexBlock(64, 128, 2), AgeSexBlock(128, 128, 1),  # 10
            AgeSexBlock(128, WIDTH, 2),  # 5
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.places = nn.Parameter(torch.zeros(LABELS, PLACES))
        self.weight = nn.Parameter(torch.randn(LABELS, WIDTH) * WIDTH**-0.5)
        self.bias = nn.Parameter(torch.zeros(LABELS))

    def forward(self, crops: Tensor) -> Tensor:
        if crops.ndim != 4 or crops.shape[1:] != (3, SIDE, SIDE):
            raise ValueError(f"{MODEL}: crops of shape {tuple(crops.shape)}, wanted N 3 {SIDE} {SIDE}")
        blocks = list(self.blocks)
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.kept == 0):
            x = F.relu(self.stem_norm(self.stem(crops)))  # N 32 40 40
            for block in blocks[: self.kept]:
                x = block(x)
        for block in blocks[self.kept :]:
            x = block(x)
        x = x.flatten(2)  # N 144 25
        seen = x.transpose(1, 2).float()  # N 25 144
        looked = self.places.softmax(1) @ seen  # N 78 144: what each label sees
        logits: Tensor = (self.dropout(looked) * self.weight).sum(2) + self.bias
        return logits


def marks(present: Collection[str], absent: Collection[str], sex: str | None = None) -> Float32Array:
    """What a source says of a face -> 73 values in the order of ``NAMES``: 1 there, 0 not there, NaN unknown.

    Where every face has one of a group (hair colours, say) and none is marked, the group is unknown. Sex decides
    "Male" alone: LFW leaves it unmarked where it is unsure.
    """
    values = np.full(len(NAMES), np.nan, np.float32)
    for place, name in enumerate(NAMES):
        group = GROUP_OF[name]
        if name == "Male":
            values[place] = np.nan if sex is None else float(sex == "male")
        elif name in present:
            values[place] = 1.0
        elif name in absent and (group.none is not None or any(other in present for other in group.members)):
            values[place] = 0.0
    return values


@dataclass(frozen=True, slots=True)
class AttributePredictions:
    """What the judge says of N faces, in their order."""

    scores: Float32Array  # N 73: probability-like, in [0, 1]; comparable within one attribute only
    found: npt.NDArray[np.bool_]  # N 73: the score is above the attribute's threshold
    races: tuple[str, ...]  # N: the likeliest of RACES

    def of(self, name: str) -> npt.NDArray[np.bool_]:
        """Whether attribute ``name`` was found (N)."""
        return self.found[:, NAMES.index(name)]


class AttributeJudge:
    """The trained network and how to ask it: photos of aligned crops in, ``AttributePredictions`` out.

    ``metadata["thresholds"]`` (73 scores, chosen on validation faces) say from where on an attribute counts as found.
    """

    def __init__(self, network: AttributeNet, metadata: Mapping[str, Any]) -> None:
        self.network = network.eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.5 times as fast on a CPU
        self.metadata = dict(metadata)
        thresholds = np.asarray(metadata.get("thresholds", [0.5] * len(NAMES)), np.float32)
        if thresholds.shape != (len(NAMES),):
            raise WeightsError(f"{MODEL}: {thresholds.size} thresholds in the metadata, wanted {len(NAMES)}")
        self.thresholds = thresholds

    @classmethod
    def load(cls, path: str | None = None) -> AttributeJudge:
        """The judge that travels with the package, or the weights file ``path`` (``WeightsError`` when unusable)."""
        tensors, metadata = load_weights(path or WEIGHTS / f"{MODEL}.safetensors", model=MODEL)
        network = AttributeNet()
        load_into(network, tensors, name=MODEL)
        return cls(network, metadata)

    @torch.no_grad()
    def look(
        self,
        crops: UInt8Image,
        *,
        races: bool = True,
        batch_size: int = 64,
        progress: Callable[[int], None] | None = None,
    ) -> AttributePredictions:
        """Judge aligned crops (N S S 3 uint8 RGB); each face and its mirror image are averaged.

        ``races`` False leaves out the second look: every race is then "".
        """
        count = len(crops)
        scores = np.zeros((count, len(NAMES)), np.float32)
        named: list[str] = []
        for start in range(0, count, batch_size):
            part = slice(start, min(start + batch_size, count))
            whole = to_tensor(np.stack([resize(crop, SIDE, SIDE) for crop in crops[part]]))
            scores[part] = self._logits(whole)[:, : len(NAMES)].sigmoid().numpy()
            if races:
                best = self._logits(grey_outside(whole))[:, len(NAMES) :].argmax(1)
                named += [RACES[int(place)] for place in best]
            else:
                named += [""] * (part.stop - part.start)
            if progress is not None:
                progress(part.stop - part.start)
        return AttributePredictions(scores, scores > self.thresholds, tuple(named))

    def _logits(self, crops: Tensor) -> Tensor:
        """Logits (N 78), the mean over each crop (N 3 80 80) and its mirror image."""
        both = torch.cat([crops, crops.flip(3)]).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(both).float().view(2, len(crops), -1).mean(0)
        return logits
