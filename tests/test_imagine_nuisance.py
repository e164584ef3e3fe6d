"""What nobody asks for: how it is read from pictures, learnt from what is drawn, and kept within photographs."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from imagine_tiny import tiny_density

from mien.core.checkpoints import WEIGHTS, load_weights
from mien.core.contract import FaceRequest
from mien.core.records import UInt8Image
from mien.core.seeding import sample_generator
from mien.generators.imagine.density import Condition, FaceDensity, Probes
from mien.generators.imagine.near import changed
from mien.generators.imagine.nuisance import NUISANCE, readings
from mien.generators.imagine.weights import MODEL, from_tensors, to_tensors
from mien.training.visible import with_nuisance

GREY, YELLOW, BLUE = (119, 119, 119), (200, 180, 40), (60, 80, 200)


def picture(behind: tuple[int, int, int], face: tuple[int, int, int] = GREY, size: int = 128) -> UInt8Image:
    made = np.full((size, size, 3), behind, np.uint8)
    low, high = size // 4, 3 * size // 4
    made[low : size - 8, low:high] = face
    return made


def test_readings_are_those_of_lab() -> None:
    found = readings([picture(GREY), picture(YELLOW), picture(BLUE), picture(GREY, YELLOW, 200)])
    assert found.shape == (4, len(NUISANCE))
    assert found[0] == pytest.approx([50, 0, 0, 50, 0, 0], abs=0.6)
    for row, colour in ((1, YELLOW), (2, BLUE)):
        lab = cv2.cvtColor(np.array([[colour]], np.float32) / 255, cv2.COLOR_RGB2Lab)[0, 0]
        assert found[row, :3] == pytest.approx(lab, abs=0.5)
        assert found[row, 3:] == pytest.approx([50, 0, 0], abs=0.6)
    assert found[3, :3] == pytest.approx([50, 0, 0], abs=0.6)
    assert found[3, 5] > 40


def test_contrast_is_that_of_the_face() -> None:
    shaded = picture(GREY)
    shaded[:, 64:] = 0
    assert readings([shaded])[0, 4] > 20 > readings([picture(YELLOW)])[0, 4]


def coloured(density: FaceDensity, code: np.ndarray) -> UInt8Image:
    """A decoder that writes the first number of the code into the background: yellow or blue."""
    strength = float(np.clip(code[0] / 3, -1, 1))
    return picture(tuple(int(119 + 80 * strength * sign) for sign in (1, 1, -1)))  # type: ignore[arg-type]


def drawer(density: FaceDensity):  # type: ignore[no-untyped-def]
    def draw(features: np.ndarray, requests: list[FaceRequest]) -> list[UInt8Image]:
        return [coloured(density, code) for code in density.frame.codes(features)]

    return draw


def photographs() -> UInt8Image:
    """Backgrounds that are nearly grey."""
    return np.stack([picture((119 + k, 119, 119 - k)) for k in range(-8, 9)])


@pytest.fixture(scope="module")
def kept() -> FaceDensity:
    density = tiny_density()
    return with_nuisance(density, drawer(density), photographs(), 320, seed=1)


def yellows(density: FaceDensity, condition: Condition, count: int = 60) -> np.ndarray:
    compiled = density.compile(condition)
    codes = [density.draw(compiled, sample_generator(3, index)) for index in range(count)]
    return readings([coloured(density, code) for code in codes])[:, NUISANCE.index("background yellow")]


@pytest.mark.parametrize(
    "condition", [Condition(), Condition({"Smiling": True}), Condition({"Smiling": False}, typical=True)]
)
def test_backgrounds_stay_as_in_photographs(kept: FaceDensity, condition: Condition) -> None:
    loud, quiet = yellows(tiny_density(), condition), yellows(kept, condition)
    bounds = np.quantile(readings(photographs())[:, 2], (0.2, 0.8))
    assert quiet.min() > bounds[0] - 3
    assert quiet.max() < bounds[1] + 3
    if not condition.typical:
        assert loud.std() > 3 * quiet.std()


def test_what_is_asked_is_kept_all_the_same(kept: FaceDensity) -> None:
    compiled = kept.compile(Condition({"Smiling": True}))
    codes = np.stack([kept.draw(compiled, sample_generator(4, index)) for index in range(40)])
    column = kept.probes.index("Smiling")
    assert kept.probes.scores(codes)[:, column].min() >= compiled.bounds.low[0] - 1e-3


def test_a_face_that_is_given_keeps_its_light(kept: FaceDensity) -> None:
    loud = np.zeros(len(kept.frame.scale))
    loud[0] = 2.5
    assert np.array_equal(kept.move(loud, kept.compile(Condition())), loud)
    features = kept.frame.features(loud[None])[0]
    moved = []
    for density in (kept, tiny_density()):  # the second knows of no light
        smiling = kept.frame.codes(changed(density, features, "Smiling", 1.0)[None])
        before, after = (kept.probes.scores(each)[0] for each in (loud[None], smiling))
        moved.append(abs(after - before)[kept.probes.index("background yellow")])
    assert moved[0] < 0.75 * moved[1]
    smiling = kept.frame.codes(changed(kept, features, "Smiling", 1.0)[None])
    reached = kept.probes.scores(smiling)[0, kept.probes.index("Smiling")]
    assert reached == pytest.approx(kept.probes.level("Smiling", 1), abs=1e-3)


def test_fitting_again_replaces_what_was_fitted(kept: FaceDensity) -> None:
    again = with_nuisance(kept, drawer(kept), photographs(), 64, seed=2)
    assert again.probes.names == kept.probes.names == (*tiny_density().probes.names, *NUISANCE)
    assert np.array_equal(again.probes.absent, kept.probes.absent)


def test_it_comes_back_from_its_file(kept: FaceDensity) -> None:
    back = from_tensors(*to_tensors(kept), name="x")
    assert back.probes.names == kept.probes.names
    assert back.compile(Condition()).bounds.low == pytest.approx(kept.compile(Condition()).bounds.low, rel=1e-3)


def test_weights_without_it_draw_as_before() -> None:
    density = tiny_density()
    assert density.compile(Condition()).columns == ()
    names = density.probes.names
    assert isinstance(replace(density).probes, Probes)
    assert not set(NUISANCE) & set(names)


def test_the_packaged_density_keeps_light_and_colour() -> None:
    tensors, metadata = load_weights(WEIGHTS / "imagine.safetensors", model=MODEL)
    density = from_tensors(tensors, metadata, name="packaged")
    assert set(NUISANCE) <= set(density.probes.names)
    low, high = (density.probes.absent, density.probes.present)
    place = density.probes.index("background yellow")
    assert -10 < low[place] < high[place] < 30
