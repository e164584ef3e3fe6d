"""The paper's mixture drawn by DRAW (``--set render=draw``): features by the one, pictures by the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import RequestError

if TYPE_CHECKING:
    from mien.core.records import UInt8Image
    from mien.papers.draw_gregor_2015.renderer import DrawRenderer

TRAINED_BY = "`mien train mixture --preset draw --data DEST --out RUN`"


def draw_renderer(path: Path, layer: str) -> DrawRenderer:
    """DRAW of a run. ``RequestError`` where it was not trained on the ``layer`` of the mixture."""
    from mien.papers.draw_gregor_2015.renderer import DrawRenderer

    found = DrawRenderer.load(path)
    if found.layer != layer:
        raise RequestError(f"{path}: draws from activations of '{found.layer}'; the mixture's are of '{layer}'")
    return found


class DrawMaker:
    """Faces of what ``target(index)`` (F) says, drawn by DRAW; the canvases of each are kept."""

    def __init__(self, path: Path | None, layer: str, target: Callable[[int], Any], seed: int) -> None:
        if path is None:
            where = f"it is the RUN/weights.safetensors of {TRAINED_BY}"
            raise RequestError(f"--set: draw not given; with render=draw {where}")
        self.renderer, self.target, self.seed = draw_renderer(path, layer), target, seed
        self.canvases: dict[int, list[UInt8Image]] = {}

    def __call__(self, first: int, number: int) -> list[UInt8Image]:
        """Faces ``first`` to ``first + number`` - 1."""
        import numpy as np

        from mien.core.contract import FaceRequest
        from mien.core.images import to_photos

        places = range(first, first + number)
        features = np.stack([self.target(index) for index in places])
        stages = self.renderer.stages(features, [FaceRequest(self.seed, index) for index in places])
        self.canvases |= {index: list(to_photos(canvases)) for index, canvases in zip(places, stages, strict=True)}
        return [self.canvases[index][-1] for index in places]
