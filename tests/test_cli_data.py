"""``mien data`` from words to files; with the real networks where they were fetched."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from photos_stub import SIDE_PX, StubFinder, draw, write_photos
from typer.testing import Result

from mien.core import images
from mien.core.errors import RequestError, SourceError
from mien.core.photos import read_photo
from mien.core.records import Box, Detection, Labels, SourcePhoto, UInt8Image
from mien.datasets import catalog, chunks, filters, prepare, sources
from mien.datasets.batches import FaceDataset

Here = Callable[..., Result]


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "Networks", StubFinder)


@pytest.mark.usefixtures("stubbed")
def test_prepare_a_folder_and_report_on_it(tmp_path: Path, cli_here: Here) -> None:
    write_photos(tmp_path / "photos", 5)
    (tmp_path / "photos" / "text.jpg").write_text("no image")
    for name in ("clip.MOV", "clip2.mov", "._text.jpg", "README", "labels.csv"):
        (tmp_path / "photos" / name).write_text("file\n")
    result = cli_here("data", "prepare", "folder", tmp_path / "photos", tmp_path / "dest", "--size", 64, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert "folder: 5 of 6 photos kept; dropped: 1 not_an_image" in result.output
    assert "passed over, no photos of the format: 2 .mov, 1 hidden, 1 no ending\n" in result.output
    assert "photos/s" in result.output
    assert len(FaceDataset.open(tmp_path / "dest")) == 5
    result = cli_here("data", "report", tmp_path / "dest", "--out", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "report" / "report.html").is_file()
    refused = cli_here("data", "report", tmp_path / "dest", "--out", tmp_path / "report")
    assert isinstance(refused.exception, RequestError)
    assert "holds a report already" in str(refused.exception)


@pytest.mark.usefixtures("stubbed")
def test_two_folders_with_names_in_one_dest_and_a_limit(tmp_path: Path, cli_here: Here) -> None:
    for name, seed in (("one", 0), ("two", 50)):
        write_photos(tmp_path / name, 4, first_seed=seed)
        words = ("folder", tmp_path / name, tmp_path / "dest", "--name", name, "--limit", 3, "--jobs", 1, "--size", 64)
        assert cli_here("data", "prepare", *words).exit_code == 0
    assert Counter(row.source for row in catalog.read_catalog(tmp_path / "dest")) == {"one": 3, "two": 3}


@pytest.mark.usefixtures("stubbed")
@pytest.mark.parametrize("name", ["lfw", "utkface", "celeba", "imdb_wiki", "vggface2", "pubfig"])
def test_a_directory_of_another_format_is_one_line_that_says_what_was_looked_for(
    name: str, tmp_path: Path, cli_here: Here
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"x")
    result = cli_here("data", "prepare", name, tmp_path / "photos", tmp_path / "dest", "--jobs", 1)
    assert isinstance(result.exception, SourceError)
    assert "looked for" in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "dest").exists()


@pytest.mark.usefixtures("stubbed")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lwf", "photos", "dest"), "did you mean lfw?"),
        (("folder", "photos", "dest", "--name", "../up"), "--name"),
        (("folder", "photos", "dest", "--name", ""), "--name"),
    ],
)
def test_wrong_words_are_refused(words: Sequence[str], said: str, tmp_path: Path, cli_here: Here) -> None:
    write_photos(tmp_path / "photos", 1)
    placed = [tmp_path / word if word in ("photos", "dest") else word for word in words]
    result = cli_here("data", "prepare", *placed, "--jobs", 1)
    assert isinstance(result.exception, RequestError)
    assert said in str(result.exception)


@pytest.mark.usefixtures("stubbed")
def test_lfw_with_an_unreadable_row_and_an_unknown_value(tmp_path: Path, cli_here: Here) -> None:
    folder = tmp_path / "lfw"
    rows = ["image,Male,Smiling,Female"]
    for number, (name, cells) in enumerate((("Ann_A", "0,1,1"), ("Bob_B", "1,0"), ("Cat_C", "0,9,0"))):
        photo = folder / "lfw-deepfunneled" / name / f"{name}_0001.jpg"
        photo.parent.mkdir(parents=True)
        photo.write_bytes(images.encode_jpeg(draw(number)))
        rows.append(f"{name}/{name}_0001.jpg,{cells}")
    (folder / "lfw_attributes_binary.csv").write_text("\n".join(rows))
    assert cli_here("data", "prepare", "lfw", folder, tmp_path / "dest", "--jobs", 1).exit_code == 0
    found = {row.key.rpartition("/")[2]: row for row in catalog.read_catalog(tmp_path / "dest")}
    assert found["Ann_A_0001.jpg"].sex == "female"
    assert found["Ann_A_0001.jpg"].absent_is_sure is False
    assert found["Bob_B_0001.jpg"].drop_reason == "bad_label_row"
    assert found["Cat_C_0001.jpg"].drop_reason == "unknown_label"


@pytest.mark.shared
@pytest.mark.models
def test_real_photos_are_cropped_by_the_convention(
    shared_data: Path, models_cache: Path, tmp_path: Path, cli_here: Here
) -> None:
    for path in sorted((shared_data / "lfw" / "lfw-deepfunneled").rglob("*_0001.jpg"))[:600:50]:
        target = tmp_path / "lfw" / path.parent.name / path.name
        target.parent.mkdir(parents=True)
        shutil.copy(path, target)
    result = cli_here("data", "prepare", "lfw", tmp_path / "lfw", tmp_path / "dest", "--jobs", 1)
    assert result.exit_code == 0, result.output
    data = FaceDataset.open(tmp_path / "dest")
    assert len(data) == 12
    again = chunks.Networks()
    crops = list(data.decoded(np.arange(12)))
    found = again.detect(crops)
    faces = again.locate(crops, [one[0] for one in found])
    eyes = np.stack([(face.mesh[33, :2] + face.mesh[263, :2]) / 2 for face in faces])
    assert np.abs(eyes - [127.5, 0.42 * 256 - 0.5]).max() < 8  # px of 256: found again where the convention puts them
    assert all(abs(face.yaw_degrees or 0) < 60 and (face.eye_distance_px or 0) > 40 for face in data.faces)


class WholePhotoFinder(StubFinder):
    """Says that a tightly cut photo is a face as a whole."""

    def detect(self, photos: Sequence[UInt8Image]) -> list[list[Detection]]:
        return [
            [Detection(Box(0, 0, photo.shape[1], photo.shape[0]), np.zeros((6, 2), np.float32), 1.0)]
            for photo in photos
        ]


@pytest.mark.slow
@pytest.mark.shared
def test_the_duplicates_of_the_real_utkface_are_dropped_and_never_parted(shared_data: Path, tmp_path: Path) -> None:
    photos = list(sources.find("utkface").rows(shared_data / "utkface"))
    by_content: dict[str, list[SourcePhoto]] = defaultdict(list)
    for photo in photos:
        by_content[hashlib.sha256(Path(photo.path).read_bytes()).hexdigest()].append(photo)
    twins = [photo for same in by_content.values() if len(same) > 1 for photo in same]
    usable = {photo.key for photo in twins if photo.drop_reason is None}
    expected = len(usable) - len({content for content, same in by_content.items()
                                  if len(same) > 1 and any(photo.key in usable for photo in same)})  # fmt: skip
    assert expected > 100
    chosen = sorted({photo.key: photo for photo in [*twins, *photos[::200]]}.values(), key=lambda photo: photo.key)
    work = prepare.SourceJob("utkface", "utkface", "", filters.Rules(), tuple(chosen), size_px=64)
    summary = prepare.prepare(work, tmp_path / "dest", load_finder=WholePhotoFinder)
    assert summary.dropped["duplicate"] == expected
    kept = FaceDataset.open(tmp_path / "dest").faces
    assert max(Counter(face.sha256 for face in kept).values()) == 1


@pytest.mark.shared
@pytest.mark.models
def test_no_person_and_no_picture_of_the_real_data_is_in_two_splits(
    shared_data: Path, models_cache: Path, tmp_path: Path
) -> None:
    """Real faces beside altered copies of them, from two sources: every copy goes where its original goes."""
    originals = sorted((shared_data / "utkface" / "UTKFace").glob("2*.jpg"))[:400:10]
    altered = tmp_path / "altered"
    altered.mkdir()
    for number, path in enumerate(originals):
        photo = read_photo(path)
        photo = np.clip(photo.astype(np.float32) * 0.85 + 12, 0, 255).astype(np.uint8)
        photo = images.resize(photo, 170, 170) if number % 2 else photo[12:, :-12]
        (altered / f"{number:03d}.jpg").write_bytes(images.encode_jpeg(np.ascontiguousarray(photo), 60))
    copies = sorted(altered.glob("*.jpg"))
    for source, paths in (("original", originals), ("altered", copies)):
        rows = tuple(SourcePhoto(path.name, str(path), Labels()) for path in paths)
        work = prepare.SourceJob(source, "folder", "", filters.Rules(), rows, size_px=128)
        prepare.prepare(work, tmp_path / "dest", load_finder=chunks.Networks)
    found = {row.id: row for row in catalog.read_catalog(tmp_path / "dest")}
    pairs = [
        (found[f"original:{path.name}"], found[f"altered:{copy.name}"])
        for path, copy in zip(originals, copies, strict=True)
    ]
    both = [(a, b) for a, b in pairs if a.drop_reason is None and b.drop_reason is None]
    assert len(both) >= 36
    parted = [a.key for a, b in both if a.split != b.split]
    assert sum(a.group == b.group for a, b in both) >= 0.95 * len(both), parted
    assert len({a.group for a, _ in both}) > 0.9 * len(both)  # and strangers are not joined


def test_stub_photos_are_of_the_size_that_they_say() -> None:
    assert draw(0).shape == (SIDE_PX, SIDE_PX, 3)
