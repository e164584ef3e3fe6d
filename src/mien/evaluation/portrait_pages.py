"""Portraits judged, the pages: inputs, portraits and masks, at random or by a metric; the ablation of section 4.4."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mien.core.images import resize, sheet
from mien.core.records import UInt8Image
from mien.evaluation.portrait import (
    FALSE_ACCEPTS,
    Made,
    Measured,
    apart,
    looks_ahead,
    mouth_closed,
    true_accepts,
    verified,
)
from mien.evaluation.report import ReportPicture, ReportTable, Section, shown
from mien.evaluation.statistics import Float64Array

TILE_PX = 128
PEOPLE_A_PAGE, PAGES, FAILURES = 24, 2, 12
ABLATED_PEOPLE = 16  # figures 4-7 and 4-8: "8 preselected identities" each
PHOTO, AS_READ, WARPED = "photo", "decoded as read", "mesh warp, mirrored"
ABLATION = "Ablation (section 4.4 of the thesis)"


def ablation(photos: UInt8Image, runs: Sequence[tuple[Made, Measured]], real: Measured) -> Section:
    """One table and one sheet of several runs, the one judged last, beside the photos (N 2 S S 3); ``[]``: none."""
    if not runs:
        return Section(
            ABLATION,
            "Not judged: no other weights were given. `mien experiment ablation` trains and judges all three; or train "
            "the paper preset with mask=no and adversarial=no, with adversarial=no and in full, and name the first "
            "two with --peer.",
        )
    names = [made.variant or made.name for made, _ in runs]
    rows: list[tuple[str | int | None, ...]] = [(real.name, None, *_row_of_ablation(real, real, None))]
    rows += [
        (name, made.trained_images, *_row_of_ablation(real, found, made))
        for name, (made, found) in zip(names, runs, strict=True)
    ]
    columns = (
        "run", "images seen", "a face is found", "true accepts at 0.1 % false ones, dlib", "at 1 %",
        "verification, dlib",
        "distance to another photo, dlib", "yaw under 3 degrees", "mouth closed", "smile, judge's score", "asymmetry",
        "sharpness", "found by a cascade", "mask, share of the picture",
    )  # fmt: skip
    tiles = [
        _tile(image)
        for person in range(min(ABLATED_PEOPLE, len(photos)))
        for image in (photos[person, 0], *(made.images[person, 0] for made, _ in runs))
    ]
    return Section(
        ABLATION,
        "The same people, photos and judges for every run; the runs are columns of the other tables, too.",
        tables=(ReportTable(columns, tuple(rows), f"{len(real)} people, two photos each"),),
        pictures=(
            ReportPicture(
                "ablation",
                f"From left: {', '.join([real.name, *names])}; the first people at random, two a row",
                sheet(tiles, 2 * (1 + len(runs))),
            ),
        ),
    )


def beside_baselines(photos: UInt8Image, baselines: Sequence[Made], made: Made) -> Section:
    """One sheet: the first photos at random, what each baseline makes of them, and the portrait."""
    told = [(PHOTO, photos), *((one.name, one.images) for one in (*baselines, made))]
    some = range(min(ABLATED_PEOPLE, len(photos)))
    tiles = [_tile(images[person, 0]) for person in some for _, images in told]
    caption = f"From left: {', '.join(name for name, _ in told)}; the first people at random, two a row"
    text = (
        f"{WARPED}: no network draws. The photo's own pixels, moved from the points of the face mesh to those of the "
        "mean frontal face, mirrored where a side is turned away (after Hassner et al., 2015). Its background is the "
        f"photo's. {AS_READ}: what the decoder draws of the features before they are made neutral."
    )
    return Section(
        "Beside baselines", text, pictures=(ReportPicture("baselines", caption, sheet(tiles, 2 * len(told))),)
    )


def learned_from(made: Made) -> Section:
    """How many training faces each filter left (section 5.1 of the thesis)."""
    columns = ("filter", "faces left", "of them unknown to the filter, and kept")
    return Section(
        "What it learned from (section 5.1 of the thesis)",
        "Faces of the training split, filtered by pose as the catalogue measures it and by what else was asked for.",
        tables=(ReportTable(columns, made.learned_from),),
    )


def _row_of_ablation(real: Measured, one: Measured, made: Made | None) -> tuple[str | None, ...]:
    far = apart(real, one)
    accepts = true_accepts(far)
    own = one.counted

    def mean(values: Float64Array) -> str | None:
        """Of the pictures that show a face."""
        known = values[own & np.isfinite(values)]
        return shown(float(known.mean())) if len(known) else None

    near = np.diag(far)[own[:, 0]]
    return (
        shown(float(one.found.mean()), "%"),
        *(shown(accepts[share], "%") for share in FALSE_ACCEPTS),
        shown(verified(far).accuracy.value, "%"),
        shown(float(near.mean())) if len(near) else None,
        shown(float(looks_ahead(real, one).mean()), "%"),
        shown(float(mouth_closed(one).mean()), "%"),
        mean(one.smile),
        mean(one.asymmetry),
        mean(one.sharpness),
        shown(float(one.detected.mean()), "%"),
        shown(float(made.masks.mean()), "%") if made is not None and made.masks is not None else None,
    )


def _tile(photo: UInt8Image) -> UInt8Image:
    return photo if photo.shape[0] == TILE_PX else resize(photo, TILE_PX, TILE_PX)


def _row(photos: UInt8Image, made: Made, person: int, which: int = 0) -> list[UInt8Image]:
    """Input, portrait and, where there is one, mask."""
    tiles = [_tile(photos[person, which]), _tile(made.images[person, which])]
    if made.masks is not None:
        mask = np.asarray(made.masks[person, which] * 255 + 0.5, np.uint8)
        tiles.append(_tile(np.repeat(mask[..., None], 3, 2)))
    return tiles


def pages(photos: UInt8Image, made: Made) -> Section:
    """Input, portrait and mask of the first people at random (figures 4-1 to 4-3)."""
    pictures = []
    for page in range(PAGES):
        people = range(len(photos))[page * PEOPLE_A_PAGE : (page + 1) * PEOPLE_A_PAGE]
        tiles = [tile for person in people for tile in _row(photos, made, person)]
        if tiles:
            columns = 3 * (2 if made.masks is None else 3)
            pictures.append(
                ReportPicture(f"page-{page + 1}", "Input, portrait, mask, not chosen", sheet(tiles, columns))
            )
    return Section("Pages", "People in random order. Photographs of persons: keep.", pictures=tuple(pictures))


def failures(photos: UInt8Image, made: Made, real: Measured, main: Measured) -> Section:
    """The portraits that are least like, and those that look ahead least (figure 4-4)."""
    far = np.diag(apart(real, main))
    unlike = np.argsort(-far, kind="stable")[:FAILURES]
    tiles = [t for k in unlike for t in (*_row(photos, made, int(k)), _tile(photos[int(k), 1]))]
    columns = 2 * (3 if made.masks is None else 4)
    distances_told = ", ".join(f"{far[k]:.2f}" for k in unlike)
    shown_yaws = np.where(main.counted, main.angles_degrees[..., 0], np.nan)
    yaws = np.abs(np.nan_to_num(shown_yaws, nan=np.inf)).ravel()
    turned = np.argsort(-yaws, kind="stable")[:FAILURES]
    aside = [t for k in turned for t in _row(photos, made, int(k) // 2, int(k) % 2)]
    angles_told = ", ".join(f"{yaws[k]:.0f}" for k in turned)
    return Section(
        "Failures, chosen by the metric",
        f"The {len(unlike)} people whose portraits are farthest, by dlib, from their other photo, and the pictures "
        "that look ahead least.",
        pictures=(
            ReportPicture(
                "unlike", f"Input, portrait, mask, the other photo; distance {distances_told}", sheet(tiles, columns)
            ),
            ReportPicture(
                "turned", f"Input, portrait, mask; yaw left {angles_told} degrees", sheet(aside, columns // 4 * 3)
            ),
        ),
    )
