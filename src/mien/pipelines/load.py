"""``load`` finds what makes or describes faces by its name, with the weights that travel with the package."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, overload

from mien.core.errors import RequestError
from mien.core.forks import work_in_forks

if TYPE_CHECKING:
    from mien.attributes.describe.describer import Describer
    from mien.generators.crowd.sampler import Crowd
    from mien.generators.imagine.mien import Imagine
    from mien.pipelines.photo_edit_model import PhotoEditPipeline
    from mien.pipelines.portrait_model import PortraitPipeline

NAMES = ("crowd", "imagine", "portrait", "describe", "edit")


@overload
def load(
    name: Literal["describe"], *, preset: str | None = None, weights: str | None = None, device: str | None = None
) -> Describer: ...


@overload
def load(
    name: Literal["portrait"], *, preset: str | None = None, weights: str | None = None, device: str | None = None
) -> PortraitPipeline: ...


@overload
def load(
    name: Literal["edit"], *, preset: str | None = None, weights: str | None = None, device: str | None = None
) -> PhotoEditPipeline: ...


@overload
def load(
    name: Literal["imagine"], *, preset: str | None = None, weights: str | None = None, device: str | None = None
) -> Imagine: ...


@overload
def load(
    name: Literal["crowd"] = "crowd",
    *,
    preset: str | None = None,
    weights: str | None = None,
    device: str | None = None,
) -> Crowd: ...


def load(
    name: str = "crowd", *, preset: str | None = None, weights: str | None = None, device: str | None = None
) -> Crowd | Describer | Imagine | PhotoEditPipeline | PortraitPipeline:
    """Load ``"crowd"``, ``"imagine"``, ``"portrait"``, what changes people on photos (``"edit"``), or ``"describe"``.

    Args:
        name: one of ``NAMES``.
        preset: crowd and imagine: ``"painter"`` (the default) or ``"mien"``, the older, faster decoder; crowd,
            portrait and edit: ``"paper"``; portrait, edit and describe: ``"mien"`` (the default).
        weights: a safetensors file of a run; default: the packaged weights.
        device: a torch device; default: CUDA when there, else CPU. Portraits are made on the CPU.

    Raises:
        RequestError: an unknown name or preset, or a device that is not used.
        WeightsError: a weights file that is missing, damaged or of another model.
    """
    if name not in NAMES:
        raise RequestError(f"load: no generator '{name}'; allowed: {', '.join(NAMES)}")
    try:
        weights = None if weights is None else str(os.fspath(weights))
    except TypeError:
        raise RequestError(f"load: weights {weights!r} given; wanted: the path of a safetensors file") from None
    work_in_forks()
    if name == "describe":
        from mien.attributes.describe.describer import Describer

        return Describer.load(preset or "mien", weights=weights, device=device)
    if name == "portrait":
        from mien.pipelines.portrait_model import PortraitPipeline

        if device not in (None, "cpu"):
            raise RequestError(f"load: device '{device}' given; portraits are made on the cpu")
        return PortraitPipeline.load(preset or "mien", weights=weights)
    if device is not None:
        from mien.core.precision import device_named

        device = device_named(device)
    if name == "edit":
        from mien.pipelines.photo_edit_model import PhotoEditPipeline

        return PhotoEditPipeline.load(preset or "mien", weights=weights, device=device)
    if name == "imagine":
        return _imagine(preset or ("painter" if weights is None else "mien"), weights, device)
    from mien.pipelines.crowd import load_crowd

    return load_crowd(preset, weights=weights, device=device)


def _imagine(preset: str, weights: str | None, device: str | None) -> Imagine:
    if preset == "painter":
        from mien.generators.painter.people import painted

        return painted(weights, device=device)
    if preset != "mien":
        allowed = "imagine knows painter and mien (`mien imagine` knows the paper's)"
        raise RequestError(f"load: preset '{preset}' given; {allowed}")
    from mien.generators.imagine.mien import Imagine

    return Imagine.load(weights, device=device)
