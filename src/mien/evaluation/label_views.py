"""What a classifier that never saw a face's label thinks of it: out-of-sample views of sex, age and attributes.

Where a dataset has enough labels, each of its faces is seen by heads that were fitted to the *other* people of the same
dataset: linear heads on the face encoder's features, in five folds that part no group (a person, a picture twice). A
smaller dataset is seen by mien's packaged judges of pixels, which know none of its labels (unless they were trained on
these very faces: their cards say on which).

Heads of two values weigh both alike, however rare one is, so their probability says what the picture says and not how
frequent the label is. The spread of an age is the mean error of the heads at that age.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.attributes.vocabulary import NAMES
from mien.core.errors import MienError, WeightsError
from mien.core.files import write_bytes
from mien.core.progress import OnStage, silent
from mien.core.records import Float32Array
from mien.datasets import corrections
from mien.datasets.batches import FaceDataset
from mien.datasets.corrections import label_of
from mien.datasets.features import features
from mien.faces.encoder import Encoder

VERSION = 1  # of the views in a cache
FOLDS = 5
LEAST_FACES, LEAST_OF_EACH = 400, 25  # labels that heads of a dataset's own need
COMPONENTS = 384  # of the features
STRENGTH = 0.01  # of the heads (the inverse of their regularisation), on components of unit variance
RIDGE = 100.0
AGE_BINS = 20  # of predicted age, over which the heads' error is averaged
LEAST_SPREAD_YEARS = 1.0
JUDGE_SPREAD_YEARS = 7.0
JUDGED_PX = 128
JUDGED_AT_A_TIME = 256

CROSSED, JUDGED = "heads fitted to the other people of this dataset", "the packaged judges"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class View:
    """What is thought of one label on the N faces of a dataset, in their order."""

    label: str  # sex, age, or the name of an attribute
    expected: Float32Array  # N: probability of "female" or "there", 0 to 1; of age: years
    spread: Float32Array  # N: of age, the mean error to expect, years; else 1
    by: str  # CROSSED or JUDGED


def labels_of(data: FaceDataset) -> tuple[str, ...]:
    """The labels that any face of ``data`` has: sex, age, attributes in the order of the vocabulary."""
    named = {name for face in data.faces for name in (*face.attributes_present, *face.attributes_absent)}
    found = [label for label in ("sex", "age") if any(label_of(face, label) is not None for face in data.faces)]
    return (*found, *(name for name in NAMES if name in named), *sorted(named - set(NAMES)))


def given(data: FaceDataset, label: str) -> Floats:
    """What the dataset says (N): 1 female or there, 0 male or not there; of age: years; NaN: nothing."""
    said = [label_of(face, label) for face in data.faces]
    if label == "sex":
        return np.array([np.nan if value is None else value == "female" for value in said], np.float64)
    return np.array([np.nan if value is None else value for value in said], np.float64)


def views(
    data: FaceDataset, labels: Sequence[str], load_encoder: Callable[[], Encoder] | None, on_stage: OnStage = silent
) -> dict[str, View]:
    """Label -> its view; a label that nobody here can judge is left out. What was computed once is in ``DEST/cache``.

    ``load_encoder`` gives the encoder, if one can be had; it is asked only where it is needed.
    """
    folder = cache_of(data)
    found = {label: view for label in labels if (view := _read(folder, label, len(data))) is not None}
    missing = [label for label in labels if label not in found]
    enough = [label for label in missing if _enough(given(data, label), label)]
    seen = _components(data, load_encoder, on_stage) if enough else None
    for done, label in enumerate(enough if seen is not None else ()):
        assert seen is not None
        on_stage("compare labels with faces")(done, len(enough))
        found[label] = _crossed(seen, given(data, label), _folds(data), label)
        _write(folder, found[label])
    missing = [label for label in missing if label not in found]
    for view in _judged(data, missing, on_stage) if missing else ():
        found[view.label] = view
        _write(folder, view)
    return {label: found[label] for label in labels if label in found}


def cache_of(data: FaceDataset) -> Path:
    """The folder of what was computed from these crops and labels."""
    said = f"{data.crops_fingerprint} {corrections.digest(data.faces)}"
    return data.dest / "cache" / f"label-views-{VERSION}-{hashlib.sha256(said.encode()).hexdigest()[:16]}"


def _enough(values: Floats, label: str) -> bool:
    known = values[~np.isnan(values)]
    if len(known) < LEAST_FACES:
        return False
    return label == "age" or min(int((known == 1).sum()), int((known == 0).sum())) >= LEAST_OF_EACH


def _folds(data: FaceDataset) -> npt.NDArray[np.int64]:
    """The fold of each face (N): the same for all faces of a group."""
    names = [face.group or face.id for face in data.faces]
    return np.array([hashlib.sha256(name.encode()).digest()[0] % FOLDS for name in names], np.int64)


def _components(
    data: FaceDataset, load_encoder: Callable[[], Encoder] | None, on_stage: OnStage
) -> Float32Array | None:
    """Principal components of the encoder's features, each of unit variance (N C); None where no encoder is at hand."""
    if load_encoder is None:
        return None
    try:
        encoder = load_encoder()
    except WeightsError:
        return None
    rows = np.arange(len(data), dtype=np.int64)
    values = features(data, encoder, rows, on_progress=on_stage("look at faces")).astype(np.float32)
    on_stage("compare labels with faces")(0, 1)
    values -= values.mean(0)
    values /= values.std(0) + 1e-6
    of, axes = np.linalg.eigh(values.T @ values / len(values))
    kept = np.argsort(of)[::-1][: min(COMPONENTS, len(values) // 4)]
    components: Float32Array = (values @ axes[:, kept] / np.sqrt(np.maximum(of[kept], 1e-6))).astype(np.float32)
    return components


def _crossed(seen: Float32Array, values: Floats, folds: npt.NDArray[np.int64], label: str) -> View:
    """Each face as seen by heads that were fitted to the other folds."""
    from sklearn.linear_model import LogisticRegression, Ridge

    known = ~np.isnan(values)
    answers = np.zeros(len(values))
    for fold in range(FOLDS):
        rest, own = known & (folds != fold), folds == fold
        if label == "age":
            answers[own] = Ridge(alpha=RIDGE).fit(seen[rest], values[rest]).predict(seen[own])
        else:
            heads = LogisticRegression(C=STRENGTH, class_weight="balanced", solver="newton-cholesky")
            answers[own] = heads.fit(seen[rest], values[rest]).decision_function(seen[own])
    if label == "age":
        return View(label, np.clip(answers, 0, None).astype(np.float32), _spread(answers, values), CROSSED)
    # One slope and one offset over all folds, so that the probability is as sure as the heads turned out to be.
    scale = LogisticRegression(C=1e6, class_weight="balanced").fit(answers[known, None], values[known])
    expected = scale.predict_proba(answers[:, None])[:, 1].astype(np.float32)
    return View(label, expected, np.ones(len(values), np.float32), CROSSED)


def _spread(predicted: Floats, values: Floats) -> Float32Array:
    """The mean error (N, years) of predictions near each prediction."""
    known = ~np.isnan(values)
    error, at = np.abs(predicted[known] - values[known]), predicted[known]
    edges = np.unique(np.quantile(at, np.linspace(0, 1, min(AGE_BINS, len(at) // 20) + 1)))
    bins = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, len(edges) - 2)
    count = np.bincount(bins, minlength=len(edges) - 1)
    mean = np.bincount(bins, error, len(edges) - 1) / np.maximum(count, 1)
    middle = (edges[:-1] + edges[1:]) / 2
    return np.maximum(np.interp(predicted, middle, mean), LEAST_SPREAD_YEARS).astype(np.float32)


def _judged(data: FaceDataset, labels: Sequence[str], on_stage: OnStage) -> list[View]:
    """Views of the packaged judges, which know sex, age and the 73 attributes; of faces that have none of ``labels``,
    nothing: they are not looked at.
    """
    from mien.attributes.age_sex import AgeSexJudge
    from mien.attributes.attribute_judge import AttributeJudge

    people = AgeSexJudge.load() if {"sex", "age"} & set(labels) else None
    looks = AttributeJudge.load() if set(NAMES) & set(labels) else None
    ages, female = np.zeros(len(data), np.float32), np.zeros(len(data), np.float32)
    there = np.zeros((len(data), len(NAMES)), np.float32)
    rows = np.flatnonzero(np.any([~np.isnan(given(data, label)) for label in labels], axis=0))
    for start in range(0, len(rows), JUDGED_AT_A_TIME):
        on_stage("look at faces")(start, len(rows))
        part = rows[start : start + JUDGED_AT_A_TIME]
        crops = data.decoded(part, JUDGED_PX)
        if people is not None:
            said = people.estimate(crops)
            ages[part], female[part] = said.ages_years, said.female
        if looks is not None:
            there[part] = _odds(looks.look(crops, races=False).scores, looks.thresholds)
    one = np.ones(len(data), np.float32)
    known = {"sex": (female, one), "age": (ages, one * JUDGE_SPREAD_YEARS)}
    known |= {name: (there[:, place], one) for place, name in enumerate(NAMES)}
    return [View(label, *known[label], JUDGED) for label in labels if label in known]


def _odds(scores: Float32Array, thresholds: Float32Array) -> Float32Array:
    """Scores (N 73) as probabilities that are even at the threshold."""
    low = 1e-6

    odds, even = (
        np.log(np.clip(values, low, 1 - low) / (1 - np.clip(values, low, 1 - low))) for values in (scores, thresholds)
    )
    probabilities: Float32Array = (1 / (1 + np.exp(even - odds))).astype(np.float32)
    return probabilities


def file_of(folder: Path, label: str, ending: str = "npz") -> Path:
    """The file of a label in such a folder."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in label.lower())
    return folder / f"{plain}-{hashlib.sha256(label.encode()).hexdigest()[:6]}.{ending}"


def _read(folder: Path, label: str, count: int) -> View | None:
    try:
        with np.load(file_of(folder, label), allow_pickle=False) as file:
            view = View(label, file["expected"], file["spread"], str(file["by"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise MienError(f"{file_of(folder, label)}: damaged; remove it, and it is made again") from error
    return view if len(view.expected) == count else None


def _write(folder: Path, view: View) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, expected=view.expected, spread=view.spread, by=np.array(view.by))
    write_bytes(file_of(folder, view.label), buffer.getvalue())
