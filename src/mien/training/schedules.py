"""Learning rates as pure functions of the step: ``schedule(step) -> rate``, so that a resumed run needs no state."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """The same rate at every step."""
    return lambda step: rate


def staircase(initial: float, *, factor: float, every: int, floor: float) -> Schedule:
    """``initial`` multiplied by ``factor`` after every ``every`` steps, never below ``floor`` (Sanche, figure 4)."""
    return lambda step: max(initial * factor ** (step // every), floor)


def cosine(peak: float, *, steps: int, final: float = 0.0, warmup: int = 0) -> Schedule:
    """A linear rise over ``warmup`` steps, then half a cosine from ``peak`` to ``final`` at ``steps`` and after."""

    def rate(step: int) -> float:
        if step < warmup:
            return peak * (step + 1) / warmup
        progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return final + (peak - final) * (1 + math.cos(math.pi * progress)) / 2

    return rate


def flat_then_cosine(peak: float, *, steps: int, fall_from: float, final: float = 0.0, warmup: int = 0) -> Schedule:
    """A linear rise, ``peak`` until the fraction ``fall_from`` of ``steps``, then half a cosine down to ``final``."""
    start = round(steps * fall_from)
    fall = cosine(peak, steps=max(steps - start, 1), final=final)
    return lambda step: peak * (step + 1) / warmup if step < warmup else (peak if step < start else fall(step - start))
