"""`mien describe` as a user meets it: one answer a photo, one line for what is wrong, and no photo stops another."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from describe_fakes import FakeFinder, FakeReader, face_at, textured

import mien.apps.cli as command_line
from mien.attributes.describe.describer import Describer
from mien.attributes.describe.records import WHAT_ETHNICITY_IS, WHY_NO_ETHNICITY
from mien.core.images import encode_jpeg, sheet, write_png
from mien.core.photos import png_texts, read_photo
from mien.pipelines.describe import describe_file, photo_files, picture_name
from mien.pipelines.faces_out import DESCRIPTIONS, opened

Run = Callable[..., tuple[int, str, str]]
PHOTO = textured(240, 320)
SEXES = ("female", "male")


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> Describer:
    """What describes here: one good face on every photo."""
    describer = Describer(FakeFinder(face_at(160, 120, 100)), FakeReader())
    monkeypatch.setattr(Describer, "load", lambda **asked: describer)
    return describer


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """``main`` with these words, in this process: (exit status, stdout, stderr)."""
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mien", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            command_line.main()
        out, err = capfd.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "beach.jpg"
    path.parent.mkdir()
    path.write_bytes(encode_jpeg(PHOTO))
    return path


def rows_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def bomb(path: Path) -> Path:
    """A PNG of 30,000 x 30,000 px in a few bytes."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    return path


def test_a_face_on_the_terminal(run: Run, works: Describer, photo: Path) -> None:
    status, said, wrong = run("describe", photo)
    assert (status, wrong) == (0, "")
    lines = said.splitlines()
    assert lines[0] == f"{photo}  320 x 240 px: 1 face (a woman)"
    assert lines[1].startswith("  1  woman, about 30, ")
    assert lines[2].strip().startswith("female 97 %, age 30, face ")
    assert all(len(line.rstrip()) <= 100 for line in lines[1:])
    shown = " ".join(said.split())
    described = works.describe(photo).faces[0]
    for name, p in described.attributes.items():
        assert f"{name} {p * 100:.0f}{'*' if name in described.present else ''}" in shown
    assert " ".join(WHY_NO_ETHNICITY.split()) in shown
    assert "* counts as present" in shown
    assert "White " not in shown.replace(WHY_NO_ETHNICITY, "")


def test_ethnicity_comes_with_what_it_is(run: Run, works: Describer, photo: Path) -> None:
    status, said, _ = run("describe", photo, "--with-ethnicity")
    assert status == 0
    assert WHAT_ETHNICITY_IS in " ".join(said.split())
    assert "Indian" in said
    (row,) = rows_of(run("describe", photo, "--with-ethnicity", "--json")[1])
    assert {"Asian", "White", "Black", "Indian"} <= row["faces"][0]["attributes"].keys()
    (row,) = rows_of(run("describe", photo, "--json")[1])
    assert not {"Asian", "White", "Black", "Indian"} & row["faces"][0]["attributes"].keys()


def test_json_is_one_line_a_photo_and_nothing_else(run: Run, works: Describer, photo: Path) -> None:
    second = photo.with_name("é two.png")
    write_png(second, PHOTO)
    status, said, wrong = run("describe", photo, second, "--json")
    assert (status, wrong) == (0, "")
    rows = rows_of(said)
    assert [row["photo"] for row in rows] == [str(photo), str(second)]
    assert all(len(row["faces"][0]["attributes"]) == 69 for row in rows)
    assert "picture" not in rows[0]


def test_out_has_a_picture_a_photo_and_the_descriptions(
    run: Run, works: Describer, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    status, said, _ = run("describe", photo, "--json", "--out", out)
    assert status == 0
    assert sorted(path.name for path in out.iterdir()) == ["beach.faces.png", "description.jsonl"]
    assert rows_of((out / "description.jsonl").read_text()) == rows_of(said)
    assert rows_of(said)[0]["picture"] == "beach.faces.png"
    picture = read_photo(out / "beach.faces.png")
    assert picture.shape[1] == 640
    assert "guesses of a network" in png_texts((out / "beach.faces.png").read_bytes())["Comment"]


def test_without_out_nothing_is_written(
    run: Run, works: Describer, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run("describe", photo)[0] == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_no_broken_photo_stops_a_batch(run: Run, works: Describer, photo: Path, tmp_path: Path) -> None:
    folder = photo.parent
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("no photo")
    (folder / "cut.jpg").write_bytes(photo.read_bytes()[:2000])
    bomb(folder / "bomb.png")
    (tmp_path / "nothing").mkdir()
    last = shutil.copy(photo, folder / "z.jpg")
    given = [folder / name for name in ("none.jpg", "empty.jpg", "text.jpg", "cut.jpg", "bomb.png")]
    out = tmp_path / "out"
    words = [photo, *given, tmp_path / "nothing", last]
    status, said, wrong = run("describe", *words, "--json", "--out", out)
    assert status == 1
    rows = rows_of(said)
    assert [row["photo"] for row in rows] == [str(word) for word in words]
    reasons = [row["problem"] and row["problem"]["reason"] for row in rows]
    assert reasons == [None, "missing", "empty", "not_an_image", "truncated", "too_large", "missing", None]
    assert [len(row["faces"]) for row in rows] == [1, 0, 0, 0, 0, 0, 0, 1]
    assert sorted(path.name for path in out.glob("*.png")) == ["beach.faces.png", "z.faces.png"]
    lines = wrong.splitlines()
    assert len(lines) == 7
    for line, path in zip(lines, given, strict=False):
        assert line.startswith(f"mien: {path}: ")
    assert lines[5].startswith(f"mien: {tmp_path / 'nothing'}: a directory without photos (.jpg, ")
    assert lines[6] == "mien: 6 of 8 photos could not be described"


def test_a_photo_without_a_face_is_told_of(
    run: Run, works: Describer, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for found, reason, words in (
        ([], "no_face", "no face found on the photo (320 x 240 px)"),
        ([face_at(50, 50, 3)], "too_small", "too small to be described"),
    ):
        works.finder = FakeFinder(*found)
        status, said, wrong = run("describe", photo)
        assert (status, wrong.count("\n")) == (1, 1)
        assert wrong.startswith(f"mien: {photo}: {words}")
        assert "no face" in said
        assert "ethnicity" not in said.lower()
        status, said, _ = run("describe", photo, "--json", "--out", tmp_path / reason)
        (row,) = rows_of(said)
        assert (status, row["problem"]["reason"], row["faces"]) == (1, reason, [])
        assert (tmp_path / reason / "beach.faces.png").is_file()


def test_an_error_that_nobody_foresaw_stops_no_batch(
    run: Run, works: Describer, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = works.reader.read
    answers = iter([ValueError("first\nfails"), None])

    def read(crops: np.ndarray) -> object:
        answer = next(answers)
        if answer is not None:
            raise answer
        return reads(crops)

    monkeypatch.setattr(works.reader, "read", read)
    status, said, wrong = run("describe", photo, photo, "--json")
    assert status == 1
    assert [len(row["faces"]) for row in rows_of(said)] == [0, 1]
    assert wrong.splitlines()[0] == f"mien: {photo}: ValueError: first fails"


def test_an_interrupted_run_keeps_what_it_made(
    run: Run, works: Describer, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class HeaderTimeout(FakeFinder):
        def faces(self, photos: list, thorough: bool = False) -> list:
            if self.asked:
                raise KeyboardInterrupt
            return super().faces(photos, thorough)

    works.finder = HeaderTimeout(face_at(160, 120, 100))
    assert run("describe", photo, photo, "--json", "--out", tmp_path / "out")[0] == 130
    assert len(rows_of((tmp_path / "out" / "description.jsonl").read_text())) == 1


def test_descriptions_are_overwritten_only_by_force(run: Run, works: Describer, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = shutil.copy(photo, photo.with_name("other.jpg"))
    assert run("describe", photo, "--json", "--out", out)[0] == 0
    message = f"mien: --out: {out} holds descriptions already; another directory or --force is wanted\n"
    assert run("describe", other, "--json", "--out", out) == (2, "", message)
    (out / "mine.png").write_bytes(b"mine")
    assert run("describe", other, "--json", "--out", out, "--force")[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["description.jsonl", "mine.png", "other.faces.png"]
    file = tmp_path / "file"
    file.write_text("")
    assert run("describe", photo, "--out", file) == (2, "", f"mien: --out: {file} is a file; a directory is wanted\n")


def test_only_what_mien_made_is_removed(tmp_path: Path) -> None:
    victim = tmp_path / "victim.faces.png"
    out = tmp_path / "out"
    out.mkdir()
    for path in (victim, out / "photo.png", out / "a.faces.png", out / "mine.faces.png"):
        path.write_bytes(b"x")
    named = ["../victim.faces.png", "photo.png", "a.faces.png", None, 7]
    rows = "".join(json.dumps({"picture": name}) + "\n" for name in named)
    (out / "description.jsonl").write_text(f"no JSON\n{rows}")
    with opened(out, force=True, kind=DESCRIPTIONS) as output:
        output.begin()
    assert victim.exists()
    assert sorted(path.name for path in out.iterdir()) == ["mine.faces.png", "photo.png"]


def test_out_may_be_where_the_photos_are(run: Run, works: Describer, photo: Path) -> None:
    shutil.copy(photo, photo.with_name("beach.png"))  # JPEG bytes under another name: read by what they are
    before = {path: path.read_bytes() for path in photo.parent.iterdir()}
    for _ in range(2):
        status, said, _ = run("describe", photo.parent, "--json", "--out", photo.parent, "--force")
        assert (status, [row["picture"] for row in rows_of(said)]) == (0, ["beach.faces.png", "beach-2.faces.png"])
    assert all(path.read_bytes() == data for path, data in before.items())


def test_a_directory_stands_for_its_photos(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.txt", ".d.jpg", "e.faces.png"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "deeper.jpg").mkdir()
    (tmp_path / "deeper.jpg" / "f.jpg").write_bytes(b"")
    assert photo_files([tmp_path]) == [tmp_path / "a.png", tmp_path / "b.JPG"]
    assert photo_files([tmp_path / "c.txt", tmp_path / "none"]) == [tmp_path / "c.txt", tmp_path / "none"]


@pytest.mark.parametrize(
    ("name", "taken", "picture"),
    [
        ("a.jpg", set(), "a.faces.png"),
        ("a b (1).jpg", set(), "a-b-1.faces.png"),
        ("A.jpg", {"a.faces.png"}, "A-2.faces.png"),
        ("a.jpg", {"a.faces.png", "a-2.faces.png"}, "a-3.faces.png"),
        ("....jpg", set(), "photo.faces.png"),
        ("\udcff.jpg", set(), "photo.faces.png"),
        ("名前.jpg", set(), "名前.faces.png"),
        ("x" * 250 + ".jpg", set(), "x" * 80 + ".faces.png"),
    ],
)
def test_names_of_pictures(name: str, taken: set[str], picture: str) -> None:
    assert picture_name(Path("somewhere") / name, taken) == picture


def test_a_name_that_is_no_text(run: Run, works: Describer, photo: Path) -> None:
    odd = os.fsdecode(os.fsencode(photo.parent) + b"/\xff.jpg")
    try:
        shutil.copy(photo, odd)
    except OSError:
        pytest.skip("this file system takes only names that are text")
    status, said, _ = run("describe", odd, "--json", "--out", photo.parent / "out")
    assert (status, rows_of(said)[0]["photo"]) == (0, odd)
    assert run("describe", odd)[0] == 0


def test_a_wrong_request_is_one_line(run: Run) -> None:
    see = " (see mien describe --help)"
    assert run("describe") == (2, "", f"mien: missing argument 'PHOTO...'{see}\n")
    status, said, wrong = run("describe", "a.jpg", "--weights", "none.safetensors")
    assert (status, said) == (1, "")
    assert wrong == "mien: none.safetensors: no such weights file\n"
    status, said, wrong = run("describe", "--help")
    shown = " ".join(said.replace("│", " ").split())
    assert (status, wrong) == (0, "")
    assert "never who it is" in shown
    assert "nobody's origin can be seen" in shown


@pytest.fixture(scope="module")
def real(models_cache: Path) -> Describer:
    """The real detector and mesh, and a reader that says what it is told."""
    from mien.faces.find import FaceFinder

    return Describer(FaceFinder.load(), FakeReader())


@pytest.fixture(scope="module")
def people(made_faces: Path) -> list[np.ndarray]:
    return [read_photo(path) for path in sorted(made_faces.glob("*.png"))]


def described(real: Describer, folder: Path, photo: np.ndarray) -> tuple[list, str | None]:
    path = folder / "photo.png"
    write_png(path, photo)
    found = describe_file(real, path)
    assert found.description is not None
    return list(found.description.faces), found.problem.reason if found.problem else None


@pytest.mark.models
def test_twenty_faces_are_found_and_all_described(real: Describer, people: list, tmp_path: Path) -> None:
    faces, problem = described(real, tmp_path, sheet(people[20:40], 5, gap=30))
    assert problem is None
    assert len(faces) == 20
    assert all(60 < face.quality.size_px < 128 for face in faces)


@pytest.mark.models
def test_a_large_photo_is_searched_in_a_smaller_copy_and_measured_in_itself(real: Describer, people: list) -> None:
    from mien.core.images import resize

    page = sheet(people[20:24], 2, gap=60)
    small, large = real.describe(page), real.describe(resize(page, 8 * page.shape[0], 8 * page.shape[1]))
    assert len(small.faces) == len(large.faces) == 4
    centres = [sorted(face.box.centre for face in found.faces) for found in (small, large)]
    for (x, y), (larger_x, larger_y) in zip(*centres, strict=True):
        assert larger_x == pytest.approx(8 * x, abs=30)  # 8 px in the small one are a sixteenth of a face
        assert larger_y == pytest.approx(8 * y, abs=30)


@pytest.mark.models
def test_a_face_of_three_pixels_is_no_face(real: Describer, people: list, tmp_path: Path) -> None:
    from mien.core.images import resize

    page = np.full((300, 400, 3), 200, np.uint8)
    page[150:154, 200:204] = resize(people[22], 4, 4)
    faces, problem = described(real, tmp_path, page)
    assert (faces, problem) == ([], "no_face")
    faces, problem = described(real, tmp_path, resize(people[22], 4, 4))  # a photo that is nothing but this face
    assert faces == []
    assert problem in ("no_face", "too_small")


@pytest.mark.models
@pytest.mark.parametrize("size", [(300, 400), (1, 1), (2, 900), (64, 64)])
def test_a_photo_without_a_face_has_none(real: Describer, size: tuple[int, int], tmp_path: Path) -> None:
    assert described(real, tmp_path, np.full((*size, 3), 180, np.uint8)) == ([], "no_face")
    assert described(real, tmp_path, textured(*size)) == ([], "no_face")


@pytest.mark.models
def test_a_grey_photo_is_described_and_said_to_be_grey(real: Describer, people: list, tmp_path: Path) -> None:
    from mien.core.images import grey

    photo = np.repeat(grey(people[22])[..., None], 3, 2)
    (face,), problem = described(real, tmp_path, photo)
    assert problem is None
    assert "grey" in face.remarks
    assert "grey" not in described(real, tmp_path, people[22])[0][0].remarks


@pytest.mark.models
@pytest.mark.shared
@pytest.mark.parametrize(("person", "side"), [("Franklin_Damann", "left"), ("Ken_Watanabe", "right")])
def test_a_profile_is_described_and_said_to_be_one(
    real: Describer, shared_data: Path, person: str, side: str, tmp_path: Path
) -> None:
    photo = read_photo(shared_data / "lfw" / "lfw-deepfunneled" / person / f"{person}_0001.jpg")
    for pixels, where in ((photo, side), (np.ascontiguousarray(photo[:, ::-1]), {"left": "right"}.get(side, "left"))):
        faces, problem = described(real, tmp_path, pixels)
        assert problem is None
        assert "profile" in faces[0].remarks
        assert f"in profile to the {where}" in faces[0].sentence


@pytest.mark.models
def test_the_packaged_heads_describe_faces_that_mien_made(
    cli: Callable[..., subprocess.CompletedProcess[str]], models_cache: Path, made_faces: Path
) -> None:
    made = rows_of((made_faces / "manifest.jsonl").read_text())
    chosen = {sex: [row["file"] for row in made if row["sex"] == sex and 30 <= row["age"] < 50][:4] for sex in SEXES}
    done = cli("describe", *(made_faces / name for names in chosen.values() for name in names), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = rows_of(done.stdout)
    seen = sorted(len(row["faces"]) for row in rows)
    assert seen[:7] == [1] * 7  # where one is drawn on a streaked background, the detector may barely see another, too
    assert seen[7] <= 2
    female = [row["faces"][0]["female"] for row in rows]
    assert np.mean(female[:4]) - np.mean(female[4:]) > 0.5
    for row in rows:
        face = row["faces"][0]
        assert 15 < face["age_years"] < 70
        assert all(0 <= p <= 1 for p in face["attributes"].values())
        assert all(
            sum(probabilities.values()) == pytest.approx(1, abs=0.01) for probabilities in face["groups"].values()
        )
