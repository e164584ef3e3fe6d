"""mien makes faces. ``mien.load("crowd").sample(count=8, sex="female", age=(20, 35), seed=1)``.

And it says what a photo shows: ``mien.load("describe").describe("photo.jpg").faces[0].sentence``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, overload

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from mien.faces.describe import Describer
    from mien.generators.crowd import Crowd


@overload
def load(
    name: Literal["describe"], *, preset: str = "mien", weights: str | None = None, device: str | None = None
) -> Describer: ...


@overload
def load(
    name: Literal["crowd"] = "crowd", *, preset: str = "mien", weights: str | None = None, device: str | None = None
) -> Crowd: ...


def load(
    name: str = "crowd", *, preset: str = "mien", weights: str | None = None, device: str | None = None
) -> Crowd | Describer:
    """Load a generator (``"crowd"``) or what describes photos (``"describe"``), with the packaged weights or a run's.

    ``preset`` is ``"mien"`` or ``"paper"``; ``weights`` a safetensors file instead of the packaged one; ``device`` a
    torch device (default: CUDA when there, else CPU). Raises ``RequestError`` for an unknown name.
    """
    if name == "describe":
        from mien.faces.describe import Describer

        return Describer.load(preset, weights=weights, device=device)
    from mien.generators import load as load_generator

    return load_generator(name, preset=preset, weights=weights, device=device)
