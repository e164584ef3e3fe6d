"""Portraits judged, the telling half: sections of figures, beside photos."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from mien.core.progress import OnStage
from mien.core.records import UInt8Image
from mien.evaluation.detection import rate_name
from mien.evaluation.features import IDENTITY
from mien.evaluation.metrics import metric_name
from mien.evaluation.portrait import (
    FALSE_ACCEPTS,
    FOLDS,
    LOOKS_AHEAD_DEGREES,
    Made,
    Measured,
    PortraitJudges,
    distances,
    failed_apart,
    looks_ahead,
    measure,
    mouth_closed,
    true_accepts,
    verified,
)
from mien.evaluation.portrait import apart as distances_to_photos
from mien.evaluation.portrait_pages import PHOTO, ablation, beside_baselines, failures, learned_from, pages
from mien.evaluation.report import Better, Figure, Report, ReportProvenance, ReportTable, Section, shown
from mien.evaluation.statistics import Float64Array, mean_interval, proportion

FACENET = "facenet512"
FAILS = (
    "A picture in which one of seven cascades and the mesh do not both find a face fails every share; means are of the "
    "others, and n says of how many. Photographs all count."
)
YAW_BINS_DEGREES = (0.0, 15.0, 30.0, 45.0, 60.0)
AXES = ("yaw", "pitch", "roll")


def judge_portraits(
    photos: UInt8Image,
    made: Made,
    beside: Sequence[Made],
    judges: PortraitJudges,
    *,
    baselines: Sequence[Made],
    kept: Section | None = None,
    title: str,
    provenance: ReportProvenance,
    on_stage: OnStage,
) -> Report:
    """Judge portraits beside their photos (N 2 S S 3), baselines, and other runs.

    ``kept``: what was found of years and hats (``portrait_kept``), to stand among the sections.
    """
    real = measure(Made(PHOTO, photos), judges, on_stage, is_photo=True)
    others = [measure(one, judges, on_stage) for one in (*baselines, *beside)]
    main = measure(made, judges, on_stage)
    columns = [real, *others, main]
    found = Section(
        "Detection and sharpness",
        "A face is found by one of seven cascades at 64 px; the mesh sees one. Sharpness as `mien describe` measures "
        "it, photos and portraits at 128 px: the share of the face's gradient energy that a blur of one pixel takes.",
        tuple(figure for one in columns for figure in _seen(one)),
    )
    sections = (
        _identity(real, columns),
        _pose(real, main, columns),
        _consistency(columns),
        *([] if kept is None else [kept]),
        found,
        ablation(photos, [*zip(beside, others[-len(beside) :], strict=True), (made, main)] if beside else [], real),
        *([learned_from(made)] if made.learned_from else []),
        *([beside_baselines(photos, baselines, made)] if baselines else []),
        pages(photos, made),
        failures(photos, made, real, main),
    )
    return Report(title, _summary(real, main), sections, provenance)


def _summary(real: Measured, main: Measured) -> str:
    apart, photos = distances_to_photos(real, main), distances_to_photos(real, real)
    accepts = true_accepts(apart)[FALSE_ACCEPTS[0]]
    accuracy, best = verified(apart).accuracy.value, verified(photos).accuracy.value
    ahead = looks_ahead(real, main)
    closed = mouth_closed(main).mean()
    return (
        f"{len(main)} people: a face is found in {shown(float(main.found.mean()), '%')}, "
        f"true accepts at FAR 0.1 % {shown(accepts, '%')} (target 58 %), "
        f"verification {shown(accuracy, '%')}, {shown(accuracy / best, '%')} of what photos get (target 90 %), "
        f"yaw under 3 degrees in {shown(float(ahead.mean()), '%')} (target 95 %), "
        f"mouth closed in {shown(float(closed), '%')} (target 95 %)"
    )


def _off_diagonal(apart: Float64Array) -> Float64Array:
    return apart[~np.eye(len(apart), dtype=bool)]


def _identity(real: Measured, columns: Sequence[Measured]) -> Section:
    figures: list[Figure] = []
    for one in columns:
        figures.append(_face_found(one))
        for features, trained_on in ((IDENTITY, False), (FACENET, True)):
            apart, n = distances_to_photos(real, one, trained_on=trained_on), len(one)
            who = "FaceNet (trained on)" if trained_on else "dlib"
            for share, value in true_accepts(apart).items():
                hits = round(value * n)
                figures.append(
                    Figure.of(
                        proportion(hits, n),
                        name=metric_name("true-accepts", features, n, far=share),
                        label=f"{who}: true accepts at {share:.1%} false ones",
                        subject=one.name,
                        unit="%",
                        better="higher",
                    )
                )
            right = verified(apart).accuracy
            figures += [
                Figure.of(
                    right,
                    name=metric_name("verification", features, right.n, folds=FOLDS),
                    label=f"{who}: verification accuracy",
                    subject=one.name,
                    unit="%",
                    better="higher",
                ),
                _mean(
                    np.diag(apart)[one.counted[:, 0]],
                    "distance-same",
                    f"{who}: distance to another photo of the person",
                    one.name,
                    "lower",
                    features,
                ),
                Figure(
                    metric_name("distance-others", features, n * (n - 1)),
                    f"{who}: distance to photos of others",
                    one.name,
                    float(_off_diagonal(apart).mean()),
                    n * (n - 1),
                ),
            ]
    n = len(real)
    return Section(
        "Is it still the person?",
        f"The picture of the first photo against the second photo, one pair for each of {n} people; false accepts are "
        f"counted over all {n * (n - 1):,} pairs of two people. Accuracy: {n} pairs of one person and {n} of two, ten "
        "folds, the threshold of the nine others. dlib's network had no part in training and sees the inner square of "
        "the crop only, no hair and no background. FaceNet (here of CASIA-WebFace, in the thesis of VGGFace2) is what "
        "portraits are made from: it flatters them. " + FAILS,
        tuple(figures),
    )


def _pose(real: Measured, main: Measured, columns: Sequence[Measured]) -> Section:
    figures: list[Figure] = []
    for one in columns:
        figures.append(_face_found(one))
        figures.append(
            _share(looks_ahead(real, one), "yaw-under-3", "yaw under 3 degrees, inputs within 60", one.name, "higher")
        )
        for place, axis in enumerate(AXES):
            angles = np.abs(np.where(one.counted, one.angles_degrees[..., place], np.nan).ravel())
            known = angles[np.isfinite(angles)]
            if place:
                figures.append(
                    _share(
                        angles < LOOKS_AHEAD_DEGREES, f"{axis}-under-3", f"{axis} under 3 degrees", one.name, "higher"
                    )
                )
            for word, share in (("median", 50), ("95th percentile", 95)):
                value = float(np.percentile(known, share)) if len(known) else float("nan")
                figures.append(
                    Figure(
                        metric_name(f"{axis}-p{share}", "mesh", len(known)),
                        f"{axis} left: {word}",
                        one.name,
                        value,
                        len(known),
                        unit="degrees",
                        better="lower",
                    )
                )
        figures.append(
            _mean(one.asymmetry[one.counted], "asymmetry", "asymmetry, of the eyes' distance", one.name, "lower")
        )
        figures.append(
            _share(mouth_closed(one), "mouth-closed", "mouth closed (lips under 5 % apart)", one.name, "higher")
        )
        figures.append(
            _mean(one.mouth[one.counted], "mouth-opening", "lips apart, of the eyes' distance", one.name, "lower")
        )
        figures.append(_mean(one.smile[one.counted], "smile", "smile, judge's score", one.name, "lower"))
    before = np.abs(real.angles_degrees[..., 0].ravel())
    after = np.abs(np.where(main.counted, main.angles_degrees[..., 0], np.nan).ravel())
    rows: list[tuple[str | int | float | None, ...]] = []
    for low, high in pairwise(YAW_BINS_DEGREES):
        kept = after[(before >= low) & (before < high)]
        known = kept[np.isfinite(kept)]
        if len(known):
            under = shown(float((kept < LOOKS_AHEAD_DEGREES).mean()), "%")
            rows.append((f"{low:.0f} to {high:.0f}", len(kept), under, shown(float(np.median(known)))))
    by_yaw = ReportTable(("yaw of the photo, degrees", "n", "under 3 degrees", "median left"), tuple(rows), "By input")
    return Section(
        "Does it look ahead, neutral?",
        "Both pictures of every person. Angles, lips and symmetry are the face mesh's, smiles those of the judge of "
        "attributes, which learned on photographs with their backgrounds. The labels of yaw and pitch that portraits "
        "were fitted to are this mesh's, too. " + FAILS,
        tuple(figures),
        (by_yaw,),
    )


def _consistency(columns: Sequence[Measured]) -> Section:
    figures: list[Figure] = []
    photos = columns[0]
    for one in columns:
        figures.append(_face_found(one))
        for features, who, codes, theirs in (
            (IDENTITY, "dlib", one.identity, photos.identity),
            (FACENET, "FaceNet (trained on)", one.encoder, photos.encoder),
        ):
            both = np.asarray(one.counted.all(1), bool)
            apart = failed_apart(distances(codes[:, 0], codes[:, 1]), both)
            before = distances(theirs[:, 0], theirs[:, 1])
            same, n = np.diag(apart), len(apart)
            figures.append(
                _mean(same[both], "distance-own", f"{who}: the two of a person", one.name, "lower", features)
            )
            figures.append(
                Figure(
                    metric_name("distance-own-others", features, n * (n - 1)),
                    f"{who}: those of two people",
                    one.name,
                    float(_off_diagonal(apart).mean()),
                    n * (n - 1),
                )
            )
            accepts = true_accepts(apart)[0.01]
            figures.append(
                Figure.of(
                    proportion(round(accepts * n), n),
                    name=metric_name("true-accepts-own", features, n, far=0.01),
                    label=f"{who}: true accepts at 1.0% false ones",
                    subject=one.name,
                    unit="%",
                    better="higher",
                )
            )
            if one is not photos:
                nearer = (same < np.diag(before)) & both
                figures.append(_share(nearer, "nearer", f"{who}: nearer than the photos", one.name, "higher", features))
    return Section(
        "Do two photos of a person give one portrait?",
        "The picture of the first photo against that of the second. Pictures that are all alike would be near, too: so "
        "the distance of two people's, and how well the two of a person are told from those, stand below. " + FAILS,
        tuple(figures),
    )


def _face_found(one: Measured) -> Figure:
    """What stands first in every table: a figure of pictures without faces says nothing."""
    return _share(
        one.found, "face-found", "a face is found (a cascade and the mesh)", one.name, "higher", "cascades-mesh"
    )


def _seen(one: Measured) -> list[Figure]:
    hits, n = int(one.detected.sum()), one.detected.size
    rate = proportion(hits, n)
    return [
        Figure.of(rate, name=rate_name(n), label="detection rate", subject=one.name, unit="%", better="higher"),
        _share(one.meshed, "meshed", "the mesh sees a face", one.name, "higher"),
        _mean(one.sharpness[one.counted], "sharpness", "sharpness", one.name, "near the real one"),
    ]


def _share(
    hits: Float64Array | np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    metric: str,
    label: str,
    subject: str,
    better: Better,
    features: str = "mesh",
) -> Figure:
    n = hits.size
    found = proportion(int(hits.sum()), n)
    return Figure.of(
        found, name=metric_name(metric, features, n), label=label, subject=subject, unit="%", better=better
    )


def _mean(
    values: Float64Array, metric: str, label: str, subject: str, better: Better, features: str = "mesh"
) -> Figure:
    known = values[np.isfinite(values)]
    name = metric_name(metric, features, len(known))
    if not len(known):
        return Figure(name, label, subject, float("nan"), 0, better=better)
    return Figure.of(mean_interval(known), name=name, label=label, subject=subject, better=better)
