"""What is known of faces -> what each of the 42 heads should answer.

*Unknown teaches nothing.* A face without a mark in a group that has no class for "none" does not train that head, nor
does a face of unknown sex train the head of sex (in LFW's marks a face that is not ``Male`` is "female or unsure").
*Two marks share.* Where the labels mark several members of a group that exclude each other by meaning, each is as
right as the other: the target is divided equally among them. Dropping such photos would throw away up to a seventh of
a group; taking one of the two would be a rule that no label supports.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.attributes.heads import FEMALE, MALE
from mien.attributes.vocabulary import GROUPS, NAMES

Float32Array = npt.NDArray[np.float32]
CLASSES = sum(len(group.classes) for group in GROUPS)
STARTS = np.cumsum([0, *(len(group.classes) for group in GROUPS)])  # 43: where the classes of a group begin and end


@dataclass(frozen=True, slots=True)
class FaceLabels:
    """What is known of N faces; NaN is unknown, never absent."""

    attributes: (
        Float32Array  # N 73, in the order of NAMES: 1 marked, 0 not (absent or unsure), NaN no row in the labels
    )
    female: Float32Array  # N: 1 female, 0 male
    ages_years: Float32Array  # N

    def __post_init__(self) -> None:
        n = len(self.female)
        if self.attributes.shape != (n, len(NAMES)) or self.ages_years.shape != (n,):
            raise ValueError(f"labels of shapes {self.attributes.shape}, {self.female.shape}, {self.ages_years.shape}")

    def __len__(self) -> int:
        return len(self.female)

    @property
    def marked(self) -> npt.NDArray[np.bool_]:
        """N: whether the face has a row in the labels of attributes."""
        return np.asarray(~np.isnan(self.attributes).any(1), np.bool_)

    def of(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> FaceLabels:
        """The labels of some rows."""
        return FaceLabels(self.attributes[rows], self.female[rows], self.ages_years[rows])


def group_targets(labels: FaceLabels) -> Float32Array:
    """N CLASSES: for each group the distribution that its head should answer; a row of NaN where it is unknown."""
    return np.concatenate([targets_of(labels, place) for place in range(len(GROUPS))], 1)


def targets_of(labels: FaceLabels, place: int) -> Float32Array:
    """N K: ``group_targets`` of one group, by its place in ``GROUPS``."""
    group = GROUPS[place]
    targets = np.full((len(labels), STARTS[place + 1] - STARTS[place]), np.nan, np.float32)
    if group.name == "sex":
        known = ~np.isnan(labels.female)
        targets[known, FEMALE] = labels.female[known]
        targets[known, MALE] = 1 - labels.female[known]
        return targets
    members = labels.attributes[:, [NAMES.index(name) for name in group.members]]
    count = np.nan_to_num(members).sum(1, keepdims=True)
    shares = members / np.maximum(count, 1)
    if group.none is not None:
        shares = np.concatenate([shares, count == 0], 1)
    known = np.asarray(labels.marked & ((count[:, 0] > 0) | (group.none is not None)), np.bool_)
    targets[known] = shares[known]
    return targets


def group_classes(labels: FaceLabels, group: int) -> npt.NDArray[np.int64]:
    """N: the one right class of a group (by its place in ``GROUPS``); -1 where it is unknown or shared."""
    part = targets_of(labels, group)
    return np.where((part == 1).sum(1) == 1, np.nan_to_num(part).argmax(1), -1).astype(np.int64)
