"""A photo described: what is put together, what is left out, and the words for it."""

from __future__ import annotations

import json
import re
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from describe_fakes import GOOD, STRAIGHT, FakeFinder, FakeReader, described_face, face_at, textured
from hypothesis import given, settings
from hypothesis import strategies as st

import mien
from mien.attributes.describe.describer import Describer, problem_of
from mien.attributes.describe.picture import COLOURS, draw
from mien.attributes.describe.records import counted, looking
from mien.attributes.describe.rows import photo_row
from mien.attributes.describe.sections import SECTIONS, sections
from mien.attributes.vocabulary import GROUPS, NAMES
from mien.core.errors import PhotoError, RequestError
from mien.core.images import write_png
from mien.core.records import Face, Pose

PHOTO = textured(300, 400)
ETHNICITIES = {"Asian", "White", "Black", "Indian"}


def describer(*faces: Face, **told: float) -> Describer:
    return Describer(FakeFinder(*faces), FakeReader(**told))


def test_a_face_is_put_together_from_what_was_found_read_and_measured() -> None:
    face = face_at(200, 150, 120, Pose(-20, 5, 10))
    found = describer(face).describe(PHOTO)
    assert (found.width_px, found.height_px, found.too_small, found.model_version) == (400, 300, (), "fake-1")
    (told,) = found.faces
    assert told.face is face
    assert (told.sex, told.age_years) == ("female", 30.0)
    assert told.female == pytest.approx(0.97)
    angles = (told.pose.yaw_degrees, told.pose.pitch_degrees, told.pose.roll_degrees)
    assert angles == pytest.approx((-20, 5, 10), abs=0.01)
    assert told.box.x0 < 200 < told.box.x1
    assert told.quality.size_px == pytest.approx(max(told.box.width, told.box.height))
    for probabilities in told.groups.values():
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert told.present == {name for name, p in told.attributes.items() if p > 0.5}
    with pytest.raises(FrozenInstanceError):
        told.age_years = 3.0  # type: ignore[misc]


def test_ethnicity_is_there_only_when_asked_for() -> None:
    works = describer(face_at(200, 150, 120))
    without, asked = (works.describe(PHOTO, with_ethnicity=yes).faces[0] for yes in (False, True))
    assert tuple(asked.attributes) == NAMES
    assert "ethnicity" in asked.groups
    assert set(NAMES) - set(without.attributes) == ETHNICITIES
    assert not without.present & ETHNICITIES
    assert [group.name for group in GROUPS if group.name not in without.groups] == ["ethnicity"]
    row = json.dumps(photo_row("a.jpg", works.describe(PHOTO)))
    assert not any(f'"{name}"' in row for name in (*ETHNICITIES, "ethnicity"))
    shown = [
        entry.name
        for _, groups in sections(without.attributes, without.present, without.groups)
        for group in groups
        for entry in group
    ]
    assert set(shown) == set(NAMES) - ETHNICITIES


def test_every_group_is_in_one_section_and_likely_comes_first() -> None:
    named = [name for _, names in SECTIONS for name in names]
    assert sorted(named) == sorted(group.name for group in GROUPS)
    face = described_face(likely=["Blond Hair"])
    hair = next(groups for title, groups in sections(face.attributes, face.present, face.groups) if title == "hair")
    assert hair[0][0].name == "Blond Hair"
    assert hair[0][0].present
    assert not hair[0][1].present


def test_twenty_faces_keep_their_order() -> None:
    faces = [face_at(20 + 18 * k, 150, 20 + k) for k in range(20)]
    works = describer(*faces)
    found = works.describe(PHOTO)
    assert [told.face for told in found.faces] == faces
    assert [told.age_years for told in found.faces] == [30 + k for k in range(20)]
    assert works.reader.sizes == [(16, 256, 256, 3), (4, 256, 256, 3)]  # type: ignore[attr-defined]
    assert counted(found.faces) == "20 faces (20 women)"


def test_a_face_of_three_pixels_is_counted_and_not_described() -> None:
    found = describer(face_at(200, 150, 3)).describe(PHOTO)
    assert found.faces == ()
    assert len(found.too_small) == 1
    problem = problem_of(found, "a.jpg")
    assert isinstance(problem, PhotoError)
    assert problem.reason == "too_small"
    assert str(problem) == (
        "a.jpg: too small to be described: the largest face of the photo (400 x 300 px) has 4 px; wanted are 16 px "
        "and more"
    )
    beside = describer(face_at(200, 150, 100), face_at(20, 20, 3)).describe(PHOTO)
    assert (len(beside.faces), len(beside.too_small)) == (1, 1)
    assert problem_of(beside, "a.jpg") is None


def test_a_photo_without_a_face_is_described_as_such() -> None:
    found = describer().describe(PHOTO)
    assert (found.faces, found.too_small) == ((), ())
    problem = problem_of(found, "a.jpg")
    assert problem is not None
    assert problem.reason == "no_face"
    assert str(problem).startswith("a.jpg: no face found on the photo (400 x 300 px); is it upright?")
    assert counted(found.faces) == "no face"


def test_a_mesh_that_spans_no_face_is_left_out() -> None:
    good = face_at(200, 150, 100)
    collapsed = Face(good.detection, np.zeros((468, 3), np.float32), 1.0)
    lost = Face(good.detection, np.full((468, 3), np.nan, np.float32), 1.0)
    assert [told.face for told in describer(collapsed, lost, good).describe(PHOTO).faces] == [good]


@pytest.mark.parametrize(
    ("score", "presence", "kept"), [(0.51, 0.93, False), (0.55, 0.59, False), (0.51, 0.99, True), (0.9, 0.6, True)]
)
def test_what_detector_and_mesh_both_doubt_is_no_face(score: float, presence: float, kept: bool) -> None:
    found = describer(face_at(200, 150, 100, score=score, presence=presence)).describe(PHOTO)
    assert len(found.faces) == kept
    assert all("unsure" in told.remarks for told in found.faces)


def test_a_path_and_its_pixels_are_described_alike(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", PHOTO)
    works = describer(face_at(200, 150, 100))
    by_path = photo_row("a", works.describe(tmp_path / "a.png"))
    for same in (PHOTO, PHOTO / 255, (tmp_path / "a.png").read_bytes(), PIL.Image.fromarray(PHOTO)):
        assert photo_row("a", describer(face_at(200, 150, 100)).describe(same)) == by_path
    with pytest.raises(PhotoError, match="cannot be read"):
        works.describe(tmp_path / "none.png")


@pytest.mark.parametrize("bad", [PHOTO[..., :2], PHOTO.astype(np.int64), PHOTO[:0], [PHOTO]])
def test_what_is_no_photo_is_a_wrong_request(bad: np.ndarray) -> None:
    with pytest.raises(RequestError, match="wanted: a path, bytes, a PIL image, or an array H W"):
        describer().describe(bad)


def test_load_says_what_it_does_not_know() -> None:
    with pytest.raises(RequestError, match="preset: 'best' given; allowed: mien"):
        mien.load("describe", preset="best")
    with pytest.raises(RequestError, match="device: 'toaster' given"):
        mien.load("describe", device="toaster")


SENTENCES = [
    (
        {"likely": ["Smiling", "Brown Hair", "Wavy Hair", "No Eyewear", "No Beard"], "pose": Pose(-12, 0, 0)},
        "woman, about 34, smiling, brown wavy hair, no eyewear, looking slightly left",
    ),
    (
        {"female": 0.02, "age": 71, "likely": ["Bald", "Eyeglasses", "Goatee", "Mustache", "Wearing Necktie"]},
        "man, about 71, bald, goatee, moustache, eyeglasses, necktie, looking straight ahead",
    ),
    ({"female": 0.02, "likely": ["Bald", "Curly Hair"]}, "man, about 34, curly hair, looking straight ahead"),
    ({"age": 0.4, "likely": ["Bald", "No Eyewear"]}, "baby, about 1, little hair, no eyewear, looking straight ahead"),
    ({"age": 2.0, "female": 0.02, "likely": ["Smiling"]}, "baby, about 2, smiling, looking straight ahead"),
    ({"age": 6.4, "female": 0.6, "likely": ["Blond Hair"]}, "child, about 6, blond hair, looking straight ahead"),
    ({"age": 6.4, "likely": ["Frowning"]}, "girl, about 6, frowning, looking straight ahead"),
    ({"age": 8, "female": 0.1, "likely": ["Goatee"]}, "boy, about 8, looking straight ahead"),
    ({"age": 15.6, "female": 0.1}, "teenage boy, about 16, looking straight ahead"),
    ({"age": 15.6, "female": 0.9}, "teenage girl, about 16, looking straight ahead"),
    ({"age": 15.6, "female": 0.5}, "teenager, about 16, looking straight ahead"),
    ({"female": 0.5, "likely": ["Gray Hair"]}, "person, about 34, grey hair, looking straight ahead"),
    ({"female": 0.21, "likely": ["other beard"]}, "person, about 34, looking straight ahead"),
    ({"age": 19, "female": 0.1}, "man, about 19, looking straight ahead"),
    ({"age": 17.6}, "woman, about 18, looking straight ahead"),
    ({"likely": ["Goatee", "5 o' Clock Shadow"]}, "woman, about 34, looking straight ahead"),
    ({"female": 0.1, "likely": ["No Beard", "5 o' Clock Shadow"]}, "man, about 34, stubble, looking straight ahead"),
    ({"female": 0.1, "likely": ["other beard", "Mustache", "5 o' Clock Shadow"]}, "man, about 34, beard, looking"),
    ({"likely": ["Wearing Hat", "Blond Hair", "Sunglasses"]}, "woman, about 34, sunglasses, wearing a hat, looking"),
    ({"likely": ["Red", "Curly Hair"]}, "woman, about 34, curly hair, looking"),
    (
        {"likely": ["Brown Hair", "Curly Hair"], "quality": replace(GOOD, grey=True)},
        "woman, about 34, curly hair, look",
    ),
    ({"likely": ["Wearing Earrings", "Wearing Necklace"]}, "woman, about 34, earrings, looking"),
    ({"likely": ["Asian", "Attractive Woman", "Chubby", "Double Chin"]}, "woman, about 34, looking straight ahead"),
]


@pytest.mark.parametrize(("told", "words"), SENTENCES, ids=lambda value: value if isinstance(value, str) else "")
def test_the_sentence(told: dict, words: str) -> None:
    said = described_face(**told).sentence
    assert said.startswith(words)
    assert said == words or not words.endswith("ahead")


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll", "words"),
    [
        (0, 0, 0, "looking straight ahead"),
        (9, -14, 14, "looking straight ahead"),
        (11, 0, 0, "looking slightly right"),
        (-30, 0, 0, "looking left"),
        (0, 16, 0, "looking slightly up"),
        (0, -26, 0, "looking down"),
        (-12, -16, 0, "looking slightly left and down"),
        (30, 16, 0, "looking right and up"),
        (-50, 0, 0, "in profile to the left"),
        (50, 20, -20, "in profile to the right, head tilted right"),
        (0, 0, 20, "looking straight ahead, head tilted left"),
    ],
)
def test_where_a_head_is_turned(yaw: float, pitch: float, roll: float, words: str) -> None:
    assert looking(Pose(yaw, pitch, roll)) == words


@settings(max_examples=200)
@given(
    female=st.floats(0, 1), age=st.floats(0, 100), likely=st.lists(st.sampled_from(NAMES)),
    yaw=st.floats(-90, 90), pitch=st.floats(-90, 90), roll=st.floats(-180, 180), grey=st.booleans(),
)  # fmt: skip
def test_a_sentence_is_always_well_formed_and_never_judges(
    female: float, age: float, likely: list[str], yaw: float, pitch: float, roll: float, grey: bool
) -> None:
    face = described_face(
        female=female, age=age, likely=likely, pose=Pose(yaw, pitch, roll), quality=replace(GOOD, grey=grey)
    )
    said = face.sentence
    assert re.fullmatch(r"[a-z]+( [a-z]+)?, about [1-9]\d*(, [a-z]+( [a-z]+)*)+", said)
    assert not re.search(r"asian|white|indian|attractive|chubby|nose|black(?! (curly |wavy |straight )?hair)", said)
    if 0.2 < female < 0.8:
        assert not re.search(r"\b(wo)?man\b|\bgirl\b|\bboy\b", said)
    if age < 14:
        assert not re.search(r"beard|goatee|moustache|stubble|\b(wo)?man\b", said)


def test_counting_people() -> None:
    baby, child = described_face(age=1), described_face(age=5, female=0.5)
    woman, man, person = described_face(), described_face(female=0.0), described_face(female=0.5)
    boy = described_face(age=15, female=0.0)
    assert counted((baby,)) == "1 face (a baby)"
    assert counted((woman, man, woman)) == "3 faces (2 women, a man)"
    assert counted((child, child, baby, baby)) == "4 faces (2 children, 2 babies)"
    assert counted((person, person, boy, boy)) == "4 faces (2 people, 2 teenage boys)"
    assert counted((man, man)) == "2 faces (2 men)"


def test_the_row_keeps_its_schema() -> None:
    found = describer(face_at(200, 150, 120), face_at(20, 20, 5)).describe(PHOTO)
    row = json.loads(json.dumps(photo_row("a.jpg", found), allow_nan=False))
    assert list(row) == [
        "photo", "width_px", "height_px", "faces", "too_small", "problem", "model_version", "schema",
    ]  # fmt: skip
    animated = replace(found, remark="an animation: its first frame is read")
    assert photo_row("a.gif", animated)["remark"] == "an animation: its first frame is read"
    (face,) = row["faces"]
    assert list(face) == [
        "number", "sentence", "box", "sex", "female", "age_years", "pose", "quality", "remarks", "attributes",
        "present", "groups",
    ]  # fmt: skip
    assert list(face["pose"]) == ["yaw_degrees", "pitch_degrees", "roll_degrees"]
    assert list(face["quality"]) == [
        "size_px", "sharpness", "highlights", "contrast", "burnt_out", "drowned", "outside", "grey", "score",
        "presence",
    ]  # fmt: skip
    assert (row["schema"], row["problem"], face["number"]) == (1, None, 1)
    assert list(face["attributes"]) == [name for name in NAMES if name not in ETHNICITIES]
    assert face["present"] == [name for name, p in face["attributes"].items() if p > 0.5]
    assert face["groups"]["sex"] == {"Male": 0.03, "female": 0.97}
    assert len(row["too_small"][0]) == 4
    broken = photo_row("b.jpg", None, PhotoError("empty", "b.jpg: the file has 0 bytes"), "v")
    assert list(broken) == list(row)
    assert broken["problem"] == {"reason": "empty", "message": "b.jpg: the file has 0 bytes"}


def has(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (picture == colour).all(-1)


def test_the_picture_has_the_photo_its_boxes_and_a_panel() -> None:
    photo = textured(600, 800)
    faces = [face_at(200, 300, 150), face_at(600, 300, 150)]
    found = describer(*faces).describe(photo)
    picture = draw(photo, found)
    assert picture.shape[1] == 800
    assert picture.shape[0] > 600
    assert np.array_equal(picture[300, 195:205], photo[300, 195:205])  # the face itself is not painted over
    panel = picture[600:]
    assert (panel[:, -1] == 255).all()
    for number, face in enumerate(faces):
        drawn = has(picture[:600], COLOURS[number])
        rows, columns = np.nonzero(drawn)
        box = found.faces[number].box
        assert abs(columns.min() - box.x0) < 25
        assert abs(rows.max() - box.y1) < 25
        assert has(panel, COLOURS[number]).sum() > 200  # its number in the panel
        assert face is found.faces[number].face


@pytest.mark.parametrize(("height", "width"), [(60, 80), (3000, 4000), (1500, 200), (200, 1500), (9, 3), (640, 640)])
def test_pictures_of_any_size_can_be_read(height: int, width: int) -> None:
    face = face_at(width / 2, height / 2, min(height, width) * 0.6)
    photo = np.tile(textured(100, 100), (-(-height // 100), -(-width // 100), 1))[:height, :width]
    picture = draw(photo, describer(face).describe(photo))
    assert picture.dtype == np.uint8
    assert 640 <= picture.shape[1] <= 1600
    assert (picture < 80).all(-1).any()


def test_a_photo_without_faces_says_so_in_its_picture() -> None:
    empty, small = (describer(*faces).describe(PHOTO) for faces in ([], [face_at(50, 50, 3)]))
    white = textured(300, 400, low=254, high=255)
    pictures = [draw(white, found) for found in (empty, small)]
    inked = [(picture[480:] < 100).all(-1).any() for picture in pictures]
    assert inked == [True, True]
    assert not np.array_equal(pictures[0][480:], pictures[1][480:][: len(pictures[0]) - 480])


def test_many_faces_have_labels_that_do_not_cover_each_other() -> None:
    faces = [face_at(60 + 110 * (k % 6), 70 + 120 * (k // 6), 80) for k in range(24)]
    photo = textured(500, 700)
    picture = draw(photo, describer(*faces).describe(photo))
    assert all(has(picture[500:], colour).any() for colour in COLOURS)
    assert picture.shape[0] > 500 + 24 * 30


def test_a_described_face_knows_its_words() -> None:
    face = described_face(pose=Pose(50, 0, 0), quality=replace(GOOD, size_px=20))
    assert face.remarks == ("small", "profile")
    assert face.sentence == face.sentence
    assert (described_face(female=0.79).sex, described_face(female=0.81).sex) == (None, "female")
    assert described_face(female=0.2, pose=STRAIGHT).sex == "male"
