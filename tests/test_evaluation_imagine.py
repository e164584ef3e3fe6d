"""``mien evaluate imagine``: descriptions that can be kept, figures that a method can lose, one command to a report."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from crowd_tiny import write_tiny_weights
from hypothesis import given
from hypothesis import strategies as st

from mien.attributes import GROUP_OF, NAMES, understand_all
from mien.attributes.age_sex import AgeSexPredictions
from mien.attributes.attribute_judge import AttributePredictions
from mien.core.contract import FaceRequest
from mien.core.errors import DatasetError, RequestError, TooFewError
from mien.core.images import encode_jpeg, to_photos
from mien.core.seeding import stream
from mien.datasets import catalog
from mien.datasets.catalog import CatalogRow
from mien.evaluation import crowd, features, imagine_variety
from mien.evaluation.faces import FaceRow
from mien.evaluation.features import unknown_labels
from mien.evaluation.imagine import MadeFaces, RealFaces, judge_imagine, ratio_interval
from mien.evaluation.imagine_mean import CONTROLS, controls, pattern
from mien.evaluation.imagine_sets import (
    LEAST,
    MOST,
    AttributeSet,
    choose_sets,
    consistent,
    nearest,
    obeyed,
    who_share,
)
from mien.evaluation.imagine_variety import RealPairs
from mien.evaluation.report import ReportProvenance
from mien.generators.imagine.density import Condition
from mien.generators.imagine.mien import DecoderRenderer, Imagine
from mien.papers.deepface_2016.descent import Descent
from mien.pipelines import imagine as imagine_pipeline
from mien.pipelines.evaluate_requests import SLOW_METHODS

SIDE, PEOPLE, SAMPLES = 32, 24, 3
COLUMNS = {name: NAMES.index(name) for name in ("Male", "Smiling", "Bald", "Eyeglasses")}


class PixelJudges:
    """Pixel k of the first row says attribute k; identity and appearance are pixels of other rows."""

    version = identity_version = "pixels"

    def identity(self, crops, on_advance):
        on_advance(len(crops))
        return crops.reshape(len(crops), -1)[:, 700:828].astype(np.float32) / 255

    def estimate(self, crops, on_advance):
        on_advance(len(crops))
        seen = crops.reshape(len(crops), -1).astype(np.float32)
        return AgeSexPredictions(seen.mean(1) / 3, np.ones(len(crops), np.float32), seen[:, 1000:1016])

    def attributes(self, crops, on_advance, *, races):
        on_advance(len(crops))
        scores = crops.reshape(len(crops), -1)[:, : len(NAMES)].astype(np.float32) / 255
        return AttributePredictions(scores, scores > 0.5, ("",) * len(crops))


def row_of(place, sex="male", present=("Smiling", "Bald", "Eyeglasses")):
    return FaceRow(f"lfw:{place}", "lfw", "test", "s", place, sex, None, None, tuple(present), (), f"person {place}")


def crops_of(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)


def painted(crops, sets):
    """Crops on which the judge finds exactly what the sets want."""
    flat = crops.reshape(len(crops), -1).copy()
    flat[:, : len(NAMES)] = 0
    for place, one in enumerate(sets):
        for name, there in one.wanted.items():
            flat[place, NAMES.index(name)] = 255 * there
    return flat.reshape(crops.shape)


def sees(crops, *, progress=None):
    """A stand-in for the cascades: a face is what is neither flat nor salt and pepper."""
    if progress is not None:
        progress(len(crops))
    return np.array([8 < crop.std() < 100 for crop in crops])


@pytest.fixture(autouse=True)
def _sees(monkeypatch):
    for module in (crowd, imagine_variety):
        monkeypatch.setattr(module, "detects", sees)


@given(st.sets(st.sampled_from(NAMES)), st.sampled_from(["male", "female", None]), st.integers(0, 99))
def test_a_description_never_contradicts_itself(present, sex, seed):
    wanted = consistent(row_of(0, sex, sorted(present)), stream(seed, "test"))
    words = ", ".join(name if there else f"not {name}" for name, there in wanted.items())
    assert understand_all(words).attributes == wanted  # which refuses what excludes each other
    assert len(wanted) <= MOST
    assert all(name in present for name, there in wanted.items() if name != "Male")
    assert wanted.get("Male") is (None if sex is None else sex == "male")
    assert all(GROUP_OF[a] != GROUP_OF[b] for a, b in combinations(wanted, 2))


def test_descriptions_are_of_different_people_and_of_known_words():
    rows = [replace(row_of(k), person=f"person {k // 2}") for k in range(20)] + [row_of(50, None, ("Bald",))]
    sets = choose_sets(rows, 100, seed=1)
    assert len(sets) == len({one.row.person for one in sets}) == 10
    assert all(len(one.wanted) >= LEAST for one in sets)
    assert [one.row.id for one in choose_sets(rows, 4, seed=1)] == [one.row.id for one in sets[:4]]
    assert [one.row.id for one in choose_sets(rows, 4, seed=2)] != [one.row.id for one in sets[:4]]
    for one in choose_sets(rows, 100, seed=1, known=("Male", "Smiling", "Bald")):
        assert set(one.wanted) == {"Male", "Smiling", "Bald"}
    assert AttributeSet(row_of(1), {"Male": False, "Smiling": True}).words == "woman, smiling"


def test_a_woman_is_asked_for_only_where_every_method_can_be_told():
    rows = [row_of(k, ("male", "female")[k % 2]) for k in range(20)]
    marks = {"Smiling", "Bald", "Eyeglasses"}
    told = choose_sets(rows, 100, seed=1, known=(*marks, "Male", "female"))
    assert {one.wanted["Male"] for one in told} == {False, True}
    untold = {one.row.sex: set(one.wanted) for one in choose_sets(rows, 100, seed=1, known=(*marks, "Male"))}
    assert untold == {"male": {*marks, "Male"}, "female": marks}


def test_obeyed_counts_a_woman_where_no_man_is_found():
    found = np.zeros((1, 2, len(NAMES)), bool)
    found[0, 0, [COLUMNS["Smiling"], COLUMNS["Male"]]] = True
    answer = obeyed(found, [AttributeSet(row_of(1), {"Male": False, "Smiling": True})])[0]
    assert answer.tolist() == [[False, True], [True, False]]


def test_the_ratio_has_an_interval_over_pairs():
    made, real = np.full(50, 0.6), np.tile([0.7, 0.9], 25)
    found = ratio_interval(made, real)
    assert found.value == pytest.approx(0.75)
    assert 0.7 < found.low < 0.75 < found.high < 0.8
    assert ratio_interval(real, real).low == ratio_interval(real, real).high == 1


@pytest.fixture(name="judged", scope="module")
def _judged():
    """A method that does all it is asked for, and one that makes one face, the mean, for everybody."""
    alternatives = (("Smiling", "Bald", "Eyeglasses"), ("Frowning", "Bangs", "Mustache"))
    rows = [row_of(k, ("male", "female")[k % 2], alternatives[k % 2]) for k in range(PEOPLE)]
    sets = choose_sets(rows, PEOPLE)
    own = painted(crops_of(PEOPLE, 0), sets)
    others = crops_of(PEOPLE, 1)
    obedient = np.stack([painted(crops_of(PEOPLE, 2 + k), sets) for k in range(SAMPLES)], 1)
    mean = others.mean(0).astype(np.uint8)
    deaf = np.broadcast_to(mean, obedient.shape).copy()
    deaf.reshape(PEOPLE, SAMPLES, -1)[:, :, : len(NAMES)] = 0
    identity = PixelJudges().identity(crops_of(40, 9), lambda _: None)
    real = RealFaces(unknown_labels(own), unknown_labels(others), identity)
    methods = [
        MadeFaces("obedient", tuple(range(PEOPLE)), obedient, sheets=np.repeat(crops_of(8, 20)[:, None], 4, 1)),
        MadeFaces("deaf", tuple(range(PEOPLE)), deaf),
        MadeFaces("slow", (0, 1, 2), obedient[:3, :2]),
    ]
    with pytest.MonkeyPatch.context() as patch:
        for module in (crowd, imagine_variety):
            patch.setattr(module, "detects", sees)
        report = judge_imagine(methods, sets, real, PixelJudges(), title="t", provenance=ReportProvenance())
    return report, methods, sets, real


def value(report, label, subject):
    return next(f.value for f in report.figures().values() if f.label.startswith(label) and f.subject == subject)


def test_a_method_that_listens_and_one_that_does_not_are_told_apart(judged):
    report = judged[0]
    assert (
        value(report, "wanted", "obedient") == value(report, "wanted", "real") == value(report, "wanted", "slow") == 1
    )
    assert value(report, "found as often", "obedient") == 1
    assert value(report, "wanted", "deaf") < 0.25  # women alone are right: no man is found on them
    assert value(report, "those of another", "obedient") < value(report, "wanted", "obedient")
    assert value(report, "those of another", "deaf") == pytest.approx(value(report, "wanted", "deaf"), abs=0.02)


def test_one_face_for_everybody_shows_as_that(judged):
    report = judged[0]
    assert abs(value(report, "similarity, two", "real")) < 0.1
    assert abs(value(report, "similarity, one", "obedient")) < 0.1
    assert value(report, "distance, one", "deaf") == value(report, "distance, two", "deaf") == 0
    assert value(report, "distance, one", "obedient") > 1
    for space in ("pixels", "identity"):
        label = f"distance from the mean face, {space}"
        assert value(report, label, "deaf") < value(report, label, "real") / 3  # the painted pixels alone
        assert value(report, label, "obedient") == pytest.approx(value(report, label, "real"), rel=0.05)


def test_grey_noise_and_the_mean_face_are_no_other_face_than_the_mean(judged):
    """The controls stand in the same table, and fail; the share in which a face is found comes first."""
    section = next(part for part in judged[0].sections if part.title == "How far from the mean face?")
    assert section.figures[0].label == "a face is found (cascades)"
    table = {(one.label, one.subject): one.value for one in section.figures}
    for space in ("pixels", "pattern of light", "identity"):
        other = f"a face, and not near the mean one, {space}"
        assert [table[other, control] for control in CONTROLS[::2]] == [0, 0]
        assert table[other, "real"] > 0.9
        assert table[other, "obedient"] > 0.5
        assert table[f"distance from the mean face, {space}", "control: the mean face"] == pytest.approx(0, abs=1e-6)
        assert np.isnan(table[f"distance from the mean face, {space}", "control: grey"])
    assert table["a face, and not near the mean one, pixels", "deaf"] == 0
    assert [table["a face is found (cascades)", one] for one in CONTROLS[::2]] == [0, 1]


def test_the_cascades_find_no_face_in_grey_and_in_noise(monkeypatch):
    from mien.core.progress import silent
    from mien.evaluation import detection

    monkeypatch.setattr(crowd, "detects", detection.detects)
    checked = controls(np.full((128, 128, 3), 99, np.uint8), PixelJudges(), silent)
    assert checked.faces.crops[1].std() > 60
    assert checked.detected.tolist() == [False, False, False]


def test_brightness_and_contrast_change_no_pattern_of_light():
    crop = crops_of(1, 3)[0]
    washed_out = (60 + crop // 4).astype(np.uint8)
    assert float(pattern(crop) @ pattern(washed_out)) > 0.98
    assert float(pattern(crop) @ pattern(255 - crop)) < -0.98
    assert not pattern(np.full((32, 32, 3), 90, np.uint8)).any()


def test_pictures_without_a_face_have_no_attribute_and_are_one_face(judged):
    _, methods, sets, real = judged
    broken = methods[0].crops.copy()
    broken[..., 2:, :, :] = 255 * (broken[..., 2:, :, :] > 127)  # the judge of attributes reads the first row alone
    made = [replace(methods[0], name="noise", crops=broken, sheets=broken[:8])]
    report = judge_imagine(made, sets, real, PixelJudges(), title="t", provenance=ReportProvenance())
    assert value(report, "wanted attributes", "noise") == 0
    for label in ("similarity, one", "similarity, two", "similarity, a sheet"):
        assert value(report, label, "noise") == 1
        assert value(report, label.replace("similarity", "distance"), "noise") == 0


def test_a_whole_sheet_is_judged_by_itself(judged):
    report = judged[0]
    label = "similarity, a sheet of 4 of one description"
    sheets = [figure for figure in report.figures().values() if figure.label == label]
    assert [(one.subject, one.n) for one in sheets] == [("obedient", 8)]
    assert sheets[0].value == pytest.approx(1), "one face four times over, though pairs that are judged besides differ"
    assert sheets[0].name.startswith("similarity-whole-sheet")


def test_a_method_on_few_descriptions_is_judged_where_that_can_be(judged):
    report = judged[0]
    slow = {figure.label.split(",")[0]: figure for figure in report.figures().values() if figure.subject == "slow"}
    assert slow["wanted attributes found"].n == 3
    assert slow["detection rate"].n == 6
    assert not any("training" in label or "precision" in label for label in slow)
    table = next(part for part in report.sections if part.title == "Attribute by attribute").tables[0]
    assert table.columns == ("attribute", "descriptions", "real", "obedient", "deaf", "slow")
    assert sum(row[1] for row in table.rows) == sum(len(one.wanted) for one in judged[2])
    names = [picture.name for part in report.sections for picture in part.pictures]
    assert {"faces-obedient", "faces-deaf", "faces-slow"} <= set(names)


def test_too_few_descriptions_are_refused(judged):
    _, methods, sets, real = judged
    with pytest.raises(TooFewError, match="3 descriptions, needed are 20"):
        judge_imagine(methods, sets[:3], real, PixelJudges(), title="t", provenance=ReportProvenance())


@pytest.fixture(name="dataset")
def _dataset(tmp_path):
    """Ninety crops of noise of ninety people with attributes, thirty of each split."""
    rows, jpegs = [], []
    for k, crop in enumerate(crops_of(90, 0)):
        rows.append(
            CatalogRow(
                id=f"noise:{k}", source="noise", key=str(k), licence="none", sex=("female", "male")[k % 2],
                person=str(k), attributes_present=("Smiling", "Eyeglasses", "Sunglasses"),
                split=("train", "validation", "test")[k % 3], shard="noise-00000.parquet", row_in_shard=k,
            )
        )  # fmt: skip
        jpegs.append(encode_jpeg(crop))
    dest = tmp_path / "data"
    catalog.write_shard(dest, "noise-00000.parquet", [row.id for row in rows], jpegs)
    catalog.write_catalog(dest, rows)
    return dest


class FlatMixture:
    """Knows three words and two sexes; its targets are noise."""

    class gaussians:  # noqa: N801
        names = ("Smiling", "Eyeglasses", "Bald", "Male", "female")

    def target(self, names, draws):
        return draws.standard_normal(12)


def test_one_command_writes_the_whole_report(cli_here, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(features.NetworkJudges, "load", classmethod(lambda cls: PixelJudges()))
    monkeypatch.setattr(imagine_pipeline, "load_mixture", lambda path, **_: (FlatMixture(), None, {"version": "flat"}))
    from imagine_tiny import write_tiny_density

    own = {
        "--weights": write_tiny_density(tmp_path / "density.safetensors"),
        "--decoder": write_tiny_weights(tmp_path / "crowd.safetensors"),
    }
    out = tmp_path / "report"
    words = ["evaluate", "imagine", "--data", dataset, "--out", out, "--quick", "--samples", 2]
    words += [word for pair in own.items() for word in pair]
    result = cli_here(*words)
    assert result.exception is None, result.output
    assert str(out / "report.html") in result.output
    values = json.loads((out / "report.json").read_text())
    shares = {f["subject"]: f["n"] for f in values["figures"] if f["label"] == "wanted attributes found"}
    assert shares == {"real": 30, "mien": 30, "paper (cGMM, decoded)": 30}
    assert values["provenance"]["n"] == 30
    assert "Sunglasses" in values["provenance"]["words_left_out"]
    assert (out / "faces-mien.png").is_file()
    again = cli_here(*words)
    assert isinstance(again.exception, RequestError)
    assert "--force" in str(again.exception)
    assert cli_here(*words, "--force").exception is None
    once_more = json.loads((out / "report.json").read_text())
    first, second = ([f for f in one["figures"] if f["unit"] != "s"] for one in (values, once_more))
    assert first == second  # the same seed
    assert {f["label"].split(",")[0] for f in values["figures"] if f["unit"] == "s"} == {
        "seconds a face",
        "16 faces of one description",
    }


def test_a_dataset_without_attributes_is_refused_in_one_line(cli_here, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(features.NetworkJudges, "load", classmethod(lambda cls: PixelJudges()))
    catalog.write_catalog(dataset, [replace(row, attributes_present=()) for row in catalog.read_catalog(dataset)])
    result = cli_here("evaluate", "imagine", "--data", dataset, "--out", tmp_path / "report", "--quick")
    assert isinstance(result.exception, DatasetError)
    assert "0 people with attributes in the split 'test'" in str(result.exception)
    assert not (tmp_path / "report").exists()


def test_faces_of_a_report_are_those_of_the_seed(tmp_path):
    """Face k of description p is face p * samples + k of that condition."""
    from imagine_tiny import tiny_density

    from mien.core.progress import silent
    from mien.pipelines.evaluate_imagine import _mien

    renderer = DecoderRenderer.load(write_tiny_weights(tmp_path / "crowd.safetensors"))
    makes = Imagine(tiny_density(), renderer, "tiny")
    sets = [AttributeSet(row_of(k), {"Male": bool(k % 2), "Smiling": True}) for k in range(20)]
    made = _mien(makes, sets, 2, 5, silent)
    condition = Condition(sets[17].wanted)
    alone = makes.sample(condition, 1, seed=5, first=35)[0]
    assert (made.crops[17, 1] == alone.image).all()
    assert np.allclose(makes.features(condition, [FaceRequest(5, 35)])[0], alone.features)


class Painter:
    """Paints the number of the picture, and remembers what it was asked for."""

    version = "painter"

    def __init__(self, side, asked):
        self.side, self.asked = side, asked

    def paint(self, method, wanted, draws):
        self.asked.append((method, wanted))
        seeds = [one.initial_seed() for one in draws]
        pictures = torch.stack([torch.full((3, self.side, self.side), (seed % 100) / 100) for seed in seeds])
        return Descent(pictures, np.zeros((1, len(seeds))), (1.0,) * len(seeds))

    def make(self, wanted, draws):
        return self.paint("visualise", wanted, draws)

    def own(self, layer, crops, draws):
        return self.paint("invert", (layer, len(crops)), draws)

    def toward(self, layer, targets, draws):
        return self.paint("mixture", (layer, targets.shape), draws)


def test_slow_methods_make_the_faces_of_the_command_line_in_the_place_of_the_crop(monkeypatch, tmp_path):
    from mien.core.progress import silent
    from mien.faces import encoder
    from mien.papers.deepface_2016.mixture import ClassMixture, Gaussians
    from mien.pipelines import imagine_pictures
    from mien.pipelines.evaluate_imagine_slow import slow_methods

    asked = []
    gaussians = Gaussians(("Male", "Smiling", "female"), np.ones((3, 12)), np.ones((3, 12)))
    mixture = ClassMixture(gaussians, np.ones(3), "block17_10", (12,))
    monkeypatch.setattr(imagine_pipeline, "load_mixture", lambda path, **_: (mixture, None, {"version": "flat"}))
    monkeypatch.setattr(encoder, "load_encoder", lambda name: None)
    monkeypatch.setattr(imagine_pictures.Visualiser, "load", lambda *_: Painter(128, asked))
    monkeypatch.setattr(imagine_pictures, "Inverter", lambda *_: Painter(160, asked))
    monkeypatch.setattr(imagine_pictures, "rows_at_once", lambda _: 3)
    sets = [AttributeSet(row_of(k), {"Male": bool(k % 2), "Smiling": True}) for k in range(2)]
    own = np.zeros((2, 64, 64, 3), np.uint8)
    made = slow_methods(sets, own, SLOW_METHODS, None, 5, 3, tmp_path, silent)
    assert [one.name for one in made] == [
        "paper (cGMM, inverted)", "paper (photo, inverted)", "paper (visualise)",
        "paper (cGMM, inverted, anchored)", "paper (photo, inverted, anchored)", "paper (visualise, anchored)",
    ]  # fmt: skip
    assert [one.crops.shape for one in made] == 2 * [(2, 2, 64, 64, 3), (2, 1, 64, 64, 3), (2, 1, 64, 64, 3)]
    assert all(one.seconds is not None for one in made)
    seed = imagine_pictures.draws_of(3, "mixture", 3).initial_seed()
    expected = to_photos(torch.full((1, 3, 1, 1), (seed % 100) / 100))[0, 0, 0]
    assert (made[0].crops[1, 1, 32, 32] == expected).all()  # face p * 2 + k
    assert asked[:3] == [
        ("mixture", ("block17_10", (3, 12))),
        ("mixture", ("block17_10", (1, 12))),
        ("invert", ("block17_10", 2)),
    ]
    assert [sorted(each) for each in asked[3][1]] == [["Smiling", "female"], ["Male", "Smiling"]]
    asked.clear()
    again = slow_methods(sets, own, SLOW_METHODS, None, 5, 3, tmp_path, silent)
    assert asked == [], "what was made is read"
    assert all((a.crops == b.crops).all() and a.seconds == b.seconds for a, b in zip(again, made, strict=True))
    slow_methods(sets, own, SLOW_METHODS, None, 6, 3, tmp_path, silent)
    assert len(asked) == 8, "other steps, other pictures"
    some = slow_methods(sets, own, ("invert",), None, 5, 3, tmp_path, silent)
    assert [one.name for one in some] == ["paper (photo, inverted)", "paper (photo, inverted, anchored)"]


def marked(place, *present, sex="male"):
    return row_of(place, sex, present)


def test_people_who_share_a_description_are_others_and_have_most_of_it():
    one = AttributeSet(row_of(0), {"Male": True, "Smiling": True, "Bald": True})
    rows = [
        one.row,  # the person described
        marked(1, "Smiling"),
        marked(2, "Smiling", "Bald"),
        replace(marked(3, "Smiling", "Bald"), person="person 2"),  # once more
        marked(4, "Bald", sex="female"),
        marked(5, "Bald", "Smiling", "Eyeglasses"),
    ]
    found = who_share(one, rows, 3, seed=1)
    assert {row.person for row in found.rows} == {"person 1", "person 2", "person 5"}
    assert (found.exact, found.shared) == (2, pytest.approx((1 + 1 + 2 / 3) / 3))
    assert len(who_share(one, rows, 9).rows) == 4
    assert {who_share(one, rows, 1, seed=seed).rows[0].person for seed in range(20)} == {"person 2", "person 5"}


def test_the_nearest_person_shares_the_sex_and_most_marks():
    rows = [row_of(0), marked(1, "Smiling"), marked(2, "Smiling", "Bald", "Frowning", "Bangs")]
    rows += [marked(3, "Smiling", "Bald", "Eyeglasses", sex="female")]
    assert nearest(row_of(0), rows) == (rows[2], 2)
    with pytest.raises(TooFewError, match="nobody else of the same sex"):
        nearest(rows[3], rows)


def test_real_people_who_are_alike_stand_beside_and_seconds_are_told(judged):
    _, methods, sets, real = judged
    twins = np.repeat(real.own.crops[:, None], 2, 1)
    pairs = RealPairs("twins", twins, "all of it")
    timed = replace(methods[0], seconds=36.0, sixteen_seconds=(2.0, 1.0, 9.0))
    report = judge_imagine(
        [timed, *methods[1:]],
        sets,
        replace(real, alike=(pairs,)),
        PixelJudges(),
        title="t",
        provenance=ReportProvenance(),
    )
    assert value(report, "similarity, one", "real, twins") == pytest.approx(1)
    assert value(report, "similarity, one", "real, of one sex") < 0.2
    assert value(report, "seconds a face", "obedient") == pytest.approx(36 / (PEOPLE * SAMPLES))
    assert value(report, "16 faces", "obedient") == 2
    assert "Real people, twins: all of it." in next(p.text for p in report.sections if "different people" in p.title)
