"""What tells people apart, and how a code comes to a condition with as little of it changed as can be.

Faces are drawn, encoded again, and FaceNet's embedding of the picture is predicted from the code
(``training/people.py``): ``people`` (K R) is that linear map, reduced to its R leading directions, so that
|people.T @ change| says how far the person in the picture moves when a code changes. Two things follow from it.

*The metric of moves.* Of all changes d of a code that bring its scores where they are wanted, the one is taken that
makes |people.T d|^2 + ``REGULARISER`` d' S^-1 d least, S the covariance within the Gaussians: mostly the person stays,
and what is changed is still what faces have. By S alone (the Gaussian's regression) everybody moves toward the mean of
those who have the mark, and with it toward one person. Where few words are asked for people are not alike anyway, and
a mark is plainer the freer its move is: ``regulariser_of``.

*Wider where people differ.* A condition narrows what is left to be different. Draws are ``SEPARATION`` times as wide
along the R directions in which people differ (whitened by S, those of the largest change of person) and as the data
elsewhere: widening everything makes light and colour extreme, and caricatures.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]

REGULARISER = 0.6
REGULARISER_OF_ONE = 3.0
SEPARATION = 1.5


def reduced(reading: Float64Array, pooled: Float64Array, rank: int) -> Float64Array:
    """K R: the ``rank`` leading directions of a map (K D) of codes whose covariance is ``pooled``; K in all of them.

    Leading is what changes the person most for one deviation of the code. The squares of the result sum to K, as
    those of an identity matrix do, so that ``REGULARISER`` does not depend on the scale of an embedding.
    """
    root = np.linalg.cholesky(pooled)
    left, size, _ = np.linalg.svd(root.T @ reading, full_matrices=False)
    found = np.linalg.solve(root.T, left[:, :rank] * size[:rank])
    return np.asarray(found * np.sqrt(len(found) / (found**2).sum()))


def regulariser_of(words: int) -> float:
    """How freely codes move to so many words: ``REGULARISER_OF_ONE`` shared among them, ``REGULARISER`` at least."""
    return max(REGULARISER, REGULARISER_OF_ONE / max(words, 1))


def metric_of(people: Float64Array, pooled: Float64Array, ease: float = REGULARISER) -> Float64Array:
    """K K: the inverse of what a move costs."""
    return np.asarray(np.linalg.inv(people @ people.T + ease * np.linalg.inv(pooled)))


def variance_scaling(people: Float64Array, pooled: Float64Array, by: float = SEPARATION) -> Float64Array:
    """K K: makes codes of covariance ``pooled`` ``by`` times as wide along ``people``, and no wider elsewhere."""
    root = np.linalg.cholesky(pooled)
    along = np.linalg.qr(root.T @ people).Q  # K R, of white codes
    return np.asarray(np.eye(len(root)) + (by - 1) * root @ along @ np.linalg.solve(root.T, along).T)
