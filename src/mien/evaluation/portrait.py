"""Portraits judged, the measuring half: who is judged by whom, and the values that the report is made from.

One pair a person: two photos of held-out people, and a portrait of each of the two. Identity is asked honestly (type II
of Mai et al. 2018, NbNet): the portrait of the first photo against the *second* photo, never against its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mien.attributes import NAMES
from mien.attributes.age_sex import AgeSexPredictions
from mien.core.errors import PhotoError, TooFewError
from mien.core.images import resize
from mien.core.progress import OnStage, counted
from mien.core.records import Box, Detection, Face, Float32Array, UInt8Image
from mien.core.seeding import stream
from mien.evaluation.detection import detects
from mien.evaluation.faces import FaceRow, dataset_rows
from mien.evaluation.features import NetworkJudges, OnAdvance
from mien.evaluation.portrait_kept import HAT, KeptJudges
from mien.evaluation.statistics import Float64Array
from mien.evaluation.verification import Pairs, Verification, curve, verify
from mien.faces import align, quality
from mien.faces.encoder import Encoder, encoded, load_encoder
from mien.faces.find import PRESENCE
from mien.faces.landmarks import IBUG_68, ROI_SCALE, FaceMesh, load_mesh, locate
from mien.faces.landmarks68 import INNER_LIPS
from mien.faces.pose import mean_shape, pose

FOLDS = 10
FEWEST_PEOPLE = 2 * FOLDS
FALSE_ACCEPTS = (0.001, 0.01)
LOOKS_AHEAD_DEGREES = 3.0
WIDEST_YAW_DEGREES = 60.0  # of the inputs that the target speaks of
CLOSED_MOUTH = 0.05  # of the eyes' distance
BATCH = 16


@dataclass(frozen=True, slots=True)
class Made:
    """Pictures of N people, one of each of their two photos, as mien's aligned crops."""

    name: str  # its column
    images: UInt8Image  # N 2 S S 3
    masks: Float32Array | None = None  # N 2 S S in [0, 1], 1 the person; None: not masked
    variant: str = ""  # what it is in an ablation: "without adversarial loss", ...
    trained_images: int | None = None  # seen in training
    learned_from: tuple[tuple[str, int, int], ...] = ()  # each filter of its faces, how many it left, of them unknown


class PortraitJudges(KeptJudges, Protocol):
    """Who judges: replaced by a fake in tests. Every crops is N S S 3."""

    @property
    def version(self) -> str:
        """Names the judges in provenance."""
        ...

    def identity(self, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        """Features (N D) of a network that had no part in training."""
        ...

    def encoder(self, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        """Features (N D) of the encoder that portraits are made from."""
        ...

    def faces(self, crops: UInt8Image, on_advance: OnAdvance) -> list[Face]:
        """The mesh of the face in each crop."""
        ...

    def smiles(self, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        """How surely each smiles (N), in [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class NetworkPortraitJudges:
    """The real judges: dlib's ResNet, mien's judge of attributes, the face mesh; FaceNet only beside them."""

    judges: NetworkJudges
    mesh: FaceMesh
    facenet: Encoder

    @classmethod
    def load(cls) -> NetworkPortraitJudges:
        """All from the package and the cache of fetched models; ``WeightsError`` says what to fetch."""
        return cls(NetworkJudges.load(), load_mesh(), load_encoder("facenet"))

    @property
    def version(self) -> str:
        return f"{self.judges.version}_face-mesh_facenet"

    def identity(self, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        return self.judges.identity(crops, on_advance)

    def encoder(self, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        return encoded(self.facenet, crops, "embedding", rows=BATCH, on_advance=on_advance)

    def faces(self, crops: UInt8Image, on_advance: OnAdvance) -> list[Face]:
        found = []
        for crop in crops:
            found += locate(self.mesh, [crop], [[conventional(crop.shape[0])]])[0]
            on_advance(1)
        return found

    def smiles(self, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        return self._scores("Smiling", crops, on_advance)

    def ages(self, crops: UInt8Image, on_advance: OnAdvance) -> AgeSexPredictions:
        return self.judges.estimate(crops, on_advance)

    def hats(self, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        return self._scores(HAT, crops, on_advance)

    def _scores(self, name: str, crops: UInt8Image, on_advance: OnAdvance) -> Float32Array:
        seen = self.judges.attributes(crops, on_advance, races=False)
        return np.asarray(seen.scores[:, NAMES.index(name)], np.float32)


def conventional(size: int) -> Detection:
    """The face where mien's convention puts it in an aligned crop of ``size`` px; the mesh goes on from there."""
    side = size / ROI_SCALE
    x, y = align.EYE_X * size - 0.5, align.EYE_Y * size - 0.5
    half = align.EYE_DISTANCE * size / 2
    low, high = (size - side) / 2 - 0.5, (size + side) / 2 - 0.5
    places = [(x - half, y), (x + half, y), *[(x, y + half)] * 4]  # only the two eyes are read
    return Detection(Box(low, low, high, high), np.array(places, np.float32), 1.0)


def draw_people(dest: Path, count: int, *, seed: int = 0) -> list[tuple[FaceRow, FaceRow]]:
    """Two photos of each of up to ``count`` held-out people who have two, people and photos at random.

    ``TooFewError`` where the test split has fewer than ``FEWEST_PEOPLE`` such people.
    """
    photos: dict[str, list[FaceRow]] = {}
    for row in dataset_rows(dest, "test"):
        if row.person is not None:
            photos.setdefault(f"{row.source}:{row.person}", []).append(row)
    names = sorted(name for name, rows in photos.items() if len(rows) > 1)
    if min(len(names), count) < FEWEST_PEOPLE:
        raise TooFewError(
            f"portraits: {min(len(names), count)} people of the test split with two photos, needed are {FEWEST_PEOPLE}"
        )
    random = stream(seed, "portrait pairs", len(names))
    drawn = []
    for place in random.permutation(len(names))[:count]:
        rows = photos[names[int(place)]]
        one, two = random.choice(len(rows), 2, replace=False)
        drawn.append((rows[int(one)], rows[int(two)]))
    return drawn


@dataclass(frozen=True, slots=True)
class Measured:
    """What the judges said of N people's two pictures. Angles are NaN where the mesh spans no face."""

    name: str
    identity: Float32Array  # N 2 D
    encoder: Float32Array  # N 2 D
    angles_degrees: Float64Array  # N 2 3: yaw, pitch, roll
    asymmetry: Float64Array  # N 2: mean distance of the mesh from its mirror image, of the eyes' distance
    mouth: Float64Array  # N 2: inner lips apart, mean of three pairs, of the eyes' distance
    smile: Float64Array  # N 2: in [0, 1]
    detected: npt.NDArray[np.bool_]  # N 2: by one of seven cascades
    meshed: npt.NDArray[np.bool_]  # N 2: the mesh sees a face
    sharpness: Float64Array  # N 2: as faces/quality measures it, at 128 px
    is_photo: bool = False  # a photograph shows a face, whether or not a detector finds it

    def __len__(self) -> int:
        return len(self.identity)

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """N 2: whether a cascade and the mesh find a face. The cascades had no part in making portraits."""
        return self.detected & self.meshed

    @property
    def counted(self) -> npt.NDArray[np.bool_]:
        """N 2: of which pictures the mesh's figures count. A picture without a face fails, whatever the mesh says."""
        return np.ones_like(self.detected) if self.is_photo else self.found


def measure(made: Made, judges: PortraitJudges, on_stage: OnStage, *, is_photo: bool = False) -> Measured:
    """Ask every judge about every picture."""
    people, size = len(made.images), made.images.shape[2]
    crops = made.images.reshape(2 * people, size, size, 3)
    with counted(on_stage(f"{made.name}: judged"), 4 * len(crops)) as on_advance:
        identity, encoder = judges.identity(crops, on_advance), judges.encoder(crops, on_advance)
        faces, smile = judges.faces(crops, on_advance), judges.smiles(crops, on_advance)
    shown = [face.mesh.astype(np.float64) for face in faces]

    def pairs(values: object) -> Float64Array:
        return np.asarray(values, np.float64).reshape(people, 2)

    return Measured(
        made.name,
        identity.reshape(people, 2, -1),
        encoder.reshape(people, 2, -1),
        np.array([_angles(mesh) for mesh in shown]).reshape(people, 2, 3),
        pairs([asymmetry(mesh) for mesh in shown]),
        pairs([mouth_opening(mesh) for mesh in shown]),
        pairs(smile),
        detects(crops).reshape(people, 2),
        np.array([face.presence >= PRESENCE for face in faces]).reshape(people, 2),
        pairs([_sharpness(crop, face) for crop, face in zip(crops, faces, strict=True)]),
        is_photo,
    )


def _angles(mesh: Float64Array) -> tuple[float, float, float]:
    try:
        found = pose(mesh)
    except PhotoError:
        return (float("nan"),) * 3
    return found.yaw_degrees, found.pitch_degrees, found.roll_degrees


def _eyes(mesh: Float64Array) -> float:
    return max(float(np.hypot(*(mesh[align.EYE_RIGHT_OUTER] - mesh[align.EYE_LEFT_OUTER])[:2])), 1e-6)


def asymmetry(mesh: Float64Array) -> float:
    """Mean distance of the points (468 3, px) from their mirror images about the upright line through their middle.

    In shares of the distance of the outer eye corners; 0 is a face as symmetric as can be. A turn or a tilt counts.
    """
    points = mesh[:, :2]
    mirrored = (points * [-1.0, 1.0])[mean_shape().mirror]
    mirrored[:, 0] += 2 * points[:, 0].mean()
    return float(np.linalg.norm(points - mirrored, axis=1).mean()) / _eyes(mesh)


def mouth_opening(mesh: Float64Array) -> float:
    """How far the inner lips are apart, the mean of three pairs, in shares of the distance of the outer eye corners."""
    points = mesh[list(IBUG_68), :2]
    gaps = [float(np.hypot(*(points[lower] - points[upper]))) for upper, lower in INNER_LIPS]
    return float(np.mean(gaps)) / _eyes(mesh)


def _sharpness(crop: UInt8Image, face: Face) -> float:
    """``faces/quality``'s, of the crop at ``quality.CROP_PX``: a large photo must not win by being shrunk later."""
    factor = quality.CROP_PX / crop.shape[0]
    half = np.array([0.5, 0.5, 0.0])
    mesh = (face.mesh + half) * factor - half
    small = resize(crop, quality.CROP_PX, quality.CROP_PX) if factor != 1 else crop
    try:
        found = quality.measure(small, Face(face.detection, mesh.astype(np.float32), face.presence))
    except PhotoError:
        return float("nan")
    return found.sharpness


def distances(first: Float32Array, second: Float32Array) -> Float64Array:
    """Euclidean distances (N N) of features (N D): row i, column j is ``first[i]`` to ``second[j]``."""
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)), np.float64)


def true_accepts(apart: Float64Array) -> dict[float, float]:
    """Share of the diagonal of distances (N N) accepted where a share of the rest is: ``FALSE_ACCEPTS``."""
    rates, accepts = curve(-apart.ravel(), np.eye(len(apart), dtype=bool).ravel())
    return {share: float(accepts[rates <= share].max()) for share in FALSE_ACCEPTS}


def verified(apart: Float64Array, *, seed: int = 0) -> Verification:
    """Accuracy on N pairs of one person and N of two of one fold, ten folds at random, threshold of the nine others."""
    if len(apart) < FEWEST_PEOPLE:
        raise TooFewError(f"verification of portraits: {len(apart)} people, needed are {FEWEST_PEOPLE}")
    order = stream(seed, "portrait folds", len(apart)).permutation(len(apart))
    first: list[int] = []
    second: list[int] = []
    fold_of: list[int] = []
    for fold in range(FOLDS):
        here: Sequence[int] = [int(place) for place in order[fold::FOLDS]]
        first += [*here, *here]
        second += [*here, *here[1:], here[0]]
        fold_of += [fold] * (2 * len(here))
    a, b = np.array(first, np.int64), np.array(second, np.int64)
    return verify(-apart[a, b], Pairs(a, b, a == b, np.array(fold_of, np.int64)), false_accepts=())


def apart(real: Measured, one: Measured, *, trained_on: bool = False) -> Float64Array:
    """Distances (N N) of the pictures of the first photos to the second photos, by dlib or the encoder trained on.

    A picture without a face is farther from its own person than anything is from anybody.
    """
    first, second = (one.encoder, real.encoder) if trained_on else (one.identity, real.identity)
    return failed_apart(distances(first[:, 0], second[:, 1]), one.counted[:, 0])


def failed_apart(apart: Float64Array, counted: npt.NDArray[np.bool_]) -> Float64Array:
    """Distances (N N) with those of a person to themselves (the diagonal) beyond all where not ``counted`` (N)."""
    lost = np.flatnonzero(~counted)
    apart[lost, lost] = apart.max() + 1.0
    return apart


def looks_ahead(real: Measured, one: Measured) -> Float64Array:
    """Whether (0 or 1) the portraits of photos within 60 degrees of yaw look ahead; without a face is no."""
    within = np.abs(real.angles_degrees[..., 0]) <= WIDEST_YAW_DEGREES
    ahead = (np.abs(one.angles_degrees[..., 0]) < LOOKS_AHEAD_DEGREES) & one.counted
    return np.asarray(ahead[within], np.float64)


def mouth_closed(one: Measured) -> npt.NDArray[np.bool_]:
    """Whether (N 2) there is a face with a closed mouth."""
    return (one.mouth < CLOSED_MOUTH) & one.counted
