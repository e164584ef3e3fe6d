"""The custom Gaussian mixture of the paper: equations 2 to 4 of Cate, Dalvi and Hussain, *DeepFace* (2016).

For each attribute f_j one Gaussian N(mu_j, Sigma_j), Sigma_j diagonal, of the activations phi_l at a layer l of the
images S_j that have it, all S_j of one size. A face with the set C of attributes is aimed at

    s = 1/|C| sum_{j in C} w_j z_j,   z_j ~ N(mu_j, Sigma_j)                    (2)

with weights that minimise

    1/|D| sum_i |phi_l(I_i) - Phi_i|^2 + lambda |w|^2                            (3)
    Phi_i = 1/|C_i| sum_{j in C_i} w_j mu_j                                      (4)

Equation 3 is quadratic in w. All that it and the Gaussians need of the data are sums that one pass collects
(``GaussianSums``, ``ImageSums``), in float64, so that neither the number of images nor the size of the layer meets the
memory. Departure: images without any attribute are left out of D, because equation 4 divides by |C_i|.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.errors import RequestError, TooFewError, TrainingError
from mien.core.seeding import stream

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Progress = Callable[[int, float], None]  # step, loss

LAMBDA = 1e-5  # section 6: "our final learning rate and regularization parameter are 1e-11 and 1e-5"
FIRST_RATE = 1e-6  # section 5.2: "we start by arbitrarily setting the learning rate" to it
HIGH_RATE = 1e4  # where we start: the highest rate at which the loss falls is found from above
STEPS = 2000


@dataclass(frozen=True, slots=True)
class DiagonalMoments:
    """Count, mean and centred sum of squares of each column, in float64, merged pairwise (Chan et al., 1979)."""

    n: int
    mean: Float64Array  # D
    squares: Float64Array  # D: sum of (x - mean)^2

    @classmethod
    def empty(cls, dimensions: int) -> DiagonalMoments:
        """No rows yet."""
        return cls(0, np.zeros(dimensions), np.zeros(dimensions))

    def add(self, rows: npt.ArrayLike) -> DiagonalMoments:
        """These moments and those of rows (N D)."""
        values = np.asarray(rows, np.float64)
        if not len(values):
            return self
        mean = values.mean(0)
        return self.merge(DiagonalMoments(len(values), mean, ((values - mean) ** 2).sum(0)))

    def merge(self, other: DiagonalMoments) -> DiagonalMoments:
        """The moments of both sets of rows together."""
        n = self.n + other.n
        if n == 0:
            return self
        delta = other.mean - self.mean
        squares = self.squares + other.squares + delta**2 * (self.n * other.n / n)
        return DiagonalMoments(n, self.mean + delta * (other.n / n), squares)

    def variance(self) -> Float64Array:
        """D, divisor n - 1; needs two rows (``TooFewError``)."""
        if self.n < 2:
            raise TooFewError(f"variance: {self.n} rows, needed are 2 or more")
        return self.squares / (self.n - 1)


def choose_sets(has: BoolArray, size: int, seed: int) -> dict[int, npt.NDArray[np.int64]]:
    """S_j: for each column of ``has`` (N A) ``size`` random rows that have it; columns with fewer are left out."""
    found = {}
    for column in range(has.shape[1]):
        rows = np.flatnonzero(has[:, column])
        if len(rows) >= size:
            found[column] = np.sort(stream(seed, "set", column).choice(rows, size, replace=False)).astype(np.int64)
    return found


@dataclass(frozen=True, slots=True)
class Gaussians:
    """One diagonal Gaussian an attribute: means and variances A D."""

    names: tuple[str, ...]
    means: Float64Array
    variances: Float64Array


class GaussianSums:
    """Collects the Gaussians of the sets S_j from batches of activations, one pass, two D-vectors an attribute."""

    def __init__(self, sets: dict[int, npt.NDArray[np.int64]], dimensions: int) -> None:
        self.sets = sets
        self.moments = {column: DiagonalMoments.empty(dimensions) for column in sets}

    def add(self, rows: npt.NDArray[np.int64], activations: npt.ArrayLike) -> None:
        """Activations N D of the images with numbers ``rows`` (N)."""
        values = np.asarray(activations)
        for column, members in self.sets.items():
            inside = np.isin(rows, members)
            if inside.any():
                self.moments[column] = self.moments[column].add(values[inside])

    def gaussians(self, names: Sequence[str]) -> Gaussians:
        """Of the attributes that have a set; ``names`` are those of the columns."""
        columns = list(self.moments)
        means = np.stack([self.moments[column].mean for column in columns])
        variances = np.stack([self.moments[column].variance() for column in columns])
        return Gaussians(tuple(names[column] for column in columns), means, variances)


@dataclass(frozen=True)
class ImageSums:
    """What equation 3 needs of the images, whatever the Gaussians turn out to be: a D-vector an attribute."""

    n: int
    square: float  # sum of |phi_i|^2
    pairs: Float64Array  # A A: sum over i of 1 / |C_i|^2 for j and k in C_i
    sums: Float64Array  # A D: sum over i of phi_i / |C_i| for j in C_i

    @classmethod
    def empty(cls, attributes: int, dimensions: int) -> ImageSums:
        """No images yet."""
        return cls(0, 0.0, np.zeros((attributes, attributes)), np.zeros((attributes, dimensions)))

    def add(self, activations: npt.ArrayLike, has: BoolArray) -> ImageSums:
        """These sums and those of images with activations N D and attributes N A."""
        some = has.any(1)
        values = np.asarray(activations)[some].astype(np.float64)  # N D
        shares = has[some] / has[some].sum(1, keepdims=True)  # N A
        return ImageSums(
            self.n + len(values),
            self.square + float((values**2).sum()),
            self.pairs + shares.T @ shares,
            self.sums + shares.T @ values,
        )

    def weight_sums(self, means: Float64Array) -> WeightSums:
        """The sums of equation 3 for Gaussians with means A D."""
        return WeightSums(self.n, self.square, self.pairs * (means @ means.T), (self.sums * means).sum(1))


@dataclass(frozen=True)
class WeightSums:
    """Equation 3 of some images: the loss is ``(square - 2 right w + w gram w) / n + lambda |w|^2``."""

    n: int
    square: float
    gram: Float64Array  # A A: sum over i of <mu_j, mu_k> / |C_i|^2 for j and k in C_i
    right: Float64Array  # A: sum over i of <phi_i, mu_j> / |C_i| for j in C_i

    def loss(self, weights: Float64Array, penalty: float = LAMBDA) -> float:
        """Equation 3."""
        fit = self.square - 2 * self.right @ weights + weights @ self.gram @ weights
        return float(fit / self.n + penalty * weights @ weights)

    def gradient(self, weights: Float64Array, penalty: float = LAMBDA) -> Float64Array:
        """Of equation 3 by w (A)."""
        return np.asarray(2 * (self.gram @ weights - self.right) / self.n + 2 * penalty * weights)

    def ridge(self, penalty: float = LAMBDA) -> Float64Array:
        """The weights (A) at which the gradient is zero: equation 3 is linear least squares with a ridge."""
        found = np.linalg.solve(self.gram / self.n + penalty * np.eye(len(self.right)), self.right / self.n)
        return np.asarray(found, np.float64)


def together(sums: Sequence[WeightSums]) -> WeightSums:
    """The sums of all batches."""
    gram, right = sum(part.gram for part in sums), sum(part.right for part in sums)
    return WeightSums(
        sum(part.n for part in sums), sum(part.square for part in sums), np.asarray(gram), np.asarray(right)
    )


@dataclass(frozen=True, slots=True)
class Learned:
    """Weights that gradient descent found, the learning rate that it ended up with, and the losses on the way."""

    weights: Float64Array
    rate: float
    losses: tuple[float, ...]


def learn_weights(
    sums: Sequence[WeightSums],
    *,
    penalty: float = LAMBDA,
    steps: int = STEPS,
    first_rate: float = FIRST_RATE,
    seed: int = 0,
    progress: Progress | None = None,
) -> Learned:
    """Stochastic gradient descent on equation 3; each of ``sums`` is one batch of images.

    The learning rate is found as in section 5.2: from ``first_rate`` (the paper's) it is divided by ten "until the loss
    starts to decrease instead of diverging to infinity".
    """
    whole = together(sums)
    begin = np.ones(len(whole.right))
    rate, trial = first_rate, min(steps, max(20, 2 * len(sums)))
    while rate > 1e-30:
        weights, losses = _descend(sums, whole, begin, rate, penalty, trial, seed, None)
        # Not once above the beginning: a rate just below divergence swings first and falls later.
        if np.isfinite(losses).all() and max(losses[1:]) < losses[0]:
            weights, losses = _descend(sums, whole, begin, rate, penalty, steps, seed, progress)
            return Learned(weights, rate, tuple(losses))
        rate /= 10
    raise TrainingError("cGMM: the loss falls at no learning rate; are there activations that are not finite?")


def _descend(
    sums: Sequence[WeightSums],
    whole: WeightSums,
    begin: Float64Array,
    rate: float,
    penalty: float,
    steps: int,
    seed: int,
    progress: Progress | None,
) -> tuple[Float64Array, list[float]]:
    weights, losses = begin.copy(), [whole.loss(begin, penalty)]
    draws = stream(seed, "descent")
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps):
            batch = sums[int(draws.integers(len(sums)))]
            weights = weights - rate * batch.gradient(weights, penalty)
            if step % 10 == 9 or step == steps - 1:
                losses.append(whole.loss(weights, penalty))
                if progress is not None:
                    progress(step + 1, losses[-1])
    return weights, losses


@dataclass(frozen=True, slots=True)
class ClassMixture:
    """The mixture with its weights: targets for a set of attributes, and their density."""

    gaussians: Gaussians
    weights: Float64Array  # A
    layer: str
    shape: tuple[int, ...]  # of the layer's activations, without N

    def target(self, attributes: Sequence[str], draws: np.random.Generator | None = None) -> Float64Array:
        """Activations (``shape``) for a set of attributes.

        Without ``draws`` the weighted means (the paper's results), with them weighted samples (equation 2; section 7:
        "could allow for more variation from the mean image").
        """
        columns = self._columns(attributes)
        means, variances = self.gaussians.means[columns], self.gaussians.variances[columns]
        values = means if draws is None else means + np.sqrt(variances) * draws.standard_normal(means.shape)
        return np.asarray(self.weights[columns] @ values / len(columns)).reshape(self.shape)

    def log_density(self, activations: npt.ArrayLike, attributes: Sequence[str], floor: float = 1e-6) -> Float64Array:
        """N: log density in nats of activations N D, under equation 2 for a set of attributes.

        A weighted sum of independent Gaussians is Gaussian: mean 1/|C| sum w mu, variance 1/|C|^2 sum w^2 Sigma.
        """
        columns = self._columns(attributes)
        share = self.weights[columns] / len(columns)
        mean = share @ self.gaussians.means[columns]
        variance = (share**2 @ self.gaussians.variances[columns]).clip(floor)
        off = np.asarray(activations, np.float64) - mean
        return np.asarray(-((off**2 / variance) + np.log(2 * np.pi * variance)).sum(1) / 2)

    def _columns(self, attributes: Sequence[str]) -> list[int]:
        names = self.gaussians.names
        if not attributes:
            raise RequestError("attributes: none given; the paper's mixture wants one or more, for example: smiling")
        for name in attributes:
            if name not in names:
                raise RequestError(
                    f"attribute: '{name}' given, for which there were too few photos with it marked when this mixture "
                    f"was learned; allowed: {', '.join(names)}"
                )
        return [names.index(name) for name in attributes]
