"""How far from the mean face are faces made from words? The paper's remark on its own, with controls that must fail.

A distance says little by itself: a grey picture is as near in pixels as a washed-out face. So a picture counts only
where the cascades find a face, that share comes first, and grey, noise and the mean face stand in the same table.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mien.core.images import grey, resize
from mien.core.progress import OnStage
from mien.core.records import UInt8Image
from mien.core.seeding import stream
from mien.evaluation.crowd import judge_faces
from mien.evaluation.crowd_judged import JudgedFaces
from mien.evaluation.features import IDENTITY, Judges, unknown_labels
from mien.evaluation.imagine_variety import MethodPredictions, figure_of
from mien.evaluation.metrics import metric_name
from mien.evaluation.report import Figure, Section
from mien.evaluation.statistics import Float64Array, mean_interval, proportion
from mien.faces.inner_square import INNER_SIDE, INNER_X, INNER_Y

NEAR = 0.05  # share of the photographs that count as near the mean face
PATTERN_PX = 32  # side at which light and dark are compared: coarser than the grain of an optimised picture
CONTROLS = ("control: grey", "control: noise", "control: the mean face")


def controls(mean_face: UInt8Image, judges: Judges, on_stage: OnStage) -> JudgedFaces:
    """The pictures of ``CONTROLS``, judged. ``mean_face``: S S 3."""
    noise = stream(0, "noise").integers(0, 256, mean_face.shape).astype(np.uint8)
    pictures = np.stack([np.full_like(mean_face, 127), noise, mean_face])
    return judge_faces("controls", unknown_labels(pictures), judges, on_stage)


def from_mean(answers: Mapping[str, MethodPredictions], mean_face: UInt8Image, checks: JudgedFaces) -> Section:
    """(d) How far from the mean face (S S 3)? ``answers`` with the photographs as "real"; ``checks``: ``controls``."""
    distances = {
        name: _distances(one.crops, one.identity, mean_face, checks.identity[-1]) for name, one in answers.items()
    }
    faces = {name: one.face for name, one in answers.items()}
    for place, name in enumerate(CONTROLS):
        crop, features = checks.faces.crops[place][None, None], checks.identity[place].astype(np.float64)[None, None]
        distances[name] = _distances(crop, features, mean_face, checks.identity[-1])
        faces[name] = checks.detected[place : place + 1, None]
    figures = []
    for name, face in faces.items():
        found = answers[name].judged.detected if name in answers else face
        share = proportion(int(found.sum()), found.size)
        figures.append(figure_of("face-found", "7cascades", "a face is found (cascades)", name, share, "%", "higher"))
    for space, label in (("pixels", "pixels"), ("pattern", "pattern of light"), (IDENTITY, "identity")):
        near = float(np.quantile(distances["real"][space], NEAR))
        for name, face in faces.items():
            apart = distances[name][space]
            figures.append(_distance(space, f"distance from the mean face, {label}", name, apart, face))
            other = face & (apart > near)
            share = proportion(int(other.sum()), other.size)
            figures.append(
                figure_of("not-mean", space, f"a face, and not near the mean one, {label}", name, share, "%", "higher")
            )
    return Section("How far from the mean face?", TEXT, tuple(figures))


TEXT = (
    'The paper says of its own faces: "each resultant image is very close to the mean image". The mean face is that of '
    "the photographs of the other half. Pixels: root mean square over the crop, in shares of the range. Pattern of "
    "light: 1 - correlation of the luma inside the inner square, at 32 px; brightness, contrast and colour do not "
    "change it. Identity: distance in dlib's features from those of the mean face itself. Means are over descriptions, "
    "of the pictures in which the cascades find a face; the others fail. Near the mean face is nearer than 95 % of the "
    "photographs, which count whether or not a cascade finds their face. A grey picture, noise and the mean face "
    "itself must fail."
)


def _distance(space: str, label: str, subject: str, apart: Float64Array, face: np.ndarray) -> Figure:
    """The mean over descriptions of ``apart`` (P K) where there is a ``face`` (P K); unknown where there is none."""
    means = [float(row[seen].mean()) for row, seen in zip(apart, face, strict=True) if seen.any()]
    if not means:
        return Figure(metric_name("from-mean", space, 0), label, subject, float("nan"), 0, better="near the real one")
    return figure_of("from-mean", space, label, subject, mean_interval(means), "", "near the real one")


def _distances(
    crops: UInt8Image, identity: Float64Array, mean_face: UInt8Image, mean_identity: np.ndarray
) -> dict[str, Float64Array]:
    """Of crops (P K S S 3) with features (P K 128), in each space: P K."""
    flat, shape = crops.reshape(-1, *crops.shape[2:]), crops.shape[:2]
    mean, wanted = mean_face.astype(np.float64), pattern(mean_face)
    pixels = np.array([np.sqrt(np.mean((crop - mean) ** 2)) / 255 for crop in flat])
    patterns = np.array([1 - float(pattern(crop) @ wanted) for crop in flat])
    apart = np.linalg.norm(identity - mean_identity.astype(np.float64), axis=2)
    return {"pixels": pixels.reshape(shape), "pattern": patterns.reshape(shape), IDENTITY: apart}


def pattern(crop: UInt8Image) -> Float64Array:
    """Light and dark of a crop (S S 3) inside the inner square, without mean, of length 1; zeros of a flat one."""
    size = len(crop)
    left, top, side = (round(share * size) for share in (INNER_X, INNER_Y, INNER_SIDE))
    inner = np.ascontiguousarray(crop[top : top + side, left : left + side])
    luma = grey(resize(inner, PATTERN_PX, PATTERN_PX)).astype(np.float64).ravel()
    luma -= luma.mean()
    return np.asarray(luma / max(float(np.linalg.norm(luma)), 1e-9))
