"""A dataset as the painter learns it, and the two weights files that come of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from mien.pipelines.train.begun import Begun

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from mien.generators.imagine.density import FaceDensity
    from mien.generators.painter.basis import PatchBasis
    from mien.generators.painter.network import PainterConfig
    from mien.generators.painter.scenes import Scenes
    from mien.training.painter import PaintedSet

BLOCK = 512
OF_ALL = {"grey": 0.0, "valid": 1.0, "yaw": 0.0}  # asked of every picture


class Prepared:
    """A dataset as the painter learns it, and what the two weights files need beside the network."""

    def __init__(
        self, seen: PaintedSet, held_out: PaintedSet, scale: dict[str, tuple[float, float]], sources: tuple[str, ...],
        basis: PatchBasis, density: FaceDensity, scenes: Scenes,
    ) -> None:  # fmt: skip
        self.seen, self.held_out, self.scale, self.sources = seen, held_out, scale, sources
        self.basis, self.density, self.scenes = basis, density, scenes

    def new(self, config: PainterConfig, seed: int) -> Begun:
        """A painter that has seen nothing yet."""
        from mien.training.painter import new_painter

        network = new_painter(config, seed).state_dict()
        return Begun(network, config, self.basis, self.density.frame, self.scale, self.sources, images=0)

    def export(self, out: Path, network: Mapping[str, Tensor], config: PainterConfig, images: int) -> None:
        """Write ``painter.safetensors`` (a byte a weight) and ``density.safetensors``."""
        import torch

        from mien.core.checkpoints import save_weights
        from mien.core.quantise import packed
        from mien.generators.imagine.weights import MODEL as DENSITY
        from mien.generators.painter.renderer import MODEL
        from mien.training.imagine import export_density

        frame = self.density.frame
        arrays = {"mean": frame.mean, "deviation": frame.deviation, "axes": frame.axes, "scale": frame.scale}
        tensors = {f"painter.{name}": value for name, value in network.items()}
        tensors |= {f"basis.{name}": value for name, value in self.basis.state_dict().items()}
        tensors |= {f"frame.{name}": torch.from_numpy(value).float() for name, value in arrays.items()}
        tensors |= self.scenes.tensors()
        mean, deviation = self.scale["sharpness"]
        about = {
            "model": MODEL, "version": f"{MODEL}-{images // 1000}k", "config": config.model_dump(mode="json"),
            "conditions": list(self.scale), "scale": self.scale, "sources": list(self.sources),
            "asked": {**OF_ALL, "sharpness": mean + 0.5 * deviation}, "images": images, "rest": frame.rest,
            "scene_conditions": list(self.scenes.names), "scene_looks": list(self.scenes.look_names),
        }  # fmt: skip
        save_weights(out / "painter.safetensors", packed(tensors, 50_000), about, dtype=torch.float16)
        export_density(out / "density.safetensors", self.density, {"model": DENSITY, "decoder": about["version"]})


def fingerprint(prepared: Prepared) -> str:
    """16 hexadecimal digits of what is learned from: a run goes on with the same faces only."""
    found = hashlib.sha256(prepared.seen.codes[:].tobytes())
    found.update(prepared.seen.sums.tobytes())
    return found.hexdigest()[:16]


def tokens_of(basis: PatchBasis, crops: npt.NDArray[np.uint8], out: Path) -> npt.NDArray[np.float16]:
    """The tokens (N T C) of all crops (N S S 3), a memory map in RUN."""
    import numpy as np
    import torch

    from mien.core.images import to_tensor

    out.mkdir(parents=True, exist_ok=True)
    shape = (len(crops), basis.tokens, basis.channels)
    tokens = np.lib.format.open_memmap(out / "tokens.npy", mode="w+", dtype=np.float16, shape=shape)
    with torch.inference_mode():
        for start in range(0, len(crops), BLOCK):
            part = to_tensor(np.ascontiguousarray(crops[start : start + BLOCK]))
            tokens[start : start + BLOCK] = basis.encode(part).numpy().astype(np.float16)
    return tokens
