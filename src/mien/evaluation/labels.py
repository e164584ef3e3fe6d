"""Which faces of a dataset carry which attribute: one table, its rows faces and its columns attributes.

A mark is what the source calls present. What is not marked may be absent or, where the source does not tell the two
apart (``CatalogRow.absent_is_sure``), unsure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.attributes import NAMES
from mien.core.errors import DatasetError
from mien.datasets.catalog import CatalogRow

Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class AttributeLabels:
    """N faces of known attributes. Row k of every array is row ``rows[k]`` of the dataset."""

    names: tuple[str, ...]  # A
    rows: Rows  # N
    marked: Mask  # N A
    people: tuple[str, ...]  # N: faces of one person (or of near-equal photos) share a word
    splits: tuple[str, ...]  # N
    absent_is_sure: bool

    def __len__(self) -> int:
        return len(self.rows)

    def pick(self, places: npt.NDArray[np.int64] | Mask) -> AttributeLabels:
        """Some of the faces, by index or mask."""
        kept = np.arange(len(self))[places]
        return AttributeLabels(
            self.names,
            self.rows[kept],
            self.marked[kept],
            tuple(self.people[k] for k in kept),
            tuple(self.splits[k] for k in kept),
            self.absent_is_sure,
        )

    def of(self, name: str) -> Mask:
        """N: who carries the attribute ``name``."""
        return self.marked[:, self.names.index(name)]


def attribute_labels(faces: Sequence[CatalogRow]) -> AttributeLabels:
    """The attributes of every face whose source speaks of any; ``DatasetError`` where none does.

    ``faces`` are those of a ``FaceDataset``, in its order. Attributes come in the order of the vocabulary.
    """
    rows = [k for k, face in enumerate(faces) if face.attributes_present or face.attributes_absent]
    if not rows:
        raise DatasetError("no face of the dataset has attributes; wanted is a source with labels for them, as LFW")
    said = {name for k in rows for name in (*faces[k].attributes_present, *faces[k].attributes_absent)}
    names = tuple(name for name in NAMES if name in said)
    column = {name: place for place, name in enumerate(names)}
    marked = np.zeros((len(rows), len(names)), np.bool_)
    for place, k in enumerate(rows):
        marked[place, [column[name] for name in faces[k].attributes_present if name in column]] = True
    return AttributeLabels(
        names=names,
        rows=np.array(rows, np.int64),
        marked=marked,
        people=tuple(faces[k].group or faces[k].person or faces[k].id for k in rows),
        splits=tuple(faces[k].split or "" for k in rows),
        absent_is_sure=all(faces[k].absent_is_sure for k in rows),
    )


def one_a_person(people: Sequence[str], random: np.random.Generator, among: Mask | None = None) -> Rows:
    """Places of one face of every person, drawn at random, in random order; ``among`` limits who may be drawn.

    Photos of one person resemble each other: a statistic that takes its samples as independent wants one of each.
    """
    order = random.permutation(len(people))
    if among is not None:
        order = order[among[order]]
    first: dict[str, int] = {}
    for place in order:
        first.setdefault(people[place], int(place))
    return np.array(list(first.values()), np.int64)
