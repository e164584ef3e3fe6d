"""The ways behind `mien imagine`: the density of `mien`; and of the paper visualise, invert, and its own mixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from mien.faces.encoder import Encoder
    from mien.generators.imagine.mixture import ClassMixture
    from mien.generators.imagine.picture import DescentConfig
    from mien.records import UInt8Image

INVERT_LAYER = "block17_10"  # the deepest layer of FaceNet that still inverts to a face


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says, as far as these ways read it. ``None``: the way decides."""

    preset: str
    method: str
    render: str
    wanted: Mapping[str, bool | float]
    ages_years: tuple[float, float] | None
    typical: bool
    like: Path | None
    seed: int
    weights: Path | None
    decoder: Path | None
    heads: Path | None
    photo: Path | None
    layer: str | None
    encoder: str
    settings: str
    steps: int | None
    samples: bool
    device: str


@dataclass(frozen=True, slots=True)
class Way:
    """Makes faces ``first`` to ``first + number`` - 1, ``chunk`` at a time; the rest goes into the manifest."""

    make: Callable[[int, int], list[UInt8Image]]
    chunk: int
    model: str
    version: str
    about: Mapping[str, Any]


def _like(asked: Asked) -> Way:
    """A person of a photo with what is asked for changed, and nothing else; how much of the person is left."""
    import numpy as np
    import torch

    from mien.faces.align import encoder_window
    from mien.generators.imagine.density import Wish
    from mien.generators.imagine.mien import ROWS, Imagine
    from mien.images import to_tensor

    assert asked.like is not None
    makes = Imagine.load(asked.weights, decoder=asked.decoder, device=asked.device)
    plan = makes.density.plan(Wish(asked.wanted, asked.ages_years))
    encoder = _encoder(asked, "facenet")
    crop = _crop(asked.like)

    def seen(crops: Tensor) -> dict[str, np.ndarray[Any, Any]]:
        with torch.inference_mode():
            found = encoder(encoder_window(crops, encoder.input_size), ["pool", "embedding"])
        return {name: value.float().numpy() for name, value in found.items()}

    own = seen(crop)
    features = makes.density.moved(own["pool"][0].astype(np.float64), plan)

    def make(first: int, number: int) -> list[UInt8Image]:
        return makes.drawn(features, number, seed=asked.seed, first=first)

    again = seen(to_tensor(make(0, 1)[0]))["embedding"][0]
    left = round(float(own["embedding"][0] @ again), 3)
    return Way(make, ROWS, makes.name, makes.version, {"photo": asked.like.name, "identity_similarity": left})


def one_by_one(make: Callable[[int], UInt8Image], model: str, version: str, about: Mapping[str, Any]) -> Way:
    """A way that makes single faces."""
    return Way(lambda first, number: [make(index) for index in range(first, first + number)], 1, model, version, about)


def way_of(asked: Asked) -> Way:
    """What answers a request; ``RequestError`` for options that do not go together."""
    from mien.errors import RequestError

    if asked.photo is not None and asked.method != "invert":
        raise RequestError(f"--photo: the method '{asked.method}' reads none; allowed with --method invert")
    if asked.preset == "mien" and asked.method == "mixture":
        return _density(asked) if asked.like is None else _like(asked)
    if asked.like is not None:
        raise RequestError("--like: allowed with --preset mien --method mixture only")
    if asked.ages_years is not None or asked.typical:
        option = "--age" if asked.ages_years is not None else "--typical"
        raise RequestError(f"{option}: allowed with --preset mien --method mixture only")
    ways = {"visualise": _visualise, "invert": _invert, "mixture": _mixture}
    return ways[asked.method](asked)


def _density(asked: Asked) -> Way:
    from mien.errors import RequestError
    from mien.generators.imagine.density import Wish
    from mien.generators.imagine.mien import ROWS, Imagine

    if asked.render == "invert":
        raise RequestError("--render: invert wants --preset paper; the density of 'mien' is drawn by the decoder")
    makes = Imagine.load(asked.weights, decoder=asked.decoder, device=asked.device)
    wish = Wish(asked.wanted, asked.ages_years, asked.typical)

    def make(first: int, number: int) -> list[UInt8Image]:
        return [face.image for face in makes.sample(wish, number, seed=asked.seed, first=first)]

    about: dict[str, Any] = {} if asked.ages_years is None else {"age": list(asked.ages_years)}
    return Way(make, ROWS, makes.name, makes.version, about)


def names_of(wanted: Mapping[str, bool | float], method: str) -> tuple[str, ...]:
    """The set C of the paper. It knows no denials and no strengths: ``RequestError``."""
    from mien.errors import RequestError

    graded = [name for name, degree in wanted.items() if degree is not True and not (name == "Male" and not degree)]
    if graded:
        raise RequestError(
            f"WORDS: '{graded[0]}' given with a strength or denied; the paper's {method} knows sets of attributes only "
            "(--preset mien with the method mixture knows both)"
        )
    return tuple(name for name, degree in wanted.items() if degree is True)


def load_mixture(path: Path | None) -> tuple[ClassMixture, Tensor, dict[str, Any]]:
    """The paper's mixture, the mean face (1 3 S S tensor) that travels with it, and the metadata."""
    from mien.checkpoints import load_weights
    from mien.errors import WeightsError
    from mien.generators import WEIGHTS
    from mien.generators.imagine.paper_weights import MODEL, from_tensors
    from mien.images import to_tensor

    path = path or WEIGHTS / f"{MODEL}.safetensors"
    tensors, metadata = load_weights(path, model=MODEL)
    if "mean_face" not in tensors:
        raise WeightsError(f"{path}: holds no mean face; train again with `mien train mixture --preset paper`")
    return from_tensors(tensors, metadata, name=str(path)), to_tensor(tensors["mean_face"].numpy()), metadata


def _settings(asked: Asked) -> DescentConfig:
    from mien.generators.imagine.picture import PRESETS

    config = PRESETS[asked.settings]
    return config if asked.steps is None else config.model_copy(update={"steps": asked.steps})


def _draws(asked: Asked, index: int) -> Any:
    import torch

    from mien.seeding import torch_seed

    return torch.Generator().manual_seed(torch_seed(asked.seed, asked.method, index))


def _mixture(asked: Asked) -> Way:
    import numpy as np
    import torch

    from mien.errors import RequestError
    from mien.generators.contract import FaceRequest
    from mien.generators.imagine.invert import canvas_of, fixed, invert, noise_canvas
    from mien.generators.imagine.mien import DecoderRenderer
    from mien.seeding import sample_generator

    mixture, mean_face, metadata = load_mixture(asked.weights)
    names = names_of(asked.wanted, "mixture")
    version = str(metadata["version"])
    mixture.target(names)  # refuses what it does not know, before anything is loaded

    def target(index: int) -> np.ndarray[Any, Any]:
        return mixture.target(names, sample_generator(asked.seed, index) if asked.samples else None)

    if asked.render == "decode":
        if mixture.layer != "pool":
            raise RequestError(f"--render: decode wants a mixture of the layer pool, given one of '{mixture.layer}'")
        renderer = DecoderRenderer.load(asked.decoder, device=asked.device)

        def drawn(index: int) -> UInt8Image:
            return np.asarray(renderer.draw(target(index)[None], [FaceRequest(asked.seed, index)])[0])

        return one_by_one(drawn, "imagine-paper", f"{version}+{renderer.version}", {"render": "decode"})
    encoder = _encoder(asked, str(metadata.get("encoder", "facenet")))
    config = _settings(asked).model_copy(update={"jitter": False})  # the target lies still

    def inverted(index: int) -> UInt8Image:
        draws = _draws(asked, index)
        begin = noise_canvas(encoder, config, draws)
        mean = canvas_of(mean_face, begin.shape[-1], wider=False)
        aim = torch.from_numpy(target(index)[None]).float()
        picture, _ = invert(encoder, mixture.layer, fixed(aim), begin, config, draws, mean_face=mean)
        return _first(picture)

    return one_by_one(inverted, "imagine-paper", version, {"render": "invert", "layer": mixture.layer})


def _invert(asked: Asked) -> Way:
    import torch

    from mien.errors import RequestError
    from mien.generators.imagine.invert import canvas_of, check_layer, fixed, invert, noise_canvas, of_picture
    from mien.generators.imagine.picture import canvas_px
    from mien.seeding import sample_generator

    if asked.photo is None:
        raise RequestError("--photo: not given; the method 'invert' wants the photo whose activations it inverts")
    if not asked.wanted:
        _, mean_face, _ = load_mixture(None)
        encoder = _encoder(asked, asked.encoder)
        layer = asked.layer or INVERT_LAYER
        check_layer(encoder, layer)
        config = _settings(asked)
        size = canvas_px(encoder.input_size, config)
        canvas = canvas_of(_crop(asked.photo), size, wider=config.jitter)
        mean = canvas_of(mean_face, size, wider=config.jitter)

        def own(index: int) -> UInt8Image:
            draws = _draws(asked, index)
            begin = noise_canvas(encoder, config, draws)
            aim = of_picture(encoder, layer, canvas)
            return _first(invert(encoder, layer, aim, begin, config, draws, mean_face=mean)[0])

        return one_by_one(
            own, "imagine-invert", f"{encoder.name}-{asked.settings}", {"layer": layer, "photo": asked.photo.name}
        )
    # The poster's "Barack-inator": begin at the photo, walk toward what the mixture expects of the attributes.
    mixture, mean_face, metadata = load_mixture(asked.weights)
    names = names_of(asked.wanted, "mixture")
    mixture.target(names)
    encoder = _encoder(asked, str(metadata.get("encoder", "facenet")))
    moved = _settings(asked).model_copy(update={"jitter": False, "begin_noise": 0.0})
    crop = canvas_of(_crop(asked.photo), encoder.input_size, wider=False)

    def toward(index: int) -> UInt8Image:
        draws = sample_generator(asked.seed, index) if asked.samples else None
        aim = torch.from_numpy(mixture.target(names, draws)[None]).float()
        chance = _draws(asked, index)
        return _first(invert(encoder, mixture.layer, fixed(aim), crop, moved, chance, mean_face=crop)[0])

    return one_by_one(
        toward, "imagine-invert", str(metadata["version"]), {"layer": mixture.layer, "photo": asked.photo.name}
    )


def _visualise(asked: Asked) -> Way:
    from mien.errors import RequestError
    from mien.faces.attributes import GROUPS
    from mien.faces.attributes.reader import AttributeReader
    from mien.faces.attributes.sight import joined, look
    from mien.generators.imagine.visualise import visualise

    names = list(names_of(asked.wanted, "visualisation"))
    if asked.wanted.get("Male") is False:
        names.append("female")
    if not names:
        raise RequestError("WORDS: none given; the method 'visualise' wants one attribute or more, for example smiling")
    reader = AttributeReader.load(asked.heads, asked.encoder)
    looks = reader.heads.config.looks
    _, mean_face, _ = load_mixture(None)
    config = _settings(asked).model_copy(update={"begin_noise": 0.05})
    canvas = _resized(mean_face, 140 if config.jitter else 128)

    def heads(window: Tensor) -> tuple[Tensor, ...]:
        answers = reader.heads(joined(look(reader.encoder, window, looks), looks))
        return tuple(answers.groups)

    def seen(index: int) -> UInt8Image:
        picture, _ = visualise(heads, GROUPS, names, canvas, 128, config, _draws(asked, index))
        return _first(picture)

    version = str(reader.metadata.get("version", "heads"))
    return one_by_one(seen, "imagine-visualise", f"{version}-{asked.settings}", {})


def _first(pictures: Tensor) -> UInt8Image:
    from mien.images import to_photos

    photo: UInt8Image = to_photos(pictures)[0]
    return photo


def _encoder(asked: Asked, trained_on: str) -> Encoder:
    from mien.faces.encoder import load_encoder

    return load_encoder(trained_on, asked.device)


def _crop(path: Path) -> Tensor:
    """The central face of a photo as an aligned crop (1 3 256 256)."""
    from mien.errors import PhotoError
    from mien.faces import align
    from mien.faces.find import FaceFinder
    from mien.images import read_photo, to_tensor

    photo = read_photo(path)
    face = FaceFinder.load().central([photo])[0]
    if face is None:
        raise PhotoError("no_face", f"{path}: no face found; a photo of one face, at least 40 px wide, is wanted")
    return to_tensor(align.warp(photo, align.crop_transform(face.mesh, 256), 256))


def _resized(tensor: Tensor, size: int) -> Tensor:
    import torch.nn.functional as functional

    return functional.interpolate(tensor, size=(size, size), mode="bilinear", align_corners=False)
