"""`mien train sex` on a small dataset: trained, summed, examined with and without; and packaged, on made faces."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_cli_train_attributes import dest, narrow  # noqa: F401 (fixtures: the small dataset and its encoder)
from test_faces_second_reader import TinyDlib
from typer.testing import Result

from mien.checkpoints import load_weights
from mien.errors import RequestError, WeightsError
from mien.faces import store
from mien.faces.attributes.second_reader import SecondReader
from mien.faces.dlib_resnet import DlibResNet

Run = Callable[..., Result]


@pytest.fixture
def dlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that sees brightness only, in place of dlib's."""
    monkeypatch.setattr(DlibResNet, "load", classmethod(lambda cls: TinyDlib()))


def test_a_second_reader_is_trained_summed_and_examined(
    cli_here: Run,
    dest: Path,  # noqa: F811
    dlib: None,
    tmp_path: Path,
) -> None:
    heads = tmp_path / "heads" / "weights.safetensors"
    vgg = ["--data", str(dest), "--encoder", "vgg-face"]
    done = cli_here("train", "attributes", *vgg, "--out", str(heads.parent), "--epochs", "2", "--batch", "32")
    assert done.exception is None, done.exception

    words = ["train", "sex", *vgg, "--heads", str(heads), "--batch", "16", "--steps", "40", "--seed", "3"]
    done = cli_here(*words, "--out", str(tmp_path / "run"))
    assert done.exception is None, done.exception
    assert "of 60 validation faces read wrongly: " in done.stdout
    weights = tmp_path / "run" / "weights.safetensors"
    tensors, about = load_weights(weights, model="sex-dlib")
    version = load_weights(heads)[1]["version"]
    assert (about["first"], about["training_faces"], about["fitted_on"]) == (version, 120, 60)
    assert about["errors_on_validation"]["second"] <= 1  # bright and dark are easily told apart
    assert about["sum"]["temperature"] > 0
    assert not any(name.startswith("age") for name in tensors)  # what only taught does not travel

    # The same command with --resume is done already, another run of it gives the same weights, another seed others.
    before = weights.read_bytes()
    assert cli_here(*words, "--out", str(tmp_path / "run"), "--resume").exception is None
    assert weights.read_bytes() == before
    assert cli_here(*words, "--out", str(tmp_path / "again")).exception is None
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == before
    assert cli_here(*words[:-1], "4", "--out", str(tmp_path / "other")).exception is None
    assert (tmp_path / "other" / "weights.safetensors").read_bytes() != before

    # Looked at once, kept for the next time.
    kept = list((dest / "cache").glob("dlib-resnet-maps-both-*/*.npz"))
    assert kept
    with np.load(kept[0]) as file:
        assert file["values"].shape == (180, 5120)

    def examined(name: str, *words: str) -> dict:
        out = tmp_path / name
        done = cli_here("evaluate", "attributes", *vgg, "--weights", str(heads), "--out", str(out), *words)
        assert done.exception is None, done.exception
        return json.loads((out / "report.json").read_text())

    both, alone = examined("both", "--second", str(weights)), examined("alone", "--alone")
    usual = examined("usual")  # the packaged second reader is for other heads
    assert both["provenance"]["second reader of sex"] == f"sex-dlib-{about['version']}"
    assert both["provenance"]["weights"] == f"{version}+sex-dlib-{about['version']}"
    assert alone["provenance"]["second reader of sex"] == usual["provenance"]["second reader of sex"] == "none"
    told = [{each["label"]: each["value"] for each in found["figures"]} for found in (both, alone)]
    assert told[0]["sex right, all faces of known sex"] > 0.95
    for label in told[1]:
        if not label.startswith("sex"):
            assert told[0][label] == told[1][label], label


def test_what_cannot_be_is_said_in_one_line(
    cli_here: Run,
    dest: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    done = cli_here("train", "sex", "--data", str(dest), "--out", str(tmp_path / "run"), "--batch", "0")
    assert isinstance(done.exception, RequestError)
    assert "--batch: 0 given" in str(done.exception)
    done = cli_here(
        "evaluate", "attributes", "--data", str(dest), "--out", str(tmp_path / "r"), "--second", "x", "--alone"
    )
    assert "--second: a second reader given together with --alone" in str(done.exception)


@pytest.mark.models
def test_a_photo_is_described_with_dlib_and_without(
    cli_here: Run, models_cache: Path, made_faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [json.loads(line) for line in (made_faces / "manifest.jsonl").read_text().splitlines()]
    adults = [row for row in rows if 30 <= row["age"] < 60][:6]
    photos = [str(made_faces / row["file"]) for row in adults]

    def described() -> list[dict]:
        done = cli_here("describe", "--json", *photos)
        assert done.exception is None, done.exception
        assert done.stderr == ""
        return [json.loads(line) for line in done.stdout.splitlines()]

    started = time.process_time()
    both = described()
    spent = time.process_time() - started
    second = SecondReader.load()
    heads = second.first
    assert {row["model_version"] for row in both} == {f"{heads}+{second.version}"}
    read = [row["faces"][0]["female"] > 0.5 for row in both]
    assert sum(yes == (row["sex"] == "female") for yes, row in zip(read, adults, strict=True)) >= 5
    assert spent / len(photos) < 2.5  # seconds with loading, on a busy machine; docs/describe.md has the figure

    there = store.weights_path

    def absent(name: str) -> Path:
        if name == "dlib-resnet":
            raise WeightsError("the network 'dlib-resnet' is not on this machine; run: mien models fetch dlib-resnet")
        return there(name)

    monkeypatch.setattr(store, "weights_path", absent)
    alone = described()
    assert {row["model_version"] for row in alone} == {heads}
    for one, two in zip(alone, both, strict=True):
        a, b = one["faces"][0], two["faces"][0]
        assert a["female"] != b["female"]
        assert {**a, "female": 0, "sex": 0, "sentence": 0, "groups": 0} == {
            **b, "female": 0, "sex": 0, "sentence": 0, "groups": 0,
        }  # fmt: skip
        assert {**a["groups"], "sex": 0} == {**b["groups"], "sex": 0}
