"""The ways behind `mien imagine`: the density of `mien`; and of the paper visualise, invert, and its own mixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.pipelines.imagine_pictures import INVERT_LAYER

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from mien.core.records import UInt8Image
    from mien.faces.encoder import Encoder
    from mien.generators.imagine.mien import Imagine
    from mien.papers.deepface_2016.descent import Descent
    from mien.papers.deepface_2016.mixture import ClassMixture
    from mien.papers.deepface_2016.picture import DescentConfig


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
    descent: Mapping[str, str] = field(default_factory=dict)
    size_px: int | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """Makes faces ``first`` to ``first + number`` - 1, ``chunk`` at a time; the rest goes into the manifest.

    ``losses`` is filled while pictures are optimised: index -> those of each step, and the learning rate.
    """

    make: Callable[[int, int], list[UInt8Image]]
    chunk: int
    model: str
    version: str
    about: Mapping[str, Any]
    losses: dict[int, tuple[list[float], float]] = field(default_factory=dict)


def _like(asked: Asked) -> Way:
    """A person of a photo with what is asked for changed, and nothing else; how much of the person is left."""
    import numpy as np
    import torch

    from mien.core.images import to_tensor
    from mien.faces.align import encoder_window
    from mien.generators.imagine.density import Wish
    from mien.generators.imagine.mien import ROWS

    assert asked.like is not None
    makes = _imagine(asked)
    plan = makes.density.plan(Wish(asked.wanted, asked.ages_years))
    encoder = _encoder(asked, "facenet")
    crop = crop_of(asked.like)

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
    from mien.core.errors import RequestError

    refuse_unread(asked)
    if asked.preset == "mien" and asked.method == "mixture":
        return _density(asked) if asked.like is None else _like(asked)
    if asked.like is not None:
        raise RequestError("--like: allowed with --preset mien --method mixture only")
    if asked.ages_years is not None or asked.typical:
        option = "--age" if asked.ages_years is not None else "--typical"
        raise RequestError(f"{option}: allowed with --preset mien --method mixture only")
    ways = {"visualise": _visualise, "invert": _invert, "mixture": _mixture}
    return ways[asked.method](asked)


def is_optimised(asked: Asked) -> bool:
    """Whether pictures are made by a descent."""
    return asked.method != "mixture" or (asked.preset == "paper" and asked.render == "invert")


def refuse_unread(asked: Asked) -> None:
    """``RequestError`` for an option that the method does not read."""
    from mien.core.errors import RequestError

    optimised = is_optimised(asked)
    rules = (
        ("--size", asked.size_px is not None, not optimised, "--method mixture --render decode"),
        ("--photo", asked.photo is not None, asked.method == "invert", "--method invert"),
        ("--layer", asked.layer is not None, asked.method == "invert", "--method invert"),
        ("--heads", asked.heads is not None, asked.method == "visualise", "--method visualise"),
        ("--encoder", asked.encoder != "facenet", asked.method != "mixture", "--method invert or visualise"),
        ("--means", not asked.samples, asked.preset == "paper" or asked.method == "invert", "--preset paper"),
        ("--settings", asked.settings != "mien", optimised, "--method visualise or invert, or --render invert"),
        ("--steps", asked.steps is not None, optimised, "--method visualise or invert, or --render invert"),
        ("--descent", bool(asked.descent), optimised, "--method visualise or invert, or --render invert"),
    )
    for option, given, reads, wanted in rules:
        if given and not reads:
            raise RequestError(f"{option}: the method '{asked.method}' reads none; allowed with {wanted}")


def _density(asked: Asked) -> Way:
    from mien.core.errors import RequestError
    from mien.generators.imagine.density import Wish
    from mien.generators.imagine.mien import ROWS

    if asked.render == "invert":
        raise RequestError("--render: invert wants --preset paper; the density of 'mien' is drawn by the decoder")
    makes = _imagine(asked)
    wish = Wish(asked.wanted, asked.ages_years, asked.typical)

    def make(first: int, number: int) -> list[UInt8Image]:
        return [face.image for face in makes.sample(wish, number, seed=asked.seed, first=first)]

    about: dict[str, Any] = {} if asked.ages_years is None else {"age": list(asked.ages_years)}
    return Way(make, ROWS, makes.name, makes.version, about)


def _imagine(asked: Asked) -> Imagine:
    """The density and its renderer at the size asked for (twice the decoder's where nothing is)."""
    from mien.generators.imagine.mien import Imagine

    makes = Imagine.load(asked.weights, decoder=asked.decoder, device=asked.device)
    return makes if asked.size_px is None else makes.at(asked.size_px)


def names_of(wanted: Mapping[str, bool | float], method: str) -> tuple[str, ...]:
    """The set C of the paper. It knows no denials and no strengths: ``RequestError``."""
    from mien.core.errors import RequestError

    graded = [name for name, degree in wanted.items() if degree is not True and not (name == "Male" and not degree)]
    if graded:
        raise RequestError(
            f"WORDS: '{graded[0]}' given with a strength or denied; the paper's {method} knows sets of attributes only "
            "(--preset mien with the method mixture knows both)"
        )
    return tuple(name for name, degree in wanted.items() if degree is True)


def load_mixture(path: Path | None) -> tuple[ClassMixture, Tensor, dict[str, Any]]:
    """The paper's mixture, the mean face (1 3 S S tensor) that travels with it, and the metadata."""
    from mien.core.checkpoints import WEIGHTS, load_weights
    from mien.core.errors import WeightsError
    from mien.core.images import to_tensor
    from mien.papers.deepface_2016.mixture_weights import MODEL, from_tensors

    path = path or WEIGHTS / f"{MODEL}.safetensors"
    tensors, metadata = load_weights(path, model=MODEL)
    if "mean_face" not in tensors:
        raise WeightsError(f"{path}: holds no mean face; train again with `mien train mixture --preset paper`")
    return from_tensors(tensors, metadata, name=str(path)), to_tensor(tensors["mean_face"].numpy()), metadata


def _settings(asked: Asked) -> DescentConfig:
    from mien.pipelines.imagine_pictures import configuration

    return configuration(asked.settings, asked.steps, dict(asked.descent))


def _optimised(
    asked: Asked,
    config: DescentConfig,
    make: Callable[[Sequence[int], Sequence[torch.Generator]], Descent],
    model: str,
    version: str,
    about: Mapping[str, Any],
) -> Way:
    """A way whose pictures are optimised, many at once: ``make(indexes, their generators)``."""
    import numpy as np

    from mien.core.images import to_photos
    from mien.core.memory import keep_freed_memory
    from mien.pipelines.imagine_pictures import draws_of, rows_at_once

    losses: dict[int, tuple[list[float], float]] = {}

    def made(first: int, number: int) -> list[UInt8Image]:
        keep_freed_memory()
        places = range(first, first + number)
        found = make(places, [draws_of(asked.seed, asked.method, index) for index in places])
        for row, index in enumerate(places):
            own = found.losses[:, row]
            losses[index] = (own[np.isfinite(own)].tolist(), found.rates[row])
        return list(to_photos(found.pictures))

    return Way(made, rows_at_once(config), model, version, {**about, "settings": asked.settings}, losses)


def _mixture(asked: Asked) -> Way:
    import numpy as np

    from mien.core.contract import FaceRequest
    from mien.core.errors import RequestError
    from mien.core.seeding import sample_generator
    from mien.generators.enlarged import renderer_at
    from mien.generators.enlarger import FACTOR
    from mien.generators.imagine.mien import DecoderRenderer
    from mien.pipelines.imagine_pictures import Inverter

    mixture, mean_face, metadata = load_mixture(asked.weights)
    names = names_of(asked.wanted, "mixture")
    version = str(metadata["version"])
    mixture.target(names)  # refuses what it does not know, before anything is loaded

    def target(index: int) -> np.ndarray[Any, Any]:
        return mixture.target(names, sample_generator(asked.seed, index) if asked.samples else None)

    if asked.render == "decode":
        if mixture.layer != "pool":
            raise RequestError(f"--render: decode wants a mixture of the layer pool, given one of '{mixture.layer}'")
        decoder = DecoderRenderer.load(asked.decoder, device=asked.device)
        renderer = renderer_at(decoder, asked.size_px or FACTOR * decoder.size_px)

        def drawn(index: int) -> UInt8Image:
            return np.asarray(renderer.draw(target(index)[None], [FaceRequest(asked.seed, index)])[0])

        return one_by_one(drawn, "imagine-paper", f"{version}+{renderer.version}", {"render": "decode"})
    config = _settings(asked)
    inverter = Inverter(_encoder(asked, str(metadata.get("encoder", "facenet"))), mean_face, config)

    def inverted(places: Sequence[int], draws: Sequence[torch.Generator]) -> Descent:
        return inverter.toward(mixture.layer, np.stack([target(index) for index in places]), draws)

    about = {"render": "invert", "layer": mixture.layer}
    return _optimised(asked, config, inverted, "imagine-paper", version, about)


def _invert(asked: Asked) -> Way:
    import numpy as np

    from mien.core.errors import RequestError
    from mien.core.seeding import sample_generator
    from mien.papers.deepface_2016.invert import check_layer
    from mien.pipelines.imagine_pictures import Inverter

    if asked.photo is None:
        raise RequestError("--photo: not given; the method 'invert' wants the photo whose activations it inverts")
    config = _settings(asked)
    if not asked.wanted:
        _, mean_face, _ = load_mixture(None)
        encoder = _encoder(asked, asked.encoder)
        layer = asked.layer or (INVERT_LAYER if INVERT_LAYER in encoder.taps else encoder.taps[len(encoder.taps) // 2])
        check_layer(encoder, layer)
        crop, inverter = crop_of(asked.photo), Inverter(encoder, mean_face, config)

        def own(places: Sequence[int], draws: Sequence[torch.Generator]) -> Descent:
            return inverter.own(layer, crop.expand(len(places), -1, -1, -1), draws)

        about = {"layer": layer, "photo": asked.photo.name}
        return _optimised(asked, config, own, "imagine-invert", f"{encoder.name}-{asked.settings}", about)
    # The poster's "Barack-inator": begin at the photo, walk toward what the mixture expects of the attributes.
    mixture, mean_face, metadata = load_mixture(asked.weights)
    names = names_of(asked.wanted, "mixture")
    mixture.target(names)
    if asked.layer not in (None, mixture.layer):
        raise RequestError(
            f"--layer: '{asked.layer}' given with WORDS; the mixture's is '{mixture.layer}', another wants --weights "
            f"of `mien train mixture --preset paper --layer {asked.layer}`"
        )
    mover = Inverter(_encoder(asked, str(metadata.get("encoder", "facenet"))), mean_face, config)
    begin = crop_of(asked.photo)

    def toward(places: Sequence[int], draws: Sequence[torch.Generator]) -> Descent:
        chances = [sample_generator(asked.seed, index) if asked.samples else None for index in places]
        aims = np.stack([mixture.target(names, one) for one in chances])
        return mover.moved(mixture.layer, aims, begin.expand(len(places), -1, -1, -1), draws)

    about = {"layer": mixture.layer, "photo": asked.photo.name}
    return _optimised(asked, config, toward, "imagine-invert", str(metadata["version"]), about)


def classes_of(wanted: Mapping[str, bool | float]) -> list[str]:
    """The set C as classes of the heads, which know a woman."""
    return [*names_of(wanted, "visualisation"), *(["female"] if wanted.get("Male") is False else [])]


def _visualise(asked: Asked) -> Way:
    from mien.core.errors import RequestError
    from mien.pipelines.imagine_pictures import Visualiser

    names = classes_of(asked.wanted)
    if not names:
        raise RequestError("WORDS: none given; the method 'visualise' wants one attribute or more, for example smiling")
    config = _settings(asked)
    _, mean_face, _ = load_mixture(None)
    painter = Visualiser.load(asked.heads, asked.encoder, mean_face, config)

    def seen(places: Sequence[int], draws: Sequence[torch.Generator]) -> Descent:
        return painter.make([names] * len(places), draws)

    return _optimised(asked, config, seen, "imagine-visualise", f"{painter.version}-{asked.settings}", {})


def _encoder(asked: Asked, trained_on: str) -> Encoder:
    from mien.faces.encoder import load_encoder

    return load_encoder(trained_on, asked.device)


def crop_of(path: Path) -> Tensor:
    """The central face of a photo as an aligned crop (1 3 256 256)."""
    from mien.core.errors import PhotoError
    from mien.core.images import read_photo, to_tensor
    from mien.faces import align
    from mien.faces.find import FaceFinder

    photo = read_photo(path)
    face = FaceFinder.load().central([photo])[0]
    if face is None:
        raise PhotoError("no_face", f"{path}: no face found; a photo of one face, at least 40 px wide, is wanted")
    return to_tensor(align.warp(photo, align.crop_transform(face.mesh, 256), 256))
