"""The methods of `imagine`, the options that each uses, and the settings of each (``--set``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from mien.core.config import Config
from mien.core.errors import RequestError
from mien.core.settings import settings_from

PRESETS = ("mien", "paper")
METHODS = ("mixture", "invert", "visualise")


class DensityDrawing(Config):
    """A density of faces, drawn by the painter or by the older decoder."""

    renderer: Literal["painter", "decoder"] | None = Field(
        default=None, description="painter, or decoder: ten times as fast, blurred; decoder with --like and --weights"
    )
    look: Literal["studio", "natural", "news", "any"] = Field(
        default="studio", description="the painter's look: studio, natural, news or any"
    )
    kept: float = Field(
        default=0.3, ge=0, lt=1, description="with --like: how much of the photo the painter keeps, below 1"
    )
    decoder: Path | None = Field(default=None, description="weights of `mien train crowd` whose decoder draws")


class Optimised(Config):
    """Pictures that are optimised."""

    settings: Literal["mien", "paper"] | None = Field(
        default=None, description="how pictures are optimised: paper (pixels, SGD, blur, jitter) or mien; as the preset"
    )
    steps: int | None = Field(default=None, ge=1, description="steps of that")
    descent: str = Field(default="", description="of that, by name: optimiser=lbfgs,jitter=false,blur_every=4")
    curves: bool = Field(default=False, description="the losses of each picture: curves.png")
    stages: bool = Field(default=False, description="how the first came about, from the beginning on: stages.png")


class PaperMixture(Optimised):
    """The mixture of the paper."""

    render: Literal["invert", "decode", "draw"] = Field(
        default="invert",
        description="invert: feature inversion, as printed; decode: our variant, by the decoder of mien; draw: DRAW",
    )
    means: bool = Field(default=False, description="the weighted means of the mixture, not samples of it")
    decoder: Path | None = Field(default=None, description="weights of `mien train crowd` whose decoder draws")
    draw: Path | None = Field(
        default=None, description="with render=draw: weights of `mien train mixture --preset draw`"
    )


class Inversion(Optimised):
    """A photo's activations inverted, or moved toward words."""

    layer: str | None = Field(default=None, description="a layer of the encoder")
    encoder: str = Field(default="facenet", description="facenet or vgg-face")
    means: bool = Field(default=False, description="with words: toward the means of the mixture, not samples of it")


class Visualisation(Optimised):
    """Classes of the heads visualised."""

    heads: Path | None = Field(
        default=None,
        description="heads of `mien train attributes`; with settings=paper the paper's, else those of mien",
    )
    encoder: str = Field(default="facenet", description="facenet or vgg-face")


@dataclass(frozen=True, slots=True)
class Method:
    """What one method uses: options of the command line, and settings."""

    options: tuple[str, ...]
    settings: type[Config]


USES: Mapping[tuple[str, str], Method] = {
    ("mien", "mixture"): Method(("age", "typical", "like", "weights", "size", "device"), DensityDrawing),
    ("paper", "mixture"): Method(("weights", "size", "device"), PaperMixture),
    **{(preset, "invert"): Method(("photo", "weights", "device"), Inversion) for preset in PRESETS},
    **{(preset, "visualise"): Method(("device",), Visualisation) for preset in PRESETS},
}
IDLE: Mapping[str, set[str]] = {  # settings of the paper's mixture that a way to draw does not read
    "decode": {*Optimised.model_fields, "draw"},
    "invert": {"decoder", "draw"},
    "draw": {*Optimised.model_fields, "decoder"} - {"stages"},
}
SHARED = ("count", "seed", "avoid", "sheet", "credentials", "unmarked", "force")


def checked_settings(preset: str, method: str, given: Mapping[str, Any], said: Iterable[str]) -> Config:
    """The settings of a method from ``name=value`` words.

    ``RequestError`` for a method that there is not, for an option in ``given`` that it does not use (``None`` and
    False: not given), for a setting that it has not, and for a photo that is not there.
    """
    for option, name, allowed in (("--preset", preset, PRESETS), ("--method", method, METHODS)):
        if name not in allowed:
            raise RequestError(f"{option}: '{name}' given; allowed: {', '.join(allowed)}")
    found, whose = USES[preset, method], f"preset '{preset}', method '{method}'"
    own = settings_from(found.settings, said, whose)
    options = found.options
    if isinstance(own, DensityDrawing):
        drawn_by = drawing(own, given)
        _refuse_idle(own, {"decoder"} if drawn_by == "painter" else {"look", "kept"}, f"renderer={drawn_by}")
    if isinstance(own, PaperMixture):
        options = tuple(name for name in options if name != "size" or own.render == "decode")
        _refuse_idle(own, IDLE[own.render], f"render={own.render}")
    unused = [name for name, value in given.items() if value not in (None, False) and name not in options]
    if unused:
        uses = ", ".join(f"--{name}" for name in (*options, *SHARED, "set"))
        raise RequestError(f"--{unused[0]}: {whose} does not use it; it uses {uses}")
    for option in ("like", "photo"):
        if (photo := given.get(option)) is not None and not photo.exists():
            raise RequestError(f"--{option}: {photo} given; there is no such file")
    return own


def drawing(own: Config, given: Mapping[str, Any]) -> str:
    """Painter or decoder: what was set, or the decoder where something is given that only it draws well."""
    of_decoder = getattr(own, "decoder", None) or given.get("like") or given.get("weights")
    return str(getattr(own, "renderer", None) or ("decoder" if of_decoder else "painter"))


def _refuse_idle(own: Config, idle: set[str], why: str) -> None:
    """``RequestError`` for a setting that another setting puts out of use."""
    unread = sorted(idle & own.model_fields_set)
    if unread:
        raise RequestError(f"--set: {unread[0]} is not read with {why}")
