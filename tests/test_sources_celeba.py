from __future__ import annotations

from pathlib import Path

import pytest

from mien.attributes import NAMES
from mien.core.errors import SourceError
from mien.core.records import SourcePhoto
from mien.datasets.sources import find
from mien.datasets.sources.celeba import UNMAPPED, mien_name

FORTY = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips",
    "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin",
    "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open",
    "Mustache", "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline",
    "Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat",
    "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip


def values(**marks: int) -> str:
    return " ".join(f"{marks.get(name, -1):2d}" for name in FORTY)


def make(root: Path, rows: dict[str, str], photos: list[str], below: str = "img_align_celeba") -> Path:
    (root / below).mkdir(parents=True)
    for name in photos:
        (root / below / name).write_bytes(b"")
    lines = [str(len(rows)), " ".join(FORTY) + " ", *(f"{name} {row}" for name, row in rows.items())]
    (root / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    return root


def read(source_dir: Path, labels: Path | None = None) -> dict[str, SourcePhoto]:
    photos = list(find("celeba").rows(source_dir, labels))
    assert [photo.key for photo in photos] == sorted(photo.key for photo in photos)
    return {photo.key.rpartition("/")[2]: photo for photo in photos}


def test_thirty_eight_names_are_of_the_seventy_three() -> None:
    assert len(FORTY) == 40
    mapped = [mien_name(name) for name in FORTY if name not in UNMAPPED]
    assert len(set(mapped)) == 38
    assert set(mapped) <= set(NAMES)
    assert {mien_name(name) for name in UNMAPPED} == {None}


def test_rows(tmp_path: Path) -> None:
    rows = {
        "000001.jpg": values(Male=1, Smiling=1, Young=1, **{"5_o_Clock_Shadow": 1}),
        "000002.jpg": values(Attractive=1),
        "000003.jpg": values() + " 1",
        "000004.jpg": values(Male=0),
        "000006.jpg": values(),
    }
    make(tmp_path, rows, [f"00000{number}.jpg" for number in range(1, 6)] + ["thumbs.png"])
    photos = read(tmp_path)
    assert {name: (photo.labels.sex, photo.drop_reason) for name, photo in photos.items()} == {
        "000001.jpg": ("male", None),
        "000002.jpg": ("female", None),
        "000003.jpg": (None, "bad_label_row"),
        "000004.jpg": (None, "unknown_label"),
        "000005.jpg": (None, None),
        "000006.jpg": ("female", "missing"),
    }
    first = photos["000001.jpg"].labels.attributes
    assert {name for name, mark in first.items() if mark} == {"Male", "Smiling", "5 o' Clock Shadow"}
    assert len(first) == 38
    assert photos["000001.jpg"].key == "img_align_celeba/000001.jpg"
    assert {photo.labels.person for photo in photos.values()} == {None}
    assert {photo.split for photo in photos.values()} == {None}


def test_persons_and_splits_where_the_files_are(tmp_path: Path) -> None:
    make(tmp_path / "data", {f"00000{n}.jpg": values() for n in (1, 2, 3)}, ["000001.jpg", "000002.jpg", "000003.jpg"])
    (tmp_path / "Anno").mkdir()
    (tmp_path / "Anno" / "identity_CelebA.txt").write_text("000001.jpg 2880\n000002.jpg 2937\nbroken\n")
    (tmp_path / "data" / "list_eval_partition.csv").write_text(
        "image_id,partition\n000001.jpg,0\n000002.jpg,1\n000003.jpg,2\n"
    )
    photos = read(tmp_path / "data")
    assert [photo.labels.person for photo in photos.values()] == ["CelebA 2880", "CelebA 2937", None]
    assert [photo.split for photo in photos.values()] == ["train", "validation", "test"]


@pytest.mark.parametrize("below", ["img_align_celeba/img_align_celeba", "Img/img_align_celeba_png", "."])
def test_layouts_in_which_it_travels(tmp_path: Path, below: str) -> None:
    suffix = "png" if below.endswith("png") else "jpg"
    root = tmp_path / "celeba"
    (root / below).mkdir(parents=True)
    (root / below / f"000001.{suffix}").write_bytes(b"")
    table = root / "list_attr_celeba.csv"
    table.write_text(f"image_id,{','.join(FORTY)}\n000001.jpg,{','.join(values(Smiling=1).split())}\n")
    (photo,) = read(root).values()
    assert photo.labels.attributes["Smiling"] is True
    assert Path(photo.path).is_file()
    elsewhere = tmp_path / "elsewhere.csv"
    table.rename(elsewhere)
    assert list(read(root, elsewhere).values()) == [photo]


def test_other_directories_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"not CelebA: looked for list_attr_celeba.txt and img_align_celeba/"):
        find("celeba").rows(tmp_path, None)
    make(tmp_path / "c", {}, ["000001.jpg"])
    (tmp_path / "c" / "list_attr_celeba.txt").write_text("file sex age\n")
    with pytest.raises(SourceError, match="not CelebA attributes"):
        find("celeba").rows(tmp_path / "c", None)
