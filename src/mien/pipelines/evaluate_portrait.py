"""Portraits of held-out people made, and judged beside their photographs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np

from mien.core.errors import PhotoError
from mien.core.progress import OnStage, counted
from mien.core.records import UInt8Image
from mien.evaluation import faces, portrait
from mien.evaluation.portrait import Made, PortraitJudges, draw_people
from mien.evaluation.portrait_kept import draw_kept, judge_kept
from mien.evaluation.portrait_pages import AS_READ, WARPED
from mien.evaluation.portrait_report import judge_portraits
from mien.evaluation.report import Report, ReportProvenance, Section
from mien.faces.frontalise import frontalised
from mien.generators.portrait.silhouette import over
from mien.pipelines.evaluate_requests import PortraitEvaluation
from mien.pipelines.portrait import WHITE
from mien.pipelines.portrait_model import CROP_PX, PortraitPipeline

PORTRAIT = "portrait"
AT_ONCE = 8


def judged(request: PortraitEvaluation, on_stage: OnStage) -> Report:
    """The report on the portraits of ``request``, which was checked."""
    people = draw_people(request.data, request.count, seed=request.seed)
    rows = [row for pair in people for row in pair]
    makers = [(PORTRAIT, PortraitPipeline.load(request.preset, weights=request.weights))]
    for path in request.peers:
        makers.append(("/".join(path.parts[-2:]), PortraitPipeline.load(request.preset, weights=path)))
    main, judges = makers[0][1], portrait.NetworkPortraitJudges.load()
    with counted(on_stage("photos read"), len(rows)) as advance:
        crops = faces.read_faces(request.data, rows, CROP_PX, progress=advance).crops
    made = [_portraits(name, maker, crops, on_stage) for name, maker in makers]
    kept = _kept(request.data, request.ages, request.seed, main, judges, on_stage) if request.ages else None
    return judge_portraits(
        crops.reshape(len(people), 2, *crops.shape[1:]),
        made[0],
        made[1:],
        judges,
        baselines=[_warped(crops, judges, on_stage), *_as_read(main, crops, on_stage)],
        kept=kept,
        title=f"Portraits of {main.drawer.name}, judged",
        provenance=ReportProvenance(
            model=" + ".join(f"{maker.drawer.name} {maker.model_version()}" for _, maker in makers),
            judges=judges.version,
            dataset_fingerprint=faces.fingerprint(rows, CROP_PX),
            n=len(people),
            seed=request.seed,
            details={"split": "test", "photos": len(rows)},
        ),
        on_stage=on_stage,
    )


def _kept(
    data: Path, each: int, seed: int, maker: PortraitPipeline, judges: PortraitJudges, on_stage: OnStage
) -> Section | None:
    """Portraits of faces of all ages and with hats, judged; None where the dataset knows of neither."""
    kept = draw_kept(data, each, seed=seed)
    if not kept.rows:
        return None
    with counted(on_stage("photos of all ages read"), len(kept.rows)) as advance:
        crops = faces.read_faces(data, kept.rows, CROP_PX, progress=advance).crops
    made = []
    with counted(on_stage("portraits of all ages made"), len(crops)) as advance:
        for start in range(0, len(crops), AT_ONCE):
            some = maker.of_crops(crops[start : start + AT_ONCE])
            made += [over(*one, WHITE) for one in some]
            advance(len(some))
    with counted(on_stage("years and hats judged"), 2 * len(crops)) as advance:
        return judge_kept(kept, crops, PORTRAIT, np.stack(made), judges, advance)


def _portraits(name: str, maker: PortraitPipeline, crops: UInt8Image, on_stage: OnStage) -> Made:
    """A portrait on white of each crop, in pairs, and the masks."""
    images, masks = [], []
    with counted(on_stage(f"{name}: portraits made"), len(crops)) as advance:
        for start in range(0, len(crops), AT_ONCE):
            some = maker.of_crops(crops[start : start + AT_ONCE])
            images += [over(*one, WHITE) for one in some]
            masks += [mask for _, mask in some]
            advance(len(some))
    pictures, cut = np.stack(images), np.stack(masks)
    return Made(
        name,
        pictures.reshape(-1, 2, *pictures.shape[1:]),
        cut.reshape(-1, 2, *cut.shape[1:]),
        variant=getattr(maker.drawer, "variant", ""),
        trained_images=getattr(maker.drawer, "trained_images", None),
        learned_from=getattr(maker.drawer, "learned_from", ()),
    )


def _warped(crops: UInt8Image, judges: PortraitJudges, on_stage: OnStage) -> Made:
    """The classical baseline of each crop, in pairs; white, which is no face, where there is no mesh to move."""
    pictures = np.full_like(crops, 255)
    with counted(on_stage(f"{WARPED}: made"), len(crops)) as advance:
        for place, face in enumerate(judges.faces(crops, lambda done: None)):
            with suppress(PhotoError):
                pictures[place] = frontalised(crops[place], face.mesh)
            advance(1)
    return Made(WARPED, pictures.reshape(-1, 2, *pictures.shape[1:]))


def _as_read(maker: PortraitPipeline, crops: UInt8Image, on_stage: OnStage) -> list[Made]:
    """What the decoder draws of each crop without making it neutral, in pairs; none where it cannot."""
    images = []
    with counted(on_stage(f"{AS_READ}: made"), len(crops)) as advance:
        for crop in crops:
            drawn = maker.as_read(crop)
            if drawn is None:
                return []
            images.append(drawn)
            advance(1)
    pictures = np.stack(images)
    return [Made(AS_READ, pictures.reshape(-1, 2, *pictures.shape[1:]))]
