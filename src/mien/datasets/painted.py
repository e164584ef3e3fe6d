"""What the painter learns from, measured on a dataset: what is said and seen of each photograph, face by face."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mien.core.images import to_tensor
from mien.core.records import Float32Array, UInt8Image
from mien.datasets.batches import FaceDataset, Rows
from mien.faces.pose import PITCH_UNIT_DEGREES, YAW_UNIT_DEGREES

CORNER = (40 / 128, 18 / 128)  # height and width of the upper corners, where the background is, in shares of the crop
GREY = 0.03  # mean difference of neighbouring colour channels under which a photograph is grey
WHOLE = 0.97  # least share of a crop that lies inside its photograph
PLAIN = 0.45  # of ``bg_std``: under it a background is plain
LOUD = 0.7  # difference of the background's strongest and weakest colour (of 2) above which it is no studio's
AHEAD_DEGREES = 14.0
OF_PLAIN = 2.5
YOUNG, OLD, OF_SELDOM = 0.16, 0.52, 2.5  # ages in centuries, as the conditions have them
PATCHES = 8  # a side: the validity of a crop is told by patch


def photo_conditions(
    data: FaceDataset, rows: Rows, crops: UInt8Image, *, mirrored: bool = False
) -> dict[str, Float32Array]:
    """Name -> N values: pose, sharpness, greyness, background. ``crops`` N S S 3, mirrored already if they are."""
    faces = [data.faces[int(row)] for row in rows]

    def column(name: str) -> Float32Array:
        values = [getattr(face, name) for face in faces]
        return np.array([np.nan if value is None else value for value in values], np.float32)

    size = crops.shape[1]
    height, width = round(CORNER[0] * size), round(CORNER[1] * size)
    pixels = to_tensor(crops).permute(0, 2, 3, 1).numpy()  # N S S 3, -1 to 1
    corners = np.concatenate([pixels[:, :height, :width], pixels[:, :height, -width:]], 2).reshape(len(crops), -1, 3)
    steps = np.abs(np.diff(pixels, axis=3)).mean((1, 2)).sum(1)  # N
    colour = corners.mean(1)
    sign = -1.0 if mirrored else 1.0
    return {
        "yaw": sign * column("yaw_degrees") / YAW_UNIT_DEGREES,
        "pitch": column("pitch_degrees") / PITCH_UNIT_DEGREES,
        "sharpness": np.log1p(column("sharpness")),
        "eye": np.log(column("eye_distance_px")),
        "grey": (steps < GREY).astype(np.float32),
        "bg_r": colour[:, 0],
        "bg_g": colour[:, 1],
        "bg_b": colour[:, 2],
        "bg_std": 3 * corners.std(1).mean(1),
    }


def masks_of_looks(columns: Mapping[str, Float32Array]) -> dict[str, npt.NDArray[np.bool_]]:
    """Look -> which of N photographs have it, of the columns of ``photo_conditions`` and their ``valid``.

    All are in colour and whole. ``studio``: sharp, looking ahead, before something plain and not loud (a red cloth);
    ``natural``: sharp, before anything that is not plain; ``news``: what is not sharp. Sharp is the sharper half.
    """
    known = {name: np.nan_to_num(values) for name, values in columns.items()}
    whole = (known["valid"] > WHOLE) & (known["grey"] < 0.5)
    sharp = known["sharpness"] > np.median(known["sharpness"])
    ahead, plain = np.abs(known["yaw"]) * YAW_UNIT_DEGREES < AHEAD_DEGREES, known["bg_std"] < PLAIN
    quiet = np.ptp(np.stack([known[name] for name in ("bg_r", "bg_g", "bg_b")]), 0) < LOUD
    return {
        "studio": whole & sharp & ahead & plain & quiet,
        "natural": whole & sharp & ~plain & (np.abs(known["yaw"]) < 1),
        "news": whole & ~sharp,
    }


def valid_patches(data: FaceDataset, rows: Rows, *, mirrored: bool = False) -> Float32Array:
    """N PATCHES^2: share of each patch of the crop that lies inside its photograph."""
    side = 8 * PATCHES
    masks = np.stack([data.mask(int(row), side) for row in rows])
    shares = masks.reshape(len(rows), PATCHES, 8, PATCHES, 8).mean((2, 4))
    return np.ascontiguousarray(shares[:, :, ::-1] if mirrored else shares).reshape(len(rows), -1)


def standardised(
    columns: Mapping[str, Float32Array], scale: Mapping[str, tuple[float, float]] | None = None, largest: float = 3.0
) -> tuple[Float32Array, dict[str, tuple[float, float]]]:
    """Columns by name -> N Q of mean 0 and deviation 1, clipped, NaN kept; and the mean and deviation of each.

    ``scale``: means and deviations that were measured before, and the order of the columns.
    """
    if scale is None:
        scale = {name: (float(np.nanmean(values)), float(np.nanstd(values)) + 1e-6) for name, values in columns.items()}
    values = np.stack([(columns[name] - mean) / deviation for name, (mean, deviation) in scale.items()], 1)
    return np.clip(values, -largest, largest).astype(np.float32), dict(scale)


def source_weights(data: FaceDataset, rows: Rows) -> npt.NDArray[np.float64]:
    """How often each face is drawn: sources with n faces weigh as the square root of n, so that small ones count."""
    names = np.array([data.faces[int(row)].source for row in rows])
    _, places, counts = np.unique(names, return_inverse=True, return_counts=True)
    weights = (1 / np.sqrt(counts))[places]
    return np.asarray(weights / weights.sum(), np.float64)


def emphasis(columns: Mapping[str, Float32Array]) -> npt.NDArray[np.float64]:
    """How many times as often each of N faces comes: plain backgrounds, children and old people more often.

    Crowds ask for them more than photographs offer them. ``columns``: ``photo_conditions``, and ``age`` in centuries.
    """
    plain = np.nan_to_num(columns["bg_std"], nan=1.0) < PLAIN
    seldom = (columns["age"] < YOUNG) | (columns["age"] > OLD)
    return np.where(plain, OF_PLAIN, 1.0) * np.where(seldom, OF_SELDOM, 1.0)
