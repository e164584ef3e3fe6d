"""A painter that is trained further: its network, and what its codes, tokens, conditions and sources mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.core.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

    from mien.generators.imagine.density import Frame
    from mien.generators.painter.basis import PatchBasis
    from mien.generators.painter.network import PainterConfig


REST = 0.1524  # ``Frame.rest`` of painters whose file does not say it


@dataclass(frozen=True, slots=True)
class Begun:
    """What training goes on with."""

    network: Mapping[str, Tensor]
    config: PainterConfig
    basis: PatchBasis
    frame: Frame
    scale: Mapping[str, tuple[float, float]]  # condition -> mean, deviation
    sources: tuple[str, ...]
    images: int

    def sources_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """The painter's sources. ``RequestError`` where a face comes from another one."""
        other = sorted(set(names) - set(self.sources))
        if other:
            raise RequestError(
                f"--from: the data has the source '{other[0]}'; its painter knows {', '.join(self.sources)}"
            )
        return self.sources


def begun_with(start_from: Path) -> Begun:
    """The painter of a RUN that ended, or of a weights file. ``RequestError`` where there is none."""
    from mien.core.checkpoints import load_weights
    from mien.generators.imagine.density import Frame
    from mien.generators.painter.renderer import MODEL, PainterRenderer

    path = start_from / f"{MODEL}.safetensors" if start_from.is_dir() else start_from
    if not path.is_file():
        raise RequestError(
            f"--from: {start_from} given; wanted is a RUN of `mien train painter` that ended, or its file"
        )
    drawn, (_, about) = PainterRenderer.load(path, device="cpu"), load_weights(path, model=MODEL)
    frame = {name: value.float().numpy() for name, value in drawn.frame.items()}
    scale = {name: (float(mean), float(deviation)) for name, (mean, deviation) in drawn.scale.items()}
    codes = Frame(frame["mean"], frame["deviation"], frame["axes"], frame["scale"], float(about.get("rest", REST)))
    images = int(about.get("images", 0))
    return Begun(
        drawn.painter.state_dict(), drawn.painter.config, drawn.basis, codes, scale, tuple(drawn.sources), images
    )
