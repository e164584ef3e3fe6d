from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mien.attributes import NAMES
from mien.core.errors import SourceError
from mien.core.records import SourcePhoto
from mien.datasets.sources import find
from mien.datasets.sources.kumar import confident


def make(root: Path, *names: str) -> None:
    for name in names:
        person = name.rpartition("_")[0]
        (root / person).mkdir(parents=True, exist_ok=True)
        (root / person / f"{name}.jpg").write_bytes(b"")


def read(source_dir: Path, labels: Path | None = None) -> dict[str, SourcePhoto]:
    photos = list(find("lfw").rows(source_dir, labels))
    assert [photo.key for photo in photos] == sorted(photo.key for photo in photos)
    return {photo.key.rpartition("/")[2].removesuffix(".jpg"): photo for photo in photos}


def test_photos_without_labels_have_their_person(tmp_path: Path) -> None:
    make(tmp_path / "lfw-deepfunneled", "AJ_Cook_0001", "Al_Gore_0002", "Al_Gore_0001")
    (tmp_path / "lfw-deepfunneled" / "Al_Gore" / "notes.jpg").write_bytes(b"")
    photos = read(tmp_path)
    assert list(photos) == ["AJ_Cook_0001", "Al_Gore_0001", "Al_Gore_0002"]
    assert photos["AJ_Cook_0001"].key == "lfw-deepfunneled/AJ_Cook/AJ_Cook_0001.jpg"
    assert photos["Al_Gore_0002"].labels.person == "Al Gore"
    assert photos["Al_Gore_0002"].labels.attributes == {}
    assert read(tmp_path / "lfw-deepfunneled").keys() == photos.keys()


BINARY = """image,5 o' Clock Shadow,Female,Male
AJ_Cook/AJ_Cook_0001.jpg,0,1,0
Al_Gore/Al_Gore_0001.jpg,1,0,1
Al_Gore/Al_Gore_0002.jpg,1,0,0
Al_Gore/Al_Gore_0003.jpg,1,0
Al_Gore/Al_Gore_0004.jpg,1,0,7
Al_Gore/Al_Gore_0005.jpg,1,1,1
Al_Gore/Al_Gore_0006.jpg,1,0,1
Al_Gore/Al_Gore_0006.jpg,0,0,1
Nobody/Nobody_0001.jpg,1,0,1
"""


@pytest.mark.parametrize("text", [BINARY, "\ufeff" + BINARY, BINARY.replace("\n", "\r\n"), BINARY + "\n\n"])
def test_the_binary_table(tmp_path: Path, text: str) -> None:
    make(tmp_path / "lfw", "AJ_Cook_0001", *(f"Al_Gore_{n:04d}" for n in range(1, 8)))
    (tmp_path / "lfw_attributes_binary.csv").write_bytes(text.encode())
    photos = read(tmp_path)
    said = {name: (photo.labels.sex, photo.drop_reason) for name, photo in photos.items()}
    assert said == {
        "AJ_Cook_0001": ("female", None),
        "Al_Gore_0001": ("male", None),
        "Al_Gore_0002": (None, None),
        "Al_Gore_0003": (None, "bad_label_row"),
        "Al_Gore_0004": (None, "unknown_label"),
        "Al_Gore_0005": (None, None),
        "Al_Gore_0006": (None, "bad_label_row"),
        "Al_Gore_0007": (None, None),
        "Nobody_0001": ("male", "missing"),
    }
    assert photos["AJ_Cook_0001"].labels.attributes == {"5 o' Clock Shadow": False, "Male": False}
    assert photos["Al_Gore_0003"].labels.attributes == photos["Al_Gore_0007"].labels.attributes == {}
    assert read(tmp_path / "lfw").keys() == photos.keys(), "labels beside the directory of photos"


def test_the_published_scores_mean_the_same_as_the_binary_table(tmp_path: Path) -> None:
    make(tmp_path / "lfw", "AJ_Cook_0001", *(f"Al_Gore_{n:04d}" for n in range(1, 8)))
    scores = [2.0, 1.0, 0.1, -0.1, -1.0, -2.0]  # of three males the surest two, of three females the surest two
    lines = ["# lfw_attributes.txt - attributes of LFW", "#\tperson\timagenum\tMale\tSmiling"]
    lines += [f"Al Gore\t{n}\t{score}\t{-1 if n < 5 else 0.5}" for n, score in enumerate(scores, 1)]
    lines += ["Al Gore\t7\tmuch\t1", "AJ Cook\t1\t5", "Nobody\tone\t1\t1"]
    path = tmp_path / "lfw_attributes.txt"
    path.write_text("\n".join(lines))
    photos = read(tmp_path, path)
    assert [photos[f"Al_Gore_{n:04d}"].labels.sex for n in range(1, 8)] == [
        "male",
        "male",
        None,
        None,
        "female",
        "female",
        None,
    ]
    assert [photos[f"Al_Gore_{n:04d}"].labels.attributes["Male"] for n in range(1, 7)] == [True, True] + [False] * 4
    assert [photos[f"Al_Gore_{n:04d}"].labels.attributes["Smiling"] for n in range(1, 7)] == [False] * 4 + [True] * 2
    assert photos["AJ_Cook_0001"].drop_reason == photos["Al_Gore_0007"].drop_reason == "bad_label_row"
    assert len(set(NAMES)) == 73
    assert "Female" not in photos["Al_Gore_0001"].labels.attributes
    assert len(photos) == 9
    assert read(tmp_path) == photos


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(2)), elements=st.floats(-3, 3), unique=True))
def test_two_thirds_of_the_positive_are_confident(scores: np.ndarray) -> None:
    marks = confident(scores, ["Smiling", "Male"])
    assert marks.shape == (len(scores), 3)
    for values, marked in zip((scores[:, 0], scores[:, 1], -scores[:, 1]), marks.T, strict=True):
        positive = int((values > 0).sum())
        assert marked.sum() == round(positive * 2 / 3)
        assert not marked.any() or values[marked].min() > max(values[~marked & (values > 0)], default=0)


def test_wrong_directories_and_label_files(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(SourceError, match=r"not LFW: looked for Person_Name/Person_Name_0001.jpg"):
        find("lfw").rows(tmp_path, None)
    make(tmp_path, "Al_Gore_0001")
    with pytest.raises(SourceError, match="no such label file"):
        find("lfw").rows(tmp_path, tmp_path / "no.csv")
    (tmp_path / "other.csv").write_text("name,age\nAl Gore,3\n")
    with pytest.raises(SourceError, match="not LFW attributes: looked for"):
        find("lfw").rows(tmp_path, tmp_path / "other.csv")


@pytest.mark.shared
def test_the_real_directory(shared_data: Path) -> None:
    photos = list(find("lfw").rows(shared_data / "lfw", None))
    assert len(photos) == 12_020
    assert {photo.drop_reason for photo in photos} == {None}
    labelled = [photo.labels for photo in photos if photo.labels.attributes]
    assert len(labelled) == 11_939
    assert {frozenset(labels.attributes) for labels in labelled} == {frozenset(NAMES)}
    assert sum(labels.attributes["Color Photo"] for labels in labelled) / len(labelled) == pytest.approx(0.64, abs=0.01)
    assert sum(labels.sex == "female" for labels in labelled) > 1_000
