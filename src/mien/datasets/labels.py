"""What a catalogue knows of the attributes of its faces, as arrays in the order of the vocabulary."""

from __future__ import annotations

import numpy as np

from mien.attributes.targets import FaceLabels
from mien.attributes.vocabulary import NAMES
from mien.datasets.batches import FaceDataset, Rows


def face_labels(data: FaceDataset, rows: Rows) -> FaceLabels:
    """The attributes, sexes and ages of ``rows``.

    A face whose source names no attribute at all has unknown marks. An attribute that a source with attributes does
    not speak of counts as not marked.
    """
    places = {name: place for place, name in enumerate(NAMES)}
    marks = np.full((len(rows), len(NAMES)), np.nan, np.float32)
    for k, row in enumerate(rows):
        face = data.faces[int(row)]
        if not any(name in places for name in (*face.attributes_present, *face.attributes_absent)):
            continue
        marks[k] = 0
        marks[k, [places[name] for name in face.attributes_present if name in places]] = 1
    return FaceLabels(marks, data.female[rows], data.ages_years[rows])
