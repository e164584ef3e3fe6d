"""One contract over all eight makers of faces, at tiny sizes: presets of crowd, imagine and portrait alike.

A maker answers (seed, first, count) with pictures. Face k of a seed is the same whatever else is asked for; another
seed is another face; what a maker cannot do is a ``MienError`` of one line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_painter_people as people
import torch
from crowd_tiny import tiny_crowd, tiny_networks, write_tiny_weights
from imagine_tiny import FEATURES, VERSION, tiny_density
from test_generators_paper import small_paper_crowd
from test_painter import tiny_renderer
from test_portrait_contract import DRAWERS, TinyEncoder

import mien
from mien.core.checkpoints import save_weights
from mien.core.contract import requests_for
from mien.core.errors import MienError
from mien.core.records import Labels, UInt8Image
from mien.core.seeding import stream
from mien.generators.crowd.sampler import Crowd
from mien.generators.imagine.density import Condition
from mien.generators.imagine.mien import DecoderRenderer, Imagine
from mien.generators.painter.ages import AgeSolver
from mien.generators.painter.crowd import PainterCrowd
from mien.generators.painter.people import PaintedImagine
from mien.papers.deepface_2016.mixture import ClassMixture, Gaussians
from mien.papers.deepface_2016.mixture_weights import MODEL, to_tensors
from mien.pipelines.imagine import ImagineRequest, sampler_of
from mien.pipelines.imagine_settings import PaperMixture
from mien.pipelines.portrait_model import PortraitPipeline

Make = Callable[[int, int, int], list[UInt8Image]]


@dataclass(frozen=True)
class Maker:
    """A maker, the size of its pictures in px, and a call that it must refuse."""

    make: Make
    size_px: int
    wrong: Callable[[], Any]


def painted() -> PaintedImagine:
    """The tiny painter over a density of age and sex."""
    makes = PaintedImagine(people.density(), tiny_renderer(), "tiny")
    makes.__dict__["age_solver"] = AgeSolver(people.density(), people.reader())  # else the packaged reader
    return makes


def of_crowd(crowd: Crowd) -> Maker:
    def make(seed: int, first: int, count: int) -> list[UInt8Image]:
        return [face.image for face in crowd.sample(count, age=(30.0, 40.0), seed=seed, first=first)]

    return Maker(make, crowd.generator.size_px, lambda: crowd.at(7))


def of_imagine(imagine: Imagine, condition: Condition) -> Maker:
    def make(seed: int, first: int, count: int) -> list[UInt8Image]:
        return [face.image for face in imagine.sample(condition, count, seed=seed, first=first)]

    return Maker(make, imagine.renderer.size_px, lambda: imagine.at(7))


def of_paper_mixture(folder: Path) -> Maker:
    draws = stream(0, "tiny mixture")
    gaussians = Gaussians(("Smiling", "Bald"), draws.standard_normal((2, FEATURES)), np.full((2, FEATURES), 0.5))
    tensors, about = to_tensors(ClassMixture(gaussians, np.ones(2), "pool", (FEATURES,)))
    tensors["mean_face"] = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    save_weights(folder / "mixture.safetensors", tensors, {"model": MODEL, "version": "tiny", **about})
    settings = PaperMixture(render="decode", decoder=write_tiny_weights(folder / "crowd.safetensors"))

    def make(seed: int, first: int, count: int, size_px: int = 32) -> list[UInt8Image]:
        request = ImagineRequest(
            "paper", wanted={"Smiling": True}, seed=seed, weights=folder / "mixture.safetensors", device="cpu",
            size_px=size_px, settings=settings,
        )  # fmt: skip
        return sampler_of(request).make(first, count)

    return Maker(make, 32, lambda: make(0, 0, 1, 7))


def of_portrait(preset: str) -> Maker:
    drawer = DRAWERS[preset]()
    pipeline = PortraitPipeline(drawer, TinyEncoder(), type("Finder", (), {"mesh": None})())  # type: ignore[arg-type]

    def make(seed: int, first: int, count: int) -> list[UInt8Image]:  # a portrait's chance is its photo
        crops = [stream(seed, "crop", first + k).integers(0, 256, (32, 32, 3), np.uint8) for k in range(count)]
        return [pipeline.of_crop(crop)[0] for crop in crops]

    return Maker(make, drawer.size_px, lambda: pipeline.make(b"no photo"))


MAKERS: dict[str, Callable[[Path], Maker]] = {
    "crowd painter": lambda folder: of_crowd(Crowd(PainterCrowd(painted()))),
    "crowd mien": lambda folder: of_crowd(Crowd(tiny_crowd())),
    "crowd paper": lambda folder: of_crowd(Crowd(small_paper_crowd())),
    "imagine painter": lambda folder: of_imagine(painted(), Condition({"Male": True}, (30.0, 40.0))),
    "imagine mien": lambda folder: of_imagine(decoded(), Condition({"Smiling": True})),
    "imagine paper": of_paper_mixture,
    "portrait mien": lambda folder: of_portrait("mien"),
    "portrait paper": lambda folder: of_portrait("paper"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_maker_keeps_the_contract(name: str, tmp_path: Path) -> None:
    maker = MAKERS[name](tmp_path)
    three = maker.make(4, 20, 3)
    assert [picture.shape for picture in three] == [(maker.size_px, maker.size_px, 3)] * 3
    assert {picture.dtype for picture in three} == {np.dtype(np.uint8)}
    for k, picture in enumerate(three):
        assert np.array_equal(maker.make(4, 20 + k, 1)[0], picture), "a face depends on its seed and number alone"
    assert not np.array_equal(three[0], three[1])
    assert not np.array_equal(maker.make(5, 20, 1)[0], three[0])
    with pytest.raises(MienError) as refused:
        maker.wrong()
    assert "\n" not in str(refused.value)


def decoded() -> Imagine:
    """The tiny decoder over its density."""
    return Imagine(tiny_density(), DecoderRenderer(tiny_networks()[0], "1"), VERSION)


@pytest.mark.parametrize("made", [painted, decoded])
def test_one_person_is_redrawn_by_either_renderer(made: Callable[[], Imagine]) -> None:
    makes, requests = made(), requests_for([Labels()] * 2, seed=3)
    features = np.zeros(len(makes.density.frame.mean))
    photo = stream(1, "photo").integers(0, 256, (32, 32, 3), np.uint8)
    pictures = makes.redrawn(Condition({"Male": True}), features, requests, photo, 0.3)
    assert pictures.shape == (2, 3, 32, 32)
    assert not np.array_equal(pictures[0], pictures[1])
    alone = makes.redrawn(Condition({"Male": True}), features, requests[1:], photo, 0.3)[0]
    assert np.array_equal(alone, pictures[1])


@pytest.mark.parametrize("name", ["crowd", "imagine", "portrait", "describe"])
def test_there_is_one_load_and_it_lists_its_presets(name: str) -> None:
    with pytest.raises(MienError, match=r"preset.*'opera'.*(allowed|knows)"):
        mien.load(name, preset="opera")  # type: ignore[call-overload]
