"""``mien evaluate portrait``: its measures by hand, and the whole report with fakes that need no weights."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import mien
from mien.core.errors import RequestError, TooFewError
from mien.core.images import encode_jpeg, resize, write_png
from mien.core.records import Face, Pose
from mien.datasets import catalog
from mien.datasets.catalog import CatalogRow
from mien.evaluation import portrait as measures
from mien.evaluation import portrait_kept
from mien.evaluation.portrait import (
    NetworkPortraitJudges,
    asymmetry,
    conventional,
    distances,
    draw_people,
    mouth_opening,
    true_accepts,
    verified,
)
from mien.evaluation.verification import best_threshold
from mien.faces import align
from mien.faces.landmarks import IBUG_68
from mien.faces.pose import CAMERA_AXES, mean_shape, rotation_of_pose
from mien.pipelines.portrait_model import PortraitPipeline

PEOPLE = 24


def mesh(yaw: float = 0.0, size: int = 64) -> np.ndarray:
    """The mean face turned by ``yaw``, in a crop of ``size`` px."""
    points = mean_shape().points @ rotation_of_pose(Pose(yaw, 0.0, 0.0)).T
    points = points * CAMERA_AXES
    points[:, 2] -= points[:, 2].min()
    return points / np.ptp(points[:, 0]) * size / 2 + [size / 2, size / 2, 0]


def test_distances_are_euclidean():
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 7, 5)).astype(np.float32)
    np.testing.assert_allclose(distances(a, b), cdist(a, b), atol=1e-6)
    np.testing.assert_allclose(np.diag(distances(a, a)), 0, atol=1e-3)


def test_true_accepts_are_those_under_the_nearest_strangers():
    apart = np.full((20, 20), 5.0)
    np.fill_diagonal(apart, 1.0)
    assert true_accepts(apart) == {0.001: 1.0, 0.01: 1.0}
    apart[:5, :5][np.eye(5, dtype=bool)] = 4.0  # five people are far from themselves ...
    apart[0, 1:3] = 3.0  # ... farther than two of 380 pairs of strangers: 0.53 %
    assert true_accepts(apart) == {0.001: 0.75, 0.01: 1.0}


def test_verification_keeps_people_in_one_fold_and_tells_chance_from_certainty():
    random = np.random.default_rng(1)
    apart = random.uniform(1.0, 2.0, (100, 100))
    assert verified(apart).accuracy.value == pytest.approx(0.5, abs=0.12)
    certain = apart - np.eye(100) * 1.5
    found = verified(certain)
    assert (found.accuracy.value, found.accuracy.n, len(found.fold_accuracies)) == (1.0, 200, 10)
    assert verified(apart, seed=3).accuracy != verified(apart, seed=4).accuracy
    assert best_threshold(np.array([-1.0, -3.0]), np.array([True, False])) == -2.0
    with pytest.raises(TooFewError, match="19 people, needed are 20"):
        verified(apart[:19, :19])


def test_a_turned_face_is_not_symmetric():
    straight, turned = asymmetry(mesh()), asymmetry(mesh(20.0))
    assert straight < 1e-6
    assert turned > 0.05
    assert asymmetry(mesh(-20.0)) == pytest.approx(turned)
    assert asymmetry(mesh(20.0) * 3 + 7) == pytest.approx(turned)


def test_the_mouth_opens_by_as_much_as_the_lips_move():
    points = mesh()
    eyes = np.hypot(*(points[align.EYE_RIGHT_OUTER] - points[align.EYE_LEFT_OUTER])[:2])
    lower, upper = [IBUG_68[k] for k in (65, 66, 67)], [IBUG_68[k] for k in (63, 62, 61)]
    points[lower] = points[upper]
    assert mouth_opening(points) == 0
    points[lower, 1] += eyes / 10
    assert mouth_opening(points) == pytest.approx(0.1)
    assert mouth_opening(points * 2) == pytest.approx(0.1)


def test_the_face_is_expected_where_the_convention_puts_it():
    found = conventional(100)
    left, right = found.keypoints[:2]
    np.testing.assert_allclose(right - left, [36.0, 0.0], atol=1e-4)
    np.testing.assert_allclose((left + right) / 2, [49.5, 41.5], atol=1e-4)
    assert found.box.width * 1.5 == pytest.approx(100)


class FakeJudges:
    """Features are colours of coarse pixels, every face is the mean one and smiles by its brightness."""

    version = "fake"

    @classmethod
    def load(cls):
        return cls()

    def identity(self, crops, on_advance):
        on_advance(len(crops))
        return np.stack([resize(crop, 4, 4).reshape(-1) for crop in crops]).astype(np.float32) / 255

    encoder = identity

    def faces(self, crops, on_advance):
        on_advance(len(crops))
        size = crops.shape[1]
        return [Face(conventional(size), mesh(size=size).astype(np.float32), 1.0) for _ in crops]

    def smiles(self, crops, on_advance):
        on_advance(len(crops))
        return crops.mean((1, 2, 3)) / 255

    def hats(self, crops, on_advance):
        on_advance(len(crops))
        return np.full(len(crops), crops.shape[1] / 512, np.float32)  # portraits here are smaller


class FakeMaker:
    """A portrait is the crop at 64 px; as it is read it is one grey for everybody."""

    drawer = SimpleNamespace(name="fake-portrait", version="1")

    def model_version(self, size_px=None):
        return self.drawer.version

    def of_crop(self, crop):
        return resize(crop, 64, 64), np.ones((64, 64), np.float32)

    def of_crops(self, crops):
        return [self.of_crop(crop) for crop in crops]

    def as_read(self, crop):
        return np.full((64, 64, 3), 99, np.uint8)


@pytest.fixture
def dataset(tmp_path):
    """Twenty-four people of the test split with two or three photos each, some with one, and some of training."""
    random, rows, jpegs = np.random.default_rng(0), [], []
    for person in range(PEOPLE + 10):
        looks = random.integers(0, 256, (4, 4, 3)).astype(np.uint8)
        for photo in range((2 + person % 2) if person < PEOPLE else 1 if person < PEOPLE + 5 else 2):
            row = len(rows)
            rows.append(
                CatalogRow(
                    id=f"f:{row}", source="f", key=str(row), licence="none", person=f"p{person}", shard="f-0.parquet",
                    split="test" if person < PEOPLE + 5 else "train", row_in_shard=row,
                    attributes_present=("Wearing Hat",) if person % 3 == 0 else (),
                )
            )  # fmt: skip
            jpegs.append(encode_jpeg(np.kron(looks, np.ones((16, 16, 1), np.uint8)) // 4 * 3 + 10 * photo))
    dest = tmp_path / "data"
    catalog.write_shard(dest, "f-0.parquet", [row.id for row in rows], jpegs)
    catalog.write_catalog(dest, rows)
    return dest


@pytest.fixture
def fakes(monkeypatch):
    loaded = []

    def load(cls, preset="mien", *, weights=None):
        loaded.append((preset, weights))
        return FakeMaker()

    monkeypatch.setattr(PortraitPipeline, "load", classmethod(load))
    monkeypatch.setattr(measures, "NetworkPortraitJudges", FakeJudges)
    for module in (measures, portrait_kept):  # noise in which no cascade finds a face
        monkeypatch.setattr(module, "detects", lambda crops: np.ones(len(crops), bool))
    return loaded


def test_people_are_drawn_once_each_and_with_two_photos(dataset):
    pairs = draw_people(dataset, 500, seed=1)
    assert len(pairs) == PEOPLE
    assert len({one.person for one, _ in pairs}) == PEOPLE
    assert all(one.person == two.person and one.id != two.id and one.split == "test" for one, two in pairs)
    assert draw_people(dataset, 500, seed=1) == pairs
    assert draw_people(dataset, 500, seed=2) != pairs
    assert len(draw_people(dataset, 21)) == 21
    with pytest.raises(TooFewError, match="12 people of the test split with two photos, needed are 20"):
        draw_people(dataset, 12)


def test_one_command_writes_the_whole_report(cli_here, dataset, fakes, tmp_path):
    out = tmp_path / "report"
    words = ("evaluate", "portrait", "--data", dataset, "--out", out, "--ages", 20)
    result = cli_here(*words)
    assert result.exception is None, result.output
    assert (
        f"{PEOPLE} people: a face is found in 100.0 %, true accepts at FAR 0.1 % 100.0 % (target 58 %)" in result.output
    )
    values = json.loads((out / "report.json").read_text())
    told = {(f["subject"], f["label"]): (f["value"], f["n"]) for f in values["figures"]}
    assert told["portrait", "dlib: true accepts at 0.1% false ones"] == (1.0, PEOPLE)
    assert told["decoded as read", "dlib: true accepts at 0.1% false ones"] == (0.0, PEOPLE)
    assert told["photo", "dlib: verification accuracy"] == (1.0, 2 * PEOPLE)
    assert told["decoded as read", "dlib: verification accuracy"][0] < 0.8
    assert told["portrait", "yaw under 3 degrees, inputs within 60"] == (1.0, 2 * PEOPLE)
    assert told["portrait", "asymmetry, of the eyes' distance"][0] < 1e-3
    assert told["mesh warp, mirrored", "dlib: true accepts at 0.1% false ones"] == (1.0, PEOPLE)  # every mesh is ahead
    assert told["decoded as read", "smile, judge's score"][0] == pytest.approx(99 / 255)
    assert told["decoded as read", "dlib: nearer than the photos"] == (1.0, PEOPLE)
    assert told["decoded as read", "dlib: those of two people"][0] == pytest.approx(0)
    hats = "photos marked 'Wearing Hat': hat, judge's score"
    assert told["photo", hats] == (0.5, 20)
    assert told["portrait", hats] == (0.125, 20)
    assert {f"{name}.png" for name in ("page-1", "unlike", "turned", "baselines")} == {
        path.name for path in out.glob("*.png")
    }
    ablation = next(part for part in values["sections"] if part["title"].startswith("Ablation"))
    assert ablation["text"].startswith("Not judged: no other weights were given")
    assert values["provenance"]["n"] == PEOPLE
    again = cli_here(*words)
    assert isinstance(again.exception, RequestError)
    assert "--force" in str(again.exception)
    assert cli_here(*words, "--force").exception is None
    assert json.loads((out / "report.json").read_text())["figures"] == values["figures"]


def test_other_runs_stand_beside_as_an_ablation(cli_here, dataset, fakes, tmp_path):
    out, full, less = tmp_path / "report", tmp_path / "full" / "w.safetensors", tmp_path / "less" / "w.safetensors"
    words = ("--data", dataset, "--out", out, "--preset", "paper", "--weights", full, "--peer", less, "--count", 20)
    result = cli_here("evaluate", "portrait", *words)
    assert result.exception is None, result.output
    assert fakes == [("paper", full), ("paper", less)]
    values = json.loads((out / "report.json").read_text())
    subjects = {figure["subject"] for figure in values["figures"]}
    assert subjects == {"photo", "mesh warp, mirrored", "decoded as read", "less/w.safetensors", "portrait"}
    assert (out / "ablation.png").is_file()
    (table,) = next(part for part in values["sections"] if part["title"].startswith("Ablation"))["tables"]
    assert [row[0] for row in table["rows"]] == ["photo", "less/w.safetensors", "portrait"]
    assert str(tmp_path) not in json.dumps(values["figures"])


def test_the_ablation_is_as_printed_unless_the_mask_is_kept(cli_here, dataset, tmp_path, monkeypatch):
    """The command of docs/portrait.md trains the runs whose figures stand there: they keep a face in the mask."""
    asked = []
    monkeypatch.setattr("mien.pipelines.experiment_ablation.trained", lambda request: asked.append(request) or [])
    words = ("experiment", "ablation", "--data", dataset, "--out", tmp_path / "out", "--size", 128)
    for more in ((), ("--mask-from", 200_000)):
        cli_here(*words, *more)
    assert [request.settings.mask_from for request in asked] == [0, 200_000]


class PaperMaker(FakeMaker):
    """A run of the ablation: paler the less it was trained with."""

    def __init__(self, weights):
        self.name = weights.parent.name
        self.drawer = SimpleNamespace(
            name="fake",
            version="1",
            variant=f"variant {self.name}",
            trained_images=96,
            learned_from=(("split train", 90, 0), ("|yaw| <= 5 degrees", 40, 2)),
        )

    def of_crop(self, crop):
        grey = {"full": 0, "no-adversarial": 40, "no-mask-no-adversarial": 80}[self.name]
        return np.maximum(resize(crop, 64, 64), grey).astype(np.uint8), np.full((64, 64), 0.25, np.float32)


def test_the_ablation_is_one_command_one_table_one_sheet(cli_here, dataset, fakes, monkeypatch, tmp_path):
    trained = []

    def train(request, own):
        budget = (request.out.name, request.seed, request.steps, request.batch, own.size, own.rate, own.warm)
        trained.append((*budget, own.adversarial, own.mask))
        assert request.resume
        return SimpleNamespace(finished=True, step=stopped_at), []

    monkeypatch.setattr("mien.pipelines.train.portrait.train_paper", train)
    monkeypatch.setattr(PortraitPipeline, "load", classmethod(lambda cls, preset, *, weights: PaperMaker(weights)))
    out, stopped_at = tmp_path / "ablation", 12
    words = ("experiment", "ablation", "--data", dataset, "--out", out, "--steps", 12, "--batch", 8, "--size", 64)
    result = cli_here(*words, "--seed", 3)
    assert result.exception is None, result.output
    same = (3, 12, 8, 64, 2e-4, 20_000)
    assert trained == [
        ("no-mask-no-adversarial", *same, False, False),
        ("no-adversarial", *same, False, True),
        ("full", *same, True, True),
    ]
    values = json.loads((out / "report" / "report.json").read_text())
    section = next(part for part in values["sections"] if part["title"].startswith("Ablation"))
    (table,) = section["tables"]
    names = ["photo", "variant no-mask-no-adversarial", "variant no-adversarial", "variant full"]
    assert [row[0] for row in table["rows"]] == names
    assert [row[1] for row in table["rows"]] == [None, 96, 96, 96]
    assert [row[-1] for row in table["rows"]] == [None, "25.0 %", "25.0 %", "25.0 %"]
    told = {(f["subject"], f["label"]): f["value"] for f in values["figures"]}
    near = [float(row[table["columns"].index("distance to another photo, dlib")]) for row in table["rows"]]
    assert near[-1] == pytest.approx(told["portrait", "dlib: distance to another photo of the person"], rel=0.01)
    assert [picture["file"] for picture in section["pictures"]] == ["ablation.png"]
    assert ", ".join(names) in section["pictures"][0]["caption"]
    faces = next(part for part in values["sections"] if part["title"].startswith("What it learned from"))
    assert faces["tables"][0]["rows"] == [["split train", 90, 0], ["|yaw| <= 5 degrees", 40, 2]]
    stopped_at = 13  # one of the runs was trained for longer elsewhere
    again = cli_here(*words, "--force")
    assert isinstance(again.exception, RequestError)
    assert "was trained for 13: not one budget" in str(again.exception)
    assert isinstance(cli_here(*words, "--force", "--rate", 0).exception, RequestError)


class FlatMaker(FakeMaker):
    """What an ablation of six steps drew: a flat rectangle of a colour, the same for both photos of a person."""

    def of_crop(self, crop):
        colour = crop.mean((0, 1)).astype(np.uint8)
        return np.full((64, 64, 3), colour, np.uint8), np.ones((64, 64), np.float32)


def test_flat_rectangles_fail_every_figure_though_the_mesh_says_well(cli_here, dataset, monkeypatch, tmp_path):
    """The planted mesh says frontal, closed and sure of every picture; the real cascades find no face."""
    monkeypatch.setattr(PortraitPipeline, "load", classmethod(lambda cls, preset, *, weights=None: FlatMaker()))
    monkeypatch.setattr(measures, "NetworkPortraitJudges", FakeJudges)
    out = tmp_path / "report"
    result = cli_here("evaluate", "portrait", "--data", dataset, "--out", out, "--ages", 20)
    assert result.exception is None, result.output
    assert f"{PEOPLE} people: a face is found in 0.0 %, true accepts at FAR 0.1 % 0.0 %" in result.output
    assert "yaw under 3 degrees in 0.0 % (target 95 %), mouth closed in 0.0 %" in result.output
    values = json.loads((out / "report.json").read_text())
    told = {f["label"]: f for f in values["figures"] if f["subject"] == "portrait"}
    for label in ("yaw under 3 degrees, inputs within 60", "pitch under 3 degrees", "roll under 3 degrees",
                  "mouth closed (lips under 5 % apart)", "dlib: nearer than the photos",
                  "FaceNet (trained on): nearer than the photos", "dlib: true accepts at 1.0% false ones",
                  "dlib: true accepts at 0.1% false ones", "a face is found (a cascade)"):  # fmt: skip
        assert told[label]["value"] == 0.0, label
    for label in ("asymmetry, of the eyes' distance", "smile, judge's score", "dlib: the two of a person"):
        assert (told[label]["value"], told[label]["n"]) == (None, 0), label
    assert told["photos marked 'Wearing Hat': hat, judge's score"]["value"] == 1.0
    first = "a face is found (a cascade and the mesh)"
    titles = ("Is it still the person?", "Does it look ahead, neutral?", "Do two photos of a person give one portrait?")
    for part in (part for part in values["sections"] if part["title"] in titles):
        assert part["figures"][0].startswith("face-found"), part["title"]
    assert told[first]["value"] == 0.0


def test_the_paper_wants_weights(cli_here, dataset, tmp_path):
    result = cli_here("evaluate", "portrait", "--data", dataset, "--out", tmp_path / "r", "--preset", "paper")
    assert isinstance(result.exception, RequestError)
    assert "paper has no packaged weights; give --weights" in str(result.exception)


def test_load_portrait_gives_what_makes_portraits(monkeypatch, fakes, tmp_path):
    assert isinstance(mien.load("portrait", weights="w.safetensors"), FakeMaker)
    assert fakes == [("mien", "w.safetensors")]
    with pytest.raises(RequestError, match="device 'toaster' given; portraits are made on the cpu"):
        mien.load("portrait", device="toaster")
    maker = PortraitPipeline(None, None, SimpleNamespace(mesh=None))
    asked = []
    monkeypatch.setattr(maker, "faces", lambda photo, largest: ["one", "two"][: 1 if largest else 2])
    monkeypatch.setattr(maker, "read", lambda photo, face: (photo.shape, face))
    monkeypatch.setattr(
        maker, "portraits", lambda faces, size: asked.append((faces, size)) or [who for _, who in faces]
    )
    photo = np.zeros((20, 30, 3), np.uint8)
    write_png(tmp_path / "photo.png", photo)
    assert maker.make(photo, size_px=64) == ["one", "two"]
    assert maker.make(tmp_path / "photo.png", largest=True) == ["one"]
    assert asked == [([((20, 30, 3), "one"), ((20, 30, 3), "two")], 64), ([((20, 30, 3), "one")], None)]


@pytest.mark.models
def test_the_judges_see_a_made_face(models_cache):
    crops = np.stack(
        [resize(face.image, 128, 128) for face in mien.load("crowd", preset="mien").sample(2, age=30, seed=1)]
    )
    judges = NetworkPortraitJudges.load()
    asked = []
    assert judges.identity(crops, asked.append).shape == (2, 128)
    assert np.linalg.norm(judges.encoder(crops, asked.append), axis=1) == pytest.approx(1.0, abs=1e-3)
    assert all(face.presence > 0.9 for face in judges.faces(crops, asked.append))
    smiles = judges.smiles(crops, asked.append)
    assert smiles.min() >= 0
    assert smiles.max() <= 1
    assert judges.ages(crops, asked.append).ages_years.shape == (2,)
    assert judges.hats(crops, asked.append).max() <= 1
    assert sum(asked) == 12
