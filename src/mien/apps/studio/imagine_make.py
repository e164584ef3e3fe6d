"""What the tab Imagine has made: a sheet for each step of a story, and the paper's mixture beside it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from mien.apps.studio.imagine_story import AGE, DEGREES, YEARS, Step, link_of
from mien.apps.web.models import ModelSpec, Picture, load_imagine
from mien.attributes.vocabulary import WOMAN
from mien.core.errors import MienError
from mien.core.seeding import sample_generator, stream

if TYPE_CHECKING:
    from mien.core.contract import FaceRequest
    from mien.generators.imagine.density import Float64Array, Wish
    from mien.generators.imagine.mien import Imagine
    from mien.papers.deepface_2016.mixture import ClassMixture

MAKER = "imagined"
REMEMBERED = 64  # sheets, as features: 16 faces are 0.2 MB


@dataclass(frozen=True, slots=True)
class SheetOrder:
    """All faces of a step."""

    step: Step

    @property
    def count(self) -> int:
        """How many faces."""
        return self.step.count


@dataclass(frozen=True, slots=True)
class PaperOrder:
    """Faces of the same words by the paper's mixture, drawn by the same decoder: ``count`` samples, or one mean."""

    names: tuple[str, ...]  # the set C
    seed: int
    count: int
    means: bool


class Sketcher:
    """The density and its decoder, with the sheets that were made of late, and the paper's mixture once it is asked."""

    def __init__(self, imagine: Imagine) -> None:
        self.imagine = imagine
        self._sheets: OrderedDict[Step, Float64Array] = OrderedDict()
        self._mixture: tuple[ClassMixture, str] | None = None

    def features(self, step: Step) -> Float64Array:
        """Features (N F) of the faces of a step; those of the steps before are made as needed."""
        if step not in self._sheets:
            self._sheets[step] = self._features(step)
            while len(self._sheets) > REMEMBERED:
                self._sheets.popitem(last=False)
        self._sheets.move_to_end(step)
        return self._sheets[step]

    def _features(self, step: Step) -> Float64Array:
        from mien.core.contract import FaceRequest
        from mien.generators.imagine.mien import TEMPERATURE, grown
        from mien.generators.imagine.near import changed, near

        density = self.imagine.density
        if step.before is None:
            return self.imagine.features(_wish(step), [FaceRequest(step.seed, k) for k in range(step.count)])
        base = self.features(step.before)[step.pick]
        if step.how == "near":
            plan = density.plan(grown(_wish(step), density))
            return np.stack(
                [
                    near(density, base, plan, stream(step.seed, "near", k), closeness=step.closeness,
                         temperature=TEMPERATURE)
                    for k in range(step.count)
                ]
            )  # fmt: skip
        degrees = [years / 100 for years in YEARS] if step.attribute == AGE else DEGREES
        return np.stack([changed(density, base, step.attribute, degree) for degree in degrees])

    def sheet(self, step: Step) -> list[Picture]:
        """The faces of a step. Those that come from one face keep its style and grain: only the face differs."""
        from mien.core.contract import FaceRequest

        requests = [FaceRequest(step.seed, k) for k in range(step.count)]
        style = _style_of(step)
        styles = None if style is None else [style] * step.count
        images = self.imagine.renderer.draw(self.features(step), requests, styles)
        about = {"model": self.imagine.name, "model_version": self.imagine.version, "made_by": urlencode(link_of(step))}
        return [
            Picture(image, {"file": f"{k:05d}.png", "seed": step.seed, "index": k, **about, **_wanted(step, k)})
            for k, image in enumerate(images)
        ]

    def paper(self, order: PaperOrder) -> list[Picture]:
        """``order.count`` faces, or the one of the weighted means. ``RequestError`` for a name it does not know."""
        from mien.core.contract import FaceRequest

        mixture, version = self.mixture
        requests = [FaceRequest(order.seed, k) for k in range(1 if order.means else order.count)]
        targets = [
            mixture.target(order.names, None if order.means else sample_generator(order.seed, request.index))
            for request in requests
        ]
        images = self.imagine.renderer.draw(np.stack(targets), requests)
        about: dict[str, Any] = {
            "model": "imagine-paper",
            "model_version": f"{version}+{self.imagine.renderer.version}",
            "attributes": {"Male" if name == WOMAN else name: name != WOMAN for name in order.names},
            "samples": not order.means,
        }
        return [
            Picture(image, {"file": f"paper-{k:05d}.png", "seed": order.seed, "index": k, **about})
            for k, image in enumerate(images)
        ]

    @property
    def mixture(self) -> tuple[ClassMixture, str]:
        """The paper's mixture of the package, and its version."""
        if self._mixture is None:
            from mien.pipelines.imagine import load_mixture

            mixture, _, metadata = load_mixture(None)
            self._mixture = mixture, str(metadata["version"])
        return self._mixture


def _style_of(step: Step) -> FaceRequest | None:
    """The face of the first sheet that a step comes from."""
    from mien.core.contract import FaceRequest

    if step.before is None:
        return None
    return _style_of(step.before) or FaceRequest(step.before.seed, step.pick)


def _wish(step: Step) -> Wish:
    from mien.generators.imagine.density import Wish

    return Wish(dict(step.wanted), step.ages_years, step.typical)


def _wanted(step: Step, number: int) -> dict[str, Any]:
    """What the manifest says that a face was made to be."""
    wanted, ages = step.wish_of(number)
    return {"attributes": dict(wanted)} | ({"age": list(ages)} if ages else {})


def load() -> Sketcher:
    """The model of the service behind it."""
    return Sketcher(load_imagine())


def make(sketcher: Sketcher, orders: Sequence[SheetOrder | PaperOrder]) -> list[Any]:
    """An answer to each order: pictures, or what is wrong with it."""
    answers: list[Any] = []
    for order in orders:
        try:
            done = sketcher.sheet(order.step) if isinstance(order, SheetOrder) else sketcher.paper(order)
        except MienError as error:
            answers.append(error)
        else:
            answers.append(done)
    return answers


MODEL_SPECS = (ModelSpec(MAKER, "faces", "Faces from words, refined", load, make),)
