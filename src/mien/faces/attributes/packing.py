"""Trained heads as the tensors of a weights file: fp16 but for the calibration, whose thresholds would move."""

from __future__ import annotations

import torch
from torch import Tensor

from mien.errors import WeightsError
from mien.faces.attributes.calibration import Calibration
from mien.faces.attributes.heads import AttributeHeads
from mien.faces.attributes.reader import calibration_tensors
from mien.faces.encoder import Encoder


def pack(
    heads: AttributeHeads, calibration: Calibration, encoder: Encoder | None = None, since: str | None = None
) -> dict[str, Tensor]:
    """The tensors that ``AttributeReader.load`` reads; those layers of ``encoder`` too that asked for gradients.

    ``WeightsError`` for a value that fp16 does not hold.
    """
    values = {f"heads.{name}": tensor for name, tensor in heads.state_dict().items()}
    if encoder is not None and since is not None:
        parameters = dict(encoder.network.named_parameters())
        values |= {f"encoder.{name}": value for name, value in parameters.items() if value.requires_grad}
    found = {}
    for name, value in values.items():
        small = value.detach().cpu().to(torch.float16)
        if not bool(torch.isfinite(small).all()):
            raise WeightsError(f"attributes: tensor '{name}' has values beyond the range of fp16")
        found[name] = small
    return found | calibration_tensors(calibration)
