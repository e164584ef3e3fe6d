"""The default crowd with a few hundred random weights: quick to make, and every input still changes its faces."""

from __future__ import annotations

from pathlib import Path

import torch

from mien.core.checkpoints import save_weights
from mien.generators.crowd.mien import MODEL, MienConfig, MienCrowd
from mien.generators.decoder import Decoder, DecoderConfig
from mien.generators.density import Density, DensityConfig

CONFIG = MienConfig(
    decoder=DecoderConfig(features=12, style=4, trunk=16, code=8, channels=(8, 8, 8, 8), rgb_from_px=8),
    density=DensityConfig(features=12, axes=6, style=4, width=16, blocks=2, code=8),
)
VERSION = "tiny-1"


def tiny_networks() -> tuple[Decoder, Density]:
    """Random networks whose faces differ visibly."""
    torch.manual_seed(0)
    decoder, density = Decoder(CONFIG.decoder), Density(CONFIG.density)
    for parameter in density.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    density.axes.normal_()
    for block in decoder.blocks:
        torch.nn.init.normal_(block.get_submodule("grain").get_parameter("strength"), std=0.3)
    return decoder, density


def tiny_crowd() -> MienCrowd:
    """The crowd of ``tiny_networks``."""
    return MienCrowd(*tiny_networks(), CONFIG, VERSION)


def write_tiny_weights(path: Path) -> Path:
    """A weights file of ``tiny_networks``, as ``mien train crowd`` writes them."""
    decoder, density = tiny_networks()
    parts = {"decoder": decoder, "density": density}
    tensors = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.state_dict().items()}
    save_weights(path, tensors, {"model": MODEL, "version": VERSION, "config": CONFIG.model_dump(mode="json")})
    return path
