"""A face crop -> what can be said of it: 73 probabilities, 42 groups, sex and age in years."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.attributes.calibration import Calibration, softmax
from mien.attributes.features import read_features
from mien.attributes.heads import AGES, FEMALE, SEX, AttributeHeads, HeadsConfig
from mien.attributes.packing import calibration_of, unpack
from mien.attributes.vocabulary import GROUPS, NAMES
from mien.core.checkpoints import WEIGHTS, built, load_into, load_weights
from mien.core.errors import RequestError, WeightsError
from mien.core.images import to_tensor
from mien.core.records import Float32Array, UInt8Image
from mien.faces.encoder import Encoder, load_encoder

MODEL = "attributes"


@dataclass(frozen=True, slots=True)
class HeadPredictions:
    """What is read from N faces, in their order.

    ``probabilities`` answer one question each: how likely would an annotator of LFW's kind have marked this photo with
    this attribute, being sure of it? LFW's marks are the surer two thirds of what is there, so common things stay below
    1: a plain colour photo is a ``Color Photo`` at about 0.7. ``present`` is the yes or no that weighs both kinds of
    errors equally. ``groups`` answer *which one*, given that a face has one of its group (``Group.classes``).
    """

    probabilities: Float32Array  # N 73, in the order of NAMES, calibrated
    present: npt.NDArray[np.bool_]  # N 73
    groups: Mapping[str, Float32Array]  # group name -> N x classes, each row sums to 1
    female: Float32Array  # N, probability in [0, 1]
    age_years: Float32Array  # N, 0 to 100

    def __len__(self) -> int:
        return len(self.probabilities)


@dataclass(frozen=True, slots=True)
class HeadLogits:
    """Uncalibrated outputs of N faces: what a calibration is fitted on."""

    scores: Float32Array  # N 73
    groups: tuple[Float32Array, ...]  # 42, each N x classes: logits
    age_years: Float32Array  # N: the mean of the age distribution

    @classmethod
    def concatenate(cls, parts: list[HeadLogits]) -> HeadLogits:
        """Parts one after the other."""
        groups = tuple(np.concatenate([part.groups[k] for part in parts]) for k in range(len(GROUPS)))
        ages = np.concatenate([part.age_years for part in parts])
        return cls(np.concatenate([part.scores for part in parts]), groups, ages)


class AttributeReader:
    """The trained heads on their encoder, and how to ask them: crops in, ``HeadPredictions`` out."""

    def __init__(
        self,
        encoder: Encoder,
        heads: AttributeHeads,
        calibration: Calibration,
        metadata: Mapping[str, Any],
    ) -> None:
        self.encoder, self.calibration, self.metadata = encoder, calibration, dict(metadata)
        self.heads = heads.eval().requires_grad_(False)

    @classmethod
    def load(cls, path: str | Path | None = None, encoder: str = "facenet") -> AttributeReader:
        """The heads that travel with the package, or those of the weights file ``path``, on the encoder they were
        trained on. ``RequestError`` when that is another than ``encoder``; ``WeightsError`` for an unusable file or an
        encoder that has not been fetched."""
        tensors, metadata = load_weights(path or WEIGHTS / f"{MODEL}.safetensors", model=MODEL)
        trained_on = str(metadata.get("encoder"))
        if trained_on != encoder:
            advice = "train others with 'mien train attributes --encoder' and give their weights"
            raise RequestError(f"encoder: '{encoder}' given, these heads read '{trained_on}'; {advice}")
        name = f"{path or 'the packaged attribute heads'}"
        config = HeadsConfig.make(metadata.get("heads", {}), where=name)
        heads = built(lambda: AttributeHeads(config), unpack(tensors, config.widths), name=name)
        network = load_encoder(encoder)
        changed = {k.removeprefix("encoder."): v for k, v in tensors.items() if k.startswith("encoder.")}  # fine-tuned
        if changed:
            load_into(network.network, network.network.state_dict() | changed, name=name)
        calibration = calibration_of(tensors)
        if calibration.slope.shape != (len(NAMES),) or calibration.temperature.shape != (len(GROUPS),):
            raise WeightsError(
                f"{name}: its calibration is not one of {len(NAMES)} attributes and {len(GROUPS)} groups"
            )
        return cls(network, heads, calibration, metadata)

    def read(
        self,
        crops: UInt8Image,
        *,
        mirrored: bool | None = None,
        batch_size: int = 16,
        progress: Callable[[int], None] | None = None,
    ) -> HeadPredictions:
        """Read aligned crops (N S S 3 uint8 RGB, ``faces/align``).

        ``mirrored``: whether each is read together with its mirror image, at twice the time; by default as the heads
        were calibrated and examined (``HeadsConfig.mirrored``).
        """
        both = self.heads.config.mirrored if mirrored is None else mirrored
        parts = []
        for start in range(0, len(crops), batch_size):
            part = crops[start : start + batch_size]
            parts.append(self._raw(part, both))
            if progress is not None:
                progress(len(parts[-1].scores))
        return self.calibrated(HeadLogits.concatenate(parts) if parts else self._nothing())

    @torch.no_grad()
    def _raw(self, crops: UInt8Image, mirrored: bool) -> HeadLogits:
        if crops.ndim != 4 or crops.shape[1] != crops.shape[2] or crops.shape[3] != 3 or crops.dtype != np.uint8:
            raise ValueError(f"crops of shape {crops.shape} and type {crops.dtype}, wanted N S S 3 uint8")
        looks = self.heads.config.looks
        return raw_readings(self.heads, read_features(self.encoder, to_tensor(crops), looks, mirrored=mirrored))

    def _nothing(self) -> HeadLogits:
        groups = tuple(np.zeros((0, len(group.classes)), np.float32) for group in GROUPS)
        return HeadLogits(np.zeros((0, len(NAMES)), np.float32), groups, np.zeros(0, np.float32))

    def calibrated(self, raw: HeadLogits) -> HeadPredictions:
        """Raw outputs -> what they mean."""
        fitted = self.calibration
        probabilities = fitted.probabilities(raw.scores)
        groups = {
            group.name: softmax(logits, float(temperature)).astype(np.float32)
            for group, logits, temperature in zip(GROUPS, raw.groups, fitted.temperature, strict=True)
        }
        ages = np.clip(fitted.age_slope * raw.age_years + fitted.age_intercept_years, 0, AGES - 1)
        return HeadPredictions(
            probabilities.astype(np.float32),
            probabilities >= fitted.balanced_threshold,
            groups,
            groups[SEX.name][:, FEMALE],
            ages.astype(np.float32),
        )


@torch.no_grad()
def raw_readings(heads: AttributeHeads, features: Tensor) -> HeadLogits:
    """Outputs of heads in evaluation mode on features (N D)."""
    answers = heads(features)
    years = torch.arange(AGES, dtype=torch.float32)
    ages = answers.age.float().softmax(1) @ years
    groups = tuple(group.float().numpy() for group in answers.groups)
    return HeadLogits(answers.scores().float().numpy(), groups, ages.numpy())
