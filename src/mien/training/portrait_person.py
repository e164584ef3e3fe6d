"""What features say of the person rather than of the photo: their posterior mean given one photo.

Two-covariance PLDA (Ioffe 2006, "Probabilistic linear discriminant analysis"; in this form Brümmer and de Villiers,
2010): features of a photo are z = m + y + e, the person's y ~ N(0, B) and the photo's e ~ N(0, W), and of one photo

    E[y | z] = B (B + s W + f I)^-1 (z - m).

Departures: a strength ``s`` (1: the model's own), a floor ``f`` since 1,792 values are estimated from some thousand
people, and only the directions with the largest shares are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import DatasetError
from mien.core.records import Float32Array

MOST_PHOTOS = 6  # of one person count in full; more only share that weight
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PersonDirections:
    """E[y | z] = ((z - common) @ inward) @ outward."""

    common: Matrix  # F: m
    inward: Matrix  # F R
    outward: Matrix  # R F
    shares: Matrix  # R: how much of a photo's value along each is the person's, in [0, 1], falling


def covariances(known: Float32Array, people: Sequence[str | None]) -> tuple[Matrix, Matrix, Matrix]:
    """Mean (F), covariance between people (F F, no negative part) and within them (F F) of features (N F).

    A person weighs as many photos as there are, but no more than ``MOST_PHOTOS``; faces of nobody known are left out.
    ``DatasetError`` where nobody was photographed twice.
    """
    named = [place for place, person in enumerate(people) if person is not None]
    _, person_of, counts = np.unique([str(people[place]) for place in named], return_inverse=True, return_counts=True)
    if not len(counts) or counts.max() < 2:
        raise DatasetError("portraits: nobody in the training split was photographed twice; named people are wanted")
    values = known[named].astype(np.float64)
    means = np.zeros((len(counts), values.shape[1]))
    np.add.at(means, person_of, values)
    means /= counts[:, None]
    per_person = np.minimum(counts, MOST_PHOTOS).astype(np.float64)
    common = per_person @ means / per_person.sum()

    several = counts[person_of] > 1
    weights = per_person[person_of] / np.maximum(counts[person_of] - 1, 1)  # the sum of squares is n - 1 variances
    apart = ((values - means[person_of]) * np.sqrt(weights)[:, None])[several]
    within = apart.T @ apart / per_person[counts > 1].sum()
    photos = (values - common) * np.sqrt(per_person / counts)[person_of][:, None]
    spread, axes = np.linalg.eigh(photos.T @ photos / per_person.sum() - within)
    return common, (axes * spread.clip(0)) @ axes.T, within


def person_directions(
    known: Float32Array, people: Sequence[str | None], *, strength: float, floor: float, rank: int
) -> PersonDirections:
    """Fit to features (N F) of photos of ``people``; at most ``rank`` directions. Raises as ``covariances``."""
    common, between, within = covariances(known, people)
    root = np.linalg.cholesky(between + strength * within + floor * np.eye(len(within)))
    whitened = np.linalg.solve(root, np.linalg.solve(root, between).T)  # L^-1 B L^-T
    shares, axes = np.linalg.eigh((whitened + whitened.T) / 2)
    kept = np.argsort(shares)[::-1][:rank]
    return PersonDirections(
        common, np.linalg.solve(root.T, axes[:, kept]), (shares[kept][:, None] * axes[:, kept].T) @ root.T, shares[kept]
    )
