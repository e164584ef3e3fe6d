"""Draws encoder features by the painter: the code says who it is, a look and a few conditions say what photograph."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.core.checkpoints import WEIGHTS, load_into, load_weights, under
from mien.core.contract import FaceRequest, in_fixed_rows
from mien.core.errors import RequestError, WeightsError
from mien.core.images import resize, resize_tensor, to_tensor
from mien.core.limits import check_size
from mien.core.memory import keep_freed_memory
from mien.core.precision import device_named
from mien.core.quantise import unpacked
from mien.core.records import UInt8Image
from mien.core.seeding import sample_generator, stream
from mien.generators.enlarger import FACTOR, Enlarger
from mien.generators.painter.backdrop import evened
from mien.generators.painter.basis import PatchBasis
from mien.generators.painter.crispness import crisp
from mien.generators.painter.network import Given, Painter, PainterConfig
from mien.generators.painter.sampling import sample
from mien.generators.painter.scenes import Scene, Scenes
from mien.generators.painter.unrest import Unrest

MODEL = "painter"
FINISHER = "painter-enlarger.safetensors"
ROWS = 4  # of a batch, so that a face does not depend on how many others are drawn
LARGEST = 3.0  # of a standardised condition
CODE_NOISE = 0.15  # a density errs a little: the painter is told so

LOOKS = ("studio", "natural", "news", "any")


def _check_look(look: str) -> None:
    if look not in LOOKS:
        raise RequestError(f"look: '{look}' given; allowed: {', '.join(LOOKS)}")


class PainterRenderer:
    """The trained painter with its basis and the frame of its codes; a ``core.contract.Renderer``."""

    def __init__(
        self,
        painter: Painter,
        basis: PatchBasis,
        frame: Mapping[str, Tensor],
        about: Mapping[str, Any],
        look: str,
        scenes: Scenes | None = None,
        device: str = "cpu",
        finisher: Enlarger | None = None,
    ) -> None:
        """``finisher``: makes pictures of twice the size of what was painted, without its brush strokes."""
        _check_look(look)
        self.device = torch.device(device)
        self.painter = painter.eval().requires_grad_(False).to(self.device)
        self.basis = basis.eval().requires_grad_(False).to(self.device)
        self.frame, self.look, self.scenes, self.finisher = dict(frame), look, scenes, finisher
        self.size_px = self.basis.size_px * (1 if finisher is None else FACTOR)
        self.conditions: list[str] = list(about["conditions"])
        self.sources: list[str] = list(about["sources"])
        self.scale: dict[str, list[float]] = dict(about["scale"])  # condition -> mean, deviation
        self.asked: dict[str, float] = dict(about["asked"])  # conditions of every picture
        self.unrest: Unrest | None = None  # which codes become caricatures
        self.scene: Scene | None = None  # of every picture; None: each borrows its own
        self.pinned: frozenset[str] = frozenset()  # of ``asked``: what no scene may say otherwise
        self._trained, self._finished_by = str(about["version"]), "" if finisher is None else f"+{finisher.version}"

    @property
    def version(self) -> str:
        """Of the weights, the look and the finisher."""
        return f"{self._trained}-{self.look}{self._finished_by}"

    @classmethod
    def load(
        cls, path: str | os.PathLike[str] | None = None, *, look: str = "studio", device: str | None = None
    ) -> Self:
        """The packaged painter, or that of a weights file. ``WeightsError`` for a file that is none.

        ``device`` None means CUDA when there, else CPU.
        """
        device = device_named(device)
        where = path or WEIGHTS / f"{MODEL}.safetensors"
        tensors, about = load_weights(where, model=MODEL)
        missing = {"config", "conditions", "scale", "sources", "asked", "version"} - about.keys()
        if missing:
            raise WeightsError(f"{where}: its metadata has no '{min(missing)}'")
        tensors = unpacked(tensors)
        config = PainterConfig.make(about["config"], where=str(where))
        painter = Painter(config)
        load_into(painter, under("painter.", tensors), name=f"{where}: painter")
        basis = PatchBasis(config.size_px, config.patch_px, config.channels)
        load_into(basis, under("basis.", tensors), name=f"{where}: basis")
        scenes = Scenes.of(tensors, about.get("scene_conditions", ()), about.get("scene_looks", ()))
        finisher = Enlarger.load(WEIGHTS / FINISHER, device=device) if (WEIGHTS / FINISHER).is_file() else None
        made = cls(painter, basis, under("frame.", tensors), about, look, scenes, device, finisher)
        made.unrest = Unrest.read(tensors)
        return made

    def at(self, size_px: int | None) -> Self:
        """The same pictures at the size that was painted, or twice that (``None``, where there is a finisher)."""
        own = self.basis.size_px
        sizes = (own,) if self.finisher is None else (own, FACTOR * own)
        check_size(size_px, sizes)
        other = copy.copy(self)
        other.size_px = size_px or sizes[-1]
        return other

    def looking(self, look: str) -> Self:
        """The same painter with another look (``LOOKS``); networks are shared."""
        _check_look(look)
        other = copy.copy(self)
        other.look = look
        return other

    def in_scene_of(self, features: Any, request: FaceRequest) -> Self:
        """The same painter, every picture of which is taken as the one of ``features`` (F) and ``request`` is."""
        other = copy.copy(self)
        other.scene = self._scene(self.codes(np.asarray(features)[None])[0], request, self.asked)
        return other

    def unfinished(self) -> Self:
        """The same painter without what finishes its pictures: what a finisher learns from."""
        other = copy.copy(self)
        other.finisher, other.size_px = None, self.basis.size_px
        return other

    def codes(self, features: Any) -> Tensor:
        """Encoder features (N F) -> codes (N K) of unit variance. Each by itself: products round by their size."""
        known = torch.as_tensor(np.asarray(features), dtype=torch.float32)
        known = (known - self.frame["mean"]) / self.frame["deviation"]
        return torch.stack([row @ self.frame["axes"] for row in known]) / self.frame["scale"]

    def asking(self, conditions: Mapping[str, float]) -> PainterRenderer:
        """The same painter, told more of every picture: condition -> value (age in years / 100, attributes 0 to 1)."""
        more, told = copy.copy(self), {name: value for name, value in conditions.items() if name in self.conditions}
        more.asked, more.pinned = {**self.asked, **told}, self.pinned | told.keys()
        return more

    def draw(
        self,
        features: Any,
        requests: Sequence[FaceRequest],
        styles: Sequence[FaceRequest] | None = None,
        asked: Sequence[Mapping[str, float]] | None = None,
    ) -> Tensor:
        """Features N F -> pictures N 3 S S. Noise, look and scene belong to ``styles``, or else to ``requests``.

        ``asked``: what is told of each picture alone, as in ``asking``.
        """
        return self._painted(features, requests, styles or requests, asked, None, np.zeros(len(requests)))

    def repaint(
        self,
        features: Any,
        requests: Sequence[FaceRequest],
        pictures: UInt8Image,
        kept: npt.ArrayLike,
        asked: Sequence[Mapping[str, float]] | None = None,
    ) -> Tensor:
        """Photos (N S S 3) painted anew from a point on the way from noise to them (Meng et al., SDEdit, 2022).

        ``kept`` (N, in [0, 1)): how much of a picture stays: 0 nothing, 0.3 its layout, 0.7 all but small details.
        """
        if pictures.ndim != 4 or pictures.shape[1] != pictures.shape[2] or pictures.shape[3] != 3:
            raise RequestError(f"pictures of shape {pictures.shape} given; wanted N S S 3")
        own = self.basis.size_px
        small = np.stack([resize(picture, own, own) for picture in pictures])
        return self._painted(features, requests, requests, asked, small, np.asarray(kept, np.float64))

    @torch.no_grad()
    def changes(
        self, features: Any, requests: Sequence[FaceRequest], asked: Sequence[Mapping[str, float]] | None = None
    ) -> npt.NDArray[np.float64]:
        """How much each picture that ``draw`` makes changes in the last step (N; ``unrest.py``). Nothing is drawn."""
        codes, found = self.codes(features), np.zeros(len(requests))
        for page in in_fixed_rows(list(requests), ROWS):
            places = [None if entry is None else entry[0] for entry in page]
            given, noise = self._begun(codes, requests, asked, places)
            told: list[Tensor] = []
            sample(self.painter, given, noise, on_end=told.append)
            for value, place in zip(told[0].tolist(), places, strict=True):
                if place is not None:
                    found[place] = value
        return found

    @torch.no_grad()
    def _painted(
        self,
        features: Any,
        requests: Sequence[FaceRequest],
        styles: Sequence[FaceRequest],
        asked: Sequence[Mapping[str, float]] | None,
        pictures: UInt8Image | None,
        kept: npt.NDArray[np.float64],
    ) -> Tensor:
        keep_freed_memory()
        codes = self.codes(features)
        made = torch.empty(len(requests), 3, self.size_px, self.size_px)
        for start in map(float, np.unique(kept)):
            chosen = np.flatnonzero(kept == start)
            for page in in_fixed_rows([requests[int(k)] for k in chosen], ROWS):
                places = [None if entry is None else int(chosen[entry[0]]) for entry in page]
                given, noise = self._begun(codes, styles, asked, places)
                if pictures is not None:
                    begun = np.stack([np.zeros_like(pictures[0]) if k is None else pictures[k] for k in places])
                    noise = start * self.basis.encode(to_tensor(begun).to(self.device)) + (1 - start) * noise
                tokens = sample(self.painter, given, noise, start=start)
                filled = {row: place for row, place in enumerate(places) if place is not None}
                painted = self.basis.decode(tokens)[list(filled)]
                whose = [styles[place] for place in filled.values()]
                painted = self._finished(painted, whose, own_cloth=pictures is not None)
                made[list(filled.values())] = painted.to(made.device)
        return made

    def _begun(
        self,
        codes: Tensor,
        requests: Sequence[FaceRequest],
        asked: Sequence[Mapping[str, float]] | None,
        places: Sequence[int | None],
    ) -> tuple[Given, Tensor]:
        """What is known of the faces of one batch, and their noise; a place that is ``None`` is of nobody."""
        faces = [None if k is None else requests[k] for k in places]
        rows = torch.stack([torch.zeros_like(codes[0]) if k is None else codes[k] for k in places])
        own = [{} if asked is None or k is None else asked[k] for k in places]
        return self._given(rows, faces, own).to(self.device), self._noise(faces).to(self.device)

    def _finished(self, painted: Tensor, faces: Sequence[FaceRequest], *, own_cloth: bool) -> Tensor:
        """``own_cloth``: what is behind a repainted photo stays."""
        if self.finisher is None:
            return painted
        draws = [stream(one.seed, "grain", one.index) for one in faces]
        large = crisp(self.finisher.enlarge(painted, draws))
        return resize_tensor(evened(large, draws) if self.look == "studio" and not own_cloth else large, self.size_px)

    def _noise(self, faces: Sequence[FaceRequest | None]) -> Tensor:
        shape = (self.basis.tokens, self.basis.channels)
        draws = [None if one is None else sample_generator(one.seed, one.index) for one in faces]
        normals = [np.zeros(shape) if one is None else one.standard_normal(shape) for one in draws]
        return torch.from_numpy(np.stack(normals)).float()

    def _scene(self, code: Tensor, face: FaceRequest, asked: Mapping[str, float]) -> Scene | None:
        if self.scenes is None:
            return None
        age = 100 * asked["age"] if "age" in asked else None
        return self.scenes.lend(code.numpy(), age, self.look, stream(face.seed, "scene", face.index))

    def _given(self, codes: Tensor, faces: Sequence[FaceRequest | None], own: Sequence[Mapping[str, float]]) -> Given:
        """What the painter is told: the code, the look, a scene of that look, and what is asked above these."""
        count, config = len(codes), self.painter.config
        one = torch.ones(count, 1)
        conditions, known = torch.zeros(count, config.conditions), torch.zeros(count, config.conditions)
        sources = torch.full((count,), config.sources)
        for row, (face, asked) in enumerate(zip(faces, own, strict=True)):
            standard: dict[str, float] = {}
            lent = None if face is None else self.scene or self._scene(codes[row], face, {**self.asked, **asked})
            if lent is not None:
                standard, sources[row] = dict(lent[0]), lent[1]
            for name, value in {**self.asked, **asked}.items():
                if name in self.conditions and not (name in standard and name not in self.pinned and name not in asked):
                    mean, deviation = self.scale[name]
                    standard[name] = float(np.clip((value - mean) / deviation, -LARGEST, LARGEST))
            for name, value in standard.items():
                place = self.conditions.index(name)
                conditions[row, place], known[row, place] = value, 1.0
        return Given(codes, one, CODE_NOISE * one, conditions, known, sources, torch.ones(count, config.tokens), one)
