"""mien makes faces. ``mien.load("crowd").sample(count=8, sex="female", age=(20, 35), seed=1)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["__version__", "load"]

if TYPE_CHECKING:
    from mien.generators.crowd import Crowd


def load(name: str = "crowd", *, preset: str = "mien", weights: str | None = None, device: str | None = None) -> Crowd:
    """Load a generator by name (``"crowd"``) with the weights that travel with the package, or those of a run.

    ``preset`` is ``"mien"`` or ``"paper"``; ``weights`` a safetensors file instead of the packaged one; ``device`` a
    torch device (default: CUDA when there, else CPU). Raises ``RequestError`` for an unknown name.
    """
    from mien.generators import load as load_generator

    return load_generator(name, preset=preset, weights=weights, device=device)
