"""Faces from words, edited: more like one of them, or one with a single attribute changed; and the paper's mixture."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from mien.attributes.vocabulary import WOMAN
from mien.core.images import to_photos
from mien.core.seeding import sample_generator, stream
from mien.pipelines.edit_request import DEGREES, YEARS, EditRequest, link_of
from mien.pipelines.pictures import Picture
from mien.pipelines.vocabulary import AGE

if TYPE_CHECKING:
    from mien.core.contract import FaceRequest
    from mien.generators.imagine.density import Condition, Float64Array
    from mien.generators.imagine.mien import Imagine
    from mien.papers.deepface_2016.mixture import ClassMixture

REMEMBERED = 64  # sheets, as features: 16 faces are 0.2 MB


@dataclass(frozen=True, slots=True)
class MixtureRequest:
    """Faces of the paper's mixture, drawn by the decoder: ``count`` samples of the classes ``names``, or one mean."""

    names: tuple[str, ...]  # the set C
    seed: int
    count: int
    means: bool


class EditSampler:
    """The density and its decoder, with the features of the latest sheets, and the paper's mixture once it is asked."""

    def __init__(self, imagine: Imagine) -> None:
        self.imagine = imagine
        self._sheets: OrderedDict[EditRequest, Float64Array] = OrderedDict()
        self._mixture: tuple[ClassMixture, str] | None = None

    def features(self, request: EditRequest) -> Float64Array:
        """Features (N F) of the faces of a request; those of the sheets before are made as needed."""
        if request not in self._sheets:
            self._sheets[request] = self._features(request)
            while len(self._sheets) > REMEMBERED:
                self._sheets.popitem(last=False)
        self._sheets.move_to_end(request)
        return self._sheets[request]

    def _features(self, request: EditRequest) -> Float64Array:
        from mien.generators.imagine.mien import TEMPERATURE, adults
        from mien.generators.imagine.near import changed, near

        density = self.imagine.density
        if request.before is None:
            return self.imagine.features(_condition(request), _faces(request.seed, request.count))
        base = self.features(request.before)[request.pick]
        if request.method == "near":
            compiled = density.compile(adults(_condition(request), density))
            return np.stack(
                [
                    near(density, base, compiled, stream(request.seed, "near", k), closeness=request.closeness,
                         temperature=TEMPERATURE)
                    for k in range(request.count)
                ]
            )  # fmt: skip
        degrees = [years / 100 for years in YEARS] if request.attribute == AGE else DEGREES
        return np.stack([changed(density, base, request.attribute, degree) for degree in degrees])

    def sheet(self, request: EditRequest) -> list[Picture]:
        """The faces of a request. Those that come from one face keep its style and grain: only the face differs."""
        style = _style_of(request)
        styles = None if style is None else [style] * request.count
        images = to_photos(
            self.imagine.renderer.draw(self.features(request), _faces(request.seed, request.count), styles)
        )
        model, version = self.imagine.name, self.imagine.version
        about = {"model": model, "model_version": version, "made_by": urlencode(link_of(request))}
        return [
            Picture(image, {"file": f"{k:05d}.png", "seed": request.seed, "index": k, **about, **_labels(request, k)})
            for k, image in enumerate(images)
        ]

    def mixture(self, request: MixtureRequest) -> list[Picture]:
        """``count`` faces, or the one of the weighted means. ``RequestError`` for a class that it does not know."""
        mixture, version = self._loaded_mixture()
        faces = _faces(request.seed, 1 if request.means else request.count)
        targets = [
            mixture.target(request.names, None if request.means else sample_generator(request.seed, face.index))
            for face in faces
        ]
        images = to_photos(self.imagine.renderer.draw(np.stack(targets), faces))
        about: dict[str, Any] = {
            "model": "imagine-paper",
            "model_version": f"{version}+{self.imagine.renderer.version}",
            "attributes": {"Male" if name == WOMAN else name: name != WOMAN for name in request.names},
            "samples": not request.means,
        }
        return [
            Picture(image, {"file": f"paper-{k:05d}.png", "seed": request.seed, "index": k, **about})
            for k, image in enumerate(images)
        ]

    def _loaded_mixture(self) -> tuple[ClassMixture, str]:
        """The paper's mixture of the package, and its version."""
        if self._mixture is None:
            from mien.pipelines.imagine import load_mixture

            mixture, _, metadata = load_mixture(None, decoded=True)
            self._mixture = mixture, str(metadata["version"])
        return self._mixture


def _faces(seed: int, count: int) -> list[FaceRequest]:
    from mien.core.contract import FaceRequest

    return [FaceRequest(seed, index) for index in range(count)]


def _style_of(request: EditRequest) -> FaceRequest | None:
    """The face of the first sheet that a request comes from."""
    from mien.core.contract import FaceRequest

    if request.before is None:
        return None
    return _style_of(request.before) or FaceRequest(request.before.seed, request.pick)


def _condition(request: EditRequest) -> Condition:
    from mien.generators.imagine.density import Condition

    return Condition(dict(request.wanted), request.ages_years, request.typical)


def _labels(request: EditRequest, number: int) -> dict[str, Any]:
    """What the manifest says that a face was made to be."""
    made = request.described(number)
    return {"attributes": dict(made.attributes)} | ({"age": list(made.ages_years)} if made.ages_years else {})
