"""What can be trained: each model's presets, the options that each uses, and the settings that only it reads.

An option or setting that a preset does not use is refused here, before anything is loaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.core.config import Config
from mien.core.errors import RequestError
from mien.core.settings import settings_from
from mien.datasets.layout import require_dataset
from mien.pipelines.train.packed import require_faces
from mien.pipelines.train.request import Trained, TrainRequest, check_options
from mien.pipelines.train.settings import (
    AttributesSettings,
    CrowdPaperSettings,
    CrowdSettings,
    DensitySettings,
    DrawSettings,
    EncoderSettings,
    EnlargerSettings,
    FinisherSettings,
    MixtureSettings,
    NoSettings,
    PainterSettings,
    PortraitSettings,
)

LOOP_OPTIONS = ("resume", "steps", "batch", "seed", "threads", "device", "precision", "minutes")
FLAGS = {"start_from": "from"}  # options whose name is a word of Python


@dataclass(frozen=True, slots=True)
class Preset:
    """One way to train a model: ``function`` is ``module:name`` of pipelines/train, imported when it is wanted.

    ``require``: raises ``DatasetError`` for data that it cannot learn from.
    """

    function: str
    options: tuple[str, ...]
    settings: type[Config] = NoSettings
    require: Callable[[Path], None] = require_dataset

    def run(self, request: TrainRequest) -> Trained:
        """Train; ``DatasetError`` where there is no dataset, before anything heavy is imported."""
        self.require(request.data)
        module, _, name = self.function.partition(":")
        result: Trained = getattr(importlib.import_module(f"mien.pipelines.train.{module}"), name)(request)
        return result


PRESETS: Mapping[str, Mapping[str, Preset]] = {
    "crowd": {
        "mien": Preset("crowd:train_mien", (*LOOP_OPTIONS, "start_from"), CrowdSettings),
        "paper": Preset("crowd_paper:train_paper_preset", LOOP_OPTIONS, CrowdPaperSettings),
    },
    "encoder": {"paper": Preset("encoder_paper:train_encoder_preset", LOOP_OPTIONS, EncoderSettings)},
    "attributes": {
        "mien": Preset("attributes:train_heads", LOOP_OPTIONS, AttributesSettings),
        "paper": Preset("attributes:train_heads_as_printed", LOOP_OPTIONS, AttributesSettings),
    },
    "mixture": {
        "mien": Preset("mixture:fit_density_preset", ("seed", "threads"), DensitySettings),
        "paper": Preset("mixture:fit_mixture_preset", ("seed", "threads", "steps"), MixtureSettings),
        "draw": Preset("draw:train_draw_preset", LOOP_OPTIONS, DrawSettings),
    },
    "portrait": {
        "mien": Preset("portrait:fit_neutraliser", ("threads", "start_from")),
        "paper": Preset("portrait:train_thesis", LOOP_OPTIONS, PortraitSettings),
    },
    "enlarger": {
        "mien": Preset("enlarger:train_enlarger_preset", (*LOOP_OPTIONS, "start_from"), EnlargerSettings),
        "painter": Preset("finisher:train_finisher_preset", (*LOOP_OPTIONS, "start_from"), FinisherSettings),
    },
    "painter": {
        "mien": Preset("painter:train_painter_preset", (*LOOP_OPTIONS, "start_from"), PainterSettings, require_faces)
    },
    "judge": {
        "mien": Preset("judge:train_age_sex", LOOP_OPTIONS),
        "attributes": Preset("judge:train_attribute_judge", (*LOOP_OPTIONS, "start_from")),
    },
}


def preset_of(model: str, name: str) -> Preset:
    """A preset by name; ``RequestError`` lists those of the model."""
    presets = PRESETS[model]
    if name not in presets:
        raise RequestError(f"--preset: no '{name}' for {model}; allowed: {', '.join(presets)}")
    return presets[name]


def train(model: str, preset: str, *, data: Path, out: Path, said: Iterable[str] = (), **options: Any) -> Trained:
    """Train ``model`` as ``preset`` says. ``said``: settings as ``name=value``; options that are None were not given.

    ``RequestError``, before anything is loaded, for what the preset does not use.
    """
    chosen = preset_of(model, preset)
    given = {name: value for name, value in options.items() if value is not None and value is not False}
    unused = [name for name in given if name not in chosen.options]
    if unused:
        flags = ", ".join(f"--{FLAGS.get(name, name)}" for name in ("data", "out", "preset", *chosen.options))
        extra = ", --set" if chosen.settings is not NoSettings else ""
        raise RequestError(
            f"--{FLAGS.get(unused[0], unused[0])}: preset '{preset}' of {model} does not use it; it uses {flags}{extra}"
        )
    settings = settings_from(chosen.settings, said, f"preset '{preset}' of {model}")
    request = TrainRequest(data=data, out=out, settings=settings, **given)
    check_options(request)
    return chosen.run(request)
