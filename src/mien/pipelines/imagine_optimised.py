"""Pictures by the paper's methods that optimise them, for a front end that shows how far they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from mien.core.errors import RequestError
from mien.pipelines.pictures import Picture

if TYPE_CHECKING:
    from mien.papers.deepface_2016.picture import DescentConfig
    from mien.pipelines.imagine_pictures import Inverter, Visualiser

Method = Literal["visualise", "invert"]
OnStep = Callable[[int, float], None]  # step, loss
STEPS = 160  # at most, under the paper's settings


def optimised_pictures(
    method: Method, wanted: Mapping[str, bool | float], seed: int, count: int, on_step: OnStep
) -> list[Picture]:
    """``count`` pictures of the attributes that are ``wanted``, made at once by the paper's settings.

    The methods know attributes that are there, and a woman; others are not asked for. ``RequestError`` where none is
    left; ``WeightsError`` where networks were not fetched.
    """
    import numpy as np

    from mien.core.images import to_photos
    from mien.core.memory import keep_freed_memory
    from mien.core.seeding import sample_generator
    from mien.pipelines.imagine import names_of, tellable
    from mien.pipelines.imagine_pictures import draws_of

    keep_freed_memory()
    sure = tellable(wanted)
    draws = [draws_of(seed, method, index) for index in range(count)]
    names = names_of(sure, method)
    if method == "visualise":
        if not names:
            raise RequestError("words: the method knows one attribute or more, for example smiling")
        visualiser = _visualiser()
        found, version = visualiser.make([names] * count, draws, on_step), visualiser.version
    else:
        inverter, mixture, version = _inverter()
        targets = np.stack([mixture.target(names, sample_generator(seed, index)) for index in range(count)])
        found = inverter.toward(mixture.layer, targets, draws, on_step)
    about = {"model": f"imagine-{method}", "model_version": version, "attributes": sure, "settings": "paper"}
    return [
        Picture(image, {"file": f"{method}-{k:05d}.png", "seed": seed, "index": k, **about, "steps": found.steps[k]})
        for k, image in enumerate(to_photos(found.pictures))
    ]


def _config() -> DescentConfig:
    from mien.papers.deepface_2016.picture import PAPER

    return PAPER.model_copy(update={"steps": STEPS})


@cache
def _visualiser() -> Visualiser:
    from mien.pipelines.imagine import load_mixture
    from mien.pipelines.imagine_pictures import Visualiser, heads_of

    _, mean_face, _ = load_mixture(None)
    return Visualiser.load(heads_of("paper", None), "facenet", mean_face, _config())


@cache
def _inverter() -> tuple[Inverter, Any, str]:
    from mien.faces.encoder import load_encoder
    from mien.pipelines.imagine import load_mixture
    from mien.pipelines.imagine_pictures import Inverter

    mixture, mean_face, metadata = load_mixture(None)
    encoder = load_encoder(str(metadata.get("encoder", "facenet")))
    return Inverter(encoder, mean_face, _config()), mixture, str(metadata["version"])
