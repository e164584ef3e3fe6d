"""Portraits judged, the telling half: sections of figures, beside photos, and pages of pictures by lot or metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from mien.evaluation.detection import rate_name
from mien.evaluation.features import IDENTITY, Track
from mien.evaluation.metrics import metric_name
from mien.evaluation.portrait import (
    FALSE_ACCEPTS,
    FOLDS,
    Made,
    Measured,
    PortraitJudges,
    distances,
    measure,
    true_accepts,
    verified,
)
from mien.evaluation.report import Better, Figure, Picture, Report, Section, Table, shown
from mien.evaluation.statistics import Float64Array, mean_interval, proportion
from mien.images import resize, sheet
from mien.records import UInt8Image

PHOTO = "photo"
FACENET = "facenet512"
LOOKS_AHEAD_DEGREES = 3.0
WIDEST_YAW_DEGREES = 60.0  # of the inputs that the target speaks of
CLOSED_MOUTH = 0.05  # of the eyes' distance
YAW_BINS_DEGREES = (0.0, 15.0, 30.0, 45.0, 60.0)
AXES = ("yaw", "pitch", "roll")
TILE_PX = 128
PEOPLE_A_PAGE, PAGES, FAILURES = 24, 2, 12


def judge_portraits(
    photos: UInt8Image,
    made: Made,
    beside: Sequence[Made],
    judges: PortraitJudges,
    *,
    plain: Made | None,
    title: str,
    provenance: Mapping[str, str | int | float | None],
    track: Track,
) -> Report:
    """Judge portraits beside their photos (N 2 S S 3), what the decoder draws without neutralising, and other runs."""
    real = measure(Made(PHOTO, photos), judges, track)
    others = [measure(one, judges, track) for one in ([plain] if plain else []) + list(beside)]
    main = measure(made, judges, track)
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
        found,
        _ablation(photos, made, beside),
        _pages(photos, made),
        _failures(photos, made, real, main),
    )
    return Report(title, _summary(real, main), sections, provenance)


def _summary(real: Measured, main: Measured) -> str:
    apart, photos = _apart(real, main), _apart(real, real)
    accepts = true_accepts(apart)[FALSE_ACCEPTS[0]]
    accuracy, best = verified(apart).accuracy.value, verified(photos).accuracy.value
    ahead = _ahead(real, main)
    closed = (main.mouth < CLOSED_MOUTH).mean()
    return (
        f"{len(main)} people: true accepts at FAR 0.1 % {shown(accepts, '%')} (target 58 %), "
        f"verification {shown(accuracy, '%')}, {shown(accuracy / best, '%')} of what photos get (target 90 %), "
        f"yaw under 3 degrees in {shown(float(ahead.mean()), '%')} (target 95 %), "
        f"mouth closed in {shown(float(closed), '%')} (target 95 %)"
    )


def _apart(real: Measured, one: Measured, *, trained_on: bool = False) -> Float64Array:
    """Distances (N N) of the pictures of the first photos to the second photos."""
    if trained_on:
        return distances(one.encoder[:, 0], real.encoder[:, 1])
    return distances(one.identity[:, 0], real.identity[:, 1])


def _ahead(real: Measured, one: Measured) -> Float64Array:
    """Whether the portraits of photos within 60 degrees of yaw look ahead; unknown is no."""
    within = np.abs(real.angles_degrees[..., 0]) <= WIDEST_YAW_DEGREES
    return np.asarray(np.abs(one.angles_degrees[..., 0][within]) < LOOKS_AHEAD_DEGREES, np.float64)


def _off_diagonal(apart: Float64Array) -> Float64Array:
    return apart[~np.eye(len(apart), dtype=bool)]


def _identity(real: Measured, columns: Sequence[Measured]) -> Section:
    figures: list[Figure] = []
    for one in columns:
        for features, trained_on in ((IDENTITY, False), (FACENET, True)):
            apart, n = _apart(real, one, trained_on=trained_on), len(one)
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
                Figure.of(
                    mean_interval(np.diag(apart)),
                    name=metric_name("distance-same", features, n),
                    label=f"{who}: distance to another photo of the person",
                    subject=one.name,
                    better="lower",
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
        "the crop only, no hair and no background. FaceNet is what portraits are made from: it flatters them.",
        tuple(figures),
    )


def _pose(real: Measured, main: Measured, columns: Sequence[Measured]) -> Section:
    figures: list[Figure] = []
    for one in columns:
        figures.append(
            _share(_ahead(real, one), "yaw-under-3", "yaw under 3 degrees, inputs within 60", one.name, "higher")
        )
        for place, axis in enumerate(AXES):
            angles = np.abs(one.angles_degrees[..., place].ravel())
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
        figures.append(_mean(one.asymmetry, "asymmetry", "asymmetry, of the eyes' distance", one.name, "lower"))
        closed = one.mouth.ravel() < CLOSED_MOUTH
        figures.append(_share(closed, "mouth-closed", "mouth closed (lips under 5 % apart)", one.name, "higher"))
        figures.append(_mean(one.mouth, "mouth-opening", "lips apart, of the eyes' distance", one.name, "lower"))
        figures.append(_mean(one.smile, "smile", "smile, judge's score", one.name, "lower"))
    before = np.abs(real.angles_degrees[..., 0].ravel())
    after = np.abs(main.angles_degrees[..., 0].ravel())
    rows: list[tuple[str | int | float | None, ...]] = []
    for low, high in pairwise(YAW_BINS_DEGREES):
        kept = after[(before >= low) & (before < high)]
        known = kept[np.isfinite(kept)]
        if len(known):
            under = shown(float((kept < LOOKS_AHEAD_DEGREES).mean()), "%")
            rows.append((f"{low:.0f} to {high:.0f}", len(kept), under, shown(float(np.median(known)))))
    by_yaw = Table(("yaw of the photo, degrees", "n", "under 3 degrees", "median left"), tuple(rows), "By input")
    return Section(
        "Does it look ahead, neutral?",
        "Both pictures of every person. Angles, lips and symmetry are the face mesh's, smiles those of the judge of "
        "attributes, which learned on photographs with their backgrounds. The labels of yaw and pitch that portraits "
        "were fitted to are this mesh's, too. A picture without a mesh counts as not looking ahead.",
        tuple(figures),
        (by_yaw,),
    )


def _consistency(columns: Sequence[Measured]) -> Section:
    figures: list[Figure] = []
    photos = columns[0]
    for one in columns:
        for features, who, codes, theirs in (
            (IDENTITY, "dlib", one.identity, photos.identity),
            (FACENET, "FaceNet (trained on)", one.encoder, photos.encoder),
        ):
            apart, before = distances(codes[:, 0], codes[:, 1]), distances(theirs[:, 0], theirs[:, 1])
            same, n = np.diag(apart), len(apart)
            figures.append(_mean(same, "distance-own", f"{who}: the two of a person", one.name, "lower", features))
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
                nearer = same < np.diag(before)
                figures.append(_share(nearer, "nearer", f"{who}: nearer than the photos", one.name, "higher", features))
    return Section(
        "Do two photos of a person give one portrait?",
        "The picture of the first photo against that of the second. Pictures that are all alike would be near, too: so "
        "the distance of two people's, and how well the two of a person are told from those, stand below.",
        tuple(figures),
    )


def _seen(one: Measured) -> list[Figure]:
    hits, n = int(one.detected.sum()), one.detected.size
    rate = proportion(hits, n)
    return [
        Figure.of(rate, name=rate_name(n), label="detection rate", subject=one.name, unit="%", better="higher"),
        _share(one.meshed, "meshed", "the mesh sees a face", one.name, "higher"),
        _mean(one.sharpness, "sharpness", "sharpness", one.name, "near the real one"),
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
    found = mean_interval(known)
    return Figure.of(found, name=metric_name(metric, features, found.n), label=label, subject=subject, better=better)


def _tile(photo: UInt8Image) -> UInt8Image:
    return photo if photo.shape[0] == TILE_PX else resize(photo, TILE_PX, TILE_PX)


def _row(photos: UInt8Image, made: Made, person: int, which: int = 0) -> list[UInt8Image]:
    """Input, portrait and, where there is one, mask."""
    tiles = [_tile(photos[person, which]), _tile(made.images[person, which])]
    if made.masks is not None:
        mask = np.asarray(made.masks[person, which] * 255 + 0.5, np.uint8)
        tiles.append(_tile(np.repeat(mask[..., None], 3, 2)))
    return tiles


def _ablation(photos: UInt8Image, made: Made, beside: Sequence[Made]) -> Section:
    title = "Ablation (section 4.4 of the thesis)"
    if not beside:
        return Section(
            title,
            "Not judged: no other weights were given. Train the paper preset with --no-adversarial --no-mask, with "
            "--no-adversarial and in full, and name the first two with --peer.",
        )
    shown_people = range(min(16, len(photos)))
    tiles = [
        _tile(image)
        for person in shown_people
        for image in (photos[person, 0], *(one.images[person, 0] for one in beside), made.images[person, 0])
    ]
    names = ", ".join([PHOTO, *(one.name for one in beside), made.name])
    columns = 2 + len(beside)
    picture = Picture("ablation", f"From left: {names}; the first people by lot", sheet(tiles, columns))
    return Section(title, "The other runs are columns of every table of this report.", pictures=(picture,))


def _pages(photos: UInt8Image, made: Made) -> Section:
    pictures = []
    for page in range(PAGES):
        people = range(len(photos))[page * PEOPLE_A_PAGE : (page + 1) * PEOPLE_A_PAGE]
        tiles = [tile for person in people for tile in _row(photos, made, person)]
        if tiles:
            columns = 3 * (2 if made.masks is None else 3)
            pictures.append(Picture(f"page-{page + 1}", "Input, portrait, mask, not chosen", sheet(tiles, columns)))
    return Section("Pages", "People in the order of the lot. Photographs of persons: keep.", pictures=tuple(pictures))


def _failures(photos: UInt8Image, made: Made, real: Measured, main: Measured) -> Section:
    apart = np.diag(_apart(real, main))
    unlike = np.argsort(-apart, kind="stable")[:FAILURES]
    tiles = [t for k in unlike for t in (*_row(photos, made, int(k)), _tile(photos[int(k), 1]))]
    columns = 2 * (3 if made.masks is None else 4)
    distances_told = ", ".join(f"{apart[k]:.2f}" for k in unlike)
    yaws = np.abs(np.nan_to_num(main.angles_degrees[..., 0], nan=np.inf)).ravel()
    turned = np.argsort(-yaws, kind="stable")[:FAILURES]
    aside = [t for k in turned for t in _row(photos, made, int(k) // 2, int(k) % 2)]
    angles_told = ", ".join(f"{yaws[k]:.0f}" for k in turned)
    return Section(
        "Failures, chosen by the metric",
        f"The {len(unlike)} people whose portraits are farthest, by dlib, from their other photo, and the pictures "
        "that look ahead least.",
        pictures=(
            Picture(
                "unlike", f"Input, portrait, mask, the other photo; distance {distances_told}", sheet(tiles, columns)
            ),
            Picture("turned", f"Input, portrait, mask; yaw left {angles_told} degrees", sheet(aside, columns // 4 * 3)),
        ),
    )
