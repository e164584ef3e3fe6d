"""Review the labels of a dataset: each face with what a classifier thinks of its labels, the most suspicious first.

``open_review`` opens one; ``Review`` says what is known of a face and turns an answer into a decision;
``Review.queue`` hands out faces and writes decisions down (``review_queue``). Pages and words are the app's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mien.core.database import Store
from mien.core.errors import RequestError
from mien.core.limits import OLDEST_YEARS
from mien.core.progress import OnStage, silent
from mien.datasets import catalog
from mien.datasets.batches import FaceDataset
from mien.datasets.corrections import label_of, settle_place
from mien.datasets.decisions import Decision, Value
from mien.evaluation.label_quality import Suspicions, chosen, suspicions
from mien.evaluation.label_views import CROSSED
from mien.faces.encoder import load_encoder
from mien.pipelines.review_queue import Reviewer, ReviewQueue, TakenError

__all__ = ["Decision", "LabelCheck", "Review", "ReviewQueue", "ReviewedFace", "Reviewer", "TakenError", "Value",
           "open_review"]  # fmt: skip

DOUBTED, CONTRADICTED = 0.2, 0.02  # qualities below which the classifier disagrees, and does so firmly
FIXED = ("sex", "age")  # labels that every face is shown with
Verdict = Literal["", "agrees", "disagrees", "contradicts"]
Action = Literal["keep", "classifier", "reject"]


@dataclass(frozen=True, slots=True)
class LabelCheck:
    """One label of a face: what the dataset says, and what the classifier thinks."""

    label: str  # sex, age, or an attribute
    value: Value  # of the dataset; None: it says nothing
    expected: float | None  # probability of "female" or "there", or years; None: no classifier was asked
    spread_years: float  # mean error to expect of an age
    quality: float  # probability that is left to the label; NaN: not judged

    @property
    def verdict(self) -> Verdict:
        """What the classifier says of the label; empty where it was not judged."""
        if math.isnan(self.quality):
            return ""
        return "contradicts" if self.quality < CONTRADICTED else "disagrees" if self.doubted else "agrees"

    @property
    def doubted(self) -> bool:
        """Whether the classifier disagrees."""
        return self.quality < DOUBTED

    @property
    def predicted(self) -> Value:
        """The classifier's value of the label; None: no classifier was asked."""
        if self.expected is None:
            return None
        if self.label == "age":
            return float(min(round(self.expected), OLDEST_YEARS))
        likely = self.expected > 0.5
        return ("female" if likely else "male") if self.label == "sex" else likely


@dataclass(frozen=True, slots=True)
class ReviewedFace:
    """A face of the dataset with its labels in the order in which they matter."""

    row: int
    place: int  # in the queue, from 1; 0: it is not in it
    about: catalog.CatalogRow
    first: tuple[LabelCheck, ...]  # sex, age, and what the classifier disagrees with
    more: tuple[LabelCheck, ...]

    @property
    def checks(self) -> tuple[LabelCheck, ...]:
        """All labels: sex and age first."""
        return tuple(sorted((*self.first, *self.more), key=lambda check: check.label not in FIXED))

    @property
    def doubted(self) -> bool:
        """Whether the classifier disagrees with a label."""
        return any(check.doubted for check in self.checks)


@dataclass(frozen=True, slots=True)
class ReviewSummary:
    """What is reviewed, and how much of it is suspicious."""

    faces: int
    labels: tuple[str, ...]
    doubted: int  # faces with a label that the classifier disagrees with
    contradicted: int  # of them firmly
    classifiers: tuple[str, ...]


class Review:
    """A dataset as its sources said it, what a classifier thinks of it, and the queue of its faces."""

    def __init__(self, data: FaceDataset, found: Suspicions, queue: ReviewQueue, title: str) -> None:
        self.data, self.found, self.queue, self.title = data, found, queue, title
        self._rows = {face.id: row for row, face in enumerate(data.faces)}
        self._places = {face: place for place, face in enumerate(queue.queue, 1)}

    def has(self, face: str) -> bool:
        """Whether the dataset has a face of that id."""
        return face in self._rows

    @property
    def classifiers(self) -> tuple[str, ...]:
        """What judged the labels, the strongest first."""
        return tuple(sorted({self.found.views[label].by for label in self.found.labels}, key=lambda by: by != CROSSED))

    def crop(self, row: int) -> bytes:
        """The JPEG of a face as it is stored. ``RequestError`` for a row that is not there."""
        if not 0 <= row < len(self.data):
            raise RequestError("crop: this dataset has no such face")
        face = self.data.faces[row]
        return catalog.read_shard(self.data.dest, str(face.shard), [int(face.row_in_shard or 0)])[0]

    def face(self, face: str) -> ReviewedFace:
        """What is known of a face."""
        row = self._rows[face]
        checks = [self._check(row, label) for label in (*FIXED, *self._attributes(row))]
        fixed, others = checks[: len(FIXED)], checks[len(FIXED) :]
        others.sort(key=lambda check: -_confidence(check))
        first = [check for check in others if check.doubted] or others[:1]
        more = tuple(check for check in others if check not in first)
        order = (*fixed, *first) if set(FIXED) & set(self.found.labels) else (*first, *fixed)
        return ReviewedFace(row, self._places.get(face, 0), self.data.faces[row], order, more)

    def decision(self, face: str, action: Action, changes: Mapping[str, Value]) -> Decision:
        """What an answer means: ``keep`` the labels but for ``changes``, take the ``classifier``'s view of the labels
        that it disagrees with, or ``reject`` the face.
        """
        sha256 = self.data.faces[self._rows[face]].sha256
        if action == "reject":
            return Decision(face, sha256, "rejected", {})
        if action == "classifier":
            changes = {check.label: check.predicted for check in self.face(face).checks if check.doubted}
        return Decision(face, sha256, "corrected" if changes else "accepted", changes)

    def summary(self) -> ReviewSummary:
        """What is reviewed, how much of it is suspicious, and who says so."""
        worst = self.found.worst()[[self._rows[face] for face in self.queue.queue]]
        doubted, contradicted = (int((worst < limit).sum()) for limit in (DOUBTED, CONTRADICTED))
        return ReviewSummary(len(worst), self.found.labels, doubted, contradicted, self.classifiers)

    def _attributes(self, row: int) -> list[str]:
        """The asked attributes that the face has a label of."""
        asked = (label for label in self.found.labels if label not in FIXED)
        return [label for label in asked if label_of(self.data.faces[row], label) is not None]

    def _check(self, row: int, label: str) -> LabelCheck:
        view, quality = self.found.views.get(label), math.nan
        if label in self.found.labels:
            quality = float(self.found.quality[row, self.found.labels.index(label)])
        expected, spread = (None, 0.0) if view is None else (float(view.expected[row]), float(view.spread[row]))
        return LabelCheck(label, label_of(self.data.faces[row], label), expected, spread, quality)


def _confidence(check: LabelCheck) -> float:
    """How sure the classifier is against the label, to the per cent; 0 where it was not judged."""
    return 0.0 if math.isnan(check.quality) else round(100 * (1 - check.quality))


def open_review(
    dest: Path, *, labels: Sequence[str] = (), store: str | None = None, limit: int | None = None,
    on_stage: OnStage = silent,
) -> tuple[Review, Store]:  # fmt: skip
    """The review of the dataset in ``dest``, and its open store, which the caller closes.

    ``labels`` (none: sex and age) and ``limit`` choose what is reviewed and how many faces. ``RequestError`` for a
    label that is not there or another store than before; ``DatasetError``; ``StoreError``.
    """
    data = FaceDataset.open(dest, corrected=False)
    asked = chosen(data, labels)
    place, opened = settle_place(dest, store)
    try:
        found = suspicions(data, asked, load_encoder, on_stage)
        queue = ReviewQueue(opened, place.dataset, [data.faces[int(row)].id for row in found.order()[:limit]])
        queue.retire({face.id: face.sha256 for face in data.faces})
    except BaseException:
        opened.close()
        raise
    return Review(data, found, queue, dest.resolve().name), opened
