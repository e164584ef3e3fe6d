"""Generators: what makes faces. ``load`` finds one by name, with the weights that travel with the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import RequestError

if TYPE_CHECKING:
    from mien.generators.crowd import Crowd

NAMES = ("crowd",)
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


def load(name: str, *, preset: str = "mien", weights: str | None = None, device: str | None = None) -> Crowd:
    """The generator ``name`` (see ``mien.load``)."""
    if name not in NAMES:
        raise RequestError(f"load: no generator '{name}'; allowed: {', '.join(NAMES)}, describe")
    from mien.generators.crowd import Crowd

    return Crowd.load(preset, weights=weights, device=device)
