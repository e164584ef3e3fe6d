"""Generators: what makes faces. ``load`` finds one by name, with the weights that travel with the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.core.errors import RequestError

if TYPE_CHECKING:
    from mien.generators.crowd.sampler import Crowd
    from mien.generators.imagine.mien import Imagine
    from mien.generators.portrait.make import PortraitMaker

NAMES = ("crowd", "imagine", "portrait")


def load(
    name: str, *, preset: str = "mien", weights: str | None = None, device: str | None = None
) -> Crowd | Imagine | PortraitMaker:
    """The generator ``name`` (see ``mien.load``)."""
    if name not in NAMES:
        raise RequestError(f"load: no generator '{name}'; allowed: {', '.join(NAMES)}, describe")
    if name == "portrait":
        from mien.generators.portrait.make import PortraitMaker

        if device not in (None, "cpu"):
            raise RequestError(f"load: device '{device}' given; portraits are made on the cpu")
        return PortraitMaker.load(preset, weights=weights)
    if name == "imagine":
        from mien.generators.imagine.mien import Imagine

        if preset != "mien":
            raise RequestError(f"load: preset '{preset}' given; imagine knows mien (`mien imagine` knows the paper's)")
        return Imagine.load(weights, device=device)
    from mien.generators.crowd.sampler import Crowd

    return Crowd.load(preset, weights=weights, device=device)
