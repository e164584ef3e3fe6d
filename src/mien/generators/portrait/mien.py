"""The default portrait: encoder features -> the nearest neutral code -> the decoder of crowds -> a soft mask.

Weights: ``portrait-mien.safetensors`` holds the neutraliser. The decoder travels once, in the crowd's weights; a file
of ``mien train portrait --preset mien`` carries its own where it is another.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from mien.core.checkpoints import WEIGHTS, load_into, load_weights
from mien.core.errors import WeightsError
from mien.core.images import to_photos
from mien.core.memory import keep_freed_memory
from mien.core.quantise import unpacked
from mien.core.records import UInt8Image
from mien.generators.crowd.mien import MODEL as CROWD
from mien.generators.decoder import Decoder, DecoderConfig
from mien.generators.portrait.neutral import NeutralConfig, Neutraliser
from mien.generators.portrait.refine import Readers, RefineConfig, refined

MODEL = "portrait-mien"
ENCODER_TAP = "pool"
ROWS = 8  # of a batch, so that a portrait does not depend on how many others are made
PACKAGED_CROWD = WEIGHTS / "crowd-mien.safetensors"


class MienPortrait:
    """The trained neutraliser and decoder: features of a face -> its portrait."""

    name = MODEL

    def __init__(self, decoder: Decoder, neutraliser: Neutraliser, version: str) -> None:
        self.decoder = decoder.eval().requires_grad_(False)
        self.neutraliser = neutraliser.eval().requires_grad_(False)
        self.version = version

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read weights that ``mien train portrait --preset mien`` exported.

        Raises ``WeightsError`` where the packaged decoder is not the one that they were fitted to.
        """
        tensors, metadata = load_weights(path, model=MODEL)
        missing = {"config", "decoder", "decoder_digest", "version"} - metadata.keys()
        if missing:
            raise WeightsError(f"{path}: its metadata has no '{min(missing)}'")
        neutraliser = Neutraliser(NeutralConfig.make(metadata["config"], where=str(path)))
        load_into(neutraliser, under("neutraliser.", tensors), name=f"{path}: neutraliser")
        own = under("decoder.", tensors)
        source: Path | str | os.PathLike[str] = path
        if not own:
            source, own = PACKAGED_CROWD, under("decoder.", unpacked(load_weights(PACKAGED_CROWD, model=CROWD)[0]))
            if digest(own) != metadata["decoder_digest"]:
                raise WeightsError(
                    f"{path}: fitted to another decoder than that of {PACKAGED_CROWD.name};"
                    " fit it again with 'mien train portrait --preset mien'"
                )
        decoder = Decoder(DecoderConfig.make(metadata["decoder"], where=str(path)))
        load_into(decoder, own, name=f"{source}: decoder")
        return cls(decoder, neutraliser, str(metadata["version"]))

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        return self.decoder.config.size_px

    @torch.no_grad()
    def draw(self, features: Tensor, *, neutral: bool = True) -> UInt8Image:
        """Features (N 1792 at ``ENCODER_TAP``, of the encoder's window of aligned crops) -> portraits (N S S 3).

        On the light background of the decoder; ``silhouette`` finds the person. No noise: one photo, one portrait.
        ``neutral`` False leaves the features as they are, with the neutral style: for comparison.
        """
        keep_freed_memory()
        decoder = self.decoder
        known = (features.float() - decoder.mean) / decoder.deviation
        made = []
        for start in range(0, len(known), ROWS):
            part = known[start : start + ROWS]
            rows = torch.cat([part, part.new_zeros(ROWS - len(part), part.shape[1])])
            planes = [torch.zeros_like(plane) for plane in decoder.noise_planes(ROWS, torch.Generator().manual_seed(0))]
            code = self.neutraliser(rows) if neutral else self.neutraliser.code(rows)
            made.append(to_photos(decoder.decode(code, planes))[: len(part)])
        return np.concatenate(made) if made else np.zeros((0, self.size_px, self.size_px, 3), np.uint8)

    @torch.no_grad()
    def person(self, features: Tensor) -> Tensor:
        """Features (N 1792) of one photo each -> what they say of the person, in the same units: to be drawn."""
        known = (features.float() - self.decoder.mean) / self.decoder.deviation
        return self.neutraliser.person(known) * self.decoder.deviation + self.decoder.mean

    def draw_refined(self, features: Tensor, embedding: Tensor, readers: Readers, config: RefineConfig) -> UInt8Image:
        """As ``draw``, each drawn again until ``readers`` see the person of ``embedding`` (N 512) in it: ``refine``."""
        keep_freed_memory()
        decoder = self.decoder
        planes = [torch.zeros_like(plane) for plane in decoder.noise_planes(1, torch.Generator().manual_seed(0))]
        made = []
        for row, wanted in zip(features.float().clone(), embedding.float().clone(), strict=True):
            code = self.neutraliser((row[None] - decoder.mean) / decoder.deviation)
            code = refined(code, planes, decoder, readers, wanted[None], config)  # alone: the same in any batch
            with torch.no_grad():
                made.append(to_photos(decoder.decode(code, planes)))
        return np.concatenate(made) if made else np.zeros((0, self.size_px, self.size_px, 3), np.uint8)


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names start with ``prefix``, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def digest(tensors: Mapping[str, Tensor], *, whole: bool = False) -> str:
    """16 hexadecimal digits that tell networks apart, of their values in fp16.

    Of a decoder its vectors: its larger tensors may travel rounded. ``whole``: of everything.
    """
    found = hashlib.sha256()
    for name in sorted(name for name, tensor in tensors.items() if whole or tensor.ndim == 1):
        value: Any = tensors[name].detach().cpu().to(torch.float16).contiguous().numpy()
        found.update(name.encode() + value.tobytes())
    return found.hexdigest()[:16]
