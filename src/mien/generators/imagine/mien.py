"""`mien imagine`, the default: a draw from the density of faces under a condition, drawn by the crowd's decoder."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from mien.attributes import GROUPS, understand_all
from mien.core.checkpoints import WEIGHTS, load_into, load_weights, under
from mien.core.contract import FaceRequest, Renderer, in_fixed_rows
from mien.core.errors import RequestError, WeightsError
from mien.core.images import to_photos
from mien.core.limits import age_range, check_attributes, check_faces
from mien.core.memory import keep_freed_memory
from mien.core.precision import device_named, has_fast_bf16
from mien.core.quantise import unpacked
from mien.core.records import UInt8Image
from mien.core.seeding import fresh_seed, sample_generator, stream
from mien.generators.crowd.mien import MODEL as CROWD
from mien.generators.crowd.mien import MienConfig
from mien.generators.decoder import Decoder
from mien.generators.enlarger import FACTOR, Enlarger, enlarger_at
from mien.generators.imagine.antithetic import GROUP, antithetic_normals
from mien.generators.imagine.density import AGE, Condition, FaceDensity, Float64Array
from mien.generators.imagine.weights import MODEL, from_tensors

ROWS = 16  # of a batch
AGE_WORDS = next(group for group in GROUPS if group.name == "age").members
TEMPERATURE = 1.0  # deviation of codes, in theirs
MOST_TEMPERATURE = 10.0
DRAWS = f"apart{GROUP}.3"  # how faces are drawn from the weights: another where a face of a seed becomes another
ADULT_YEARS = (16.0, 120.0)  # where no age was asked for: most attributes were only ever marked on photos of adults


@dataclass(frozen=True, slots=True, eq=False)  # each is itself alone: pictures have no one equality
class Imagined:
    """One face that was made: the picture (H W 3) and the features (F) that were decoded."""

    image: UInt8Image
    features: Float64Array
    seed: int
    index: int


def adults(condition: Condition, density: FaceDensity) -> Condition:
    """The condition for adults only, where it speaks of no age."""
    if (
        condition.ages_years is not None
        or AGE not in density.probes.names
        or set(condition.attributes) & set(AGE_WORDS)
    ):
        return condition
    return replace(condition, ages_years=ADULT_YEARS, adults_only=True)


class DecoderRenderer:
    """Features -> pictures, by the decoder in a weights file of the crowd."""

    def __init__(self, decoder: Decoder, version: str, device: str = "cpu", grain: float = 1.0) -> None:
        """``grain``: strength of the decoder's noise planes."""
        self.grain = np.float32(grain)
        self.decoder = decoder.eval().requires_grad_(False).to(device)
        torch.nn.Module.to(self.decoder, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._trained = version
        self.enlarger: Enlarger | None = None
        self.device = torch.device(device)
        self.precision = torch.bfloat16 if has_fast_bf16(self.device) else torch.float32

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None, *, device: str = "cpu") -> Self:
        """The decoder of ``path`` (default: the packaged crowd)."""
        path = path or WEIGHTS / f"{CROWD}.safetensors"
        tensors, metadata = load_weights(path, model=CROWD)
        if not {"config", "version"} <= metadata.keys():
            raise WeightsError(f"{path}: its metadata has no 'config' or no 'version'")
        config = MienConfig.make(metadata["config"], where=str(path))
        decoder = Decoder(config.decoder)
        load_into(decoder, under("decoder.", unpacked(tensors)), name=f"{path}: decoder")
        return cls(decoder, str(metadata["version"]), device, config.sampling.grain)

    @property
    def version(self) -> str:
        """Of the decoder, and of what enlarges its pictures."""
        return self._trained + ("" if self.enlarger is None else f"+{self.enlarger.version}")

    @property
    def size_px(self) -> int:
        """Height and width of the pictures."""
        return self.decoder.config.size_px * (1 if self.enlarger is None else FACTOR)

    def at(self, size_px: int | None) -> Self:
        """The same pictures at the decoder's size (``None``) or twice that; networks are shared."""
        other = copy.copy(self)
        other.enlarger = enlarger_at(size_px, self.decoder.config.size_px, self.device)
        return other

    @torch.inference_mode()
    def draw(
        self, features: Float64Array, requests: Sequence[FaceRequest], styles: Sequence[FaceRequest] | None = None
    ) -> Tensor:
        """Features N F -> pictures N 3 S S. Style and grain are of ``styles``, or else of ``requests``."""
        keep_freed_memory()
        styles = requests if styles is None else styles
        config = self.decoder.config
        pictures = torch.empty(len(requests), 3, self.size_px, self.size_px)
        sides = [4 * 2 ** (k + 1) for k in range(len(self.decoder.blocks))]
        for page in in_fixed_rows(requests, ROWS):
            known = np.repeat(self.decoder.mean.cpu().numpy()[None], ROWS, 0).astype(np.float32)
            style = np.zeros((ROWS, config.style), np.float32)
            planes = [np.zeros((ROWS, 1, side, side), np.float32) for side in sides]
            for row, slot in enumerate(page):
                if slot is None:
                    continue
                draws = stream(styles[slot[0]].seed, "style", styles[slot[0]].index)
                known[row] = features[slot[0]]
                style[row] = draws.standard_normal(config.style, np.float32)
                for plane in planes:
                    plane[row, 0] = self.grain * draws.standard_normal(plane.shape[2:], np.float32)
            with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
                on = [torch.from_numpy(values).to(self.device) for values in (known, style, *planes)]
                drawn = self.decoder(on[0], on[1], on[2:])
            for slot, picture in zip(page, drawn, strict=True):
                if slot is not None:
                    pictures[slot[0]] = picture if self.enlarger is None else self.enlarger.enlarge(picture[None])[0]
        return pictures


class Imagine:
    """Faces from words: ``density`` proposes what the encoder would see, a renderer draws it."""

    name = MODEL

    def __init__(self, density: FaceDensity, renderer: Renderer, version: str) -> None:
        self.density = density
        self.renderer = renderer
        self.density_version = version
        self.version = f"{version}-{DRAWS}+{renderer.version}"

    @classmethod
    def load(
        cls,
        weights: str | os.PathLike[str] | None = None,
        *,
        decoder: str | os.PathLike[str] | None = None,
        device: str | None = None,
        enlarged: bool = True,
    ) -> Self:
        """``weights`` of `mien train mixture` and ``decoder`` of `mien train crowd` instead of the packaged ones.

        ``device`` None means CUDA when there, else CPU. ``enlarged``: pictures of twice the decoder's size (256 px).
        """
        device = device_named(device)
        path = weights or WEIGHTS / "imagine.safetensors"
        tensors, metadata = load_weights(path, model=MODEL)
        if "version" not in metadata:
            raise WeightsError(f"{path}: its metadata has no 'version'")
        density = from_tensors(tensors, metadata, name=str(path))
        makes = cls(density, DecoderRenderer.load(decoder, device=device), str(metadata["version"]))
        return makes.at(FACTOR * makes.renderer.size_px) if enlarged else makes

    def at(self, size_px: int | None) -> Self:
        """The same faces at 128 or 256 px (the decoder's size, ``None``, or twice that); networks are shared.

        ``RequestError`` for another size.
        """
        return type(self)(self.density, self.renderer.at(size_px), self.density_version)

    def features(
        self, condition: Condition, requests: Sequence[FaceRequest], *, temperature: float = TEMPERATURE
    ) -> Float64Array:
        """Encoder features (N F) of one face for each request, all of one condition (``antithetic.py``)."""
        compiled = self.density.compile(adults(condition, self.density), temperature)
        size = len(self.density.frame.scale)
        codes = [
            self.density.draw(
                compiled, sample_generator(r.seed, r.index), temperature, antithetic_normals(r.seed, r.index, size)
            )
            for r in requests
        ]
        return self.density.frame.features(np.stack(codes)) if codes else np.zeros((0, len(self.density.frame.mean)))

    def pictures(self, condition: Condition, features: Float64Array, requests: Sequence[FaceRequest]) -> Tensor:
        """The pictures (N 3 S S) of features (N F) that keep a condition."""
        return self.renderer.draw(features, requests)

    def redrawn(
        self, condition: Condition, features: Float64Array, requests: Sequence[FaceRequest], photo: UInt8Image,
        kept: float,
    ) -> Tensor:  # fmt: skip
        """A picture (N 3 T T) of the same features (F) for each request, style and grain its own.

        ``photo`` (S S 3) and how much of it is to be ``kept`` are for renderers that can begin with one.
        """
        return self.renderer.draw(np.repeat(features[None], len(requests), 0), requests)

    def _check(self, condition: object) -> None:
        if not isinstance(condition, Condition):
            kinds = 'words, for example "smiling, woman", or a Condition'
            raise RequestError(f"words: {type(condition).__name__} given; wanted: {kinds}")
        check_attributes(condition.attributes, self.density.probes.names, strengths=True)
        if condition.ages_years is not None:
            age_range(condition.ages_years)

    def sample(
        self,
        condition: Condition | str,
        count: int = 1,
        *,
        seed: int | None = None,
        first: int = 0,
        temperature: float = TEMPERATURE,
    ) -> list[Imagined]:
        """``count`` people who share a condition, which may be words: ``"a smiling woman of 30, no hat"``.

        Face k of a seed is the same whatever ``count`` and ``first``; a seed that is not given is drawn and told.
        ``RequestError`` for words that there are not, that contradict each other, or none.
        """
        check_faces(count, first, seed)
        if not isinstance(temperature, float | int) or not 0 <= temperature <= MOST_TEMPERATURE:
            raise RequestError(f"temperature: {temperature!r} given; allowed are 0 to {MOST_TEMPERATURE:g}")
        if isinstance(condition, str):
            said = understand_all(condition, option="words")
            if not said.attributes and said.ages_years is None:
                raise RequestError('words: none given; say what the face is like, for example "smiling, woman"')
            condition = Condition(said.attributes, said.ages_years)
        self._check(condition)
        seed = fresh_seed() if seed is None else seed
        requests = [FaceRequest(seed, index) for index in range(first, first + count)]
        features = self.features(condition, requests, temperature=temperature)
        pictures = to_photos(self.pictures(condition, features, requests))
        together = zip(pictures, features, requests, strict=True)
        return [Imagined(image, row, request.seed, request.index) for image, row, request in together]
