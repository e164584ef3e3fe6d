"""Inversions side by side (figure 5), and how alike faces from attributes are to the person (figure 8, table 2)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mien.attributes import understand_all
from mien.attributes.vocabulary import WOMAN
from mien.core.contract import FaceRequest
from mien.core.errors import TooFewError
from mien.core.images import in_crop, to_photos, to_tensor
from mien.core.memory import keep_freed_memory
from mien.core.progress import OnStage, counted
from mien.core.records import UInt8Image
from mien.core.seeding import sample_generator
from mien.datasets.batches import FaceDataset
from mien.evaluation import faces
from mien.evaluation.detection import detects
from mien.evaluation.experiments.inversion import Inverted, inversion_report
from mien.evaluation.experiments.likeness import Described, Likenesses, Ruler, likeness_report
from mien.evaluation.faces import FaceRow
from mien.evaluation.features import Judges, NetworkJudges
from mien.evaluation.report import Report, ReportProvenance
from mien.evaluation.similarity import cosines
from mien.faces.encoder import Encoder, encoded, load_encoder
from mien.generators.imagine.density import Condition
from mien.generators.imagine.mien import Imagine
from mien.papers.deepface_2016.descent import Descent
from mien.papers.deepface_2016.invert import canvas_of
from mien.pipelines import imagine as samplers
from mien.pipelines import imagine_pictures
from mien.pipelines.evaluate_imagine_slow import window_of
from mien.pipelines.experiment_requests import InversionExperiment, LikenessExperiment

LEAST_MARKS = 8  # attributes of a photograph that is used


def inversion(request: InversionExperiment, on_stage: OnStage) -> Report:
    """A target, the inversion of its activations, and that of the mixture's, side by side."""
    keep_freed_memory()
    words, photo, seed = request.words, request.photo, request.seed
    papers, mean_face, metadata = samplers.load_mixture(request.mixture)
    names = samplers.names_of(understand_all(words).attributes, "mixture")
    aims = [papers.target(names), papers.target(names, sample_generator(seed, 0))]
    config = imagine_pictures.configuration(request.settings, request.steps, {})
    encoder = load_encoder(str(metadata.get("encoder", "facenet")))
    if photo is not None:
        crop = samplers.crop_of(photo)
    else:
        crop = to_tensor(Imagine.load(enlarged=False).sample(words, 1, seed=seed)[0].image)
    inverter = imagine_pictures.Inverter(encoder, mean_face, config)
    target = canvas_of(crop, encoder.input_size, wider=False)
    found: list[Inverted] = []
    begun = time.monotonic()
    with counted(on_stage("vanilla inversion"), config.steps) as on_advance:
        own = inverter.own(papers.layer, crop, [imagine_pictures.draws_of(seed, "invert", 0)], lambda *_: on_advance(1))
    found.append(_inverted("vanilla inversion", own, 0, target, papers.layer, inverter, time.monotonic() - begun))
    begun = time.monotonic()
    with counted(on_stage("inversion of the mixture's"), config.steps) as on_advance:
        draws = [imagine_pictures.draws_of(seed, "mixture", k) for k in range(2)]
        theirs = inverter.toward(papers.layer, np.stack(aims), draws, lambda *_: on_advance(1))
    each = (time.monotonic() - begun) / 2
    for row, name in enumerate(("cGMM inversion, means", "cGMM inversion, a sample")):
        found.append(_inverted(name, theirs, row, target, papers.layer, inverter, each))
    target_kind = "a face made by mien" if photo is None else "a photograph"
    about = ReportProvenance(
        model=f"mixture {metadata['version']} of {encoder.name} {papers.layer}",
        seed=seed,
        details={"words": words, "target": target_kind, "settings": request.settings, "steps": config.steps},
    )
    return inversion_report(to_photos(target)[0], found, papers.layer, about)


def _inverted(
    name: str, found: Descent, row: int, target: Tensor, layer: str, inverter: imagine_pictures.Inverter, seconds: float
) -> Inverted:
    """Picture ``row`` of a descent in the window of the encoder, and how far from the target it is."""
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
    photo = to_photos(picture)[0]
    face = bool(detects([in_crop(photo, window_of(None), size)])[0])
    return Inverted(name, photo, kept, found.rates[row], float(off), float(cosine), seconds, face)


def likeness(request: LikenessExperiment, on_stage: OnStage) -> Report:
    """How alike a face is to the held-out person whose attributes made it, in per cent."""
    data, people, seed, mixture = request.data, request.people, request.seed, request.mixture
    encoder, judges = load_encoder("facenet"), NetworkJudges.load()
    size = 128
    chosen = _described(data, people, seed)
    photos = faces.read_faces(data, chosen, size).crops
    made, version = _methods(request, chosen, size, on_stage)
    seen = {name: _embedded(name, crops, encoder, judges, on_stage) for name, crops in made.items()}
    own = _embedded("photographs", photos, encoder, judges, on_stage)
    rulers = _rulers(data, own, request.pairs, size, encoder, judges, seed, on_stage)
    used = tuple(len(row.present) for row in chosen)
    described = Described(tuple(row.person or row.id for row in chosen), used, photos)
    likenesses = [Likenesses(name, made[name], seen[name], detects(made[name])) for name in made]
    about = ReportProvenance(
        model=version,
        judges=judges.version,
        dataset_fingerprint=FaceDataset.open(data).fingerprint(),
        n=people,
        seed=seed,
        details={
            "attributes_each": float(np.mean(used)),
            "pairs": f"{len(rulers[0].same)} of one person, {len(rulers[0].different)} of two",
            "mixture": str(mixture.parent.name) if mixture else "the packaged one",
        },
    )
    return likeness_report(described, likenesses, rulers, about)


def _described(data: Path, count: int, seed: int) -> list[FaceRow]:
    """One photograph of each of ``count`` people of the test split, with enough attributes to say something."""

    found: dict[str, FaceRow] = {}
    for row in faces.shuffled(faces.dataset_rows(data, "test"), seed=seed):
        if len(row.present) >= LEAST_MARKS and row.sex is not None:
            found.setdefault(row.person or row.id, row)
    if len(found) < count:
        raise TooFewError(f"--people: {count} given; {data} has {len(found)} held-out people with attributes")
    return list(found.values())[:count]


def _methods(
    request: LikenessExperiment, chosen: list[FaceRow], size: int, on_stage: OnStage
) -> tuple[dict[str, UInt8Image], str]:
    """One face for each photograph's attributes by `mien`, the paper's mixture decoded, and inverted; the version."""
    seed, mixture = request.seed, request.mixture
    makes = Imagine.load(enlarged=False)
    papers, _, _ = samplers.load_mixture(None, decoded=True)
    requests = [FaceRequest(seed, place) for place in range(len(chosen))]
    conditions = [Condition(dict.fromkeys(row.present, True) | {"Male": row.sex == "male"}) for row in chosen]
    with counted(on_stage("mien, and the mixture decoded"), 2 * len(chosen)) as on_advance:
        rows = np.concatenate(
            [makes.features(condition, [one]) for condition, one in zip(conditions, requests, strict=True)]
        )
        drawn = {"mien": to_photos(makes.renderer.draw(rows, requests))}
        on_advance(len(chosen))
        means = np.stack([papers.target(_known(row, papers.gaussians.names)) for row in chosen])
        drawn["cGMM, decoded"] = to_photos(makes.renderer.draw(means, requests))
        on_advance(len(chosen))
    theirs, mean_face, metadata = samplers.load_mixture(mixture)
    config = imagine_pictures.configuration(request.settings, request.steps, {})
    inverter = imagine_pictures.Inverter(load_encoder(str(metadata.get("encoder", "facenet"))), mean_face, config)
    crops, at_once = [], imagine_pictures.rows_at_once(config)
    with counted(on_stage("cGMM, inverted"), len(chosen) * config.steps) as on_advance:
        for first in range(0, len(chosen), at_once):
            part = chosen[first : first + at_once]
            aims = np.stack([theirs.target(_known(row, theirs.gaussians.names)) for row in part])
            draws = [imagine_pictures.draws_of(seed, "mixture", first + k) for k in range(len(part))]
            count = len(part)
            found = inverter.toward(theirs.layer, aims, draws, lambda *_, n=count: on_advance(n))
            crops += [in_crop(photo, window_of(None), size) for photo in to_photos(found.pictures)]
    return drawn | {"cGMM, inverted": np.stack(crops)}, makes.version


def _known(row: FaceRow, names: tuple[str, ...]) -> list[str]:
    """The attributes of a photograph that a mixture has a Gaussian for."""
    sex = "Male" if row.sex == "male" else WOMAN
    return [name for name in (sex, *(one for one in row.present if one != "Male")) if name in names]


def _embedded(
    name: str, crops: UInt8Image, encoder: Encoder, judges: Judges, on_stage: OnStage
) -> dict[str, npt.NDArray[Any]]:
    """By FaceNet, which the faces were made from, and by dlib's network, which had no part in it: P D each."""
    with counted(on_stage(f"{name}: features"), 2 * len(crops)) as on_advance:
        own = encoded(encoder, crops, "embedding", on_advance=on_advance).astype(np.float64)
        other = judges.identity(crops, on_advance).astype(np.float64)
    return {"facenet": own, "dlib": other}


def _rulers(
    data: Path,
    own: dict[str, npt.NDArray[Any]],
    count: int,
    size: int,
    encoder: Encoder,
    judges: Judges,
    seed: int,
    on_stage: OnStage,
) -> list[Ruler]:
    """Pairs of photographs of held-out people: up to ``count`` of one person, and as many of two."""
    photos: dict[str, list[FaceRow]] = {}
    for split in ("test", "validation"):
        for row in faces.shuffled(faces.dataset_rows(data, split), seed=seed):
            if row.person is not None:
                photos.setdefault(row.person, []).append(row)
    several = [rows[:2] for rows in photos.values() if len(rows) > 1][:count]
    crops = faces.read_faces(data, [row for two in several for row in two], size).crops
    seen = _embedded("photographs of the ruler", crops, encoder, judges, on_stage)
    found = []
    for name, values in seen.items():
        first, second = values[::2], values[1::2]
        apart = cosines(first, np.roll(second, -1, 0))
        found.append(Ruler(name, cosines(first, second), apart, own[name]))
    return found
