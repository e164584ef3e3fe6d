"""Faces from the descriptions of held-out people, by every method, judged side by side."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.attributes import NAMES
from mien.attributes.vocabulary import WOMAN
from mien.core.contract import FaceRequest
from mien.core.errors import DatasetError
from mien.core.images import to_photos
from mien.core.progress import OnStage, counted
from mien.core.seeding import sample_generator
from mien.evaluation import faces
from mien.evaluation.faces import FaceRow
from mien.evaluation.features import Judges, NetworkJudges, stored_identity
from mien.evaluation.imagine import LEAST_SETS, MadeFaces, RealFaces, judge_imagine
from mien.evaluation.imagine_sets import AttributeSet, choose_sets, nearest, who_share
from mien.evaluation.imagine_variety import RealPairs
from mien.evaluation.report import Report, ReportProvenance
from mien.generators.enlarger import FACTOR
from mien.generators.imagine.density import Condition
from mien.generators.imagine.mien import Imagine
from mien.papers.deepface_2016.mixture import ClassMixture
from mien.pipelines import imagine as samplers
from mien.pipelines.evaluate_imagine_draw import drawn_methods
from mien.pipelines.evaluate_imagine_slow import KEPT, slow_methods
from mien.pipelines.evaluate_requests import QUICK, ImagineEvaluation
from mien.pretrained import registry as store

SHARING = 4  # real people looked for who share a description
WARM_TRIES = 5
SHEETS, SHEET = 50, 16  # descriptions of which a whole sheet is judged, and its faces


def judged(request: ImagineEvaluation, on_stage: OnStage) -> Report:
    """The report on faces from words of ``request``, which was checked."""
    makes = Imagine.load(request.weights, decoder=request.decoder, enlarged=False)  # as drawn: crops are of that size
    papers, _, papers_about = samplers.load_mixture(None, decoded=True)
    judges, seed, samples = NetworkJudges.load(), request.seed, request.samples
    size, known = makes.renderer.size_px, set(papers.gaussians.names)
    if request.slow:  # nobody is asked for what another method cannot be told
        known &= set(samplers.load_mixture(request.mixture)[0].gaussians.names)
    chosen, real, about = _real(request, size, known, judges, on_stage)
    methods = [_mien(makes, chosen, samples, seed, on_stage), _paper(makes, papers, chosen, samples, seed, on_stage)]
    if request.draw is not None:
        methods += drawn_methods(request.draw, papers, chosen, real.own.crops, samples, seed, on_stage)
    if request.slow:
        some, own = chosen[: request.slow], real.own.crops[: request.slow]
        methods += slow_methods(
            some, own, request.slow_methods, request.mixture, request.slow_steps, seed, request.out / KEPT, on_stage
        )
    provenance = replace(
        about,
        model=f"{makes.version}; the paper's mixture: {papers_about.get('version')}",
        judges=judges.version,
        n=len(chosen),
        seed=seed,
        details={
            "faces_each": samples,
            **about.details,
            "threads": torch.get_num_threads(),
            "quick": QUICK[request.quick],
        },
    )
    title = "Faces from words, judged"
    return judge_imagine(methods, chosen, real, judges, title=title, provenance=provenance, on_stage=on_stage)


def _real(
    request: ImagineEvaluation, size: int, words: Collection[str], judges: Judges, on_stage: OnStage
) -> tuple[list[AttributeSet], RealFaces, ReportProvenance]:
    """Descriptions of people of the test split, their photographs, others of the validation split, and training."""
    data, seed, quick = request.data, request.seed, request.quick
    count = 40 if quick else request.sets

    held_out = [faces.dataset_rows(data, split) for split in ("test", "validation")]
    chosen = choose_sets(held_out[0], count, seed=seed, known=words)
    others = choose_sets(held_out[1], len(chosen), seed=seed)
    for split, found in (("test", chosen), ("validation", others)):
        if len(found) < LEAST_SETS:
            raise DatasetError(
                f"{data}: {len(found)} people with attributes in the split '{split}', needed are {LEAST_SETS} or more"
            )
    training = faces.dataset_rows(data, "train")  # in the order of the catalogue: one cache for every seed
    training = faces.shuffled(training, 1000) if quick else training
    with counted(on_stage("real faces"), len(chosen) + len(others)) as on_advance:
        own, other = (
            faces.read_faces(data, [one.row for one in part], size, progress=on_advance) for part in (chosen, others)
        )
    known = stored_identity(data, training, size, judges, store.cache_dir(), on_stage=on_stage)
    alike = _alike(data, chosen, [row for part in held_out for row in part if row.present], size, seed, on_stage)
    everyone = [*(one.row for one in (*chosen, *others)), *training]
    about: dict[str, str | int | float | None] = {
        "words_left_out": ", ".join(name for name in (*NAMES, WOMAN) if name not in words),
        "training_faces": len(training),
        "crop_px": size,
    }
    data_used = ReportProvenance(dataset_fingerprint=faces.fingerprint(everyone, size), details=about)
    return chosen, RealFaces(own, other, known, alike), data_used


def _alike(
    data: Path, chosen: Sequence[AttributeSet], rows: Sequence[FaceRow], size: int, seed: int, on_stage: OnStage
) -> tuple[RealPairs, ...]:
    """Held-out people who share each description, and for each person the one whose marks are most like theirs."""
    sharing = [who_share(one, rows, SHARING, seed=seed) for one in chosen]
    doubles = [nearest(one.row, rows) for one in chosen]
    groups = [
        [row for one in sharing for row in one.rows],
        [row for one, (other, _) in zip(chosen, doubles, strict=True) for row in (one.row, other)],
    ]
    with counted(on_stage("real people who are alike"), sum(map(len, groups))) as on_advance:
        crops = [faces.read_faces(data, group, size, progress=on_advance).crops for group in groups]
    people = len({row.person or row.id for row in rows})
    exact = sum(one.exact for one in sharing)
    shared = 100 * np.mean([one.shared for one in sharing])
    marks = np.mean([both for _, both in doubles])
    return (
        RealPairs(
            "who share it",
            crops[0].reshape(len(chosen), -1, *crops[0].shape[1:]),
            f"for each description {SHARING} of {people:,} held-out people, those who have most of it; {shared:.0f} % "
            f"of what is wanted is marked on them, all of it on {exact} of {len(groups[0])}",
        ),
        RealPairs(
            "nearest in all marks",
            crops[1].reshape(len(chosen), 2, *crops[1].shape[1:]),
            f"the person described and the one of {people:,} held-out people of the same sex with the most similar "
            f"marks; the two share {marks:.1f} marks on average",
        ),
    )


def _mien(makes: Imagine, chosen: Sequence[AttributeSet], samples: int, seed: int, on_stage: OnStage) -> MadeFaces:
    """The density of mien. Face k of description p is face p * samples + k of `mien imagine WORDS --seed`.

    Of a whole sheet it is face 16 p + k.
    """

    def features(place: int) -> Any:
        requests = [FaceRequest(seed, place * samples + k) for k in range(samples)]
        return makes.features(Condition(chosen[place].wanted), requests)

    made = _decoded("mien", makes, features, len(chosen), samples, seed, on_stage)
    some, sheets = chosen[:SHEETS], []
    with counted(on_stage("mien: whole sheets made"), len(some)) as on_advance:
        for place, one in enumerate(some):
            requests = [FaceRequest(seed, SHEET * place + k) for k in range(SHEET)]
            sheets.append(to_photos(makes.renderer.draw(makes.features(Condition(one.wanted), requests), requests)))
            on_advance(1)
    return replace(
        made,
        sixteen_seconds=_sixteen(makes, Condition(chosen[0].wanted), seed),
        sheets=np.stack(sheets) if sheets else None,
    )


def _sixteen(makes: Imagine, condition: Condition, seed: int) -> tuple[float, ...]:
    """Seconds of 16 faces as `mien imagine` makes them (twice the decoder's size), once one of them was made."""
    as_given = makes.at(FACTOR * makes.renderer.size_px)
    as_given.sample(condition, 1, seed=seed)
    tried = []
    for first in range(0, 16 * WARM_TRIES, 16):
        begun = time.monotonic()
        as_given.sample(condition, 16, seed=seed, first=first)
        tried.append(time.monotonic() - begun)
    return tuple(tried)


def _paper(
    makes: Imagine, mixture: ClassMixture, chosen: Sequence[AttributeSet], samples: int, seed: int, on_stage: OnStage
) -> MadeFaces:
    """The paper's mixture, weighted samples of it, drawn by the same decoder."""

    def features(place: int) -> Any:
        names = samplers.names_of(chosen[place].wanted, "mixture")
        draws = [sample_generator(seed, place * samples + k) for k in range(samples)]
        return np.stack([mixture.target(names, one) for one in draws])

    return _decoded("paper (cGMM, decoded)", makes, features, len(chosen), samples, seed, on_stage)


def _decoded(
    name: str, makes: Imagine, features: Any, count: int, samples: int, seed: int, on_stage: OnStage
) -> MadeFaces:
    """``features(place)`` (K F) of each description, drawn by the decoder."""
    size, begun = makes.renderer.size_px, time.monotonic()
    crops = np.empty((count, samples, size, size, 3), np.uint8)
    with counted(on_stage(f"{name}: faces made"), count * samples) as on_advance:
        for first in range(0, count, 16):
            places = range(first, min(first + 16, count))
            rows = np.concatenate([features(place) for place in places])
            requests = [FaceRequest(seed, place * samples + k) for place in places for k in range(samples)]
            drawn = to_photos(makes.renderer.draw(rows, requests))
            crops[first : places.stop] = drawn.reshape(len(places), samples, size, size, 3)
            on_advance(len(requests))
    return MadeFaces(name, tuple(range(count)), crops, time.monotonic() - begun)
