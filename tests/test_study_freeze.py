"""Frozen pictures: one size, one treatment, nothing inside but pixels, hashes that hold."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import review_tiny
from study_tiny import make_study, write_folder

from mien.core.errors import RequestError
from mien.core.images import write_png
from mien.core.photos import read_photo
from mien.core.seeding import stream
from mien.datasets import catalog
from mien.evaluation.study.design import REAL, Design, Rule, StudyRequest, picture_path
from mien.evaluation.study.freeze import freeze
from mien.evaluation.study.sources import candidates
from mien.evaluation.study.treatment import GREY, mask_of, oval, scrambled, shown_inside, treated


def wish(**other: object) -> StudyRequest:
    values: dict[str, object] = {
        "title": "t",
        "seed": 1,
        "pictures": 6,
        "trials": 8,
        "practice": 0,
        "catch": 0,
        "rule": Rule(),
        "background": "whole",
        **other,
    }
    return StudyRequest(**values)  # type: ignore[arg-type]


def of(folder: Path, model: bool = False) -> list:
    return candidates(folder, split="test", sources=(), background="whole", model=model)


def test_every_file_is_alike_and_hashed(tmp_path: Path) -> None:
    design = make_study(tmp_path, exposure_ms=100)
    again = Design.load(tmp_path / "out")
    assert again == design
    assert again.fingerprint() == design.fingerprint()
    files = list((tmp_path / "out" / "pictures").iterdir())
    assert {file.stem for file in files} == {one.id for one in design.pictures}
    for one in design.pictures:
        data = picture_path(tmp_path / "out", one.id).read_bytes()
        assert hashlib.sha256(data).hexdigest() == one.sha256
        with PIL.Image.open(picture_path(tmp_path / "out", one.id)) as image:
            image.load()
            assert (image.size, image.mode, image.format, image.info) == ((64, 64), "RGB", "PNG", {})
        assert b"mien" not in data
        assert b"somebody" not in data
    counts = Counter((one.role, one.source) for one in design.pictures)
    assert counts["trial", REAL] == 12
    assert counts["trial", "a"] == counts["trial", "b"] == 6
    assert sum(n for (role, _), n in counts.items() if role == "practice") == 2
    assert counts["mask", ""] > 2
    assert len(design.of("catch")) == design.scrambled == design.cards == 1
    used = [one.origin_sha256 for one in design.pictures if one.origin_sha256]
    assert len(used) == len(set(used))  # no picture in two roles


def test_the_seed_alone_decides(tmp_path: Path) -> None:
    first = make_study(tmp_path / "1")
    second = make_study(tmp_path / "2")
    assert [one.id for one in first.pictures] == [one.id for one in second.pictures]
    other = make_study(tmp_path / "3", seed=6)
    assert not {one.id for one in first.pictures} & {one.id for one in other.pictures}


def test_a_changed_picture_is_seen(tmp_path: Path) -> None:
    design = make_study(tmp_path)
    path = picture_path(tmp_path / "out", design.pictures[3].id)
    write_png(path, np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(RequestError, match="not the picture that was frozen"):
        Design.load(tmp_path / "out")


def test_all_are_shrunk_to_the_smallest_and_none_is_blown_up(tmp_path: Path) -> None:
    real, small = write_folder(tmp_path / "r", 8, seed=1, size=128), write_folder(tmp_path / "m", 8, seed=2, size=64)
    design = freeze(wish(), of(real), {"m": of(small)}, tmp_path / "out")
    assert design.size_px == 64
    assert {read_photo(p).shape for p in (tmp_path / "out" / "pictures").iterdir()} == {(64, 64, 3)}
    with pytest.raises(RequestError, match="--size: 96 px given; 'm' has pictures of 64 px"):
        freeze(wish(size_px=96), of(real), {"m": of(small)}, tmp_path / "out2")
    assert not (tmp_path / "out2").exists()


def test_grey_pictures_and_copies_are_left_out_and_counted(tmp_path: Path) -> None:
    real, made = write_folder(tmp_path / "r", 8, seed=1), write_folder(tmp_path / "m", 8, seed=2)
    grey = np.repeat(np.random.default_rng(0).integers(0, 256, (64, 64, 1)).astype(np.uint8), 3, 2)
    write_png(real / "grey.png", grey)
    write_png(made / "copy.png", read_photo(real / "00000.png"))
    (real / "broken.png").write_bytes(b"no picture")
    design = freeze(wish(pictures=30), of(real), {"m": of(made)}, tmp_path / "out")
    assert design.left_out == {REAL: {"grey": 1, "not_an_image": 1}, "m": {"duplicate": 1}}
    assert len(design.of("trial", "m")) == len(design.of("trial", REAL)) == 8


def test_sources_are_matched_by_sex_and_age_where_known(tmp_path: Path) -> None:
    real = write_folder(tmp_path / "r", 60, seed=1, labelled=True)
    made = write_folder(tmp_path / "m", 60, seed=2, labelled=True)
    lines = (made / "manifest.jsonl").read_text().splitlines()
    (made / "manifest.jsonl").write_text("\n".join(lines[:30]))  # other ages than the real ones
    design = freeze(wish(pictures=20), of(real), {"m": of(made, model=True)}, tmp_path / "out")
    assert design.matched == "sex and age"

    def shares(source: str) -> Counter:
        return Counter((one.sex, (one.age_years or 0) >= 35) for one in design.of("trial", source))

    assert sum(shares(REAL).values()) > 10
    assert shares(REAL).keys() == shares("m").keys()
    assert all(abs(shares(REAL)[key] - shares("m")[key]) <= 1 for key in shares("m"))
    free = freeze(wish(pictures=20, match=False), of(real), {"m": of(made, model=True)}, tmp_path / "free")
    assert free.matched == ""
    assert len(free.of("trial", REAL)) == 20


def test_of_a_dataset_one_whole_photograph_a_person(tmp_path: Path) -> None:
    crops = [stream(place, "crop").integers(0, 256, (64, 64, 3)).astype(np.uint8) for place in range(10)]
    rows = review_tiny.write(tmp_path / "data", crops, [{"sex": "female", "person": f"p{k // 2}"} for k in range(10)])
    rows[4] = dataclasses.replace(rows[4], photo_width=50)  # of p2: the photograph ends within the crop
    rows[8] = dataclasses.replace(rows[8], split="test")  # of p4, who is not all in the split asked for
    catalog.write_catalog(tmp_path / "data", rows)

    def found(**other: object) -> list:
        options: dict = {"split": "train", "sources": (), "background": "whole", **other}
        return candidates(tmp_path / "data", **options)

    assert [one.origin for one in found()] == [f"made:{k:05d}.png" for k in (0, 2, 4, 6, 9)]
    assert found()[0].labels.sex == "female"
    made = write_folder(tmp_path / "m", 8, seed=2)
    design = freeze(wish(pictures=4, trials=4), found(), {"m": of(made)}, tmp_path / "out")
    assert design.left_out[REAL] == {"mirrored_border": 1}
    assert {one.origin for one in design.of("trial", REAL)} == {f"made:{k:05d}.png" for k in (0, 2, 6, 9)}
    with pytest.raises(RequestError, match="--source: 'lfw' given; .* has made"):
        found(sources=("lfw",))


def test_a_manifest_says_which_pictures_count(tmp_path: Path) -> None:
    made = write_folder(tmp_path / "m", 4, seed=2, labelled=True)
    write_png(made / "sheet.png", np.zeros((32, 96, 3), np.uint8))
    assert [one.origin for one in of(made, model=True)] == [f"{k:05d}.png" for k in range(4)]
    (made / "manifest.jsonl").write_text('{"file": "../secret.png"}\n')
    with pytest.raises(RequestError, match="leaves the directory"):
        of(made, model=True)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"trials": 7}, "--trials: 7 given; allowed are multiples of 2"),
        ({"trials": 40}, "--pictures: 6 given; a participant sees 20 of each model"),
        ({"pictures": 50, "trials": 40}, "--real: 8 usable pictures"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, other: dict, said: str) -> None:
    real, made = write_folder(tmp_path / "r", 8, seed=1), write_folder(tmp_path / "m", 40, seed=2)
    with pytest.raises(RequestError, match=said):
        freeze(wish(**other), of(real), {"m": of(made)}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_oblong_pictures_and_odd_names_are_refused(tmp_path: Path) -> None:
    real, made = write_folder(tmp_path / "r", 8, seed=1), tmp_path / "m"
    for number in range(8):
        write_png(made / f"{number}.png", np.full((64, 80, 3), (number, 99, 200), np.uint8))
    with pytest.raises(RequestError, match="80 x 64 px; wanted are square"):
        freeze(wish(), of(real), {"m": of(made)}, tmp_path / "out")
    with pytest.raises(RequestError, match="--model: name 'real'"):
        freeze(wish(), of(real), {"real": of(made)}, tmp_path / "out")


def test_the_oval_leaves_the_face_and_greys_the_rest() -> None:
    photo = np.full((100, 100, 3), (250, 10, 60), np.uint8)
    seen = treated(photo, 100, "oval")
    assert (seen[55, 50] == (250, 10, 60)).all()
    assert (seen[0] == GREY).all()
    assert (seen[:, 0] == GREY).all()
    share = oval(100)
    assert 0.25 < share.mean() < 0.31
    assert (treated(photo, 100, "whole") == photo).all()
    mirrored = np.ones((64, 64), np.float32)
    mirrored[:8] = 0  # a border outside the oval
    assert shown_inside(mirrored, "oval")
    assert not shown_inside(mirrored, "whole")
    mirrored[:24] = 0
    assert not shown_inside(mirrored, "oval")


def test_a_scrambled_face_keeps_its_pixels_and_no_block_stays() -> None:
    photo = stream(0, "face").integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for seed in range(20):
        cut = scrambled(photo, stream(seed, "cut"))
        assert (np.sort(cut.ravel()) == np.sort(photo.ravel())).all()
        for y in range(0, 64, 16):
            for x in range(0, 64, 16):
                assert (cut[y : y + 16, x : x + 16] != photo[y : y + 16, x : x + 16]).any()
    assert scrambled(photo[:50, :50], stream(0, "cut")).shape == (50, 50, 3)
    mask = mask_of([photo, photo[::-1].copy()], stream(1, "mask"))
    assert mask.shape == photo.shape
    assert (mask != photo).mean() > 0.9
