"""``mien evaluate crowd`` from words to report, with a generator and judges that need no weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_generator import FakeGenerator

import mien
from mien.attributes import NAMES
from mien.attributes.age_sex import AgeSexPredictions
from mien.attributes.attribute_judge import AttributePredictions
from mien.core.checkpoints import load_weights, save_weights
from mien.core.errors import DatasetError, RequestError
from mien.core.images import encode_jpeg
from mien.datasets import catalog
from mien.datasets.catalog import CatalogRow
from mien.evaluation import features
from mien.generators.crowd.sampler import Crowd


class FakeJudges:
    """Features are pixels, ages are brightness, everybody is female."""

    version = identity_version = "fake"

    def identity(self, crops, on_advance):
        on_advance(len(crops))
        return crops.reshape(len(crops), -1)[:, 300:428].astype(np.float32)

    def estimate(self, crops, on_advance):
        on_advance(len(crops))
        seen = crops.reshape(len(crops), -1).astype(np.float32)
        return AgeSexPredictions(seen.mean(1) / 3, np.ones(len(crops), np.float32), seen[:, 200:216])

    def attributes(self, crops, on_advance, *, races):
        on_advance(len(crops))
        found = np.zeros((len(crops), len(NAMES)), bool)
        return AttributePredictions(found.astype(np.float32), found, ("Black" if races else "",) * len(crops))


@pytest.fixture
def dataset(tmp_path):
    """Ninety crops of noise with labels, thirty of each split."""
    random, rows, jpegs = np.random.default_rng(0), [], []
    for k in range(90):
        rows.append(
            CatalogRow(
                id=f"noise:{k}", source="noise", key=str(k), licence="none", sex=("female", "male")[k % 2],
                race=("White", "Black")[k % 2], age_years=float(k), split=("train", "validation", "test")[k % 3],
                shard="noise-00000.parquet", row_in_shard=k,
            )
        )  # fmt: skip
        jpegs.append(encode_jpeg(random.integers(0, 256, (32, 32, 3)).astype(np.uint8)))
    dest = tmp_path / "data"
    catalog.write_shard(dest, "noise-00000.parquet", [row.id for row in rows], jpegs)
    catalog.write_catalog(dest, rows)
    return dest


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(features.NetworkJudges, "load", classmethod(lambda cls: FakeJudges()))
    loaded = []

    def load(name, *, preset="painter", weights=None, device=None):
        loaded.append((name, preset, weights))
        return Crowd(FakeGenerator(name=f"fake-{preset}", size_px=32 if preset == "painter" else 16))

    monkeypatch.setattr(mien, "load", load)
    return loaded


def test_one_command_writes_the_whole_report(cli_here, dataset, fakes, tmp_path):
    out = tmp_path / "report"
    words = ("evaluate", "crowd", "--data", dataset, "--out", out, "--count", 200, "--peer", "paper", "--quick")
    result = cli_here(*words)
    assert result.exception is None, result.output
    assert str(out / "report.html") in result.output
    values = json.loads((out / "report.json").read_text())
    assert fakes == [("crowd", "painter", None), ("crowd", "paper", None)]
    made = [f for f in values["figures"] if f["label"] == "detection rate"]
    assert {(f["subject"], f["n"]) for f in made} == {
        ("real", 30),
        ("generated", 200),
        ("paper", 30),
        ("real: noise", 30),
    }
    assert values["provenance"]["model"] == "fake-painter 1 + fake-paper 1"
    assert values["provenance"]["quick"].startswith("yes")
    assert values["provenance"]["training_faces"] == 30
    assert values["provenance"]["generated_each_word"] == 20
    told = {(f["label"], f["subject"], f["n"]) for f in values["figures"]}
    assert told >= {("mustache: difference", "paper", 20), ("race as asked, Black", "generated", 15)}
    again = cli_here(*words)
    assert isinstance(again.exception, RequestError)
    assert "--force" in str(again.exception)
    assert cli_here(*words, "--force").exception is None
    repeated = json.loads((out / "report.json").read_text())
    assert repeated["figures"] == values["figures"]  # the same seed, the same figures


def test_a_peer_is_judged_on_requests_that_both_can_answer(cli_here, dataset, fakes, tmp_path, monkeypatch):
    """Ages under 10 were clipped in silence and counted in the age error of a network that does not know them."""
    asked = {}

    class Knows10To50(FakeGenerator):
        ages_years = (10.0, 50.0)

        def draw(self, requests):
            asked.setdefault(self.name, []).extend(request.labels.age_years for request in requests)
            return FakeGenerator.draw(self, requests)

    class KnowsAll(Knows10To50):
        ages_years = (1.0, 100.0)

    def load(name, *, preset="painter", weights=None, device=None):
        return Crowd((KnowsAll if preset == "painter" else Knows10To50)(name=preset, size_px=32))

    monkeypatch.setattr(mien, "load", load)
    words = ("evaluate", "crowd", "--data", dataset, "--count", 200, "--quick", "--out")
    assert cli_here(*words, tmp_path / "both", "--peer", "paper").exception is None
    ages = [age for ages in asked.values() for age in ages if age is not None]
    assert 10 <= min(ages) <= max(ages) <= 64  # pairs of one noise go to 64; the rest to 50
    values = json.loads((tmp_path / "both" / "report.json").read_text())
    inside = sum(10 <= k <= 50 for k in range(2, 90, 3))
    errors = {f["subject"]: f["n"] for f in values["figures"] if f["label"].startswith("age judged within")}
    assert errors == {"real": inside, "generated": 200, "paper": inside}
    assert values["provenance"]["held_out_of_other_ages"] == 30 - inside
    asked.clear()
    assert cli_here(*words, tmp_path / "alone").exception is None
    assert min(age for age in asked["painter"] if age is not None) < 10, "by itself it is asked for every age"


def test_a_weights_file_says_itself_which_preset_it_is(cli_here, dataset, fakes, tmp_path):
    path = tmp_path / "run" / "weights.safetensors"
    save_weights(path, {"x": torch.zeros(1)}, {"model": "crowd-paper", "version": "1"})
    out = tmp_path / "report"
    result = cli_here("evaluate", "crowd", "--data", dataset, "--out", out, "--count", 200, "--quick", "--peer", path)
    assert result.exception is None, result.output
    assert fakes == [("crowd", "painter", None), ("crowd", "paper", str(path))]
    values = json.loads((out / "report.json").read_text())
    assert "run/weights.safetensors" in {figure["subject"] for figure in values["figures"]}
    assert str(tmp_path) not in json.dumps(values["figures"])  # names of figures hold no path of a machine


def test_wrong_requests_are_one_line(cli_here, dataset, fakes, tmp_path):
    out = tmp_path / "report"
    result = cli_here("evaluate", "crowd", "--data", dataset, "--out", out, "--peer", "nobody")
    assert isinstance(result.exception, RequestError)
    assert "nobody: neither a preset (painter, mien, paper) nor a weights file" in str(result.exception)
    save_weights(tmp_path / "other.safetensors", {"x": torch.zeros(1)}, {"model": "judge", "version": "1"})
    result = cli_here("evaluate", "crowd", "--data", dataset, "--out", out, "--weights", tmp_path / "other.safetensors")
    assert "weights of 'judge', wanted those of a crowd generator" in str(result.exception)
    result = cli_here("evaluate", "crowd", "--data", tmp_path / "nothing", "--out", out)
    assert isinstance(result.exception, DatasetError)
    assert cli_here("evaluate", "crowd", "--data", dataset, "--out", out, "--count", 5).exit_code == 2
    assert not out.exists()


def test_a_judge_is_trained_and_examined_by_two_commands(cli_here, dataset, tmp_path):
    run, out = tmp_path / "run", tmp_path / "report"
    words = ("train", "judge", "--data", dataset, "--out", run, "--steps", 2, "--batch", 8, "--precision", "fp32")
    result = cli_here(*words, "--threads", 1)
    assert result.exception is None, result.output
    result = cli_here("evaluate", "judge", "--data", dataset, "--out", out, "--weights", run / "weights.safetensors")
    assert result.exception is None, result.output
    values = json.loads((out / "report.json").read_text())
    figures = {figure["name"]: figure for figure in values["figures"]}
    assert figures["sex-right-all_judge-age-sex_n30"]["n"] == 30
    assert figures["sex-right-adults_judge-age-sex_n24"]["n"] == 24  # of ages 2, 5, ... 89
    assert 0 < figures["age-error-mean-absolute_judge-age-sex_n30"]["value"] < 100
    rows = values["sections"][0]["tables"][0]["rows"]
    assert sum(row[1] for row in rows if "years" in row[0]) == 30


def test_the_judge_of_attributes_is_trained_continued_and_examined(cli_here, dataset, tmp_path):
    rows = catalog.read_catalog(dataset)
    half = [  # every other face has attributes, the others have a race
        replace(row, race=None, attributes_present=("Smiling",) if k % 4 else ("Bald",), attributes_absent=NAMES)
        if k % 2
        else row
        for k, row in enumerate(rows)
    ]
    catalog.write_catalog(dataset, half)
    catalog.write_manifest(dataset, {"version": catalog.VERSION, "complete": True})
    first, second, out = tmp_path / "first", tmp_path / "second", tmp_path / "report"
    words = ("train", "judge", "--preset", "attributes", "--data", dataset, "--precision", "fp32", "--threads", 1)
    result = cli_here(*words, "--steps", 2, "--batch", 4, "--out", first)
    assert result.exception is None, result.output
    result = cli_here(*words, "--steps", 1, "--batch", 4, "--out", second, "--from", first)
    assert result.exception is None, result.output
    _, about = load_weights(second / "weights.safetensors", model="judge-attributes")
    assert about["images_seen"] == 12  # those of the first run too
    assert len(about["thresholds"]) == len(NAMES)
    examine = ("evaluate", "judge", "--preset", "attributes", "--data", dataset, "--out", out)
    result = cli_here(*examine, "--weights", second / "weights.safetensors")
    assert result.exception is None, result.output
    values = json.loads((out / "report.json").read_text())
    assert values["provenance"]["faces_with_attributes"] == values["provenance"]["faces_of_known_race"] == 15
    assert {figure["label"].split(",")[0] for figure in values["figures"]} >= {"race as annotated"}
    result = cli_here("train", "judge", "--data", dataset, "--out", tmp_path / "x", "--from", first)
    assert "--from: preset 'mien' of judge does not use it; it uses --data" in str(result.exception)
    result = cli_here("evaluate", "judge", "--preset", "nobody", "--data", dataset, "--out", tmp_path / "y")
    assert "no judge 'nobody'; allowed: mien, attributes" in str(result.exception)
