"""Generators and renderers whose pictures go through the enlarger: the same faces at twice the size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from mien.core.contract import WHOLE_CROP, FaceRequest, Generator
from mien.core.errors import RequestError
from mien.core.records import MadeFace, UInt8Image
from mien.generators.enlarger import FACTOR, Enlarger


class Renderer(Protocol):
    """Draws encoder features (``generators/imagine/mien.DecoderRenderer``)."""

    @property
    def version(self) -> str:
        """Changes whenever the same features give another picture."""
        ...

    @property
    def size_px(self) -> int:
        """Height and width of the pictures."""
        ...

    def draw(
        self, features: Any, requests: Sequence[FaceRequest], styles: Sequence[FaceRequest] | None = None
    ) -> list[UInt8Image]:
        """Features N F -> N pictures. Style and grain belong to ``styles``, or else to ``requests``."""
        ...


@runtime_checkable
class Sized(Protocol):
    """A generator or renderer that makes its own larger and smaller pictures (``generators/painter``)."""

    def at(self, size_px: int | None) -> Any:
        """The same at ``size_px`` (``None``: its own size). ``RequestError`` for another size."""


@lru_cache(maxsize=4)
def packaged_enlarger(device: str = "cpu") -> Enlarger:
    """The enlarger that travels with mien, loaded once for each device."""
    return Enlarger.load(device=device)


@dataclass(frozen=True, slots=True)
class EnlargedGenerator:
    """The faces of ``plain``, enlarged; a ``contract.Generator``."""

    plain: Generator
    enlarger: Enlarger

    @property
    def name(self) -> str:
        """That of the generator."""
        return self.plain.name

    @property
    def version(self) -> str:
        """Those of both networks."""
        return f"{self.plain.version}+{self.enlarger.version}"

    @property
    def size_px(self) -> int:
        """Height and width of the images."""
        return FACTOR * self.plain.size_px

    @property
    def frame(self) -> tuple[float, float, float]:
        """As before."""
        return self.plain.frame

    def make(self, requests: Sequence[FaceRequest]) -> list[MadeFace]:
        """One face for each request, in order."""
        faces = self.plain.make(requests)
        if not faces:
            return []
        images = self.enlarger.enlarge(np.stack([face.image for face in faces]))
        return [
            replace(face, image=image, model_version=f"{face.model_version}+{self.enlarger.version}")
            for face, image in zip(faces, images, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class EnlargedRenderer:
    """The pictures of ``plain``, enlarged; a ``Renderer``."""

    plain: Renderer
    enlarger: Enlarger

    @property
    def version(self) -> str:
        """Those of both networks."""
        return f"{self.plain.version}+{self.enlarger.version}"

    @property
    def size_px(self) -> int:
        """Height and width of the pictures."""
        return FACTOR * self.plain.size_px

    def draw(
        self, features: Any, requests: Sequence[FaceRequest], styles: Sequence[FaceRequest] | None = None
    ) -> list[UInt8Image]:
        """Features N F -> N pictures."""
        drawn = self.plain.draw(features, requests, styles)
        return list(self.enlarger.enlarge(np.stack(drawn))) if drawn else []


def generator_at(generator: Generator, size_px: int | None) -> Generator:
    """``generator`` at ``size_px`` (``None``: its own size). ``RequestError`` names the sizes that there are."""
    if isinstance(generator, Sized):
        return cast(Generator, generator.at(size_px))
    plain = generator.plain if isinstance(generator, EnlargedGenerator) else generator
    can = plain.frame == WHOLE_CROP  # the only framing that the enlarger has learned
    if not _enlarged(size_px, plain.size_px, can):
        return plain
    return EnlargedGenerator(plain, packaged_enlarger(str(getattr(plain, "device", "cpu"))))


def renderer_at(renderer: Renderer, size_px: int | None) -> Renderer:
    """``renderer`` at ``size_px`` (``None``: its own size). ``RequestError`` names the sizes that there are."""
    if isinstance(renderer, Sized):
        return cast(Renderer, renderer.at(size_px))
    plain = renderer.plain if isinstance(renderer, EnlargedRenderer) else renderer
    if not _enlarged(size_px, plain.size_px, True):
        return plain
    return EnlargedRenderer(plain, packaged_enlarger(str(getattr(plain, "device", "cpu"))))


def _enlarged(size_px: int | None, own_px: int, can: bool) -> bool:
    check_size(size_px, (own_px, FACTOR * own_px) if can else (own_px,))
    return size_px is not None and size_px != own_px


def check_size(size_px: int | None, allowed: Sequence[int]) -> None:
    """``RequestError`` for a size that there is not."""
    if size_px is not None and size_px not in allowed:
        raise RequestError(f"size: {size_px} px given; allowed: {', '.join(map(str, allowed))}")
