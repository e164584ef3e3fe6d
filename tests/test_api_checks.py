"""What Python may ask for: one set of checks with one kind of sentence, and models that answer after a fork."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
import torch
from fake_generator import FakeGenerator
from imagine_tiny import tiny_density

import mien
from mien.core.errors import RequestError
from mien.core.records import Labels
from mien.generators.crowd.sampler import Crowd
from mien.generators.imagine.density import Condition
from mien.generators.imagine.mien import Imagine
from mien.pipelines.portrait import PortraitRequest
from mien.pipelines.request import FacesRequest

WRONG_NUMBERS: list[Any] = [-1, 2**63, 2**64, "x", "1", 1.0, 1.5, True, float("nan"), [1], (1,), b"1", np.array([1, 2])]


class Squares:
    """Draws features as grey squares."""

    version, size_px = "1", 8

    def at(self, size_px: int | None) -> Self:
        return self

    def draw(self, features: Any, requests: Any, styles: Any = None) -> torch.Tensor:
        return torch.full((len(requests), 3, 8, 8), -0.9)


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return Crowd(FakeGenerator())


@pytest.fixture(scope="module")
def imagine() -> Imagine:
    return Imagine(tiny_density(), Squares(), "tiny")


def refused(call: Any, *words: Any, **options: Any) -> str:
    with pytest.raises(RequestError) as caught:
        call(*words, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("seed", WRONG_NUMBERS, ids=repr)
def test_a_seed_is_a_whole_number_below_2_to_the_63(crowd: Crowd, imagine: Imagine, seed: Any) -> None:
    said = "allowed are 0 to 2^63 - 1"
    assert refused(crowd.sample, seed=seed).endswith(said)
    assert refused(imagine.sample, "smiling", seed=seed).endswith(said)
    assert refused(crowd.faces, [Labels()], seed=seed).endswith(said)
    assert refused(crowd.variants, [Labels()], seed=seed, index=0).endswith(said)
    assert refused(FacesRequest, seed=seed).startswith("--seed: ")


@pytest.mark.parametrize("count", [0, *WRONG_NUMBERS, None], ids=repr)
def test_a_count_is_a_whole_number(crowd: Crowd, imagine: Imagine, count: Any) -> None:
    assert refused(crowd.sample, count).endswith("allowed are 1 and more, up to 1,000,000")
    assert refused(imagine.sample, "smiling", count).endswith("allowed are 1 and more, up to 1,000,000")
    assert refused(FacesRequest, count=count).startswith("--count: ")


def test_whole_numbers_of_numpy_are_whole_numbers(crowd: Crowd) -> None:
    numbers: list[Any] = [np.int32(2), np.uint64(7), np.int8(1)]
    one, two = crowd.sample(2, seed=7, first=1), crowd.sample(numbers[0], seed=numbers[1], first=numbers[2])
    assert all(np.array_equal(a.image, b.image) for a, b in zip(one, two, strict=True))
    assert crowd.sample(1, seed=2**63 - 1)[0].seed == 2**63 - 1


@pytest.mark.parametrize("value", [None, "no", "yes", 0, 1, 0.5, -1, [], "False", np.float64(1)], ids=repr)
def test_an_attribute_of_a_crowd_is_true_or_false(crowd: Crowd, value: Any) -> None:
    said = refused(crowd.sample, attributes={"Smiling": value})
    assert said == f"attributes: Smiling: {value!r} given; allowed: True, False"
    assert refused(crowd.faces, [Labels(attributes={"Smiling": value})], seed=1) == said
    no: Any = np.bool_(False)
    made = crowd.sample(attributes={"Smiling": no}, seed=1)
    assert made[0].labels.attributes == {"Smiling": False}


def test_what_else_is_no_crowd(crowd: Crowd) -> None:
    assert "did you mean 'Smiling'?" in refused(crowd.sample, attributes={"Smilin": True})
    assert refused(crowd.sample, attributes=["Smiling"]).startswith("attributes: ['Smiling'] given; wanted: a mapping")
    assert refused(crowd.sample, attributes={3: True}).startswith("attributes: '3' given; allowed: Smiling, ")
    assert refused(crowd.sample, sex="f") == "sex: 'f' given; allowed: female, male, any"
    assert refused(crowd.sample, sex=None).startswith("sex: 'None' given")
    assert refused(crowd.sample, race="white").startswith("race: 'white' given; allowed: White, Black")
    assert refused(crowd.sample, race=["White"]).startswith("race: ")
    assert refused(crowd.sample, first=-1).startswith("first: -1 given; allowed are 0 and more")
    assert refused(crowd.faces, [{"sex": "female"}], seed=1) == "labels: dict given; wanted: mien.Labels"


WRONG_LABELS: list[tuple[dict[str, Any], str]] = [
    ({"sex": "f"}, "sex: 'f' given"), ({"race": "Elf"}, "race: 'Elf' given"), ({"age_years": "30"}, "age_years: '30'"),
    ({"age_years": 300}, "age_years: 300"), ({"age_years": float("nan")}, "age_years: nan"),
    ({"age_years": True}, "age_years: True"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "said"), WRONG_LABELS, ids=[said for _, said in WRONG_LABELS])
def test_labels_are_checked_as_words_are(crowd: Crowd, given: dict[str, Any], said: str) -> None:
    assert refused(crowd.faces, [Labels(**given)], seed=1).startswith(said)
    assert refused(crowd.variants, [Labels(**given)], seed=1, index=0).startswith(said)


def test_labels_come_in_a_list_or_whatever_can_be_gone_through(crowd: Crowd) -> None:
    for given in (None, 5, Labels()):
        assert refused(crowd.faces, given, seed=1).endswith("wanted: a list of mien.Labels")
    assert refused(crowd.faces, [Labels()], seed=None) == "seed: None given; allowed are 0 to 2^63 - 1"
    wanted = [Labels("female", 30.0), Labels("male", np.float32(40))]  # type: ignore[arg-type]
    made = crowd.faces(iter(wanted), seed=1)
    assert [face.labels.sex for face in made] == ["female", "male"]


@pytest.mark.parametrize(
    "age", [0, 101, -3, (30, 20), (20,), (20, 30, 40), [], "30", "20-35", True, (True, 30), float("nan"),
            (20, float("inf")), np.array([20, 30, 40]), np.array(0), np.array([[20, 30]]), {"from": 20}, object],
    ids=repr,
)  # fmt: skip
def test_an_age_is_one_or_a_pair(crowd: Crowd, imagine: Imagine, age: Any) -> None:
    said = refused(crowd.sample, age=age)
    assert said.startswith("age: ")
    assert said.endswith("allowed are ages from 1 to 100, the lower one first")
    assert refused(imagine.sample, Condition({}, age)) == said


def test_ages_in_every_form_are_the_same(crowd: Crowd) -> None:
    forms: list[Any] = [(20, 35), [20, 35], np.array([20, 35]), (np.float32(20), 35.0)]
    assert crowd.sample(1, age=np.array(30), seed=4)[0].labels.age_years == 30  # type: ignore[arg-type]
    made = [crowd.sample(3, age=age, seed=4) for age in forms]
    assert all([face.labels for face in one] == [face.labels for face in made[0]] for one in made)


def test_a_wish_holds_degrees_and_nothing_else(imagine: Imagine) -> None:
    name = imagine.density.probes.names[0]
    degrees: list[Any] = [True, False, 0.5, np.float32(0.5), 1.0]
    for value in degrees:
        assert len(imagine.sample(Condition({name: value}), 1, seed=1)) == 1
    for wrong in (None, "yes", 2.0, -0.5, float("nan"), 1):
        values: Any = {name: wrong}
        assert refused(imagine.sample, Condition(values)).endswith("allowed: True, False, or a number from 0 to 1")
    for given in (None, 3, ["smiling"], {name: True}, b"smiling"):
        assert "wanted: words" in refused(imagine.sample, given)
    for temperature in ("hot", None, -1, 11, float("nan")):
        assert refused(imagine.sample, "smiling", temperature=temperature).endswith("allowed are 0 to 10")


def test_load_says_what_it_takes() -> None:
    assert refused(mien.load, 3).startswith("load: no generator '3'; allowed: crowd")
    assert refused(mien.load, "crowd", weights=3).endswith("wanted: the path of a safetensors file")
    for name in ("crowd", "imagine", "describe", "portrait"):
        assert "device 'banana'" in refused(mien.load, name, device="banana").replace("device: '", "device '")


@pytest.mark.parametrize("size", [0, 7, 10_000, "256", 256.0, None], ids=repr)
def test_a_portrait_has_a_size(size: Any) -> None:
    assert refused(PortraitRequest, ("a.jpg",), size_px=size).startswith("--size: ")


FORKS = """
import json, os, signal, sys, warnings
import cv2, numpy as np, torch
import mien
from mien.core.images import encode_png
torch.set_num_threads(2)
cv2.setNumThreads(2)
cv2.resize(np.zeros((4000, 4000, 3), np.uint8), (3000, 3000))  # OpenCV's threads are there
crowd = mien.load("crowd")
before = crowd.sample(4, seed=1)
reads, writes = os.pipe()
child = os.fork()
if child == 0:
    signal.alarm(60)
    cv2.resize(np.zeros((4000, 4000, 3), np.uint8), (3000, 3000))
    with warnings.catch_warnings(record=True) as told:
        torch.set_num_threads(2)  # as hooks of servers do; it would wait for ever
    after = crowd.sample(4, seed=1)
    far = max(int(np.abs(a.image.astype(int) - b.image).max()) for a, b in zip(before, after))
    os.write(writes, json.dumps([far, torch.get_num_threads(), [str(one.message) for one in told]]).encode())
    os._exit(0)
_, status = os.waitpid(child, 0)
print(json.dumps([status, json.loads(os.read(reads, 1000) or b"null"), torch.get_num_threads(), cv2.getNumThreads()]))
"""


@pytest.mark.skipif(not hasattr(sys, "getdlopenflags") or sys.platform == "darwin", reason="forks of Linux")
def test_a_loaded_model_answers_after_a_fork(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    status, child, threads, opencv = json.loads(run.stdout)
    assert (status, threads, opencv) == (0, 2, 2)  # the parent keeps its threads
    assert child[0] <= 1  # the same faces, but for the last bit of a sum
    assert child[1] == 1
    assert ["one thread" in told and "'spawn'" in told for told in child[2]] == [True]
