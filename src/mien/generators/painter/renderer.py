"""Draws encoder features by the painter: the code says who it is, a look and a few conditions say what photograph."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from mien.core.checkpoints import WEIGHTS, load_into, load_weights
from mien.core.contract import FaceRequest, in_fixed_rows
from mien.core.errors import RequestError, WeightsError
from mien.core.images import to_photos
from mien.core.memory import keep_freed_memory
from mien.core.quantise import unpacked
from mien.core.records import UInt8Image
from mien.core.seeding import sample_generator
from mien.generators.painter.basis import PatchBasis
from mien.generators.painter.network import Given, Painter, PainterConfig
from mien.generators.painter.sampling import GUIDANCE, STEPS, sample

MODEL = "painter"
ROWS = 8  # of a batch, so that a face does not depend on how many others are drawn
LARGEST = 3.0  # of a standardised condition
CODE_NOISE = 0.15  # a density errs a little: the painter is told so

Look = Literal["studio", "natural", "news", "any"]
LOOKS: Mapping[str, tuple[str, ...]] = {  # sources of photographs that look so
    "studio": ("generated", "random", "stylegan"),
    "natural": ("ffhq",),
    "news": ("lfw",),
    "any": (),
}


class PainterRenderer:
    """The trained painter with its basis and the frame of its codes; a ``generators.enlarged.Renderer``."""

    def __init__(
        self, painter: Painter, basis: PatchBasis, frame: Mapping[str, Tensor], about: Mapping[str, Any], look: str
    ) -> None:
        if look not in LOOKS:
            raise RequestError(f"look: '{look}' given; allowed: {', '.join(LOOKS)}")
        self.painter, self.basis = painter.eval().requires_grad_(False), basis.eval().requires_grad_(False)
        self.frame, self.look = dict(frame), look
        self.conditions: list[str] = list(about["conditions"])
        self.sources: list[str] = list(about["sources"])
        self.scale: dict[str, list[float]] = dict(about["scale"])  # condition -> mean, deviation
        self.asked: dict[str, float] = dict(about["asked"])  # conditions of every picture
        if look == "studio":
            self.asked |= about["plain"]
        self.version = f"{about['version']}-{look}"

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, *, look: str = "studio") -> Self:
        """The packaged painter, or that of a weights file. ``WeightsError`` for a file that is none."""
        where = path or WEIGHTS / f"{MODEL}.safetensors"
        tensors, about = load_weights(where, model=MODEL)
        missing = {"config", "conditions", "scale", "sources", "asked", "plain", "version"} - about.keys()
        if missing:
            raise WeightsError(f"{where}: its metadata has no '{min(missing)}'")
        tensors = unpacked(tensors)
        config = PainterConfig.make(about["config"], where=str(where))
        painter = Painter(config)
        load_into(painter, _under("painter.", tensors), name=f"{where}: painter")
        basis = PatchBasis(config.size_px, config.patch_px, config.channels)
        load_into(basis, {**_under("basis.", tensors)}, name=f"{where}: basis")
        return cls(painter, basis, _under("frame.", tensors), about, look)

    @property
    def size_px(self) -> int:
        """Height and width of the pictures."""
        return self.basis.size_px

    def codes(self, features: Any) -> Tensor:
        """Encoder features (N F) -> codes (N K) of unit variance. Each by itself: products round by their size."""
        known = torch.as_tensor(np.asarray(features), dtype=torch.float32)
        known = (known - self.frame["mean"]) / self.frame["deviation"]
        return torch.stack([row @ self.frame["axes"] for row in known]) / self.frame["scale"]

    def asking(self, conditions: Mapping[str, float]) -> PainterRenderer:
        """The same painter, told more of every picture: condition -> value (age in years / 100, attributes 0 to 1)."""
        more = copy.copy(self)
        more.asked = {**self.asked, **{name: value for name, value in conditions.items() if name in self.conditions}}
        return more

    @torch.no_grad()
    def draw(
        self,
        features: Any,
        requests: Sequence[FaceRequest],
        styles: Sequence[FaceRequest] | None = None,
        asked: Sequence[Mapping[str, float]] | None = None,
    ) -> list[UInt8Image]:
        """Features N F -> N pictures. Noise and look belong to ``styles``, or else to ``requests``.

        ``asked``: what is told of each picture alone, as in ``asking``.
        """
        keep_freed_memory()
        codes = self.codes(features)
        made: list[UInt8Image | None] = [None] * len(requests)
        for page in in_fixed_rows(styles or requests, ROWS):
            places = [None if entry is None else entry[0] for entry in page]
            faces = [None if entry is None else entry[1] for entry in page]
            rows = torch.stack([codes[place] if place is not None else torch.zeros_like(codes[0]) for place in places])
            own = [{} if asked is None or place is None else asked[place] for place in places]
            given = self._given(rows, faces, own)
            tokens = sample(self.painter, given, self._noise(faces), steps=STEPS, guidance=GUIDANCE)
            photos = to_photos(self.basis.decode(tokens).clamp(-1, 1))
            for photo, place in zip(photos, places, strict=True):
                if place is not None:
                    made[place] = photo
        return [picture for picture in made if picture is not None]

    def _noise(self, faces: Sequence[FaceRequest | None]) -> Tensor:
        shape = (self.basis.tokens, self.basis.channels)
        draws = [None if one is None else sample_generator(one.seed, one.index) for one in faces]
        normals = [np.zeros(shape) if one is None else one.standard_normal(shape) for one in draws]
        return torch.from_numpy(np.stack(normals)).float()

    def _given(self, codes: Tensor, faces: Sequence[FaceRequest | None], own: Sequence[Mapping[str, float]]) -> Given:
        """What the painter is told: the code, the look, and the conditions that every picture keeps."""
        count, config = len(codes), self.painter.config
        one = torch.ones(count, 1)
        conditions, known = torch.zeros(count, config.conditions), torch.zeros(count, config.conditions)
        for row, asked in enumerate(own):
            for name, value in {**self.asked, **asked}.items():
                if name in self.conditions:
                    place, (mean, deviation) = self.conditions.index(name), self.scale[name]
                    conditions[row, place] = float(np.clip((value - mean) / deviation, -LARGEST, LARGEST))
                    known[row, place] = 1.0
        chosen = [self.sources.index(name) for name in LOOKS[self.look] if name in self.sources]
        source = [chosen[0 if one is None else one.index % len(chosen)] if chosen else config.sources for one in faces]
        return Given(
            codes, one, CODE_NOISE * one, conditions, known, torch.tensor(source), torch.ones(count, config.tokens), one
        )


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
