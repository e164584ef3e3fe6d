"""Crowds: the contract of generators held by both presets, the labels that are drawn, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from crowd_tiny import CONFIG, VERSION, tiny_crowd, write_tiny_weights
from fake_generator import FakeGenerator
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.core import contract
from mien.core.checkpoints import load_weights, save_weights
from mien.core.contract import FaceRequest, make, requests_for
from mien.core.errors import RequestError, WeightsError
from mien.core.limits import age_range
from mien.core.records import Labels
from mien.generators.crowd.mien import ROWS, MienCrowd
from mien.generators.crowd.sampler import CHUNK, Crowd
from mien.papers.cgan_sanche.networks import PaperCrowd, SancheConfig, SancheGenerator
from mien.pipelines.crowd import load_crowd

MIEN = tiny_crowd()


def tiny_paper_crowd() -> PaperCrowd:
    torch.manual_seed(0)
    return PaperCrowd(SancheGenerator(SancheConfig(noise=6, channels=(4, 4, 4), hidden=16, size_px=16)), "tiny-paper")


MODEL_SPECS = {"mien": lambda: MIEN, "paper": tiny_paper_crowd}


@pytest.fixture(params=MODEL_SPECS)
def crowd(request: pytest.FixtureRequest) -> Crowd:
    return Crowd(MODEL_SPECS[request.param]())


# What every generator promises (core/contract.py).


def test_faces_come_in_order_with_their_labels(crowd: Crowd) -> None:
    assert isinstance(crowd.generator, contract.Generator)
    left, top, side = crowd.generator.frame
    assert min(left, top, side) >= 0
    assert max(left, top) + side <= 1
    wanted = [Labels("male", 61.0), Labels(), Labels("female")]
    made = crowd.faces(wanted, seed=5, first=30)
    assert [face.index for face in made] == [30, 31, 32]
    assert {(face.seed, face.model, face.model_version) for face in made} == {
        (5, crowd.generator.name, crowd.generator.version)
    }
    assert made[0].labels == wanted[0]
    assert made[2].labels.sex == "female"
    size = crowd.generator.size_px
    for face in made:
        assert (face.image.shape, face.image.dtype) == ((size, size, 3), np.uint8)
        assert face.labels.sex in ("female", "male")
        assert 15 <= (face.labels.age_years or 0) <= 75
    assert make(crowd.generator, []) == []


def test_a_face_is_the_same_whatever_count_first_and_batch(crowd: Crowd) -> None:
    whole = crowd.sample(CHUNK + 9, age=(20, 60), seed=3)
    assert len({face.image.tobytes() for face in whole}) == len(whole)
    for count, first in ((1, 0), (1, 17), (5, ROWS - 2), (12, CHUNK - 4), (1, CHUNK + 8)):
        part = crowd.sample(count, age=(20, 60), seed=3, first=first)
        for face, expected in zip(part, whole[first : first + count], strict=True):
            assert face.labels == expected.labels
            assert face.index == expected.index
            assert np.array_equal(face.image, expected.image), (count, first, face.index)


@settings(max_examples=8)
@given(st.permutations(range(24)), st.integers(1, 24))
def test_order_and_neighbours_do_not_change_a_face(order: list[int], count: int) -> None:
    labels = [Labels("female" if k % 2 else "male", 20.0 + k) for k in range(24)]
    requests = requests_for(labels, seed=8)
    whole = WHOLE.setdefault("faces", make(MIEN, requests))
    for place, face in zip(order, make(MIEN, [requests[k] for k in order[:count]]), strict=False):
        assert np.array_equal(face.image, whole[place].image)


WHOLE: dict[str, list] = {}


def test_seed_and_labels_change_the_face(crowd: Crowd) -> None:
    (plain,) = crowd.faces([Labels("female", 30.0)], seed=5)
    (other_seed,) = crowd.faces([Labels("female", 30.0)], seed=6)
    sexes = crowd.variants([Labels("female", 30.0), Labels("male", 30.0), Labels("female", 60.0)], seed=5, index=0)
    assert np.array_equal(sexes[0].image, plain.image)
    assert [face.index for face in sexes] == [0, 0, 0]
    for other in (other_seed, sexes[1], sexes[2]):
        assert not np.array_equal(other.image, plain.image)


def test_asking_for_what_would_be_drawn_gives_the_same_face(crowd: Crowd) -> None:
    (drawn,) = crowd.sample(1, seed=5, first=9)
    (asked,) = crowd.sample(1, seed=5, first=9, sex=drawn.labels.sex, age=drawn.labels.age_years)
    assert np.array_equal(drawn.image, asked.image)
    assert asked.labels == drawn.labels


# What only the default crowd knows.


def test_race_and_attributes_change_the_face_and_are_told() -> None:
    crowd = Crowd(MIEN)
    (plain,) = crowd.sample(1, sex="male", age=40, seed=2)
    (asian,) = crowd.sample(1, sex="male", age=40, seed=2, race="Asian")
    (smiling,) = crowd.sample(1, sex="male", age=40, seed=2, attributes={"Smiling": True})
    (grave,) = crowd.sample(1, sex="male", age=40, seed=2, attributes={"Smiling": False})
    images = [face.image.tobytes() for face in (plain, asian, smiling, grave)]
    assert len(set(images)) == 4
    assert asian.labels == Labels("male", 40.0, race="Asian")
    assert dict(smiling.labels.attributes) == {"Smiling": True}
    with pytest.raises(RequestError, match="attributes: 'Wings' given; allowed: Smiling, "):
        crowd.sample(1, attributes={"Wings": True})
    with pytest.raises(RequestError, match="race: 'Green' given; allowed: White, "):
        crowd.sample(1, race="Green")


def test_the_paper_refuses_labels_that_it_was_never_told() -> None:
    crowd = Crowd(tiny_paper_crowd())
    for asked in ({"race": "Asian"}, {"attributes": {"Smiling": True}}):
        with pytest.raises(RequestError, match="knows sex and age only"):
            crowd.sample(1, seed=1, **asked)  # type: ignore[arg-type]


def test_calibrated_ages_are_asked_of_the_density_but_told_as_asked() -> None:
    sampling = CONFIG.sampling.model_copy(update={"ages_asked": (0.0, 50.0, 100.0), "ages_given": (0.0, 60.0, 100.0)})
    calibrated = MienCrowd(MIEN.decoder, MIEN.density, CONFIG.model_copy(update={"sampling": sampling}), VERSION)
    (found,) = make(calibrated, [FaceRequest(1, 0, Labels("male", 50.0))])
    (expected,) = make(MIEN, [FaceRequest(1, 0, Labels("male", 60.0))])
    assert np.array_equal(found.image, expected.image)
    assert found.labels.age_years == 50.0


def test_without_temperature_and_grain_chance_is_gone() -> None:
    sampling = CONFIG.sampling.model_copy(update={"temperature": 0.0, "grain": 0.0})
    mean = MienCrowd(MIEN.decoder, MIEN.density, CONFIG.model_copy(update={"sampling": sampling}), VERSION)
    one, other = make(mean, [FaceRequest(1, 0, Labels("male", 50.0)), FaceRequest(2, 16, Labels("male", 50.0))])
    assert np.array_equal(one.image, other.image)


# Weights.


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    path = write_tiny_weights(tmp_path / "tiny.safetensors")
    crowd = load_crowd(weights=str(path), device="cpu")
    assert crowd.generator.version == VERSION
    (loaded,) = crowd.sample(1, seed=1, age=30, sex="male")
    (made,) = Crowd(MIEN).sample(1, seed=1, age=30, sex="male")
    assert np.array_equal(loaded.image, made.image)


def test_wrong_weights_and_devices_are_refused(tmp_path: Path) -> None:
    path = write_tiny_weights(tmp_path / "tiny.safetensors")
    with pytest.raises(RequestError, match="device: 'toaster' given; allowed on this machine: cpu"):
        MienCrowd.load(path, device="toaster")
    with pytest.raises(WeightsError, match="weights of 'crowd-mien', wanted 'crowd-paper'"):
        load_crowd("paper", weights=str(path))
    tensors, metadata = load_weights(path)
    bare = {key: value for key, value in metadata.items() if key != "config"}
    save_weights(tmp_path / "bare.safetensors", tensors, bare)
    with pytest.raises(WeightsError, match="no 'config'"):
        MienCrowd.load(tmp_path / "bare.safetensors")
    tensors.pop("density.axes")
    save_weights(tmp_path / "short.safetensors", tensors, metadata)
    with pytest.raises(WeightsError, match="density: missing tensors \\['axes'\\]"):
        MienCrowd.load(tmp_path / "short.safetensors")
    with pytest.raises(RequestError, match="preset: 'best' given; allowed: painter, mien, paper"):
        load_crowd("best")


# Sampling: what is drawn, what is refused.

FAKE = Crowd(FakeGenerator())


@settings(max_examples=40)
@given(st.floats(1, 100), st.floats(1, 100), st.sampled_from(["female", "male", "any"]), st.integers(0, 2**62))
def test_labels_stay_in_what_was_asked(one: float, other: float, sex: str, seed: int) -> None:
    low, high = sorted((one, other))
    for face in FAKE.sample(3, sex=sex, age=(low, high), seed=seed):  # type: ignore[arg-type]
        assert low <= (face.labels.age_years or 0) <= high
        assert sex in ("any", face.labels.sex)


def test_a_seed_that_is_not_given_is_drawn_and_told() -> None:
    one, other = FAKE.sample(2), FAKE.sample(2)
    assert one[0].seed == one[1].seed != other[0].seed
    again = FAKE.sample(2, seed=one[0].seed)
    assert [face.labels for face in again] == [face.labels for face in one]


def test_progress_is_told_of_every_face() -> None:
    told: list[int] = []
    FAKE.sample(3 * CHUNK, seed=1, first=5, progress=told.append)
    assert sum(told) == 3 * CHUNK
    assert told[0] == CHUNK - 5  # fixed rows stay full
    assert max(told) == CHUNK


def test_ages_are_one_value_or_a_range() -> None:
    assert age_range(None) == (18, 75)
    assert age_range(30) == (30, 30)
    assert age_range(np.int64(30)) == (30, 30)
    assert age_range((20, 35.5)) == (20, 35.5)
    for wrong in (0, 101, float("nan"), (35, 20), (-1, 5), (20, float("inf"))):
        with pytest.raises(RequestError, match="allowed are ages from 1 to 100"):
            age_range(wrong)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"count": 0}, "count: 0 given; allowed are 1 and more"),
        ({"first": -1}, "first: -1 given; allowed are 0 and more"),
        ({"sex": "robot"}, "sex: 'robot' given; allowed: female, male, any"),
        ({"age": (40, 20)}, "age: 40 to 20 given"),
    ],
)
def test_wrong_requests_say_what_is_allowed(asked: dict, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        FAKE.sample(**asked)
