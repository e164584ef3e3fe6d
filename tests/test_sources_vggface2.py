from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.core.errors import SourceError
from mien.core.records import Box, SourcePhoto
from mien.datasets.sources import find
from mien.datasets.sources.vggface2 import read_box, read_points

META = '''Class_ID, Name, Sample_Num, Flag, Gender
n000001," ""14th_Dalai_Lama""",424,0, m
n000002," ""A_Fine_Frenzy""",315,1, f
n000003," ""A._A._Gill""",205,1, x
n000004," ""A._J._Buckley""",387
n000040," ""Aco_Petrović, Jr.""",180,0, m
'''
BOXES = """NAME_ID,X,Y,W,H
"n000002/0001_01",161,140,224,324
"n000003/0001_01",66,48,97,121
"n000002/0002_01",-5,68,128,173
"n000040/0001_01",10,10,0,50
"n000040/0002_01",10,ten,40,50
"n000040/0003_01",10
"""
POINTS = """NAME_ID,P1X,P1Y,P2X,P2Y,P3X,P3Y,P4X,P4Y,P5X,P5Y
"n000002/0001_01",227.2,267.7,317.7,254.7,273.9,320.6,246.4,384.0,331.2,371.2
"n000002/0002_01",227.2,267.7,317.7
"""


def make(root: Path, *names: str) -> Path:
    for name in names:
        (root / f"{name}.jpg").parent.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.jpg").write_bytes(b"")
    return root


def read(source_dir: Path, labels: Path | None = None) -> dict[str, SourcePhoto]:
    photos = list(find("vggface2").rows(source_dir, labels))
    assert [photo.key for photo in photos] == sorted(photo.key for photo in photos)
    return {photo.key.removesuffix(".jpg"): photo for photo in photos}


@pytest.mark.parametrize("place", [".", "..", "meta"])
def test_tables(tmp_path: Path, place: str) -> None:
    root = make(
        tmp_path / "vgg",
        *("train/n000002/0001_01", "train/n000002/0002_01", "train/n000003/0001_01", "train/n000004/0001_01"),
        *(f"train/n000040/000{n}_01" for n in range(1, 5)),
        *("train/n000099/0001_01", "test/n000001/0001_01"),
    )
    (root / "train" / "notes").mkdir()
    (root / place).mkdir(exist_ok=True)
    (root / place / "identity_meta.csv").write_text(META)
    (root / place / "loose_bb_train.csv").write_text(BOXES)
    (root / place / "loose_landmark_train.csv").write_text(POINTS)
    photos = read(root)
    said = {key: (photo.labels.person, photo.labels.sex, photo.drop_reason) for key, photo in photos.items()}
    assert said == {
        "test/n000001/0001_01": ("14th Dalai Lama", "male", None),
        "train/n000002/0001_01": ("A Fine Frenzy", "female", None),
        "train/n000002/0002_01": ("A Fine Frenzy", "female", None),
        "train/n000003/0001_01": ("A. A. Gill", None, "unknown_sex"),
        "train/n000004/0001_01": ("VGGFace2 n000004", None, "bad_label_row"),
        "train/n000040/0001_01": ("Aco Petrović, Jr.", "male", "bad_box"),
        "train/n000040/0002_01": ("Aco Petrović, Jr.", "male", "bad_box"),
        "train/n000040/0003_01": ("Aco Petrović, Jr.", "male", "bad_box"),
        "train/n000040/0004_01": ("Aco Petrović, Jr.", "male", None),
        "train/n000099/0001_01": ("VGGFace2 n000099", None, None),
    }
    assert photos["train/n000002/0001_01"].box == Box(161, 140, 385, 464)
    assert photos["train/n000002/0002_01"].box == Box(-5, 68, 123, 241)
    assert photos["train/n000003/0001_01"].box == Box(66, 48, 163, 169)
    landmarks = photos["train/n000002/0001_01"].landmarks
    assert landmarks is not None
    assert landmarks[0] == (227.2, 267.7)
    assert landmarks[4] == (331.2, 371.2)
    assert photos["train/n000002/0002_01"].landmarks is None
    assert photos["test/n000001/0001_01"].split == "test"
    assert photos["train/n000002/0001_01"].split == "train"


def test_without_tables_and_from_within_train(tmp_path: Path) -> None:
    root = make(tmp_path, "data/train/n000002/0001_01", "data/test/n000003/0001_01")
    assert {key: photo.labels.person for key, photo in read(root).items()} == {
        "data/test/n000003/0001_01": "VGGFace2 n000003",
        "data/train/n000002/0001_01": "VGGFace2 n000002",
    }
    (photo,) = read(root / "data" / "test").values()
    assert (photo.key, photo.split) == ("n000003/0001_01.jpg", "test")


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not VGGFace2: looked for train/n000002"):
        find("vggface2").rows(make(tmp_path / "a", "train/somebody/1"), None)
    root = make(tmp_path / "b", "train/n000002/0001_01")
    (root / "loose_bb_train.csv").write_text("file,box\n")
    with pytest.raises(SourceError, match="begins NAME_ID,X,Y,W,H"):
        find("vggface2").rows(root, None)
    (root / "loose_bb_train.csv").unlink()
    (root / "names.csv").write_text("id,who\n")
    with pytest.raises(SourceError, match="looked for the header 'Class_ID, Name"):
        find("vggface2").rows(root, root / "names.csv")


@given(st.lists(st.one_of(st.text(max_size=5), st.floats().map(str), st.integers().map(str)), max_size=11))
def test_no_cells_raise(values: list[str]) -> None:
    box, points = read_box(values), read_points(values)
    assert box is None or (box.width > 0 and box.height > 0 and len(values) == 4)
    assert points is None or (len(points) == 5 and len(values) == 10)


@pytest.mark.shared
def test_the_real_tables(shared_data: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_data / "vggface2", tmp_path / "vgg")
    root = make(tmp_path / "vgg", *(f"train/n{n:06d}/0001_01" for n in (1, 2, 3, 4, 40, 149)))
    photos = read(root)
    assert [photo.labels.sex for photo in photos.values()] == ["male", "female", "male", "male", "male", "female"]
    assert photos["train/n000040/0001_01"].labels.person == "Aco Petrović"
    assert photos["train/n000002/0001_01"].box == Box(161, 140, 385, 464)
    assert photos["train/n000002/0001_01"].landmarks is not None
