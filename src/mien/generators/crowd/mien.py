"""The default crowd: codes drawn from a density under the labels, and the decoder that draws the faces."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from typing import Any, NoReturn, Self

import numpy as np
import torch
from torch import Tensor

from mien.core.checkpoints import load_into, load_weights, under
from mien.core.config import Config
from mien.core.contract import WHOLE_CROP, FaceRequest, complete, in_fixed_rows
from mien.core.errors import RequestError, WeightsError
from mien.core.limits import refuse_look
from mien.core.memory import keep_freed_memory
from mien.core.precision import device_named, has_fast_bf16
from mien.core.quantise import unpacked
from mien.core.records import Labels
from mien.core.seeding import sample_generator
from mien.generators.conditions import ATTRIBUTES, RACES, WIDTH, condition
from mien.generators.decoder import Decoder, DecoderConfig
from mien.generators.density import Density, DensityConfig, sample
from mien.generators.enlarger import FACTOR, Enlarger, enlarger_at

MODEL = "crowd-mien"
ROWS = 16  # of a batch


class SamplingConfig(Config):
    """How codes are drawn; the defaults were chosen on held-out faces (docs/evaluation.md)."""

    guidance: float = 1.5
    temperature: float = 1.0  # deviation of the noise that codes start from
    grain: float = 1.0  # strength of the decoder's noise planes
    steps: int = 12
    ages_asked: tuple[float, ...] = (0.0, 100.0)  # calibration: to be judged of these ages ...
    ages_given: tuple[float, ...] = (0.0, 100.0)  # ... the density is asked for these


class MienConfig(Config):
    """What a weights file of the default crowd says of itself."""

    decoder: DecoderConfig = DecoderConfig()
    density: DensityConfig = DensityConfig()
    sampling: SamplingConfig = SamplingConfig()


class MienCrowd:
    """The trained density and decoder behind the contract of generators; both networks become its own."""

    name = MODEL
    frame = WHOLE_CROP
    drawn_ages_years = (18.0, 75.0)

    def __init__(
        self, decoder: Decoder, density: Density, config: MienConfig, version: str, device: str = "cpu"
    ) -> None:
        self.decoder = decoder.eval().requires_grad_(False).to(device)
        self.density = density.eval().requires_grad_(False).to(device)
        self.config = config
        self._trained = version
        self.enlarger: Enlarger | None = None
        self.device = torch.device(device)
        self.precision = torch.bfloat16 if has_fast_bf16(self.device) else torch.float32
        _channels_last(self.decoder)
        _layers_to(self.decoder, self.precision)
        _layers_to(self.density, self.precision)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, device: str | None = None) -> Self:
        """Read weights that ``mien train crowd`` exported; ``device`` None means CUDA when there, else CPU."""
        tensors, metadata = load_weights(path, model=MODEL)
        if not {"config", "version"} <= metadata.keys():
            raise WeightsError(f"{path}: its metadata has no 'config' or no 'version'")
        config = MienConfig.make(metadata["config"], where=str(path))
        tensors = unpacked(tensors)
        decoder, density = Decoder(config.decoder), Density(config.density)
        load_into(decoder, under("decoder.", tensors), name=f"{path}: decoder")
        load_into(density, under("density.", tensors), name=f"{path}: density")
        return cls(decoder, density, config, str(metadata["version"]), device_named(device))

    @property
    def version(self) -> str:
        """Of the weights, and of what enlarges their pictures."""
        return self._trained + ("" if self.enlarger is None else f"+{self.enlarger.version}")

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        return self.config.decoder.size_px * (1 if self.enlarger is None else FACTOR)

    def at(self, size_px: int | None) -> Self:
        """The same faces at the decoder's size (``None``) or twice that."""
        other = copy.copy(self)
        other.enlarger = enlarger_at(size_px, self.config.decoder.size_px, self.device)
        return other

    def looking(self, look: str) -> NoReturn:
        """``RequestError``: there is one look."""
        refuse_look(look, self.name)

    def draw(self, requests: Sequence[FaceRequest]) -> tuple[Tensor, list[Labels]]:
        """One picture for each request, in order. ``RequestError`` for attributes that the density does not know."""
        keep_freed_memory()
        labels = [complete(request, self.drawn_ages_years) for request in requests]
        pictures = torch.empty(len(requests), 3, self.size_px, self.size_px)
        for page in in_fixed_rows(requests, ROWS):
            for slot, picture in zip(page, self._page(page, labels), strict=True):
                if slot:
                    pictures[slot[0]] = picture if self.enlarger is None else self.enlarger.enlarge(picture[None])[0]
        return pictures, labels

    @torch.inference_mode()
    def _page(self, page: list[tuple[int, FaceRequest] | None], labels: list[Labels]) -> Tensor:
        sampling, size = self.config.sampling, self.config.density.size
        noise = np.zeros((ROWS, size), np.float32)
        conditions = np.zeros((ROWS, WIDTH), np.float32)
        sides = [4 * 2 ** (k + 1) for k in range(len(self.decoder.blocks))]
        planes = [np.zeros((ROWS, 1, side, side), np.float32) for side in sides]
        for row, slot in enumerate(page):
            if slot is None:
                continue
            position, request = slot
            draws = sample_generator(request.seed, request.index)
            noise[row] = draws.standard_normal(size, np.float32) * sampling.temperature
            for plane in planes:
                plane[row, 0] = draws.standard_normal(plane.shape[2:], np.float32) * sampling.grain
            conditions[row] = self._condition(labels[position])
        codes = sample(
            self.density, self._on(noise), self._on(conditions), guidance=sampling.guidance, steps=sampling.steps
        )
        known, style = self.density.to_known(codes)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            return self.decoder.decode(torch.cat([known, style], 1), [self._on(plane) for plane in planes])

    def _condition(self, labels: Labels) -> np.ndarray[Any, np.dtype[np.float32]]:
        unknown = set(labels.attributes) - set(ATTRIBUTES)
        if unknown:
            raise RequestError(f"attributes: '{sorted(unknown)[0]}' given; allowed: {', '.join(ATTRIBUTES)}")
        if labels.race is not None and labels.race not in RACES:
            raise RequestError(f"race: '{labels.race}' given; allowed: {', '.join(RACES)}")
        age = labels.age_years
        if age is not None:
            sampling = self.config.sampling
            age = float(np.interp(age, sampling.ages_asked, sampling.ages_given))
        return condition(Labels(labels.sex, age, None, labels.race, labels.attributes))

    def _on(self, values: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
        return torch.from_numpy(values).to(self.device)


def _channels_last(network: torch.nn.Module) -> None:
    torch.nn.Module.to(network, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _layers_to(network: torch.nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights of a network once, rather than in every call; its buffers (the frame of codes) stay."""
    for layer in network.modules():
        for parameter in layer.parameters(recurse=False):
            parameter.data = parameter.data.to(dtype)
