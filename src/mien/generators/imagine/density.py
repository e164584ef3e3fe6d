"""The mixture of `mien`: an explicit density over encoder features that knows how attributes go together.

The paper's mixture (``mixture.py``) averages one diagonal Gaussian an attribute; its faces come out "very close to the
mean image" (section 7). Here features are K principal coefficients (a *code*, each of unit variance) under C Gaussians
with full, shrunk covariances, and isotropic noise off the axes (Tipping and Bishop's mixture of probabilistic
principal components, 1999, with shared axes). Attributes are linear scores of the code, so that any set of them is a
set of conditions on the same Gaussians (``conditional.py``): all at once, correlations included, nothing averaged.

How scores go together is the Gaussian's own matter; how a code comes to its scores is not. By the Gaussian's regression
every smiling man is moved toward the mean of smiling men, and men who share a condition grow more alike than real ones.
So whoever is drawn begins as anybody and comes to the scores with as little change of person as can be: ``people.py``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mien.core.errors import RequestError
from mien.core.seeding import stream
from mien.generators.imagine.conditional import Bounds, Start, correction, sample_scores, start
from mien.generators.imagine.nuisance import NUISANCE
from mien.generators.imagine.people import metric_of, regulariser_of, variance_scaling

Float64Array = npt.NDArray[np.float64]
Wanted = Mapping[str, bool | float]  # attribute -> True, False, or how far it is there, in (0, 1)

AGE = "age"  # a score beside the attributes, in years / 100
REGULAR = 1e-4
# Of many wanted attributes each may score less: real faces with twenty marks do not score high on all of them, and
# who must score high on many grows alike. A mark that few have is asked for more strictly than one that most have.
LENIENCE, LEAST, RARE = 0.11, 0.3, 0.5
SURE = {"Male": 1.2}  # its strictness, however many words there are: it is what one sees first
YOUNG, YOUNG_AT_MOST = ("Baby", "Child"), 0.2
# Who is to be of an age is another person rather than the same one changed: nobody is kept who they are for these.
OF_AN_AGE = (AGE, *YOUNG)
# The power of a condition over which Gaussian a face comes from. At 1 all come from one or two where it is least rare.
LISTENS = 0.3


@dataclass(frozen=True, slots=True)
class Frame:
    """Features (F) <-> codes (K): ``code = ((feature - mean) / deviation - centre) @ axes / scale``."""

    mean: Float64Array  # F
    deviation: Float64Array  # F
    axes: Float64Array  # F K, orthonormal
    scale: Float64Array  # K
    rest: float  # variance of the standardised features along each of the F - K other directions

    def codes(self, features: npt.ArrayLike) -> Float64Array:
        """Features N F -> codes N K."""
        known = (np.asarray(features, np.float64) - self.mean) / self.deviation
        return np.asarray(known @ self.axes / self.scale)

    def features(self, codes: npt.ArrayLike) -> Float64Array:
        """Codes N K -> features N F; what lies off the axes is the mean."""
        return np.asarray(np.asarray(codes, np.float64) * self.scale @ self.axes.T * self.deviation + self.mean)


@dataclass(frozen=True, slots=True)
class Probes:
    """Scores of A attributes: ``codes @ weights + intercepts``; what they are where the attribute is there and not.

    Of readings that nobody asks for (``nuisance.py``) the two levels are the bounds that they are kept within.
    """

    names: tuple[str, ...]
    weights: Float64Array  # K A
    intercepts: Float64Array  # A
    present: Float64Array  # A: mean score of the faces that have it
    absent: Float64Array  # A: of those that have not

    def index(self, name: str) -> int:
        """The column of an attribute; ``RequestError`` with what is allowed."""
        if name not in self.names:
            raise RequestError(f"attribute: '{name}' given; allowed: {', '.join(self.names)}")
        return self.names.index(name)

    def scores(self, codes: npt.ArrayLike) -> Float64Array:
        """Codes N K -> scores N A."""
        return np.asarray(np.asarray(codes, np.float64) @ self.weights + self.intercepts)

    def level(self, name: str, degree: float) -> float:
        """The score at which an attribute is there to ``degree``: 0 like those without, 1 like those with it."""
        k = self.index(name)
        return float(self.absent[k] + degree * (self.present[k] - self.absent[k]))


@dataclass(frozen=True)
class Components:
    """C Gaussians over codes."""

    weights: Float64Array  # C, sum 1
    means: Float64Array  # C K
    covariances: Float64Array  # C K K

    @cached_property
    def factors(self) -> Float64Array:
        """C K K: lower Cholesky factors."""
        found = np.linalg.cholesky(self.covariances + REGULAR * np.eye(self.means.shape[1]))
        return np.asarray(found, np.float64)

    def log_each(self, codes: npt.ArrayLike) -> Float64Array:
        """N C: log of weight times density of each component."""
        values = np.asarray(codes, np.float64)
        found = np.empty((len(values), len(self.weights)))
        for k, factor in enumerate(self.factors):
            white = np.linalg.inv(factor) @ (values - self.means[k]).T
            log_determinant = np.log(np.diag(factor)).sum()
            constant = values.shape[1] / 2 * math.log(2 * math.pi)
            found[:, k] = np.log(self.weights[k]) - (white**2).sum(0) / 2 - log_determinant - constant
        return found

    def log_density(self, codes: npt.ArrayLike) -> Float64Array:
        """N: log density of codes, in nats."""
        each = self.log_each(codes)
        peak = each.max(1, keepdims=True)
        return np.asarray(peak[:, 0] + np.log(np.exp(each - peak).sum(1)))


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wanted of a face: attributes, an age range in years, whether all else stays average, and no child."""

    attributes: Wanted = field(default_factory=dict)
    ages_years: tuple[float, float] | None = None
    typical: bool = False
    adults_only: bool = False  # no baby and no child


@dataclass(frozen=True, slots=True)
class CompiledCondition:
    """A condition worked out once for all faces: which scores, their bounds, and what each component makes of them."""

    columns: tuple[int, ...]
    bounds: Bounds
    probabilities: Float64Array  # C: of each component, given the condition
    starts: tuple[Start | None, ...]  # C
    typical: bool
    metric: Float64Array | None = None  # K K: what a move costs is its inverse; None: that of each Gaussian
    of_an_age: tuple[int, ...] = ()  # places among ``columns`` that are brought about first, by each Gaussian


@dataclass(frozen=True)
class FaceDensity:
    """Draws codes that keep a condition, and says how probable features are."""

    frame: Frame
    components: Components
    probes: Probes
    # One wanted attribute that half of all have scores at least this: 0 like the faces without it, 1 like those with.
    strictness: float = 1.1
    people: Float64Array | None = None  # K R: how who it is depends on the code (``people.py``)

    @cached_property
    def centre(self) -> Float64Array:
        """K: the mean code."""
        return np.asarray(self.components.weights @ self.components.means)

    @cached_property
    def factors(self) -> Float64Array:
        """C K K: a factor of each Gaussian's covariance, wider along what tells people apart."""
        own = self.components.factors
        return own if self.people is None else variance_scaling(self.people, self.pooled) @ own

    @cached_property
    def pooled(self) -> Float64Array:
        """K K: the mean of the Gaussians' covariances."""
        return np.asarray(np.einsum("c,cij->ij", self.components.weights, self.components.covariances))

    def log_density(self, features: npt.ArrayLike) -> Float64Array:
        """N: log density of features N F, in nats."""
        frame = self.frame
        known = (np.asarray(features, np.float64) - frame.mean) / frame.deviation
        along = known @ frame.axes  # N K
        off = (known**2).sum(1) - (along**2).sum(1)
        other = known.shape[1] - along.shape[1]
        outside = -off / (2 * frame.rest) - other / 2 * math.log(2 * math.pi * frame.rest)
        volume = np.log(frame.scale).sum() + np.log(frame.deviation).sum()
        return np.asarray(self.components.log_density(along / frame.scale) + outside - volume)

    def compile(self, condition: Condition, temperature: float = 1.0) -> CompiledCondition:
        """Work a condition out. ``RequestError`` for an unknown attribute."""
        columns, low, high = self._bounds(condition)
        bounds = Bounds(np.array(low), np.array(high))
        if not columns:
            nothing: tuple[Start | None, ...] = (None,) * len(self.components.weights)
            return CompiledCondition((), bounds, self.components.weights, nothing, condition.typical)
        directions, shift = self.probes.weights[:, columns], self.probes.intercepts[list(columns)]
        starts = []
        for k, (mean, covariance) in enumerate(zip(self.components.means, self.components.covariances, strict=True)):
            inner = directions.T @ covariance @ directions * temperature**2
            starts.append(start(mean @ directions + shift, inner, bounds, stream(0, "imagine", k)))
        asked = {*condition.attributes, *([] if condition.ages_years is None or condition.adults_only else [AGE])}
        of_an_age = tuple(k for k, c in enumerate(columns) if self.probes.names[c] in asked.intersection(OF_AN_AGE))
        power = 1.0 if condition.typical or of_an_age or self.people is None else LISTENS
        log_probabilities = np.log(self.components.weights) + power * np.array([one.log_probability for one in starts])
        probabilities = np.exp(log_probabilities - log_probabilities.max())
        ease = regulariser_of(len(condition.attributes))
        metric = None if self.people is None else metric_of(self.people, self.pooled, ease)
        return CompiledCondition(
            tuple(columns),
            bounds,
            probabilities / probabilities.sum(),
            tuple(starts),
            condition.typical,
            metric,
            of_an_age,
        )

    def draw(
        self,
        compiled: CompiledCondition,
        draws: np.random.Generator,
        temperature: float = 1.0,
        free: Float64Array | None = None,
    ) -> Float64Array:
        """One code (K) that keeps the compiled condition; ``temperature`` scales the deviation of everything.

        ``free``: the standard normals (K) that decide what the condition leaves open, where ``draws`` are not to
        (``apart.py``).
        """
        k = min(int(np.searchsorted(compiled.probabilities.cumsum(), draws.random())), len(compiled.probabilities) - 1)
        mean, covariance = self.components.means[k], self.components.covariances[k]
        normals = draws.standard_normal(len(mean)) if free is None else free
        begin = compiled.starts[k]
        if compiled.typical or compiled.of_an_age or begin is None:
            code = mean + temperature * (self.components.factors[k] @ normals)
        else:  # anybody: of the Gaussian only how it spreads; its mean is what all who share the condition would share
            code = (mean if self.people is None else self.centre) + temperature * (self.factors[k] @ normals)
        columns = list(compiled.columns)
        scores = np.zeros(0)
        if begin is not None:
            directions = self.probes.weights[:, columns]
            centre = mean @ directions + self.probes.intercepts[columns]
            inner = directions.T @ covariance @ directions * temperature**2
            scores = sample_scores(centre, inner, compiled.bounds, begin, draws)
        if compiled.typical:
            columns, scores = self._all_scores(k, columns, scores)
        if not columns:
            return np.asarray(code)
        if compiled.of_an_age and not compiled.typical:
            first = list(compiled.of_an_age)
            code = code + self._correct(covariance, code, [columns[k] for k in first], scores[first])
        metric = covariance if compiled.typical or compiled.metric is None else compiled.metric
        return np.asarray(code + self._correct(metric, code, columns, scores))

    def moved(self, features: Float64Array, compiled: CompiledCondition) -> Float64Array:
        """Features (F) changed along the axes as ``move`` changes their code; what lies off the axes stays."""
        code = self.frame.codes(features[None])
        after = self.move(code[0], compiled)[None]
        return np.asarray(features + (self.frame.features(after) - self.frame.features(code))[0])

    def move(self, code: Float64Array, compiled: CompiledCondition, component: int | None = None) -> Float64Array:
        """A given code (K), changed as little as the metric allows so that it keeps the bounds of what is asked.

        What nobody asks for stays as it is given.
        """
        asked = [k for k, column in enumerate(compiled.columns) if self.probes.names[column] not in NUISANCE]
        columns = [compiled.columns[k] for k in asked]
        if not columns:
            return code
        own = int(self.components.log_each(code[None])[0].argmax()) if component is None else component
        scores = self.probes.scores(code[None])[0][columns]
        wanted = np.clip(scores, compiled.bounds.low[asked], compiled.bounds.high[asked])
        metric = self.components.covariances[own] if compiled.metric is None else compiled.metric
        return code + self._correct(metric, code, columns, wanted)

    def _correct(
        self, metric: Float64Array, code: Float64Array, columns: list[int], scores: Float64Array
    ) -> Float64Array:
        missing = scores - self.probes.scores(code[None])[0][columns]
        return np.asarray(correction(metric, self.probes.weights[:, columns]) @ missing)

    def _all_scores(self, k: int, columns: list[int], scores: Float64Array) -> tuple[list[int], Float64Array]:
        """Every score: those wanted, and the others at their mean given those."""
        mean = self.components.means[k]
        if columns:
            given = self.probes.weights[:, columns]
            missing = scores - (mean @ given + self.probes.intercepts[columns])
            mean = mean + correction(self.components.covariances[k], given) @ missing
        values = self.probes.scores(mean[None])[0]
        return list(range(len(values))), values

    def _bounds(self, condition: Condition) -> tuple[list[int], list[float], list[float]]:
        columns, low, high = [], [], []
        for name, degree in condition.attributes.items():
            columns.append(self.probes.index(name))
            least = self._least(name, bool(degree), len(condition.attributes))
            if degree is True:
                bounds = self.probes.level(name, least), math.inf
            elif degree is False:
                bounds = -math.inf, self.probes.level(name, 1 - least)
            else:
                bounds = (self.probes.level(name, float(degree)),) * 2
            low.append(bounds[0])
            high.append(bounds[1])
        if condition.adults_only:
            for name in YOUNG:
                if name in self.probes.names and name not in condition.attributes:
                    columns.append(self.probes.index(name))
                    low.append(-math.inf)
                    high.append(self.probes.level(name, YOUNG_AT_MOST))
        if condition.ages_years is not None:
            columns.append(self.probes.index(AGE))
            low.append(condition.ages_years[0] / 100)
            high.append(condition.ages_years[1] / 100)
        for name in NUISANCE:
            if name in self.probes.names:
                columns.append(self.probes.index(name))
                low.append(float(self.probes.absent[columns[-1]]))
                high.append(float(self.probes.present[columns[-1]]))
        return columns, low, high

    def _least(self, name: str, there: bool, words: int) -> float:
        """The degree to which an attribute must be there (or not), of so many that are wanted."""
        if name in SURE:
            return SURE[name]
        k = self.probes.index(name)
        score, absent, present = (
            self.probes.scores(self.centre[None])[0][k],
            self.probes.absent[k],
            self.probes.present[k],
        )
        average = min(max(float((score - absent) / (present - absent)), 0.0), 1.0)
        common = self.strictness - LENIENCE * (words - 1) + RARE * (0.5 - (average if there else 1 - average))
        return max(common, LEAST)
