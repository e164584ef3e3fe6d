"""The default portrait: encoder features -> the nearest neutral code -> the decoder of crowds -> a soft mask.

Weights: ``portrait-mien.safetensors`` holds the neutraliser. The decoder travels once, in the crowd's weights; a file
of ``mien train portrait --preset mien`` carries its own where it is another.
"""

from __future__ import annotations

import copy
import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from mien.core.checkpoints import WEIGHTS, built, load_weights, under
from mien.core.errors import WeightsError
from mien.core.images import to_photos
from mien.core.memory import keep_freed_memory
from mien.core.precision import cast_once
from mien.core.quantise import unpacked
from mien.faces import align
from mien.faces.encoder import Encoder
from mien.faces.readers import FaceReaders
from mien.generators.crowd.mien import MODEL as CROWD
from mien.generators.decoder import Decoder, DecoderConfig
from mien.generators.enlarger import FACTOR, Enlarger
from mien.generators.portrait.neutral import NeutralConfig, Neutraliser
from mien.generators.portrait.refine import refined
from mien.generators.portrait.settings import RefineConfig
from mien.generators.portrait.silhouette import person_mask

MODEL = "portrait-mien"
ROWS = 8  # of a batch, so that a portrait does not depend on how many others are made
AT_ONCE = 8  # portraits refined together; more are hardly faster
PACKAGED_CROWD = WEIGHTS / "crowd-mien.safetensors"


class MienPortrait:
    """The trained neutraliser and decoder: features of a face -> its portrait."""

    name = MODEL

    def __init__(
        self,
        decoder: Decoder,
        neutraliser: Neutraliser,
        version: str,
        *,
        enlarger: Enlarger | None = None,
        refine: RefineConfig | None = None,
    ) -> None:
        self.decoder = decoder.eval().requires_grad_(False)
        self.neutraliser = neutraliser.eval().requires_grad_(False)
        self.version, self.enlarger, self.refine = version, enlarger, refine or RefineConfig()
        self._fast: tuple[Encoder, FaceReaders, Decoder] | None = None  # for refining: an encoder, and copies of both

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, enlarger: Enlarger | None = None, refine: RefineConfig | None = None
    ) -> Self:
        """Read weights that ``mien train portrait --preset mien`` exported.

        ``enlarger`` makes larger pictures than the decoder draws; ``refine``: how far portraits are drawn again.
        Raises ``WeightsError`` where the packaged decoder is not the one that they were fitted to.
        """
        tensors, metadata = load_weights(path, model=MODEL)
        missing = {"config", "decoder", "decoder_digest", "version"} - metadata.keys()
        if missing:
            raise WeightsError(f"{path}: its metadata has no '{min(missing)}'")
        neutral = NeutralConfig.make(metadata["config"], where=str(path))
        neutraliser = built(lambda: Neutraliser(neutral), under("neutraliser.", tensors), name=f"{path}: neutraliser")
        own = under("decoder.", tensors)
        source: Path | str | os.PathLike[str] = path
        if not own:
            source, own = PACKAGED_CROWD, under("decoder.", unpacked(load_weights(PACKAGED_CROWD, model=CROWD)[0]))
            if digest(own) != metadata["decoder_digest"]:
                raise WeightsError(
                    f"{path}: fitted to another decoder than that of {PACKAGED_CROWD.name};"
                    " fit it again with 'mien train portrait --preset mien'"
                )
        config = DecoderConfig.make(metadata["decoder"], where=str(path))
        decoder = built(lambda: Decoder(config), own, name=f"{source}: decoder")
        return cls(decoder, neutraliser, str(metadata["version"]), enlarger=enlarger, refine=refine)

    @property
    def size_px(self) -> int:
        """Height and width of the pictures where nothing else is asked for."""
        return self.decoder.config.size_px * (1 if self.enlarger is None else FACTOR)

    def version_at(self, size_px: int | None = None, /) -> str:
        """Small pictures are not enlarged; other steps of refining make another picture."""
        enlarger = self._enlarger_at(size_px)
        parts = (self.version, self.refine.version, "" if enlarger is None else enlarger.version)
        return "+".join(part for part in parts if part)

    @torch.inference_mode()
    def encode(self, crop: Tensor, readers: FaceReaders, /) -> tuple[Tensor, Tensor]:
        """The pooled features, mean of the crop's and of its mirror image's, and the crop's embedding."""
        seen = read(readers, torch.cat([crop, crop.flip(3)]), ("pool", "embedding"))
        return seen["pool"].mean(0, keepdim=True), seen["embedding"][:1]

    @torch.no_grad()
    def render(self, features: Tensor, readers: FaceReaders, size_px: int | None, /) -> tuple[Tensor, Tensor]:
        """Neutral portraits of people, drawn again until ``readers`` see these people in them: ``refine``.

        No noise: one photo, one portrait. The mask is read from rounded pixels.
        """
        keep_freed_memory()
        decoder, encoder = self.decoder, readers.encoder
        people = self.person(features).float().clone()  # of inference mode: refining takes gradients
        wanted: Tensor = encoder.network.embed(people).float().clone()  # type: ignore[operator]
        codes = self.neutraliser((people - decoder.mean) / decoder.deviation)
        if self.refine.steps:
            codes = self._refined(codes, wanted, readers)
        drawn = torch.cat([decoder.decode(code, self._planes(1)).float() for code in codes.split(1)])
        pictures = self._enlarged(drawn, size_px)
        masks = [torch.from_numpy(person_mask(photo))[None] for photo in to_photos(pictures)]
        return pictures, torch.stack(masks)

    def _refined(self, codes: Tensor, wanted: Tensor, readers: FaceReaders) -> Tensor:
        """Codes (N F + S) refined in parts of about one size, of at most ``AT_ONCE``: half the time of one by one."""
        if self._fast is None or self._fast[0] is not readers.encoder:
            encoder = copy.copy(readers.encoder)
            encoder.network = cast_once(encoder.network, nn.Conv2d)  # type: ignore[misc]
            decoder = cast_once(self.decoder, nn.Conv2d, nn.Linear)
            self._fast = (readers.encoder, replace(readers, encoder=encoder), decoder)
        _, quick, decoder = self._fast
        parts = math.ceil(len(codes) / AT_ONCE)
        made = [
            refined(code, self._planes(len(code)), decoder, quick, embedding, self.refine)
            for code, embedding in zip(codes.tensor_split(parts), wanted.tensor_split(parts), strict=True)
        ]
        return torch.cat(made)

    @torch.inference_mode()
    def as_read(self, crop: Tensor, readers: FaceReaders, /) -> Tensor:
        """The decoder's picture of the features as they are, with the neutral style: for comparison."""
        return self._enlarged(self.draw(read(readers, crop, ("pool",))["pool"], neutral=False), None)

    @torch.no_grad()
    def draw(self, features: Tensor, *, neutral: bool = True) -> Tensor:
        """Features (N 1792) of aligned crops -> portraits (N 3 S S), neither refined nor enlarged.

        ``neutral`` False leaves the features as they are, with the neutral style.
        """
        keep_freed_memory()
        decoder, side = self.decoder, self.decoder.config.size_px
        known = (features.float() - decoder.mean) / decoder.deviation
        made = [known.new_zeros(0, 3, side, side)]
        for start in range(0, len(known), ROWS):
            part = known[start : start + ROWS]
            rows = torch.cat([part, part.new_zeros(ROWS - len(part), part.shape[1])])
            code = self.neutraliser(rows) if neutral else self.neutraliser.code(rows)
            made.append(decoder.decode(code, self._planes(ROWS))[: len(part)].float())
        return torch.cat(made)

    @torch.no_grad()
    def person(self, features: Tensor) -> Tensor:
        """Features (N 1792) of one photo each -> what they say of the person, in the same units: to be drawn."""
        known = (features.float() - self.decoder.mean) / self.decoder.deviation
        return self.neutraliser.person(known) * self.decoder.deviation + self.decoder.mean

    def _planes(self, rows: int) -> list[Tensor]:
        """The decoder's noise, of which a portrait has none."""
        return [torch.zeros_like(p) for p in self.decoder.noise_planes(rows, torch.Generator().manual_seed(0))]

    def _enlarger_at(self, size_px: int | None) -> Enlarger | None:
        """What enlarges pictures of this size; ``None``: they are as the decoder draws them, or smaller."""
        return None if size_px is not None and size_px <= self.decoder.config.size_px else self.enlarger

    def _enlarged(self, pictures: Tensor, size_px: int | None) -> Tensor:
        enlarger = self._enlarger_at(size_px)
        return pictures if enlarger is None else enlarger.enlarge(pictures)


def read(readers: FaceReaders, crops: Tensor, taps: tuple[str, ...]) -> dict[str, Tensor]:
    """What the encoder reads of aligned crops (N 3 S S)."""
    return readers.encoder(align.encoder_window(crops, readers.encoder.input_size), taps)


def digest(tensors: Mapping[str, Tensor], *, whole: bool = False) -> str:
    """16 hexadecimal digits that tell networks apart, of their values in fp16.

    Of a decoder its vectors: its larger tensors may travel rounded. ``whole``: of everything.
    """
    found = hashlib.sha256()
    for name in sorted(name for name, tensor in tensors.items() if whole or tensor.ndim == 1):
        value: Any = tensors[name].detach().cpu().to(torch.float16).contiguous().numpy()
        found.update(name.encode() + value.tobytes())
    return found.hexdigest()[:16]
