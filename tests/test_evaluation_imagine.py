"""``mien evaluate imagine``: descriptions that can be kept, figures that a method can lose, one command to a report."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from crowd_tiny import write_tiny_weights
from hypothesis import given
from hypothesis import strategies as st

from mien.apps.cli import imagine_ways
from mien.errors import DatasetError, RequestError, TooFewError
from mien.evaluation import features
from mien.evaluation.faces import Row
from mien.evaluation.features import unknown_labels
from mien.evaluation.imagine import MadeFaces, RealFaces, judge_imagine, ratio_interval
from mien.evaluation.imagine_sets import LEAST, MOST, AttributeSet, choose_sets, consistent, obeyed
from mien.faces.age_sex import Estimates
from mien.faces.attribute_judge import Seen
from mien.faces.attributes import GROUP_OF, NAMES, parse
from mien.generators.contract import FaceRequest
from mien.generators.imagine.density import Wish
from mien.generators.imagine.mien import DecoderRenderer, Imagine
from mien.images import encode_jpeg
from mien.photos import catalog
from mien.photos.catalog import CatalogRow
from mien.seeding import stream

SIDE, PEOPLE, SAMPLES = 32, 24, 3
COLUMNS = {name: NAMES.index(name) for name in ("Male", "Smiling", "Bald", "Eyeglasses")}


class PixelJudges:
    """Pixel k of the first row says attribute k; identity and appearance are pixels of other rows."""

    version = identity_version = "pixels"

    def identity(self, crops, advance):
        advance(len(crops))
        return crops.reshape(len(crops), -1)[:, 700:828].astype(np.float32) / 255

    def estimate(self, crops, advance):
        advance(len(crops))
        seen = crops.reshape(len(crops), -1).astype(np.float32)
        return Estimates(seen.mean(1) / 3, np.ones(len(crops), np.float32), seen[:, 1000:1016])

    def attributes(self, crops, advance, *, races):
        advance(len(crops))
        scores = crops.reshape(len(crops), -1)[:, : len(NAMES)].astype(np.float32) / 255
        return Seen(scores, scores > 0.5, ("",) * len(crops))


def row_of(place, sex="male", present=("Smiling", "Bald", "Eyeglasses")):
    return Row(f"lfw:{place}", "lfw", "test", "s", place, sex, None, None, tuple(present), (), f"person {place}")


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


@given(st.sets(st.sampled_from(NAMES)), st.sampled_from(["male", "female", None]), st.integers(0, 99))
def test_a_description_never_contradicts_itself(present, sex, seed):
    wanted = consistent(row_of(0, sex, sorted(present)), stream(seed, "test"))
    words = ", ".join(name if there else f"not {name}" for name, there in wanted.items())
    assert parse(words) == wanted  # which refuses what excludes each other
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
    for one in choose_sets(rows, 100, seed=1, known=("Smiling", "Bald")):
        assert set(one.wanted) == {"Male", "Smiling", "Bald"}
    assert AttributeSet(row_of(1), {"Male": False, "Smiling": True}).words == "woman, smiling"


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
        MadeFaces("obedient", tuple(range(PEOPLE)), obedient),
        MadeFaces("deaf", tuple(range(PEOPLE)), deaf),
        MadeFaces("slow", (0, 1, 2), obedient[:3, :2]),
    ]
    return judge_imagine(methods, sets, real, PixelJudges(), title="t", provenance={}), methods, sets, real


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
        judge_imagine(methods, sets[:3], real, PixelJudges(), title="t", provenance={})


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
    """Knows three words; its targets are noise."""

    class gaussians:  # noqa: N801
        names = ("Smiling", "Eyeglasses", "Bald")

    def target(self, names, draws):
        return draws.standard_normal(12)


def test_one_command_writes_the_whole_report(cli_here, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(features.NetworkJudges, "load", classmethod(lambda cls: PixelJudges()))
    monkeypatch.setattr(imagine_ways, "load_mixture", lambda path: (FlatMixture(), None, {"version": "flat"}))
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
    assert values["provenance"]["descriptions"] == 30
    assert "Sunglasses" in values["provenance"]["words_left_out"]
    assert (out / "faces-mien.png").is_file()
    again = cli_here(*words)
    assert isinstance(again.exception, RequestError)
    assert "--force" in str(again.exception)
    assert cli_here(*words, "--force").exception is None
    assert json.loads((out / "report.json").read_text())["figures"] == values["figures"]  # the same seed


def test_a_dataset_without_attributes_is_refused_in_one_line(cli_here, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(features.NetworkJudges, "load", classmethod(lambda cls: PixelJudges()))
    catalog.write_catalog(dataset, [replace(row, attributes_present=()) for row in catalog.read_catalog(dataset)])
    result = cli_here("evaluate", "imagine", "--data", dataset, "--out", tmp_path / "report", "--quick")
    assert isinstance(result.exception, DatasetError)
    assert "0 people with attributes in the split 'test'" in str(result.exception)
    assert not (tmp_path / "report").exists()


def test_faces_of_a_report_are_those_of_the_seed(tmp_path):
    """Face k of description p is face p * samples + k of that wish."""
    from imagine_tiny import tiny_density

    from mien.apps.cli.evaluate_imagine import _mien
    from mien.evaluation.features import untracked

    renderer = DecoderRenderer.load(write_tiny_weights(tmp_path / "crowd.safetensors"))
    makes = Imagine(tiny_density(), renderer, "tiny")
    sets = [AttributeSet(row_of(k), {"Male": bool(k % 2), "Smiling": True}) for k in range(20)]
    made = _mien(makes, sets, 2, 5, untracked)
    wish = Wish(sets[17].wanted)
    alone = makes.sample(wish, 1, seed=5, first=35)[0]
    assert (made.crops[17, 1] == alone.image).all()
    assert np.allclose(makes.features(wish, [FaceRequest(5, 35)])[0], alone.features)


def test_slow_methods_make_two_faces_each_in_the_place_of_the_crop(monkeypatch):
    from mien.apps.cli.evaluate_imagine import _slow
    from mien.evaluation.features import untracked

    asked = []

    def way_of(one):
        asked.append((one.method, one.render, dict(one.wanted)))
        side = {"visualise": 128, "mixture": 160}[one.method]
        return imagine_ways.one_by_one(lambda index: np.full((side, side, 3), index, np.uint8), "fake", "1", {})

    monkeypatch.setattr(imagine_ways, "way_of", way_of)
    sets = [AttributeSet(row_of(k), {"Male": True, "Smiling": True}) for k in range(2)]
    made = _slow(sets, 64, None, 3, untracked)
    assert [one.crops.shape for one in made] == [(2, 2, 64, 64, 3)] * 2
    assert [one.crops[1, 1, 0, 0, 0] for one in made] == [3, 3]  # face p * 2 + k
    wanted = {"Male": True, "Smiling": True}
    assert asked == [(method, "invert", wanted) for method in ("visualise", "visualise", "mixture", "mixture")]
