"""Trained heads as the tensors of a weights file, and back.

fp16, but for two things. The calibration stays fp32: its thresholds would move. A trunk over tens of thousands of
features is stored in 8 bits, each row of each look in steps of its own (its largest weight is 127 steps): half the
size, and what it changes in an axis, the mean of thousands of rounding errors, is far below the noise of a photo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mien.attributes.calibration import Calibration
from mien.attributes.heads import AttributeHeads
from mien.core.errors import WeightsError
from mien.core.quantise import quantise
from mien.faces.encoder import Encoder

TRUNK = "heads.trunk.weight"
STEPS = "heads.trunk.steps"


def pack(
    heads: AttributeHeads, calibration: Calibration, encoder: Encoder | None = None, since: str | None = None
) -> dict[str, Tensor]:
    """The tensors that ``AttributeReader.load`` reads; those layers of ``encoder`` too that asked for gradients.

    ``WeightsError`` for a value that fp16 does not hold.
    """
    values = {f"heads.{name}": tensor.detach().cpu() for name, tensor in heads.state_dict().items()}
    found: dict[str, Tensor] = {}
    if TRUNK in values:
        found[TRUNK], found[STEPS] = quantise_trunk(values.pop(TRUNK), heads.config.widths)
    if encoder is not None and since is not None:
        parameters = dict(encoder.network.named_parameters())
        values |= {f"encoder.{name}": value.detach().cpu() for name, value in parameters.items() if value.requires_grad}
    for name, value in values.items():
        small = value.to(torch.float16)
        if not bool(torch.isfinite(small).all()):
            raise WeightsError(f"attributes: tensor '{name}' has values beyond the range of fp16")
        found[name] = small
    return found | calibration_tensors(calibration)


def unpack(tensors: Mapping[str, Tensor], widths: Sequence[int]) -> dict[str, Tensor]:
    """The state of ``AttributeHeads`` from the tensors of a weights file."""
    state = {name.removeprefix("heads."): value for name, value in tensors.items() if name.startswith("heads.")}
    steps = state.pop("trunk.steps", None)
    if steps is not None and "trunk.weight" in state:
        state["trunk.weight"] = dequantise_trunk(state["trunk.weight"], steps, widths)
    return state


def quantise_trunk(weight: Tensor, widths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Weights (R D) -> whole steps (R D int8) and the size of a step (R looks, float32)."""
    parts = [quantise(part) for part in torch.split(weight, list(widths), dim=1)]
    return torch.cat([whole for whole, _ in parts], 1), torch.cat([peak for _, peak in parts], 1) / 127


def dequantise_trunk(whole: Tensor, steps: Tensor, widths: Sequence[int]) -> Tensor:
    """The weights (R D float32) that ``quantise_trunk`` stored."""
    if whole.ndim != 2 or steps.shape != (len(whole), len(widths)) or whole.shape[1] != sum(widths):
        raise WeightsError(f"attributes: a trunk of shape {tuple(whole.shape)} does not fit looks of {list(widths)}")
    parts = torch.split(whole.float(), list(widths), dim=1)
    return torch.cat([part * steps[:, place, None] for place, part in enumerate(parts)], 1)


def calibration_tensors(calibration: Calibration) -> dict[str, Tensor]:
    """A calibration as tensors (float32)."""
    names = ("slope", "intercept", "accuracy_threshold", "balanced_threshold", "temperature")
    found = {f"calibration.{name}": torch.from_numpy(getattr(calibration, name)).float() for name in names}
    found["calibration.age"] = torch.tensor([calibration.age_slope, calibration.age_intercept_years])
    return found


def calibration_of(tensors: Mapping[str, Tensor]) -> Calibration:
    """The calibration of a weights file; ``WeightsError`` when it has none."""
    prefix = "calibration."
    try:
        values = {k.removeprefix(prefix): v.double().numpy() for k, v in tensors.items() if k.startswith(prefix)}
        age = values.pop("age")
        return Calibration(**values, age_slope=float(age[0]), age_intercept_years=float(age[1]))
    except (KeyError, TypeError, IndexError) as error:
        raise WeightsError("attributes: the weights hold no calibration that can be read") from error
