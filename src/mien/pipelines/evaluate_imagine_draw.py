"""DRAW in ``evaluate imagine``: told what the paper's mixture estimates, and told what a photograph's features are."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.contract import FaceRequest
from mien.core.images import in_crop, to_photos
from mien.core.progress import OnStage, counted
from mien.core.records import UInt8Image
from mien.core.seeding import sample_generator
from mien.evaluation.imagine import MadeFaces
from mien.evaluation.imagine_sets import AttributeSet
from mien.faces.encoder import encoded, load_encoder
from mien.papers.deepface_2016.mixture import ClassMixture
from mien.papers.draw_gregor_2015.renderer import DrawRenderer
from mien.pipelines.imagine import names_of
from mien.pipelines.imagine_draw import draw_renderer


def drawn_methods(
    path: Path,
    mixture: ClassMixture,
    chosen: Sequence[AttributeSet],
    own: UInt8Image,
    samples: int,
    seed: int,
    on_stage: OnStage,
) -> list[MadeFaces]:
    """DRAW on samples of the mixture, and on the features of the photographs ``own`` (P S S 3) themselves.

    The second says what DRAW does where the mixture is not to blame. Face k of description p is face p * K + k of
    `mien imagine WORDS --preset paper --set render=draw --seed`.
    """
    renderer = draw_renderer(path, mixture.layer)

    def sampled(place: int) -> Any:
        names = names_of(chosen[place].wanted, "mixture")
        draws = [sample_generator(seed, place * samples + k) for k in range(samples)]
        return np.stack([mixture.target(names, one) for one in draws])

    with counted(on_stage("features of the photographs"), len(own)) as advance:
        known = encoded(load_encoder("facenet"), own, mixture.layer, rows=16, on_advance=advance).reshape(len(own), -1)

    def photographed(place: int) -> Any:
        return np.repeat(known[place : place + 1], samples, 0)

    ways = (("paper (cGMM, DRAW)", sampled), ("photo's features, DRAW", photographed))
    return [_drawn(name, renderer, way, len(chosen), samples, own.shape[1], seed, on_stage) for name, way in ways]


def _drawn(
    name: str,
    renderer: DrawRenderer,
    features: Callable[[int], Any],
    count: int,
    samples: int,
    size: int,
    seed: int,
    on_stage: OnStage,
) -> MadeFaces:
    """``features(place)`` (K F) of each description, drawn, each picture in its place of the crop."""
    crops, begun = np.empty((count, samples, size, size, 3), np.uint8), time.monotonic()
    with counted(on_stage(f"{name}: faces made"), count * samples) as advance:
        for first in range(0, count, 16):
            places = range(first, min(first + 16, count))
            rows = np.concatenate([features(place) for place in places])
            requests = [FaceRequest(seed, place * samples + k) for place in places for k in range(samples)]
            drawn = [in_crop(picture, renderer.frame, size) for picture in to_photos(renderer.draw(rows, requests))]
            crops[first : places.stop] = np.stack(drawn).reshape(len(places), samples, size, size, 3)
            advance(len(requests))
    return MadeFaces(name, tuple(range(count)), crops, time.monotonic() - begun)
