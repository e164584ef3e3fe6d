"""Crowds judged: faces made with the labels of held-out people, with a race, and with the words of ``--with``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import mien
from mien.core.checkpoints import WEIGHTS, load_weights
from mien.core.contract import FaceRequest, Generator, make
from mien.core.errors import RequestError
from mien.core.images import in_crop
from mien.core.limits import AGES_YEARS
from mien.core.progress import OnStage, counted
from mien.core.records import Labels, Sex, UInt8Image
from mien.evaluation import faces
from mien.evaluation.crowd import MadeCrowd, RealCrowd, judge_crowd
from mien.evaluation.crowd_attributes import RealMarks, WordFaces
from mien.evaluation.faces import FaceRow, Faces
from mien.evaluation.features import Judges, NetworkJudges, OnAdvance, stored_identity
from mien.evaluation.report import Report, ReportProvenance
from mien.generators.conditions import ATTRIBUTES
from mien.pipelines.evaluate_requests import PRESETS, QUICK, CrowdEvaluation
from mien.pretrained import registry as store

SWEEP_AGES = tuple(range(5, 81, 5))  # years
WORD_AGES_YEARS = (20.0, 70.0)  # of the faces that words are asked of
# The photographs that words are learned from hardly show these on the other sex.
ONE_SEX: Mapping[str, Sex] = {
    "Mustache": "male",
    "No Beard": "male",
    "Bald": "male",
    "Wearing Lipstick": "female",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A generator that is judged: its column, and its weights file where that is known."""

    name: str
    generator: Generator
    weights: Path | None


def judged(request: CrowdEvaluation, on_stage: OnStage) -> Report:
    """The report on the crowds of ``request``, which was checked."""
    first, *peers = request.subjects
    subjects = [Subject("generated", *_subject(first)), *(Subject(_column(name), *_subject(name)) for name in peers)]
    size, judges = subjects[0].generator.size_px, NetworkJudges.load()
    count, words = (
        (min(request.count, 400), min(request.words, 20)) if request.quick else (request.count, request.words)
    )
    request = replace(request, count=count, words=words)
    ages = _ages_of_all([one.generator for one in subjects])
    real, labels, fetch, about = _real(request, size, ages, judges, on_stage)
    made = [
        _made(one, size, labels, ages, request if one is subjects[0] else replace(request, count=len(labels)), on_stage)
        for one in subjects
    ]
    provenance = replace(
        about,
        model=" + ".join(f"{one.generator.name} {one.generator.version}" for one in subjects),
        judges=judges.version,
        n=count,
        seed=request.seed,
        details={
            "weights_sha256": " + ".join(_sha256(one.weights) for one in subjects),
            "generated_each_word": words,
            **about.details,
            "quick": QUICK[request.quick],
        },
    )
    title = f"The crowd of {subjects[0].generator.name}, judged"
    return judge_crowd(made, real, judges, title=title, provenance=provenance, on_stage=on_stage, nearest_crops=fetch)


def _column(name: str) -> str:
    """How a peer is called in the report: its preset, or the last two parts of its path."""
    return name if name in PRESETS else "/".join(Path(name).parts[-2:])


def _subject(name: str) -> tuple[Generator, Path | None]:
    """A generator by preset or weights file, and its weights file where that is known."""

    if name in PRESETS:
        packaged = WEIGHTS / ("painter.safetensors" if name == "painter" else f"crowd-{name}.safetensors")
        return mien.load("crowd", preset=name).generator, packaged if packaged.is_file() else None
    if not Path(name).is_file():
        raise RequestError(f"{name}: neither a preset ({', '.join(PRESETS)}) nor a weights file")
    model = str(load_weights(name)[1].get("model"))
    if model not in {"crowd-mien", "crowd-paper"}:
        raise RequestError(f"{name}: weights of '{model}', wanted those of a crowd generator")
    return mien.load("crowd", preset=model.removeprefix("crowd-"), weights=name).generator, Path(name)


def _ages_of_all(generators: Sequence[Generator]) -> tuple[float, float]:
    """The ages, in years, that every one of them can be told: what a peer clips in silence is asked of nobody."""
    ranges = [getattr(generator, "ages_years", AGES_YEARS) for generator in generators]
    return max(low for low, _ in ranges), min(high for _, high in ranges)


def _real(
    request: CrowdEvaluation, size: int, ages: tuple[float, float], judges: Judges, on_stage: OnStage
) -> tuple[RealCrowd, Faces, Any, ReportProvenance]:
    """The real side: held-out faces, another half, training features, how to read training crops, and which data."""
    data, sources, quick = request.data, request.sources, request.quick
    limit = 300 if quick else None

    def rows(split: str, labelled: bool, most: int | None) -> list[FaceRow]:
        found = faces.dataset_rows(data, split, sources=sources, labelled=labelled)
        if labelled:
            told = len(found)
            found = [row for row in found if ages[0] <= np.clip(row.age_years or 0, *AGES_YEARS) <= ages[1]]
            left_out[split] = told - len(found)
            if not found:
                raise RequestError(f"--peer: no face of the split '{split}' is of an age that all can be told")
        return faces.shuffled(found, most, seed=request.seed)

    left_out: dict[str, int] = {}

    def read(chosen: Sequence[FaceRow], what: str) -> Faces:
        with counted(on_stage(f"real faces: {what}"), len(chosen)) as on_advance:
            return faces.read_faces(data, chosen, size, progress=on_advance)

    tested, validated = rows("test", True, limit), rows("validation", True, limit)
    everyone = rows("test", False, None)
    training = faces.dataset_rows(data, "train", sources=sources)  # in catalogue order: one cache for every seed
    training = faces.shuffled(training, 1000) if quick else training
    by_source = {
        name: read([row for row in everyone if row.source == name][:limit], name)
        for name in sorted({row.source for row in everyone})
    }
    held_out = read(tested, "held out")
    marked = [row for row in everyone if row.present][:limit]
    real = RealCrowd(
        held_out=held_out,
        other_half=read(validated, "other half"),
        training=stored_identity(data, training, size, judges, store.cache_dir(), on_stage=on_stage),
        by_source=by_source,
        marks=RealMarks(read(marked, "with attributes").crops, faces.real_marks(marked)) if marked else None,
    )

    def fetch(places: npt.NDArray[Any]) -> UInt8Image:
        return faces.read_faces(data, [training[int(place)] for place in places], size).crops

    about: dict[str, str | int | float | None] = {
        "real_held_out": len(tested),
        "real_other_half": len(validated),
        "ages_asked_for": f"{ages[0]:g} to {ages[1]:g} years, which every generator can be told",
        "held_out_of_other_ages": left_out["test"],
        "training_faces": len(training),
        "sources": ", ".join(sorted({row.source for row in tested})),
        "crop_px": size,
    }
    fingerprint = faces.fingerprint([*tested, *validated, *training], size)
    return real, held_out, fetch, ReportProvenance(dataset_fingerprint=fingerprint, details=about)


def _made(
    subject: Subject,
    size: int,
    labels: Faces,
    told_years: tuple[float, float],
    request: CrowdEvaluation,
    on_stage: OnStage,
) -> MadeCrowd:
    """Faces with the labels of the held-out ones, pairs with the sex swapped, and an age sweep of the same noises.

    Where the generator knows them, also faces with the race of the held-out ones, and faces with each word.
    """
    name, generator, count, seed = subject.name, subject.generator, request.count, request.seed
    places = np.arange(count) % len(labels)
    female = labels.female[places]
    ages = np.clip(labels.ages_years[places], *AGES_YEARS)  # a few held-out labels are beyond what may be asked for
    asked = [
        FaceRequest(seed, index, Labels(sex="female" if female[index] else "male", age_years=float(ages[index])))
        for index in range(count)
    ]
    people = 8 if request.quick else 64
    swept = [float(age) for age in SWEEP_AGES if told_years[0] <= age <= told_years[1]]
    sexes = np.arange(people) % 2 == 0
    sweep = [
        FaceRequest(seed + 1, person, Labels(sex="female" if sexes[person] else "male", age_years=age))
        for age in swept
        for person in range(people)
    ]
    pairs = [
        FaceRequest(seed + 2, person, Labels(sex=sex, age_years=20.0 + 4 * person))
        for person in range(12)
        for sex in ("female", "male")
    ]  # fmt: skip
    with counted(on_stage(f"{name}: faces made"), len(asked) + len(sweep) + len(pairs)) as on_advance:
        crops = [_make(generator, requests, size, on_advance) for requests in (asked, sweep, pairs)]
    return MadeCrowd(
        name=name,
        faces=Faces(crops[0], female, ages, ("",) * count),
        sweep=crops[1].reshape(len(swept), people, *crops[1].shape[1:]),
        swapped=crops[2].reshape(12, 2, *crops[2].shape[1:]),
        sweep_female=sexes,
        sweep_ages_years=tuple(swept),
        raced=_raced_faces(name, generator, size, labels, ages, seed, on_stage),
        words=_word_faces(name, generator, size, labels, request.words, seed + 3, on_stage),
    )


def _make(generator: Generator, requests: Sequence[FaceRequest], size: int, on_advance: OnAdvance) -> UInt8Image:
    """The images (N size size 3) of requests, in order, made a few hundred at a time."""
    images = np.empty((len(requests), size, size, 3), np.uint8)
    for start in range(0, len(requests), 256):
        for place, face in enumerate(make(generator, requests[start : start + 256]), start):
            images[place] = in_crop(face.image, generator.frame, size)
        on_advance(min(256, len(requests) - start))
    return images


def _raced_faces(
    name: str, generator: Generator, size: int, labels: Faces, ages: npt.NDArray[Any], seed: int, on_stage: OnStage
) -> Faces | None:
    """One face for each held-out face of known race, with its sex, age and race; the noise is that of the others.

    ``None`` where no race is known or the generator knows none.
    """

    places = [place for place, race in enumerate(labels.races) if race and place < len(ages)]
    wanted = [Labels("female" if labels.female[k] else "male", float(ages[k]), race=labels.races[k]) for k in places]
    if not places or not _knows(generator, wanted[0]):
        return None
    requests = [FaceRequest(seed, k, one) for k, one in zip(places, wanted, strict=True)]
    with counted(on_stage(f"{name}: faces made with a race"), len(requests)) as on_advance:
        crops = _make(generator, requests, size, on_advance)
    return Faces(crops, labels.female[places], ages[places], tuple(labels.races[k] for k in places))


def _word_faces(
    name: str, generator: Generator, size: int, labels: Faces, count: int, seed: int, on_stage: OnStage
) -> tuple[WordFaces, ...]:
    """``count`` faces for each word, asked with it, with "not" and without; sex and age are those of held-out adults.

    Nothing where ``count`` is 0 or the generator knows no words.
    """
    adults = np.flatnonzero((labels.ages_years >= WORD_AGES_YEARS[0]) & (labels.ages_years <= WORD_AGES_YEARS[1]))
    if not count or not len(adults) or not _knows(generator, Labels(attributes={next(iter(ATTRIBUTES)): True})):
        return ()
    people = adults[np.arange(count) % len(adults)]

    def women(sex: Sex | None) -> npt.NDArray[np.bool_]:
        return labels.female[people] > 0.5 if sex is None else np.full(count, sex == "female")

    def requests(sex: Sex | None, attributes: dict[str, bool]) -> list[FaceRequest]:
        wanted = zip(women(sex), labels.ages_years[people], strict=True)
        return [
            FaceRequest(seed, place, Labels("female" if woman else "male", float(age), attributes=attributes))
            for place, (woman, age) in enumerate(wanted)
        ]

    found = []
    sexes = dict.fromkeys([ONE_SEX.get(attribute) for attribute in ATTRIBUTES])
    with counted(on_stage(f"{name}: faces made with words"), count * (2 * len(ATTRIBUTES) + len(sexes))) as on_advance:
        plain = {sex: _make(generator, requests(sex, {}), size, on_advance) for sex in sexes}
        for attribute, word in ATTRIBUTES.items():
            sex = ONE_SEX.get(attribute)
            asked, denied = (
                _make(generator, requests(sex, {attribute: wanted}), size, on_advance) for wanted in (True, False)
            )
            who = {"male": "men", "female": "women", None: "men and women"}[sex]
            found.append(WordFaces(attribute, word, who, women(sex), asked, denied, plain[sex]))
    return tuple(found)


def _knows(generator: Generator, labels: Labels) -> bool:
    """Whether a generator takes such labels, by trying one face."""

    try:
        make(generator, [FaceRequest(0, 0, labels)])
    except RequestError:
        return False
    return True


def _sha256(path: Path | None) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path is not None else "unknown"
