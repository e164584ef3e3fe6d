"""Which labels are likely wrong: a classifier's out-of-sample view against what the dataset says (cleanlab).

Northcutt, Jiang and Chuang (2021), "Confident learning: estimating uncertainty in dataset labels": a label that the
classifier confidently contradicts is the first to look at. The quality of a label of two values is the probability that
is left to it (cleanlab's self-confidence). Of an age it is exp(-|label - expected| / mean error), cleanlab's residual
score in units of the error to expect: were errors distributed as Laplace's, the probability of a label at least that
far away. So both are probabilities of the same kind, and a face is as suspicious as its worst label.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.attributes.vocabulary import NAMES
from mien.core.errors import DatasetError, MienError, RequestError
from mien.core.files import write_bytes
from mien.core.progress import OnStage, silent
from mien.datasets.batches import FaceDataset
from mien.evaluation.label_views import View, cache_of, file_of, given, labels_of, views
from mien.faces.encoder import Encoder

ALL = "attributes"  # every attribute that the dataset speaks of


@dataclass(frozen=True, slots=True)
class Suspicions:
    """Of N faces and L labels, in their order: how good each label is, and what the classifier thinks instead."""

    labels: tuple[str, ...]  # L
    quality: npt.NDArray[np.float32]  # N L, 0 (certainly wrong) to 1; NaN: the face has no such label, or an unsure one
    views: Mapping[str, View]

    def order(self) -> npt.NDArray[np.int64]:
        """Rows of the faces that have any of the labels, the most suspicious first."""
        worst = self.worst()
        rows = np.flatnonzero(~np.isnan(worst))
        return rows[np.argsort(worst[rows], kind="stable")]

    def worst(self) -> npt.NDArray[np.float32]:
        """The quality of each face's worst label (N); NaN where it has none."""
        filled = np.where(np.isnan(self.quality), np.inf, self.quality).min(1)
        return np.where(np.isinf(filled), np.nan, filled).astype(np.float32)


def chosen(data: FaceDataset, asked: Sequence[str]) -> tuple[str, ...]:
    """The labels that are meant: sex, age, names of attributes in any case, or ``attributes`` for all of them.

    Nothing asked is sex and age; attributes where the dataset has neither. ``RequestError`` names what is not there.
    """
    there = labels_of(data)
    if not there:
        raise DatasetError(f"{data.dest}: no face has a label; there is nothing to review")
    plain = {label.lower(): label for label in there}
    if not asked:
        return tuple(label for label in ("sex", "age") if label in there) or there
    found: list[str] = []
    for word in asked:
        if word.lower() == ALL:
            found += [label for label in there if label not in ("sex", "age")]
        elif word.lower() in plain:
            found.append(plain[word.lower()])
        else:
            known = word.lower() in {"sex", "age", *(name.lower() for name in NAMES)}
            why = "no face of this dataset has it" if known else "no label"
            few = ", ".join(there[:4]) + (f" and {len(there) - 4} more" if len(there) > 4 else "")
            raise RequestError(f"--what: '{word}': {why}; allowed: {few}, {ALL}")
    return tuple(dict.fromkeys(found))


def suspicions(
    data: FaceDataset, labels: Sequence[str], load_encoder: Callable[[], Encoder] | None, on_stage: OnStage = silent
) -> Suspicions:
    """Judge ``labels`` of every face. ``data`` must say what the sources said (``FaceDataset.open(corrected=False)``).

    ``MienError`` where cleanlab is not installed.
    """
    found = views(data, labels, load_encoder, on_stage)
    judged = tuple(label for label in labels if label in found)
    if not judged:
        raise DatasetError(f"{data.dest}: nothing here can judge {', '.join(labels)}")
    columns = []
    for done, label in enumerate(judged, 1):
        columns.append(_kept_quality(data, found[label]))
        on_stage("rank labels")(done, len(judged))
    return Suspicions(judged, np.stack(columns, 1), found)


def _kept_quality(data: FaceDataset, view: View) -> npt.NDArray[np.float32]:
    """The quality of a label of every face: computed once, for cleanlab takes long to load."""
    path = file_of(cache_of(data), view.label, "quality.npy")
    if path.is_file():
        kept = np.load(path, allow_pickle=False)
        if kept.shape == (len(data),):
            return np.asarray(kept, np.float32)
    scores = quality(view, given(data, view.label), _sure(data, view.label))
    buffer = io.BytesIO()
    np.save(buffer, scores)
    write_bytes(path, buffer.getvalue())
    return scores


def quality(view: View, said: npt.NDArray[np.float64], sure: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The quality of one label of N faces; NaN where nothing is ``said``, or nothing ``sure``."""
    try:
        from cleanlab.rank import get_label_quality_scores
        from cleanlab.regression.rank import get_label_quality_scores as age_scores
    except ImportError as error:
        raise MienError("reviews need cleanlab; run: pip install 'mien[review]'") from error
    rows = ~np.isnan(said) & sure
    scores = np.full(len(said), np.nan, np.float32)
    if not rows.any():
        return scores
    expected, spread = view.expected[rows].astype(np.float64), view.spread[rows].astype(np.float64)
    if view.label == "age":
        scores[rows] = age_scores(labels=said[rows] / spread, predictions=expected / spread, method="residual")
    else:
        both = np.stack([1 - expected, expected], 1)  # n 2
        scores[rows] = get_label_quality_scores(said[rows].astype(np.int64), both, method="self_confidence")
    return scores


def _sure(data: FaceDataset, label: str) -> npt.NDArray[np.bool_]:
    """Where the label means what it says: LFW's "absent" is also said of what its source was unsure of."""
    if label in ("sex", "age"):
        return np.ones(len(data), np.bool_)
    return np.array([face.absent_is_sure or label in face.attributes_present for face in data.faces], np.bool_)
