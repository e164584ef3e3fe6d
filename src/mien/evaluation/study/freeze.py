"""`mien study make`: pictures chosen, treated alike, stripped, hashed and written; then the design, last of all."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.core.errors import PhotoError, RequestError
from mien.core.files import write_bytes
from mien.core.images import encode_png
from mien.core.records import UInt8Image
from mien.core.seeding import stream
from mien.core.version import __version__
from mien.evaluation.study.design import (
    DESIGN_FILE,
    PICTURES,
    REAL,
    Design,
    Matched,
    Role,
    StudyPicture,
    StudyRequest,
    check_names,
    picture_path,
)
from mien.evaluation.study.sources import Candidate, usable
from mien.evaluation.study.treatment import mask_of, scrambled, treated

AGE_EDGES_YEARS = (18, 35, 55)  # of the groups in which sources are matched
MASKS = 6
SMALLEST_PX = 48

Stratum = tuple[str, int]  # sex, age group; ("", -1) where the sources are not matched


@dataclass(frozen=True, slots=True)
class _Chosen:
    candidate: Candidate
    photo: UInt8Image
    sha256: str


def freeze(
    request: StudyRequest,
    real: Sequence[Candidate],
    models: Mapping[str, Sequence[Candidate]],
    folder: Path,
    *,
    progress: Callable[[int], None] = lambda done: None,
) -> Design:
    """Write a study into ``folder`` (``study.json`` appears last) and return its design.

    ``RequestError`` for too few pictures, or a size larger than that of a source.
    """
    check_names(list(models))
    a_model = _trials_a_model(request, len(models))
    spare = _spares(request, models)
    pools = {REAL: real, **models}
    wanted = {
        REAL: request.pictures * len(models) + spare[REAL],
        **{name: request.pictures + spare[name] for name in models},
    }
    needed = {REAL: a_model * len(models) + spare[REAL], **{name: a_model + spare[name] for name in models}}
    chosen, left_out, matched = _choose(request, pools, wanted, needed, progress)
    size = _size(request, chosen)

    pictures = _frozen(request, chosen, spare, _practised(request, models), size)
    design = Design(
        mien=__version__,
        title=request.title,
        seed=request.seed,
        size_px=size,
        background=request.background,
        matched=matched,
        models=tuple(models),
        trials_a_model=a_model,
        scrambled=request.catch // 2,
        cards=request.catch - request.catch // 2,
        exposure_ms=request.exposure_ms,
        rule=request.rule,
        contact=request.contact,
        consent=request.consent,
        left_out={source: dict(why) for source, why in left_out.items() if why},
        given=dict(request.given),
        pictures=tuple(sorted((picture for picture, _ in pictures), key=lambda one: one.id)),
    )
    shutil.rmtree(folder / PICTURES, ignore_errors=True)
    for picture, data in pictures:
        write_bytes(picture_path(folder, picture.id), data)
    design.write(folder / DESIGN_FILE)
    return design


def _frozen(
    request: StudyRequest,
    chosen: Mapping[str, Sequence[_Chosen]],
    spare: Mapping[str, int],
    practised: Mapping[str, int],
    size: int,
) -> list[tuple[StudyPicture, bytes]]:
    """Every picture of the study with its file: trials, practice, catch trials, and masks where faces are covered.

    The first ``spare`` of each source are none of its trials: ``practised`` of them are for practice, the others are
    scrambled.
    """
    found: list[tuple[StudyPicture, bytes]] = []

    def keep(photo: UInt8Image, role: Role, source: str, made_of: _Chosen | None = None) -> None:
        found.append(_picture(request.seed, photo, role, source, made_of))

    random = stream(request.seed, "made pictures")
    trial_photos: list[UInt8Image] = []
    for source, members in chosen.items():
        for one in members[spare[source] :]:
            trial_photos.append(treated(one.photo, size, request.background))
            keep(trial_photos[-1], "trial", source, one)
    spares = {source: list(members[: spare[source]]) for source, members in chosen.items()}
    for source, count in practised.items():
        for _ in range(count):
            one = spares[source].pop()
            keep(treated(one.photo, size, request.background), "practice", source, one)
    for source, left in spares.items():
        for one in left:
            keep(scrambled(treated(one.photo, size, request.background), random), "catch", source, one)
    if request.exposure_ms is not None:
        for _ in range(MASKS):
            keep(mask_of(trial_photos, random), "mask", "")
    return found


def _picture(
    seed: int, photo: UInt8Image, role: Role, source: str, made_of: _Chosen | None
) -> tuple[StudyPicture, bytes]:
    data = encode_png(photo)
    digest = hashlib.sha256(data).hexdigest()
    labels = made_of.candidate.labels if made_of else None
    picture = StudyPicture(
        id=hashlib.sha256(f"{seed} {role} {source} {digest}".encode()).hexdigest()[:16],
        sha256=digest,
        role=role,
        source=source,
        origin=made_of.candidate.origin if made_of else "",
        origin_sha256=made_of.sha256 if made_of else "",
        sex=labels.sex if labels else None,
        age_years=labels.age_years if labels else None,
    )
    return picture, data


def _trials_a_model(request: StudyRequest, models: int) -> int:
    share, rest = divmod(request.trials, 2 * models)
    if not share or rest:
        what = f"{2 * models} (half of them real, the rest shared by {models} models)"
        raise RequestError(f"--trials: {request.trials} given; allowed are multiples of {what}")
    if share > request.pictures:
        raise RequestError(f"--pictures: {request.pictures} given; a participant sees {share} of each model")
    return share


def _practised(request: StudyRequest, models: Mapping[str, Sequence[Candidate]]) -> Counter[str]:
    """How many practice trials each source gives: half real, the models in turn."""
    turns = itertools.cycle(models)
    generated = Counter(next(turns) for _ in range(request.practice // 2))
    return Counter({REAL: request.practice - request.practice // 2}) + generated


def _spares(request: StudyRequest, models: Mapping[str, Sequence[Candidate]]) -> Counter[str]:
    """How many pictures of each source are used up by practice and by scrambled faces."""
    turns = itertools.cycle(models)
    cut = Counter(next(turns) for _ in range(request.catch // 2))
    return _practised(request, models) + cut


def _stratum(candidate: Candidate, matched: Matched) -> Stratum | None:
    """Where a picture belongs; ``None`` where its labels do not say."""
    sex, age = candidate.labels.sex, candidate.labels.age_years
    if not matched:
        return ("", -1)
    if sex is None or (matched == "sex and age" and age is None):
        return None
    return (sex, sum(age >= edge for edge in AGE_EDGES_YEARS) if matched == "sex and age" and age is not None else -1)


def _choose(
    request: StudyRequest,
    pools: Mapping[str, Sequence[Candidate]],
    wanted: Mapping[str, int],
    needed: Mapping[str, int],
    progress: Callable[[int], None],
) -> tuple[dict[str, list[_Chosen]], dict[str, Counter[str]], Matched]:
    """Pictures of each source in random order, with the same shares of the strata where all are labelled."""
    order = {
        source: [pool[int(place)] for place in stream(request.seed, "chosen", source).permutation(len(pool))]
        for source, pool in pools.items()
    }
    # As finely as the labels allow.
    ways: tuple[Matched, ...] = ("sex and age", "sex", "") if request.match else ("",)
    for matched in ways:
        members = {source: [c for c in pool if _stratum(c, matched)] for source, pool in order.items()}
        if all(len(members[source]) >= needed[source] for source in pools):
            break
    left_out: dict[str, Counter[str]] = {source: Counter() for source in pools}
    readers: dict[str, dict[Stratum, list[_Chosen]]] = {}
    seen: set[str] = set()
    for source in pools:
        if len(order[source]) > len(members[source]):
            left_out[source]["unlabelled"] += len(order[source]) - len(members[source])
        readers[source] = _read(members[source], wanted[source], seen, left_out[source], matched, progress)
    chosen = _matched(request, readers, wanted)
    for source, taken in chosen.items():
        if len(taken) < needed[source]:
            why = ", ".join(f"{n} {reason}" for reason, n in left_out[source].items())
            option = "--real" if source == REAL else f"--model {source}"
            hint = " (or add --no-match)" if matched else ""
            raise RequestError(
                f"{option}: {len(taken)} usable pictures{f' (left out: {why})' if why else ''}; "
                f"needed are {needed[source]}: give more, or fewer --trials, --practice or --catch{hint}"
            )
    return chosen, left_out, matched


def _read(
    members: Sequence[Candidate],
    wanted: int,
    seen: set[str],
    left_out: Counter[str],
    matched: Matched,
    progress: Callable[[int], None],
) -> dict[Stratum, list[_Chosen]]:
    """The first usable pictures in the order given: ``wanted`` in all, or of each stratum."""
    found: dict[Stratum, list[_Chosen]] = defaultdict(list)
    for candidate in members:
        stratum = _stratum(candidate, matched)
        if stratum is None or len(found[stratum]) >= wanted:
            continue
        try:
            photo, digest = usable(candidate)
        except PhotoError as error:
            left_out[error.reason] += 1
            continue
        if digest in seen:
            left_out["duplicate"] += 1
            continue
        seen.add(digest)
        found[stratum].append(_Chosen(candidate, photo, digest))
        progress(1)
    return found


def _matched(
    request: StudyRequest, found: Mapping[str, Mapping[Stratum, list[_Chosen]]], wanted: Mapping[str, int]
) -> dict[str, list[_Chosen]]:
    """Shares of the strata such as every source can give, the same for all (to the rounding of one picture)."""
    strata = sorted({stratum for by in found.values() for stratum in by})
    # What a stratum can give, in shares of what each source wants.
    rooms = [min(len(by.get(stratum, ())) / wanted[source] for source, by in found.items()) for stratum in strata]
    level = min(1.0, sum(rooms))
    chosen: dict[str, list[_Chosen]] = {}
    for source, by in found.items():
        total = int(wanted[source] * level + 1e-9)
        counts = _rounded([room / sum(rooms) * total if sum(rooms) else 0.0 for room in rooms], total)
        members = [one for stratum, count in zip(strata, counts, strict=True) for one in by.get(stratum, [])[:count]]
        mixed = stream(request.seed, "mixed", source).permutation(len(members))
        chosen[source] = [members[int(place)] for place in mixed]
    return chosen


def _rounded(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers near ``shares`` with the sum ``total`` (largest remainders)."""
    counts = [int(share) for share in shares]
    if sum(shares):
        by_rest = sorted(range(len(shares)), key=lambda place: counts[place] - shares[place])
        for place in by_rest[: total - sum(counts)]:
            counts[place] += 1
    return counts


def _size(request: StudyRequest, chosen: Mapping[str, Sequence[_Chosen]]) -> int:
    smallest = {source: min(one.photo.shape[0] for one in members) for source, members in chosen.items()}
    source, least = min(smallest.items(), key=lambda entry: entry[1])
    if request.size_px is not None and request.size_px > least:
        raise RequestError(
            f"--size: {request.size_px} px given; '{source}' has pictures of {least} px, and blown up they would be "
            "told by their blur"
        )
    if least < SMALLEST_PX:
        raise RequestError(f"'{source}' has pictures of {least} px; wanted are {SMALLEST_PX} px or more")
    return request.size_px or least
