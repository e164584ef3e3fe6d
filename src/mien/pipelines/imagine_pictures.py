"""Pictures that are optimised: the paper's methods behind `mien imagine`, `mien evaluate imagine`, `mien experiment`.

A painter holds the networks that it needs and makes many pictures at once, each with a generator of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import RequestError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from torch import Tensor

    from mien.attributes.reader import AttributeReader
    from mien.core.records import UInt8Image
    from mien.faces.encoder import Encoder
    from mien.papers.deepface_2016.descent import Descent, Progress
    from mien.papers.deepface_2016.picture import DescentConfig

ROWS = 16  # pictures at once: a step of one alone costs twice as much
CROP_PX = 128  # of a visualised picture, as of the mean face


def rows_at_once(config: DescentConfig) -> int:
    """How many pictures to make together. One where that would let them depend on each other in their last bits."""
    import torch

    from mien.core.precision import has_fast_bf16

    return ROWS if config.optimiser != "lbfgs" and has_fast_bf16(torch.device("cpu")) else 1


def draws_of(seed: int, method: str, index: int) -> torch.Generator:
    """The generator of picture ``index`` of a seed."""
    import torch

    from mien.core.seeding import torch_seed

    return torch.Generator().manual_seed(torch_seed(seed, method, index))


def heads_of(settings: str, given: Path | None) -> Path | None:
    """The heads whose classes are visualised: those ``given``, else the paper's with its settings, else ours."""
    from mien.core.checkpoints import WEIGHTS

    return given or (WEIGHTS / "attributes-paper.safetensors" if settings == "paper" else None)


def stages_of(found: Descent, row: int, begin: str, mean: Tensor | None) -> dict[str, UInt8Image]:
    """Picture ``row`` of a descent from ``begin`` to its result, by name (poster, figure 8), the mean image first."""
    from mien.core.images import to_photos

    steps, shown = found.steps[row], {} if mean is None else {"mean image": mean[0]}
    ways = {begin if not step else f"step {step}": all_[row] for step, all_ in found.stages.items() if step < steps}
    shown |= ways | {f"result, step {steps}": found.pictures[row]}
    size = found.pictures.shape[-1]
    return {name: to_photos(resized(picture[None], size))[0] for name, picture in shown.items()}


@dataclass(frozen=True)
class Visualiser:
    """Class visualisation (section 3.3.1) from the mean face, over trained heads."""

    reader: AttributeReader
    mean_face: Tensor  # 1 3 S S
    config: DescentConfig

    @classmethod
    def load(cls, heads: Path | None, encoder: str, mean_face: Tensor, config: DescentConfig) -> Visualiser:
        """``heads``: weights of `mien train attributes`; ``None``: the packaged ones."""
        from mien.attributes.reader import AttributeReader

        return cls(AttributeReader.load(heads, encoder), mean_face, config)

    @property
    def version(self) -> str:
        """Of the heads, and of how a rate is searched where one is."""
        from mien.papers.deepface_2016.descent import LONGEST

        return str(self.reader.metadata.get("version", "heads")) + (f"+step{LONGEST}" if self.config.search else "")

    def make(
        self, wanted: Sequence[Sequence[str]], draws: Sequence[torch.Generator], progress: Progress | None = None
    ) -> Descent:
        """N crops with the attributes ``wanted`` (N sets of classes of the heads)."""

        from mien.attributes import GROUPS
        from mien.attributes.features import concatenate, pooled_features
        from mien.core.precision import fast_autocast
        from mien.papers.deepface_2016.visualise import visualise

        reader, looks = self.reader, self.reader.heads.config.looks

        def heads(window: Tensor) -> tuple[Tensor, ...]:
            with fast_autocast(window.device):
                seen = pooled_features(reader.encoder, window, looks)
            return tuple(reader.heads(concatenate(seen, looks)).groups)

        config = self.config.model_copy(update={"begin_noise": min(self.config.begin_noise, 0.05)})  # "small"
        return visualise(heads, GROUPS, wanted, self.mean, CROP_PX, config, draws, progress=progress)

    @property
    def mean(self) -> Tensor:
        """The mean image, 1 3 S S of the canvas."""
        from mien.papers.deepface_2016.picture import canvas_px

        return resized(self.mean_face, canvas_px(CROP_PX, self.config))


@dataclass(frozen=True)
class Inverter:
    """Feature inversion (equation 1) at any layer of an encoder."""

    encoder: Encoder
    mean_face: Tensor  # 1 3 S S
    config: DescentConfig

    def own(
        self, layer: str, crops: Tensor, draws: Sequence[torch.Generator], progress: Progress | None = None
    ) -> Descent:
        """N pictures from noise toward the activations of crops (N 3 S S)."""
        from mien.papers.deepface_2016.invert import canvas_of, check_layer, invert, noise_canvas, of_picture
        from mien.papers.deepface_2016.picture import canvas_px

        check_layer(self.encoder, layer)
        size = canvas_px(self.encoder.input_size, self.config)
        canvas, mean = (canvas_of(each, size, wider=self.config.jitter) for each in (crops, self.mean_face))
        begin = noise_canvas(self.encoder, self.config, draws)
        aim = of_picture(self.encoder, layer, canvas)
        return invert(self.encoder, layer, aim, begin, self.config, draws, mean_face=mean, progress=progress)

    def toward(
        self,
        layer: str,
        targets: npt.NDArray[np.float64],
        draws: Sequence[torch.Generator],
        progress: Progress | None = None,
    ) -> Descent:
        """N pictures from noise toward activations (N ...). Without jitter, since these targets lie still."""
        from mien.papers.deepface_2016.invert import noise_canvas

        config, mean = self.config.model_copy(update={"jitter": False}), self.window(self.mean_face)
        begin = noise_canvas(self.encoder, config, draws)
        return self._fixed(layer, targets, begin, mean, config, draws, progress)

    def moved(
        self,
        layer: str,
        targets: npt.NDArray[np.float64],
        crops: Tensor,
        draws: Sequence[torch.Generator],
        progress: Progress | None = None,
    ) -> Descent:
        """The poster's "Barack-inator": begin at crops (N 3 S S), walk toward activations (N ...)."""
        config, begin = self.config.model_copy(update={"jitter": False, "begin_noise": 0.0}), self.window(crops)
        return self._fixed(layer, targets, begin, begin, config, draws, progress)

    def window(self, crops: Tensor) -> Tensor:
        """What the encoder reads of crops (N 3 S S)."""
        from mien.papers.deepface_2016.invert import canvas_of

        return canvas_of(crops, self.encoder.input_size, wider=False)

    def _fixed(
        self,
        layer: str,
        targets: npt.NDArray[np.float64],
        begin: Tensor,
        mean: Tensor,
        config: DescentConfig,
        draws: Sequence[torch.Generator],
        progress: Progress | None,
    ) -> Descent:
        import torch

        from mien.papers.deepface_2016.invert import fixed, invert

        aim = fixed(torch.from_numpy(targets).float())
        return invert(self.encoder, layer, aim, begin, config, draws, mean_face=mean, progress=progress)


def resized(tensor: Tensor, size: int) -> Tensor:
    """N 3 H W -> N 3 size size."""
    import torch.nn.functional as functional

    return functional.interpolate(tensor, size=(size, size), mode="bilinear", align_corners=False)


def configuration(settings: str, steps: int | None, given: dict[str, Any]) -> DescentConfig:
    """The settings called ``settings``, with ``given`` fields instead of theirs; ``RequestError`` for wrong ones."""
    from mien.papers.deepface_2016.picture import PRESETS, DescentConfig

    values = PRESETS[settings].model_dump() | given | ({} if steps is None else {"steps": steps})
    return DescentConfig.make(values, where="--descent")


def parse_fields(text: str) -> dict[str, str]:
    """'l2=0.1, jitter=false' -> name -> value, as written."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value:
            raise RequestError(f"--set: descent: '{part}' given; wanted is name=value, for example l2=0.1")
        found[name] = value
    return found
