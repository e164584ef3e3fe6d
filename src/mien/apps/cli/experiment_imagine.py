"""`mien experiment inversion` (figure 5) and `mien experiment likeness` (figure 8, table 2)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mien.apps.cli.evaluate import tracking
from mien.apps.cli.experiment import Data, Force, Out, Seed, done, provenance

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from mien.core.records import UInt8Image
    from mien.evaluation.experiments.inversion import Inverted
    from mien.evaluation.experiments.likeness import Likenesses, Ruler
    from mien.evaluation.faces import Row
    from mien.evaluation.features import Judges, Track
    from mien.faces.encoder import Encoder
    from mien.papers.deepface_2016.descent import Descent
    from mien.pipelines.imagine_pictures import Inverter

WORDS = "black, man, black hair"  # of the paper's figure 5
LEAST_MARKS = 8  # attributes of a photograph that is used
PAIRS = 150

Settings = Annotated[
    Literal["mien", "paper"],
    typer.Option("--settings", help="How pictures are optimised: mien, or paper (pixels, SGD, blur, jitter)."),
]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="Steps of that optimisation.")]


def inversion(
    mixture: Annotated[
        Path,
        typer.Option(
            help="Weights of `mien train mixture --preset paper --layer block17_10`.", metavar="RUN/weights.safetensors"
        ),
    ],
    out: Out,
    words: Annotated[str, typer.Option(help="The set of attributes.")] = WORDS,
    photo: Annotated[
        Path | None, typer.Option(help="The target; if not given, a face that mien makes of WORDS.")
    ] = None,
    settings: Settings = "mien",
    steps: Steps = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """A target, the inversion of its activations, and that of the mixture's, side by side (figure 5)."""
    import time

    import numpy as np

    from mien.apps.cli.imagine import parse_words
    from mien.core.images import to_photos, to_tensor
    from mien.core.memory import keep_freed_memory
    from mien.core.seeding import sample_generator
    from mien.evaluation import report
    from mien.evaluation.experiments.inversion import inversion_report
    from mien.faces.encoder import load_encoder
    from mien.generators.imagine.mien import Imagine
    from mien.papers.deepface_2016.invert import canvas_of
    from mien.pipelines.imagine_pictures import Inverter, configuration, draws_of
    from mien.pipelines.imagine_ways import crop_of, load_mixture, names_of

    report.check_directory(out, force=force)
    keep_freed_memory()
    papers, mean_face, metadata = load_mixture(mixture)
    names = names_of(parse_words(words), "mixture")
    aims = [papers.target(names), papers.target(names, sample_generator(seed, 0))]
    config = configuration(settings, steps, {})
    encoder = load_encoder(str(metadata.get("encoder", "facenet")))
    if photo is not None:
        crop = crop_of(photo)
    else:
        crop = to_tensor(Imagine.load(enlarged=False).sample(words, 1, seed=seed)[0].image)
    inverter = Inverter(encoder, mean_face, config)
    target = canvas_of(crop, encoder.input_size, wider=False)
    found: list[Inverted] = []
    with tracking() as track:
        begun = time.monotonic()
        with track("vanilla inversion", config.steps) as advance:
            own = inverter.own(papers.layer, crop, [draws_of(seed, "invert", 0)], lambda *_: advance(1))
        found.append(_inverted("vanilla inversion", own, 0, target, papers.layer, inverter, time.monotonic() - begun))
        begun = time.monotonic()
        with track("inversion of the mixture's", config.steps) as advance:
            draws = [draws_of(seed, "mixture", k) for k in range(2)]
            theirs = inverter.toward(papers.layer, np.stack(aims), draws, lambda *_: advance(1))
        each = (time.monotonic() - begun) / 2
        for row, name in enumerate(("cGMM inversion, means", "cGMM inversion, a sample")):
            found.append(_inverted(name, theirs, row, target, papers.layer, inverter, each))
    target_kind = "a face made by mien" if photo is None else "a photograph"
    about = report.Provenance(
        model=f"mixture {metadata['version']} of {encoder.name} {papers.layer}",
        seed=seed,
        details={"words": words, "target": target_kind, "settings": settings, "steps": config.steps},
    )
    done(inversion_report(to_photos(target)[0], found, papers.layer, about), out)


def _inverted(
    name: str, found: Descent, row: int, target: Tensor, layer: str, inverter: Inverter, seconds: float
) -> Inverted:
    """Picture ``row`` of a descent in the window of the encoder, and how far from the target it is."""
    import numpy as np
    import torch

    from mien.core.images import to_photos
    from mien.evaluation.experiments.inversion import Inverted

    size = inverter.encoder.input_size
    edge = (found.pictures.shape[-1] - size) // 2
    picture = found.pictures[row : row + 1, :, edge : edge + size, edge : edge + size]
    last = inverter.encoder.taps[-1]
    with torch.inference_mode():
        seen, wanted = (inverter.encoder(each, [layer, last]) for each in (picture, target))
    off = (seen[layer] - wanted[layer]).square().sum() / wanted[layer].square().sum()
    cosine = torch.nn.functional.cosine_similarity(seen[last].flatten(1), wanted[last].flatten(1))
    losses = found.losses[:, row]
    kept = losses[np.isfinite(losses)].tolist()
    return Inverted(name, to_photos(picture)[0], kept, found.rates[row], float(off), float(cosine), seconds)


def likeness(
    data: Data,
    out: Out,
    people: Annotated[int, typer.Option(help="Held-out people (the paper: 9).", min=2)] = 24,
    mixture: Annotated[
        Path | None,
        typer.Option(help="Also the paper's mixture of another layer, inverted: weights of `mien train mixture`."),
    ] = None,
    pairs: Annotated[int, typer.Option(help="Pairs of one person, and of two, that calibrate.", min=30)] = PAIRS,
    settings: Settings = "mien",
    steps: Steps = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """How alike a face is to the held-out person whose attributes made it, in per cent (figure 8, table 2)."""
    import numpy as np

    from mien.datasets.batches import FaceDataset
    from mien.evaluation import faces, report
    from mien.evaluation.experiments.likeness import Described, likeness_report
    from mien.evaluation.features import NetworkJudges
    from mien.faces.encoder import load_encoder

    report.check_directory(out, force=force)
    encoder, judges = load_encoder("facenet"), NetworkJudges.load()
    size = 128
    chosen = _described(data, people, seed)
    with tracking() as track:
        photos = faces.read_faces(data, chosen, size).crops
        made, version = _methods(chosen, mixture, settings, steps, size, seed, track)
        seen = {name: _embedded(name, crops, encoder, judges, track) for name, crops in made.items()}
        own = _embedded("photographs", photos, encoder, judges, track)
        rulers = _rulers(data, own, pairs, size, encoder, judges, seed, track)
    used = tuple(len(row.present) for row in chosen)
    described = Described(tuple(row.person or row.id for row in chosen), used, photos)
    likenesses = [_likenesses(name, made[name], seen[name]) for name in made]
    about = provenance(
        FaceDataset.open(data),
        version,
        people,
        seed,
        attributes_each=f"{np.mean(used):.1f}",
        pairs=f"{len(rulers[0].same)} of one person, {len(rulers[0].different)} of two",
        mixture=str(mixture.parent.name) if mixture else "the packaged one",
    )
    done(likeness_report(described, likenesses, rulers, about), out)


def _likenesses(name: str, crops: UInt8Image, seen: dict[str, Any]) -> Likenesses:
    from mien.evaluation.experiments.likeness import Likenesses

    return Likenesses(name, crops, seen)


def _described(data: Path, count: int, seed: int) -> list[Row]:
    """One photograph of each of ``count`` people of the test split, with enough attributes to say something."""
    from mien.core.errors import TooFewError
    from mien.evaluation import faces

    found: dict[str, Row] = {}
    for row in faces.shuffled(faces.dataset_rows(data, "test"), seed=seed):
        if len(row.present) >= LEAST_MARKS and row.sex is not None:
            found.setdefault(row.person or row.id, row)
    if len(found) < count:
        raise TooFewError(f"--people: {count} given; {data} has {len(found)} held-out people with attributes")
    return list(found.values())[:count]


def _methods(
    chosen: list[Row], mixture: Path | None, settings: str, steps: int | None, size: int, seed: int, track: Track
) -> tuple[dict[str, UInt8Image], str]:
    """One face for each photograph's attributes by `mien`, the paper's mixture decoded, and inverted; the version."""
    import numpy as np

    from mien.apps.cli.evaluate_imagine_slow import window_of
    from mien.core.contract import FaceRequest
    from mien.core.images import in_crop, to_photos
    from mien.faces.encoder import load_encoder
    from mien.generators.imagine.density import Wish
    from mien.generators.imagine.mien import Imagine
    from mien.pipelines.imagine_pictures import Inverter, configuration, draws_of, rows_at_once
    from mien.pipelines.imagine_ways import load_mixture

    makes = Imagine.load(enlarged=False)
    papers, _, _ = load_mixture(None)
    requests = [FaceRequest(seed, place) for place in range(len(chosen))]
    wishes = [Wish(dict.fromkeys(row.present, True) | {"Male": row.sex == "male"}) for row in chosen]
    with track("mien, and the mixture decoded", 2 * len(chosen)) as advance:
        rows = np.concatenate([makes.features(wish, [one]) for wish, one in zip(wishes, requests, strict=True)])
        drawn = {"mien": np.stack(makes.renderer.draw(rows, requests))}
        advance(len(chosen))
        means = np.stack([papers.target(_known(row, papers.gaussians.names)) for row in chosen])
        drawn["cGMM, decoded"] = np.stack(makes.renderer.draw(means, requests))
        advance(len(chosen))
    if mixture is None:
        return drawn, makes.version
    theirs, mean_face, metadata = load_mixture(mixture)
    config = configuration(settings, steps, {})
    inverter = Inverter(load_encoder(str(metadata.get("encoder", "facenet"))), mean_face, config)
    crops, at_once = [], rows_at_once(config)
    with track("cGMM, inverted", len(chosen) * config.steps) as advance:
        for first in range(0, len(chosen), at_once):
            part = chosen[first : first + at_once]
            aims = np.stack([theirs.target(_known(row, theirs.gaussians.names)) for row in part])
            draws = [draws_of(seed, "mixture", first + k) for k in range(len(part))]
            count = len(part)
            found = inverter.toward(theirs.layer, aims, draws, lambda *_, n=count: advance(n))
            crops += [in_crop(photo, window_of(None), size) for photo in to_photos(found.pictures)]
    return drawn | {"cGMM, inverted": np.stack(crops)}, makes.version


def _known(row: Row, names: tuple[str, ...]) -> list[str]:
    """The attributes of a photograph that a mixture has a Gaussian for."""
    sex = ["Male"] if row.sex == "male" else []
    return [name for name in dict.fromkeys([*sex, *row.present]) if name in names and (name != "Male" or sex)]


def _embedded(
    name: str, crops: UInt8Image, encoder: Encoder, judges: Judges, track: Track
) -> dict[str, np.ndarray[Any, Any]]:
    """By FaceNet, which the faces were made from, and by dlib's network, which had no part in it: P D each."""
    import numpy as np
    import torch

    from mien.core.images import to_tensor
    from mien.faces.align import encoder_window

    with track(f"{name}: features", 2 * len(crops)) as advance:
        parts = []
        for first in range(0, len(crops), 32):
            with torch.inference_mode():
                windows = encoder_window(to_tensor(crops[first : first + 32]), encoder.input_size)
                parts.append(encoder(windows, ["embedding"])["embedding"].double().numpy())
            advance(len(parts[-1]))
        other = judges.identity(crops, advance).astype(np.float64)
    return {"facenet": np.concatenate(parts), "dlib": other}


def _rulers(
    data: Path,
    own: dict[str, np.ndarray[Any, Any]],
    count: int,
    size: int,
    encoder: Encoder,
    judges: Judges,
    seed: int,
    track: Track,
) -> list[Ruler]:
    """Pairs of photographs of held-out people: up to ``count`` of one person, and as many of two."""
    import numpy as np

    from mien.evaluation import faces
    from mien.evaluation.experiments.likeness import Ruler
    from mien.evaluation.similarity import cosines

    photos: dict[str, list[Row]] = {}
    for split in ("test", "validation"):
        for row in faces.shuffled(faces.dataset_rows(data, split), seed=seed):
            if row.person is not None:
                photos.setdefault(row.person, []).append(row)
    several = [rows[:2] for rows in photos.values() if len(rows) > 1][:count]
    crops = faces.read_faces(data, [row for two in several for row in two], size).crops
    seen = _embedded("photographs of the ruler", crops, encoder, judges, track)
    found = []
    for name, values in seen.items():
        first, second = values[::2], values[1::2]
        apart = cosines(first, np.roll(second, -1, 0))
        found.append(Ruler(name, cosines(first, second), apart, own[name]))
    return found


def register(experiment: typer.Typer) -> None:
    """Add both to `mien experiment`."""
    experiment.command("inversion")(inversion)
    experiment.command("likeness")(likeness)
