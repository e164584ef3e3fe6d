"""Sex and age from pooled encoder features alone: what the heads of ``attributes`` read, without any picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mien.attributes.heads import AGES, CLIP, FEMALE, HeadsConfig
from mien.attributes.packing import calibration_of, unpack
from mien.core.checkpoints import WEIGHTS, load_weights
from mien.core.errors import WeightsError
from mien.core.records import Float32Array

MODEL = "attributes"


@dataclass(frozen=True, slots=True)
class PersonReader:
    """Features (N F) of the encoder's ``pool`` -> years and the probability of a woman."""

    mean: Tensor  # F
    scale: Tensor  # F
    person: nn.Linear  # F -> who_width
    age: nn.Linear  # -> AGES
    sex: nn.Linear
    slope: float
    intercept_years: float

    def answers(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Ages in years (N), not clipped, and log-odds of a woman (N) of features (N F); gradients pass."""
        inner = functional.silu(self.person(((features - self.mean) * self.scale).clamp(-CLIP, CLIP)))
        years = self.age(inner).softmax(1) @ torch.arange(AGES, dtype=torch.float32)
        logits = self.sex(inner)
        return self.slope * years + self.intercept_years, logits[:, FEMALE] - logits[:, 1 - FEMALE]

    @torch.no_grad()
    def read(self, features: Any) -> tuple[Float32Array, Float32Array]:
        """Ages in years (N) and probabilities of a woman (N)."""
        years, woman = self.answers(torch.as_tensor(np.asarray(features), dtype=torch.float32))
        return years.clamp(0, AGES - 1).numpy(), woman.sigmoid().numpy()


@lru_cache(maxsize=1)
def packaged_person_reader() -> PersonReader:
    """That of the packaged heads; ``WeightsError`` if they read sex and age from anything but the pooled features."""
    path = WEIGHTS / f"{MODEL}.safetensors"
    tensors, metadata = load_weights(path, model=MODEL)
    config = HeadsConfig.make(metadata.get("heads", {}), where=str(path))
    if config.who is None or not config.who.startswith("window-pool"):
        raise WeightsError(f"{path}: its heads do not read sex and age from the encoder's pooled features")
    state, columns = unpack(tensors, config.widths), config.who_columns
    calibration = calibration_of(tensors)

    def layer(name: str) -> nn.Linear:
        weight, bias = state[f"{name}.weight"].float(), state[f"{name}.bias"].float()
        found = nn.Linear(weight.shape[1], weight.shape[0])
        found.weight.data, found.bias.data = weight, bias
        return found.requires_grad_(False)

    return PersonReader(
        state["mean"][columns].float(), state["scale"][columns].float(), layer("who"), layer("age"),
        layer("heads.sex"), calibration.age_slope, calibration.age_intercept_years,
    )  # fmt: skip
