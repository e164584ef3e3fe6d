"""Which attributes a decoder shows, learned from what it draws.

A probe that was learned on photographs reads directions of the features that a decoder ignores: a draw that scores high
along those shows nothing. So faces are drawn, encoded again, and scored; and a second set of probes learns to predict
those scores from the code that was drawn. Conditions on *them* are conditions on what can be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.core.contract import FaceRequest
from mien.core.progress import OnProgress
from mien.core.records import UInt8Image
from mien.core.seeding import sample_generator, stream
from mien.generators.imagine.density import AGE, Condition, FaceDensity, Float64Array, Probes
from mien.generators.imagine.nuisance import NUISANCE, readings
from mien.training.probes import ridge

Draw = Callable[[Float64Array, list[FaceRequest]], list[UInt8Image]]  # features N F -> pictures
Encode = Callable[[list[UInt8Image]], npt.NDArray[Any]]  # pictures -> features N F

PAGE = 16
WISHES = 3  # attributes asked for at once, at most: the probes learn where they will be used
PENALTY = 0.1
TEMPERATURE = 1.15  # of the draws: somewhat wider than faces are, so that nothing is predicted beyond what was seen
LIGHT_PENALTY = 0.02  # of the readings that nobody asks for: of pixels, so they have little noise
WITHIN = {"face light": (0.05, 0.95)}  # quantiles of photographs ...
USUALLY_WITHIN = (0.2, 0.8)  # ... of the other readings: skin is to be as dark and as light as people's
REACH = 3.0  # deviations of a score over all draws: a level farther out asks for what the decoder cannot show


def drawn_and_seen(
    density: FaceDensity,
    draw: Draw,
    encode: Encode,
    count: int,
    seed: int,
    on_progress: OnProgress | None = None,
    temperature: float = TEMPERATURE,
) -> tuple[Float64Array, Float64Array]:
    """(codes N K that were drawn under random conditions, what ``encode`` sees of their pictures, N F)."""
    names = [name for name in density.probes.names if name not in (AGE, *NUISANCE)]
    codes, seen = [], []
    for first in range(0, count, PAGE):
        draws = stream(seed, "wishes", first)
        chosen = draws.choice(len(names), int(draws.integers(0, WISHES + 1)), replace=False)
        compiled = density.compile(Condition({names[k]: bool(draws.random() < 0.75) for k in chosen}), temperature)
        requests = [FaceRequest(seed, index) for index in range(first, first + PAGE)]
        drawn = np.stack([density.draw(compiled, sample_generator(r.seed, r.index), temperature) for r in requests])
        pictures = draw(density.frame.features(drawn), requests)
        codes.append(drawn)
        seen.append(np.asarray(encode(pictures), np.float64))
        if on_progress is not None:
            on_progress(min(first + PAGE, count), count)
    return np.concatenate(codes), np.concatenate(seen)


def with_visible_probes(density: FaceDensity, codes: Float64Array, scores: Float64Array) -> FaceDensity:
    """The density with probes that predict what is seen, and levels within what codes reach."""
    probes = visible_probes(density.probes, codes, scores)
    means = density.components.weights @ probes.scores(density.components.means)
    spread = probes.scores(codes).std(0)
    aged = np.array([name == AGE for name in probes.names])
    present = np.where(aged, probes.present, np.minimum(probes.present, means + REACH * spread))
    absent = np.where(aged, probes.absent, np.maximum(probes.absent, means - REACH * spread))
    return replace(density, probes=replace(probes, present=present, absent=absent))


def visible_probes(probes: Probes, codes: Float64Array, scores: Float64Array) -> Probes:
    """Probes that predict from codes N K what their pictures score (N A). The levels stay those of photographs."""
    weights = np.ones(scores.shape, np.float32)
    found = ridge(codes.astype(np.float32), scores.astype(np.float32), weights, PENALTY).astype(np.float64)
    return replace(probes, weights=found[:-1], intercepts=found[-1])


def with_nuisance(
    density: FaceDensity,
    draw: Draw,
    photographs: UInt8Image,
    count: int,
    seed: int,
    on_progress: OnProgress | None = None,
) -> FaceDensity:
    """The density that keeps light and colour within those of photographs (whole crops, N H W 3).

    ``count`` faces are drawn under random conditions, as wide as ``Imagine`` draws them, and their pictures are
    read; the bounds are quantiles of the photographs (``WITHIN``). The second half of them is drawn within those bounds
    already, so that the readings hold where they are asked for.
    """
    real = readings(photographs)
    bounds = np.stack(
        [np.quantile(real[:, k], WITHIN.get(name, USUALLY_WITHIN)) for k, name in enumerate(NUISANCE)], 1
    )  # 2 R
    own = _asked(density.probes)
    now = replace(density, probes=own)
    codes, seen = np.zeros((0, len(density.frame.scale))), np.zeros((0, len(NUISANCE)))
    for number, part in enumerate((count - count // 2, count // 2)):

        def advanced(done: int, of: int, before: int = len(codes)) -> None:
            if on_progress is not None:
                on_progress(before + done, count)

        more = drawn_and_seen(now, draw, readings, part, seed + number, advanced, temperature=1.0)
        codes, seen = np.concatenate([codes, more[0]]), np.concatenate([seen, more[1]])
        weights = np.ones(seen.shape, np.float32)
        found = ridge(codes.astype(np.float32), seen.astype(np.float32), weights, LIGHT_PENALTY).astype(np.float64)
        now = replace(
            now,
            probes=Probes(
                (*own.names, *NUISANCE),
                np.concatenate([own.weights, found[:-1]], 1),
                np.concatenate([own.intercepts, found[-1]]),
                np.concatenate([own.present, bounds[1]]),
                np.concatenate([own.absent, bounds[0]]),
            ),
        )
    return now


def _asked(probes: Probes) -> Probes:
    """The probes but those that nobody asks for."""
    keep = [k for k, name in enumerate(probes.names) if name not in NUISANCE]
    arrays = (probes.weights, probes.intercepts, probes.present, probes.absent)
    return Probes(tuple(probes.names[k] for k in keep), *(values[..., keep] for values in arrays))
