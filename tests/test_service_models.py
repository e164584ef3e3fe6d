"""The real ways in, behind the table of the service: what they answer to orders, without HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.apps.web.forms import CrowdForm, ImagineForm
from mien.apps.web.models import MODEL_SPECS, ModelSpec, PhotoJob, Seeds, read_form
from mien.core.errors import PhotoError
from mien.core.images import resize
from mien.core.records import UInt8Image
from mien.pipelines.pictures import Picture
from mien.pipelines.request import FacesRequest

BY_NAME = {spec.name: spec for spec in MODEL_SPECS}


def made(spec: ModelSpec, *orders: Any) -> list[Any]:
    return list(spec.make(spec.load(), orders))


@pytest.fixture(scope="module")
def face() -> UInt8Image:
    """A face of a crowd with room around it, as on a photo."""
    import mien

    photo = np.full((400, 400, 3), 128, np.uint8)
    photo[72:328, 72:328] = resize(
        mien.load("crowd", preset="mien").sample(1, sex="female", age=30, seed=1)[0].image, 256, 256
    )
    return photo


def test_requests_made_together_are_the_faces_of_their_seeds() -> None:
    import mien

    spec, seeds = BY_NAME["crowd"], Seeds()
    forms = [
        CrowdForm(count=2, seed=5, first=30, sex="male"),
        CrowdForm(count=3, seed=6, age="20-30", words="smiling"),
    ]
    first, second = made(spec, *(read_form(spec, form, seeds).request for form in forms))
    crowd = mien.load("crowd")
    alone = crowd.sample(2, seed=5, first=30, sex="male")
    alone += crowd.sample(3, seed=6, age=(20, 30), attributes={"Smiling": True})
    for picture, face in zip([*first, *second], alone, strict=True):
        assert np.array_equal(picture.image, face.image)
        assert (picture.row["seed"], picture.row["index"]) == (face.seed, face.index)
        assert picture.row["age"] == face.labels.age_years
    assert second[0].row["attributes"] == {"Smiling": True}


def test_requests_of_two_sizes_are_made_together() -> None:
    spec, seeds = BY_NAME["crowd"], Seeds()
    forms = [CrowdForm(count=2, seed=5, size=256), CrowdForm(count=1, seed=5), CrowdForm(count=1, seed=5, size=128)]
    large, plain, small = made(spec, *(read_form(spec, form, seeds).request for form in forms))
    assert [picture.image.shape[0] for picture in (*large, *plain, *small)] == [256, 256, 256, 128]
    assert np.array_equal(plain[0].image, large[0].image)
    assert np.abs(resize(large[0].image, 128, 128).astype(int) - small[0].image).mean() < 1
    assert large[1].row["model_version"] == small[0].row["model_version"]


def test_seeds_that_nobody_asked_for_follow_one_another() -> None:
    seeds = Seeds()
    (seed, first), (again, second) = seeds.take(3), seeds.take(2)
    assert (seed, first, again, second) == (seed, 0, seed, 3)


def test_a_part_of_a_request_is_a_part_of_its_faces() -> None:
    whole = FacesRequest(seed=7, first=100, count=50)
    assert whole.part(16, 16) == FacesRequest(seed=7, first=116, count=16)


def test_faces_from_words() -> None:
    spec = BY_NAME["imagine"]
    form = ImagineForm(words="smiling, woman", age="30-40", count=2, seed=3)
    (pictures,) = made(spec, read_form(spec, form, Seeds()).request)
    assert [picture.row["file"] for picture in pictures] == ["00000.png", "00001.png"]
    for picture in pictures:
        assert picture.row["attributes"]["Smiling"] is True
        assert picture.row["age"] == [30, 40]
        assert {"model", "model_version", "seed", "index"} <= picture.row.keys()
        assert picture.image.ndim == 3


@pytest.mark.models
def test_a_photo_described(models_cache: Path, face: UInt8Image) -> None:
    empty = np.full((64, 64, 3), 90, np.uint8)
    seen, nobody = made(BY_NAME["describe"], PhotoJob(face, {}), PhotoJob(empty, {}))
    assert len(seen["faces"]) == 1
    assert seen["photo"] == "photo"
    assert "Asian" not in seen["faces"][0]["attributes"]
    assert nobody["problem"]["reason"] == "no_face"


@pytest.mark.models
def test_a_portrait_made(models_cache: Path, face: UInt8Image) -> None:
    empty = np.full((64, 64, 3), 90, np.uint8)
    pictures, nobody = made(BY_NAME["portrait"], PhotoJob(face, {"largest": True}), PhotoJob(empty, {}))
    assert isinstance(pictures[0], Picture)
    assert pictures[0].image.shape == (256, 256, 3)
    assert "made from a photograph" in pictures[0].comment
    assert pictures[0].row["photo"] == "photo"
    assert isinstance(nobody, PhotoError)
