"""mien makes faces. ``mien.load("crowd").sample(count=8, sex="female", age=(20, 35), seed=1)``.

From words, too: ``mien.load("imagine").sample("smiling, woman, brown hair", 4, seed=1)``. And it says what a photo
shows: ``mien.load("describe").describe("photo.jpg").faces[0].sentence``.
Or draws who is on it, looking ahead: ``mien.load("portrait").make("photo.jpg")[0].on((255, 255, 255))``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

from mien.core.version import __version__

__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from mien.attributes.describe.describer import Describer
    from mien.generators.crowd.sampler import Crowd
    from mien.generators.imagine.mien import Imagine
    from mien.generators.portrait.make import PortraitMaker


@overload
def load(
    name: Literal["describe"], *, preset: str = "mien", weights: str | None = None, device: str | None = None
) -> Describer: ...


@overload
def load(
    name: Literal["portrait"], *, preset: str = "mien", weights: str | None = None, device: str | None = None
) -> PortraitMaker: ...


@overload
def load(
    name: Literal["imagine"], *, preset: str = "mien", weights: str | None = None, device: str | None = None
) -> Imagine: ...


@overload
def load(
    name: Literal["crowd"] = "crowd", *, preset: str = "mien", weights: str | None = None, device: str | None = None
) -> Crowd: ...


def load(
    name: str = "crowd", *, preset: str = "mien", weights: str | None = None, device: str | None = None
) -> Crowd | Describer | Imagine | PortraitMaker:
    """Load ``"crowd"``, ``"imagine"``, ``"portrait"`` or what describes photos (``"describe"``).

    With the packaged weights or those of a run: ``preset`` is ``"mien"`` or ``"paper"`` (imagine: ``"mien"``), and
    ``weights`` a safetensors file. ``device`` is a torch device (default: CUDA when there, else CPU; portraits are
    made on the CPU). Raises ``RequestError`` for an unknown name.
    """
    if name == "describe":
        from mien.attributes.describe.describer import Describer

        return Describer.load(preset, weights=weights, device=device)
    from mien.pipelines.load import load as load_generator

    return load_generator(name, preset=preset, weights=weights, device=device)
