"""One person several times: turned, with other expressions, at other ages, before the same background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from mien.core.contract import FaceRequest
from mien.faces.pose import YAW_UNIT_DEGREES
from mien.generators.imagine.density import Condition, Float64Array
from mien.generators.painter.ages import aimed_years
from mien.generators.painter.people import PaintedImagine, conditions_of

# What is asked for, in degrees; a studio's photographs turn less, so about a quarter of it is what comes out.
ANGLES_DEGREES: Mapping[str, float] = {"left": -60, "half left": -30, "ahead": 0, "half right": 30, "right": 60}
EXPRESSIONS: Mapping[str, Mapping[str, bool]] = {
    "neutral": {"Mouth Closed": True, "Smiling": False},
    "smiling": {"Smiling": True, "Mouth Closed": False},
    "frowning": {"Frowning": True, "Smiling": False},
    "mouth open": {"Mouth Wide Open": True, "Mouth Closed": False},
}
AGES_YEARS = (10, 25, 45, 70)
CLOSE_YEARS = 1.0


@dataclass(frozen=True, slots=True)
class Variation:
    """One picture of a character: what differs, and what is drawn."""

    name: str  # "half left", "smiling", "70 years"
    features: Float64Array  # F
    asked: Mapping[str, float] = field(default_factory=dict)  # of the painter


def variations(makes: PaintedImagine, condition: Condition, request: FaceRequest) -> list[Variation]:
    """The person of a condition and a request at five angles, with four expressions and of four ages."""
    features = makes.features(condition, [request])[0]
    return [
        *(turned(makes, features, name) for name in ANGLES_DEGREES),
        *(expressing(makes, features, name) for name in EXPRESSIONS),
        *(aged(makes, features, years, condition.attributes.get("Male")) for years in AGES_YEARS),
    ]


def turned(makes: PaintedImagine, features: Float64Array, name: str) -> Variation:
    """Turned to one of ``ANGLES_DEGREES``."""
    renderer, frame, value = makes.renderer, makes.density.frame, ANGLES_DEGREES[name] / YAW_UNIT_DEGREES
    if renderer.scenes is not None:
        mean, deviation = renderer.scale["yaw"]
        code = frame.codes(features[None])[0]
        moved = renderer.scenes.toward("yaw", (value - mean) / deviation, code, makes.density.pooled)
        features = features + (frame.features(moved[None]) - frame.features(code[None]))[0]
    return Variation(name, features, {"yaw": value})


def expressing(makes: PaintedImagine, features: Float64Array, name: str) -> Variation:
    """With one of ``EXPRESSIONS``; words that the density does not know are left out."""
    wanted = {word: there for word, there in EXPRESSIONS[name].items() if word in makes.density.probes.names}
    compiled = makes.density.compile(Condition(wanted))
    return Variation(name, makes.density.moved(features, compiled), conditions_of(wanted, None))


def aged(makes: PaintedImagine, features: Float64Array, years: float, male: bool | float | None) -> Variation:
    """Of so many years."""
    sex, within = male if isinstance(male, bool) else None, aimed_years((years - CLOSE_YEARS, years + CLOSE_YEARS))
    settled = makes.age_solver.solve(features, within, sex)
    return Variation(f"{years:g} years", settled, {"age": sum(within) / 200})


def drawn(
    makes: PaintedImagine, found: Sequence[Variation], condition: Condition, request: FaceRequest, scene_of: Variation,
    first: int = 0,
) -> Tensor:  # fmt: skip
    """The pictures (N 3 S S) of variations ``first`` and on, all in the scene of one of them, with the same draws."""
    renderer = makes.renderer.asking(conditions_of(condition.attributes, None)).in_scene_of(scene_of.features, request)
    features = np.stack([one.features for one in found])
    places = [FaceRequest(request.seed, first + k) for k in range(len(found))]
    return renderer.draw(features, places, [request] * len(found), asked=[one.asked for one in found])
