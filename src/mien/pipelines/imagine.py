"""The samplers of `imagine`: the density of `mien`; of the paper visualise, invert, and its own mixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.attributes.vocabulary import WOMAN
from mien.core.config import Config
from mien.core.errors import RequestError
from mien.pipelines.imagine_draw import DrawMaker
from mien.pipelines.imagine_settings import drawing
from mien.pipelines.pictures import Picture
from mien.pipelines.request import FacesRequest
from mien.pretrained.taps import INVERTED

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from mien.core.records import UInt8Image
    from mien.faces.encoder import Encoder
    from mien.generators.imagine.mien import Imagine
    from mien.papers.deepface_2016.descent import Descent
    from mien.papers.deepface_2016.mixture import ClassMixture
    from mien.papers.deepface_2016.picture import DescentConfig


def imagined(model: Imagine, request: FacesRequest) -> list[Picture]:
    """The faces of a request that has a seed, drawn from the density, with their rows of a manifest."""
    from mien.generators.imagine.density import Condition

    described, model = request.description, model if request.size_px is None else model.at(request.size_px)
    condition = Condition(described.attributes, described.ages_years, request.typical)
    about: dict[str, Any] = {"model": model.name, "model_version": model.version}
    about["attributes"] = dict(described.attributes)
    about |= {} if described.ages_years is None else {"age": list(described.ages_years)}
    made = model.sample(condition, request.count, seed=request.seed, first=request.first)
    return [
        Picture(face.image, {"file": f"{face.index:05d}.png", "seed": face.seed, "index": face.index, **about})
        for face in made
    ]


DRAWN_AT_ONCE = 16
SHOWN = 5  # pictures whose losses and stages are shown


@dataclass(frozen=True, slots=True)
class ImagineRequest:
    """Faces from words as one method makes them; ``settings`` are the method's own (``imagine_settings.py``)."""

    preset: str = "mien"
    method: str = "mixture"
    wanted: Mapping[str, bool | float] = field(default_factory=dict)
    ages_years: tuple[float, float] | None = None
    typical: bool = False
    like: Path | None = None  # begin with the person of this photo
    photo: Path | None = None  # whose activations are inverted
    seed: int = 0
    weights: Path | None = None
    device: str | None = None
    size_px: int | None = None
    settings: Config = field(default_factory=Config)

    def setting(self, name: str, default: Any = None) -> Any:
        """A setting of the method; ``default`` where the method has none of that name."""
        return getattr(self.settings, name, default)

    @property
    def manner(self) -> str:
        """How pictures are optimised, mien or paper: as the preset says unless a setting does."""
        return str(self.setting("settings") or self.preset)

    @property
    def painted(self) -> bool:
        """Whether the painter draws: unless something is given that only the decoder knows, or ``--set renderer=``."""
        return drawing(self.settings, {"like": self.like, "weights": self.weights}) == "painter"

    @property
    def samples(self) -> bool:
        """Whether the paper's mixture is sampled, rather than its means shown."""
        return not self.setting("means", False)


@dataclass(frozen=True, slots=True)
class Sampler:
    """Makes faces ``first`` to ``first + number`` - 1, ``chunk`` at a time; the rest goes into the manifest.

    ``losses`` and ``stages`` are filled while pictures are optimised: index -> the loss of each step, and the learning
    rate; index -> what they were on the way, by name.
    """

    make: Callable[[int, int], list[UInt8Image]]
    chunk: int
    model: str
    version: str
    about: Mapping[str, Any]
    losses: dict[int, tuple[list[float], float]] = field(default_factory=dict)
    stages: dict[int, dict[str, UInt8Image]] = field(default_factory=dict)
    each: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)  # what the manifest says of one of them
    canvases: Mapping[int, Sequence[UInt8Image]] = field(default_factory=dict)  # how each came about, where it is known


def _like(request: ImagineRequest) -> Sampler:
    """A person of a photo with what is asked for changed, and nothing else; how much of the person is left."""
    import numpy as np

    from mien.core.contract import requests_for
    from mien.core.images import to_photos, to_tensor
    from mien.core.records import Labels
    from mien.faces.encoder import who
    from mien.generators.imagine.density import Condition
    from mien.generators.imagine.mien import ROWS

    assert request.like is not None
    makes = _imagine(request)
    condition = Condition(request.wanted, request.ages_years)
    compiled = makes.density.compile(condition)
    encoder = _encoder(request, "facenet")
    crop = crop_of(request.like)
    photo = to_photos(crop)[0]
    (own,), (person,) = who(encoder, crop)
    features = makes.density.moved(own.astype(np.float64), compiled)

    def make(first: int, number: int) -> list[UInt8Image]:
        requests = requests_for([Labels()] * number, request.seed, first)
        return list(to_photos(makes.redrawn(condition, features, requests, photo, request.setting("kept"))))

    _, (again,) = who(encoder, to_tensor(make(0, 1)[0]))
    left = round(float(person @ again), 3)
    return Sampler(make, ROWS, makes.name, makes.version, {"photo": request.like.name, "identity_similarity": left})


def one_by_one(make: Callable[[int], UInt8Image], model: str, version: str, about: Mapping[str, Any]) -> Sampler:
    """A sampler that makes single faces."""
    return Sampler(
        lambda first, number: [make(index) for index in range(first, first + number)], 1, model, version, about
    )


def sampler_of(request: ImagineRequest) -> Sampler:
    """What answers a request. ``RequestError`` for what does not go together."""
    if request.preset == "mien" and request.method == "mixture":
        return _density(request) if request.like is None else _like(request)
    samplers = {"visualise": _visualise, "invert": _invert, "mixture": _mixture}
    return samplers[request.method](request)


def _density(request: ImagineRequest) -> Sampler:
    from mien.generators.imagine.density import Condition
    from mien.generators.imagine.mien import ROWS

    makes = _imagine(request)
    condition = Condition(request.wanted, request.ages_years, request.typical)

    def make(first: int, number: int) -> list[UInt8Image]:
        return [face.image for face in makes.sample(condition, number, seed=request.seed, first=first)]

    about: dict[str, Any] = {} if request.ages_years is None else {"age": list(request.ages_years)}
    return Sampler(make, ROWS, makes.name, makes.version, about)


def _imagine(request: ImagineRequest) -> Imagine:
    """The density and its renderer at the size asked for (twice the decoder's where nothing is)."""
    from mien.generators.imagine.mien import Imagine

    if request.painted:
        from mien.generators.painter.people import painted

        return painted(request.weights, request.setting("look", "studio"), request.device).at(request.size_px)
    makes = Imagine.load(request.weights, decoder=request.setting("decoder"), device=request.device)
    return makes if request.size_px is None else makes.at(request.size_px)


def tellable(wanted: Mapping[str, bool | float]) -> dict[str, bool]:
    """Of a description what the paper's methods can be told: what is there, and who is a woman."""
    return {name: bool(value) for name, value in wanted.items() if value is True or (name == "Male" and not value)}


def names_of(wanted: Mapping[str, bool | float], method: str) -> tuple[str, ...]:
    """The set C of the paper, a woman being ``female``. ``RequestError`` for denials and strengths: it has none."""
    graded = [name for name in wanted if name not in tellable(wanted)]
    if graded:
        raise RequestError(
            f"WORDS: '{graded[0]}' given with a strength or denied; the paper's {method} knows sets of attributes only "
            "(--preset mien with the method mixture knows both)"
        )
    return tuple(name if degree is True else WOMAN for name, degree in wanted.items())


def load_mixture(path: Path | None, *, decoded: bool = False) -> tuple[ClassMixture, Tensor, dict[str, Any]]:
    """The paper's mixture, the mean face (1 3 S S tensor) that travels with it, and the metadata.

    Without ``path`` the packaged one: of the layer that is inverted, or (``decoded``) of the features that a decoder
    draws.
    """
    from mien.core.checkpoints import WEIGHTS, load_weights
    from mien.core.errors import WeightsError
    from mien.core.images import to_tensor
    from mien.papers.deepface_2016.mixture_weights import MODEL, from_tensors

    path = path or WEIGHTS / f"{MODEL}{'-pool' if decoded else ''}.safetensors"
    tensors, metadata = load_weights(path, model=MODEL)
    if "mean_face" not in tensors:
        raise WeightsError(f"{path}: holds no mean face; train again with `mien train mixture --preset paper`")
    return from_tensors(tensors, metadata, name=str(path)), to_tensor(tensors["mean_face"].numpy()), metadata


def _settings(request: ImagineRequest) -> DescentConfig:
    from mien.pipelines.imagine_pictures import configuration, parse_fields

    return configuration(request.manner, request.setting("steps"), parse_fields(request.setting("descent", "")))


def _optimised(
    request: ImagineRequest,
    config: DescentConfig,
    make: Callable[[Sequence[int], Sequence[torch.Generator]], Descent],
    model: str,
    version: str,
    about: Mapping[str, Any],
    *,
    begin: str,
    mean: Tensor | None = None,
) -> Sampler:
    """A sampler whose pictures are optimised, many at once: ``make(indexes, their generators)``.

    ``begin`` names what they begin with; ``mean``: the mean image (1 3 S S), to be shown beside the stages.
    """
    import numpy as np

    from mien.core.images import to_photos
    from mien.core.memory import keep_freed_memory
    from mien.pipelines.imagine_pictures import draws_of, rows_at_once, stages_of

    losses: dict[int, tuple[list[float], float]] = {}
    stages: dict[int, dict[str, UInt8Image]] = {}

    def made(first: int, number: int) -> list[UInt8Image]:
        keep_freed_memory()
        places = range(first, first + number)
        found = make(places, [draws_of(request.seed, request.method, index) for index in places])
        for row, index in enumerate(places):
            own = found.losses[:, row]
            losses[index] = (own[np.isfinite(own)].tolist(), found.rates[row])
            if request.setting("stages", False) and index < SHOWN:
                stages[index] = stages_of(found, row, begin, mean)
        return list(to_photos(found.pictures))

    return Sampler(made, rows_at_once(config), model, version, {**about, "settings": request.manner}, losses, stages)


def _mixture(request: ImagineRequest) -> Sampler:
    import numpy as np

    from mien.core.contract import FaceRequest
    from mien.core.images import to_photos
    from mien.core.seeding import sample_generator
    from mien.generators.enlarger import FACTOR
    from mien.generators.imagine.mien import DecoderRenderer
    from mien.pipelines.imagine_pictures import Inverter

    render = request.setting("render", "invert")
    mixture, mean_face, metadata = load_mixture(request.weights, decoded=render != "invert")
    names = names_of(request.wanted, "mixture")
    version = str(metadata["version"])
    mixture.target(names)  # refuses what it does not know, before anything is loaded

    def target(index: int) -> np.ndarray[Any, Any]:
        return mixture.target(names, sample_generator(request.seed, index) if request.samples else None)

    if render == "draw":
        maker = DrawMaker(request.setting("draw"), mixture.layer, target, request.seed)
        about, version = {"render": render, "layer": mixture.layer}, f"{version}+{maker.renderer.version}"
        return Sampler(maker, DRAWN_AT_ONCE, "imagine-paper", version, about, canvases=maker.canvases)
    if render == "decode":
        if mixture.layer != "pool":
            raise RequestError(
                f"--set: render=decode wants a mixture of the layer pool, given one of '{mixture.layer}'"
            )
        decoder = DecoderRenderer.load(request.setting("decoder"), device=request.device or "cpu")
        renderer = decoder.at(request.size_px or FACTOR * decoder.size_px)

        def drawn(index: int) -> UInt8Image:
            return np.asarray(to_photos(renderer.draw(target(index)[None], [FaceRequest(request.seed, index)]))[0])

        return one_by_one(drawn, "imagine-paper", f"{version}+{renderer.version}", {"render": "decode"})
    config = _settings(request)
    inverter = Inverter(_encoder(request, str(metadata.get("encoder", "facenet"))), mean_face, config)

    def inverted(places: Sequence[int], draws: Sequence[torch.Generator]) -> Descent:
        return inverter.toward(mixture.layer, np.stack([target(index) for index in places]), draws)

    about, mean = {"render": render, "layer": mixture.layer}, inverter.window(mean_face)
    return _optimised(request, config, inverted, "imagine-paper", version, about, begin="noise", mean=mean)


def _invert(request: ImagineRequest) -> Sampler:
    import numpy as np

    from mien.core.seeding import sample_generator
    from mien.papers.deepface_2016.invert import check_layer
    from mien.pipelines.imagine_pictures import Inverter

    if request.photo is None:
        raise RequestError("--photo: not given; the method 'invert' wants the photo whose activations it inverts")
    config = _settings(request)
    if not request.wanted:
        _, mean_face, _ = load_mixture(None)
        encoder = _encoder(request, request.setting("encoder", "facenet"))
        layer = request.setting("layer") or INVERTED[encoder.name]
        check_layer(encoder, layer)
        crop, inverter = crop_of(request.photo), Inverter(encoder, mean_face, config)

        def own(places: Sequence[int], draws: Sequence[torch.Generator]) -> Descent:
            return inverter.own(layer, crop.expand(len(places), -1, -1, -1), draws)

        about = {"layer": layer, "photo": request.photo.name}
        version = f"{encoder.name}-{request.manner}"
        return _optimised(request, config, own, "imagine-invert", version, about, begin="noise")
    # The poster's "Barack-inator": begin at the photo, walk toward what the mixture expects of the attributes.
    mixture, mean_face, metadata = load_mixture(request.weights)
    names = names_of(request.wanted, "mixture")
    mixture.target(names)
    layer = request.setting("layer")
    if layer not in (None, mixture.layer):
        raise RequestError(
            f"--set: layer={layer} given with WORDS; the mixture's is '{mixture.layer}', another wants --weights "
            f"of `mien train mixture --preset paper --set layer={layer}`"
        )
    mover = Inverter(_encoder(request, str(metadata.get("encoder", "facenet"))), mean_face, config)
    begin = crop_of(request.photo)

    def toward(places: Sequence[int], draws: Sequence[torch.Generator]) -> Descent:
        draws_of_each = [sample_generator(request.seed, index) if request.samples else None for index in places]
        aims = np.stack([mixture.target(names, one) for one in draws_of_each])
        return mover.moved(mixture.layer, aims, begin.expand(len(places), -1, -1, -1), draws)

    about = {"layer": mixture.layer, "photo": request.photo.name}
    return _optimised(request, config, toward, "imagine-invert", str(metadata["version"]), about, begin="photo")


def _visualise(request: ImagineRequest) -> Sampler:
    from mien.pipelines.imagine_pictures import Visualiser, heads_of

    names = names_of(request.wanted, "visualisation")
    if not names:
        raise RequestError("WORDS: none given; the method 'visualise' wants one attribute or more, for example smiling")
    config = _settings(request)
    _, mean_face, _ = load_mixture(None)
    heads = heads_of(request.manner, request.setting("heads"))
    painter = Visualiser.load(heads, request.setting("encoder", "facenet"), mean_face, config)

    def seen(places: Sequence[int], draws: Sequence[torch.Generator]) -> Descent:
        return painter.make([names] * len(places), draws)

    version = f"{painter.version}-{request.manner}"
    return _optimised(request, config, seen, "imagine-visualise", version, {}, begin="with noise", mean=painter.mean)


def _encoder(request: ImagineRequest, trained_on: str) -> Encoder:
    from mien.faces.encoder import load_encoder

    return load_encoder(trained_on, request.device or "cpu")


def crop_of(path: Path) -> Tensor:
    """The largest face of a photo, found as `portrait` finds it, as an aligned crop (1 3 256 256)."""
    from mien.core.images import to_tensor
    from mien.core.photos import read_photo
    from mien.faces import align
    from mien.faces.find import FaceFinder

    photo = read_photo(path)
    face = FaceFinder.load().wanted(photo, str(path))
    return to_tensor(align.warp(photo, align.crop_transform(face.mesh, 256), 256))
